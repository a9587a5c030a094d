package token

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// Issuer is one issuer whose tokens are accepted.
type Issuer struct {
	// Name is what `iss` must say, byte by byte.
	Name string
	// Own says that the issuer is this server. Its keys are at hand, so they are tried before `iss`
	// is read, and its tokens carry `project`.
	Own bool
	// Keys finds the key of a `kid`. No key, or keyring.ErrUnknownKey, means that the issuer has
	// none; any other error, keyring.ErrKeysUnavailable above all, that its keys cannot be had now.
	// It is called by many goroutines at once.
	Keys func(ctx context.Context, kid string) (*keyring.Key, error)
	// SoleKey says that a token without `kid` is of the issuer's only key, which Keys finds under
	// the empty name. It matters to a Verifier of one issuer alone. Default: `kid` is required.
	SoleKey bool
	// Algorithms are those accepted of this issuer's keys. Default: the one pinned to each key.
	Algorithms []string
	// Types are the accepted values of `typ`; case and a leading `application/` do not matter. An
	// empty element accepts a token without `typ`. Default: at+jwt (RFC 9068, section 2.1).
	Types []string
	// MaxLifetime is the longest accepted time from `iat` to `exp`, at most 365 days. Default: 365
	// days.
	MaxLifetime time.Duration
	// CertificateBound says that its tokens may be bound to TLS client certificates (Token.X5T) because
	// whoever takes them asks for those. Default: only tokens of an issuer that is Own; of others such
	// a token is refused.
	CertificateBound bool
}

// issuer is an Issuer checked, with its defaults, and out of the caller's reach.
type issuer struct {
	name        string
	own         bool
	keys        func(ctx context.Context, kid string) (*keyring.Key, error)
	algorithms  []string
	types       []string
	maxLifetime time.Duration
	kept        announced

	certificates bool // its tokens may be bound to them
}

// keeps says that a token which does not have the claim beside it does not have it at all.
func (i *issuer) keeps(name string) bool { return i == nil || i.kept.has(name) }

// Verifier turns compact text into a Token: structure, header, key, signature, claims. It does not
// look at the clock, the audience or any policy, so that its result may be kept. It is safe for
// concurrent use.
type Verifier struct {
	own     []*issuer
	byName  map[string]*issuer
	headers headers
	kept    announced
	soleKey bool // kid may be missing
}

// NewVerifier returns a Verifier of the tokens of issuers. It refuses an empty list, an issuer
// without name or keys, two of one name, an unknown algorithm, and a maximum lifetime that is
// negative or over 365 days.
func NewVerifier(issuers []Issuer) (*Verifier, error) {
	if len(issuers) == 0 {
		return nil, errors.New("a verifier needs at least one issuer")
	}
	v := &Verifier{
		byName:  make(map[string]*issuer, len(issuers)),
		headers: headers{seed: maphash.MakeSeed()},
		kept:    announced{},
		soleKey: len(issuers) == 1 && issuers[0].SoleKey,
	}
	for _, given := range issuers {
		iss, err := given.prepare()
		if err != nil {
			return nil, err
		}
		if v.byName[iss.name] != nil {
			return nil, fmt.Errorf("duplicate issuer %q", iss.name)
		}
		iss.kept = v.kept
		v.byName[iss.name] = iss
		if iss.own {
			v.own = append(v.own, iss)
		}
	}
	return v, nil
}

// Keep announces claims, by name or dotted path, that will be asked for of every token: they stay
// beside it, decoded with the rest. Any other claim is read out of the token's text once somebody
// asks for it, and takes no memory before. It must not be called once tokens are verified.
func (v *Verifier) Keep(paths ...string) {
	for _, path := range paths {
		v.kept[path] = path
		for i := strings.LastIndexByte(path, '.'); i >= 0; i = strings.LastIndexByte(path[:i], '.') {
			v.kept[path[:i]] = path[:i]
		}
	}
}

// Keeps reports whether the claim was announced, by its name or as the beginning of a path.
func (v *Verifier) Keeps(claim string) bool { return v.kept.has(claim) }

func (i *Issuer) prepare() (*issuer, error) {
	if i.Name == "" {
		return nil, errors.New("an issuer has no name")
	}
	if i.Keys == nil {
		return nil, fmt.Errorf("issuer %q has no keys", i.Name)
	}
	for _, a := range i.Algorithms {
		if !slices.Contains(algorithms, a) {
			return nil, fmt.Errorf("issuer %q: algorithm %q is not one of %v", i.Name, a, algorithms)
		}
	}
	if i.MaxLifetime < 0 || i.MaxLifetime > MaxLifetime {
		return nil, fmt.Errorf("issuer %q: max_lifetime %v is not between 0 and %v", i.Name, i.MaxLifetime, MaxLifetime)
	}
	iss := &issuer{
		name:        i.Name,
		own:         i.Own,
		keys:        i.Keys,
		algorithms:  slices.Clone(i.Algorithms),
		types:       []string{"at+jwt"},
		maxLifetime: MaxLifetime,

		certificates: i.Own || i.CertificateBound,
	}
	if i.MaxLifetime > 0 {
		iss.maxLifetime = i.MaxLifetime
	}
	if len(i.Types) > 0 {
		iss.types = make([]string, len(i.Types))
		for n, t := range i.Types {
			iss.types[n] = mediaType(t)
		}
	}
	return iss, nil
}

