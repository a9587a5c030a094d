package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/caddyauth/gateway/caddyauth/keyring"
)

// Claims are what a minted token says (RFC 9068, section 2.2). Issuer, Subject, Audience, Expiry and IssuedAt are
// required; what is empty of the rest is left out.
type Claims struct {
	// Issuer and Subject are `iss` and `sub`.
	Issuer, Subject string
	// Audience is `aud`, written as a string when it is one word.
	Audience []string
	// Expiry and IssuedAt are `exp` and `iat`, cut to whole seconds; at most MaxLifetime apart.
	Expiry, IssuedAt time.Time
	// ID, ClientID, Project and Session are `jti`, `client_id`, `project` and `sid`.
	ID, ClientID, Project, Session string
	// Scopes become `scope`, joined by spaces.
	Scopes []string
	// Extra are further claims. No name of theirs may be Reserved, whatever its case. Values are strings, bools,
	// integers, finite floats, Number or json.Number, nil, and lists ([]any, []string) and maps (map[string]any) of these.
	Extra map[string]any
	// Protocol are claims with a protocol's meaning, such as `nonce` or `cnf`: set by the server's own code and never
	// from configuration. Their names are Reserved ones that have no field above.
	Protocol map[string]any
}

// Mint returns a token of c signed with key. typ is its `typ`: at+jwt for access tokens (RFC 9068, section 2.1).
// What Verify would refuse is an error: a missing claim, a value that is no JSON, more than MaxSize bytes.
func Mint(key *keyring.Key, typ string, c Claims) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	if err := s.encode(key, typ, &c); err != nil {
		return "", err
	}
	signature, err := key.Sign(s.text)
	if err != nil {
		return "", err
	}
	s.text = append(s.text, '.')
	s.text = base64.RawURLEncoding.AppendEncode(s.text, signature)
	if len(s.text) > MaxSize {
		return "", fmt.Errorf("the token would have %d bytes, more than %d", len(s.text), MaxSize)
	}
	return string(s.text), nil
}

// encode makes s.text the signing input: the first two segments with the dot between them.
func (s *scratch) encode(key *keyring.Key, typ string, c *Claims) error {
	header, err := appendHeader(s.plain[:0], key, typ)
	if err != nil {
		return err
	}
	both, err := c.appendTo(header)
	if err != nil {
		return err
	}
	s.plain = both
	if len(both) > MaxSize {
		return fmt.Errorf("the claims have %d bytes, more than a token of %d holds", len(both)-len(header), MaxSize)
	}
	s.text = base64.RawURLEncoding.AppendEncode(s.text[:0], both[:len(header)])
	s.text = append(s.text, '.')
	s.text = base64.RawURLEncoding.AppendEncode(s.text, both[len(header):])
	return nil
}

func (c *Claims) check() error {
	switch {
	case c.Issuer == "":
		return errors.New("claim iss is empty")
	case c.Subject == "":
		return errors.New("claim sub is empty")
	case len(c.Audience) == 0 || slices.Contains(c.Audience, ""):
		return errors.New("claim aud is empty or has an empty word")
	case !minted(c.IssuedAt):
		return errors.New("claim iat is missing or out of range")
	case !minted(c.Expiry):
		return errors.New("claim exp is missing or out of range")
	case !c.Expiry.After(c.IssuedAt):
		return errors.New("claim exp is not after iat")
	case c.Expiry.Sub(c.IssuedAt) > MaxLifetime:
		return fmt.Errorf("claim exp is more than %v after iat", MaxLifetime)
	}
	for _, s := range c.Scopes {
		if !scopeToken(s) {
			return fmt.Errorf("scope %q is not a scope token of RFC 6749", s)
		}
	}
	return c.checkNames()
}

func minted(t time.Time) bool { return t.Unix() >= 1 && t.Unix() <= maxDate }

// scopeToken holds s against RFC 6749, section 3.3.
func scopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return s != ""
}

func (c *Claims) checkNames() error {
	odd := false
	for name := range c.Extra {
		folded := name
		if !plain(name) {
			folded, odd = fold(name), true
		}
		if name == "" {
			return errors.New("a claim has an empty name")
		}
		if fields[folded] || protocol[folded] {
			return fmt.Errorf("claim %q is reserved", name)
		}
	}
	for name := range c.Protocol {
		if !protocol[name] {
			return fmt.Errorf("claim %q is none of a protocol", name)
		}
	}
	if odd {
		return c.checkExtraFolding()
	}
	return nil
}

func (c *Claims) checkExtraFolding() error {
	seen := make(map[string]string, len(c.Extra))
	for _, name := range sortedNames(c.Extra) {
		folded := fold(name)
		if other, ok := seen[folded]; ok {
			return fmt.Errorf("claims %q and %q differ only by case", other, name)
		}
		seen[folded] = name
	}
	return nil
}

func appendHeader(dst []byte, key *keyring.Key, typ string) ([]byte, error) {
	o := object{text: append(dst, '{')}
	o.string("alg", key.Algorithm())
	o.string("kid", key.ID())
	o.string("typ", typ)
	return o.end()
}

// appendTo writes the claims in a fixed order: those with a field as RFC 7519 lists them, then the rest by name.
func (c *Claims) appendTo(dst []byte) ([]byte, error) {
	o := object{text: append(dst, '{')}
	o.string("iss", c.Issuer)
	o.string("sub", c.Subject)
	if len(c.Audience) == 1 {
		o.string("aud", c.Audience[0])
	} else {
		o.value("aud", c.Audience)
	}
	o.integer("exp", c.Expiry.Unix())
	o.integer("iat", c.IssuedAt.Unix())
	o.string("jti", c.ID)
	o.string("client_id", c.ClientID)
	o.string("project", c.Project)
	o.string("sid", c.Session)
	o.scope(c.Scopes)
	for _, name := range sortedNames(c.Protocol) {
		o.value(name, c.Protocol[name])
	}
	for _, name := range sortedNames(c.Extra) {
		o.value(name, c.Extra[name])
	}
	return o.end()
}

// object writes one JSON object and keeps its first error.
type object struct {
	text []byte
	err  error
}

func (o *object) name(name string) {
	if o.text[len(o.text)-1] != '{' {
		o.text = append(o.text, ',')
	}
	o.quote("name", name)
	o.text = append(o.text, ':')
}

func (o *object) quote(claim, s string) {
	text, err := appendString(o.text, s)
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("claim %s: %w", claim, err)
	}
	o.text = text
}

// string writes a member, or nothing when s is empty.
func (o *object) string(name, s string) {
	if s == "" {
		return
	}
	o.name(name)
	o.quote(name, s)
}

func (o *object) integer(name string, n int64) {
	o.name(name)
	o.text = strconv.AppendInt(o.text, n, 10)
}

func (o *object) scope(scopes []string) {
	if len(scopes) == 0 {
		return
	}
	o.name("scope")
	o.text = append(o.text, '"')
	for i, s := range scopes {
		if i > 0 {
			o.text = append(o.text, ' ')
		}
		o.text = append(o.text, s...) // checked: nothing to escape
	}
	o.text = append(o.text, '"')
}

func (o *object) value(name string, v any) {
	o.name(name)
	text, err := appendValue(o.text, v, maxClaimsDepth-1)
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("claim %q: %w", name, err)
	}
	o.text = text
}

func (o *object) end() ([]byte, error) {
	return append(o.text, '}'), o.err
}