// Verify returns the token of raw. The error is a *Refusal. ctx bounds the wait for the keys of a
// foreign issuer.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Token, error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	c, err := s.split(raw)
	if err != nil {
		return nil, err
	}
	h, known := v.headers.find(c.header)
	if !known {
		if h, err = s.header(c.header); err != nil {
			return nil, err
		}
		if h.kid == "" && !v.soleKey {
			return nil, refuse(UnknownKey, "kid is missing")
		}
	}
	iss, key, err := v.authenticate(ctx, s, c, h)
	if err != nil {
		return nil, err
	}
	if !known {
		v.headers.keep(c.header, h)
	}
	typ, ok := findType(iss.types, h.typ)
	if !ok {
		return nil, refuse(WrongType, "typ is not accepted of this issuer")
	}
	t := &Token{issuer: iss, Key: key, typ: typ}
	if err := s.newToken(t, raw); err != nil {
		return nil, err
	}
	return t, nil
}

// NamesIssuer reports whether raw has the form of a token and its `iss`, which nobody has verified,
// names an accepted issuer. No other text could pass Verify.
func (v *Verifier) NamesIssuer(raw string) bool {
	s := scratches.Get().(*scratch)
	defer s.release()
	c, err := s.split(raw)
	if err != nil {
		return false
	}
	name, err := s.issuer(c.payload, v.kept)
	return err == nil && v.byName[string(name)] != nil
}

// authenticate returns the issuer that `iss` names and its key that made the signature.
//
// Where our own ring has the `kid`, no byte of the payload is read as JSON before its signature is
// good. A foreign issuer is asked only for tokens that name it: its keys may have to be fetched.
func (v *Verifier) authenticate(ctx context.Context, s *scratch, c compact, h header) (*issuer, *keyring.Key, error) {
	iss, key := v.holder(ctx, h.kid)
	if iss == nil {
		return v.authenticateNamed(ctx, s, c, h)
	}
	if err := iss.check(key, c, h); err != nil {
		if v.namesOther(s, c, iss) { // another issuer may have a key of the same kid
			return v.authenticateNamed(ctx, s, c, h)
		}
		return nil, nil, err
	}
	name, err := s.issuer(c.payload, v.kept)
	if err != nil {
		return nil, nil, err
	}
	if string(name) == iss.name {
		return iss, key, nil
	}
	if v.byName[string(name)] == nil {
		return nil, nil, refuse(UnknownIssuer, "iss names no accepted issuer")
	}
	return nil, nil, refuse(UnknownKey, "the key is not of the issuer that iss names")
}

// holder returns our own issuer that has kid, and the key, if there is exactly one.
func (v *Verifier) holder(ctx context.Context, kid string) (*issuer, *keyring.Key) {
	var iss *issuer
	var key *keyring.Key
	for _, i := range v.own {
		k, err := i.keys(ctx, kid)
		if err != nil || k == nil {
			continue
		}
		if iss != nil {
			return nil, nil
		}
		iss, key = i, k
	}
	return iss, key
}

// namesOther reports whether the unverified `iss` names an accepted issuer other than iss.
func (v *Verifier) namesOther(s *scratch, c compact, iss *issuer) bool {
	if len(v.byName) == 1 {
		return false
	}
	name, err := s.issuer(c.payload, v.kept)
	if err != nil {
		return false
	}
	other := v.byName[string(name)]
	return other != nil && other != iss
}

// authenticateNamed picks the issuer by the unverified `iss`, which its key then has to have
// signed.
func (v *Verifier) authenticateNamed(
	ctx context.Context, s *scratch, c compact, h header,
) (*issuer, *keyring.Key, error) {
	name, err := s.issuer(c.payload, v.kept)
	if err != nil {
		return nil, nil, err
	}
	iss := v.byName[string(name)]
	if iss == nil {
		return nil, nil, refuse(UnknownIssuer, "iss names no accepted issuer")
	}
	key, err := iss.keys(ctx, h.kid)
	switch {
	case errors.Is(err, keyring.ErrUnknownKey), err == nil && key == nil:
		return nil, nil, refuse(UnknownKey, "the issuer has no key of that kid")
	case err != nil:
		return nil, nil, refuse(KeysUnavailable, "the issuer's keys cannot be had at the moment")
	}
	return iss, key, iss.check(key, c, h)
}

// check holds the algorithm against the key, never against what the token would like, and then the
// signature.
func (i *issuer) check(key *keyring.Key, c compact, h header) error {
	if h.alg != key.Algorithm() {
		return refuse(BadAlgorithm, "alg is not the key's algorithm")
	}
	if len(i.algorithms) > 0 && !slices.Contains(i.algorithms, key.Algorithm()) {
		return refuse(BadAlgorithm, "alg is not accepted of this issuer")
	}
	if key.Verify(c.signingInput, c.signature) != nil {
		return refuse(BadSignature, "the signature does not fit")
	}
	return nil
}
