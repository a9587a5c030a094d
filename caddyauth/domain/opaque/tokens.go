package opaque

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const (
	// Prefix begins every token. No JWT begins with it.
	Prefix      = "at_"
	randomBytes = 32
	macBytes    = 16
	textChars   = (randomBytes + macBytes) * 8 / 6
)

// Label is the label under which the keys of Tokens are derived from the server's secret.
const Label = "opaque access tokens v1"

var (
	errNoSecret = errors.New("opaque tokens need a secret")
	errNoID     = errors.New("an opaque token needs a jti to be revocable")
)

// Tokens makes access tokens that are references, and looks them up: `at_` and the base64url of 256
// random bits and of 128 bits of their HMAC-SHA256. A token that was not made here is refused
// without asking the store. It may be used by many goroutines.
type Tokens struct {
	// Secrets are the keys: the first makes tokens, all of them verify. At least one is required.
	Secrets []keyring.Subkey

	// Store keeps the tokens. Required.
	Store Store

	// Issuer is this server: Name and MaxLifetime are used. Required.
	Issuer token.Issuer

	// Denied overrules the cache on this node at once. Default: only gates ask the deny list.
	Denied *revocation.DenyList

	// CacheFor is how long a token that was found is cached, never past its end; one that was not
	// found, 5s at most. Negative: not at all. Default: 60s.
	CacheFor time.Duration

	cache cache
}

// Hash returns the base64url SHA-256 under which a token is stored. That is enough for 256 random
// bits, which nobody can guess.
func Hash(raw string) string {
	sum := sha256.Sum256([]byte(raw))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Issue stores the claims and returns the token that refers to them; it is valid when Issue
// returns. The claims are those of a JWT for the same purpose, with `jti`, and `epoch` in Protocol.
func (o *Tokens) Issue(ctx context.Context, c token.Claims) (string, error) {
	raw, r, err := o.Make(c)
	if err != nil {
		return "", err
	}
	if err := o.Store.AddOpaque(ctx, r); err != nil {
		return "", err
	}
	return raw, nil
}

// Make is Issue for a caller that stores the token: it is valid when the reference is stored.
func (o *Tokens) Make(c token.Claims) (string, Reference, error) {
	if c.ID == "" {
		return "", Reference{}, errNoID
	}
	if len(o.Secrets) == 0 {
		return "", Reference{}, errNoSecret
	}
	claims, err := token.EncodeClaims(c)
	if err != nil {
		return "", Reference{}, err
	}
	random := make([]byte, randomBytes, randomBytes+macBytes)
	rand.Read(random)
	raw := Prefix + base64.RawURLEncoding.EncodeToString(append(random, mac(o.Secrets[0], random)...))
	t, err := o.read(raw, claims) // a token that could not be read again is not issued
	if err != nil {
		return "", Reference{}, err
	}
	return raw, Reference{
		Hash:    Hash(raw),
		Claims:  claims,
		Expiry:  t.Expiry.Time(),
		Subject: t.RevocationSubject(),
	}, nil
}

// Verify returns the token of raw. Like a token.Verifier it does not look at the clock, the
// audience or any policy. The error is a *token.Refusal: token.Inactive for a token that does not
// exist, token.Revoked, and token.KeysUnavailable, wrapped together with the cause, if the store
// cannot be asked.
func (o *Tokens) Verify(ctx context.Context, raw string) (*token.Token, error) {
	if len(raw) != len(Prefix)+textChars {
		return nil, errMalformed
	}
	key, p := keyOf(raw), policy{denied: o.Denied, cacheFor: cacheTime(o.CacheFor)}
	if t, known, err := o.cache.get(key, p); known {
		return t, err
	}
	b, ok := decode(raw)
	switch {
	case !ok:
		return nil, errMalformed
	case len(o.Secrets) == 0: // a command that must not read the secret
		return nil, unavailable(errNoSecret)
	case !o.isAuthentic(b):
		return nil, errInactive
	}
	return o.cache.do(ctx, key, p, func(ctx context.Context) (*token.Token, error) { return o.lookUp(ctx, raw) })
}

var (
	errMalformed = &token.Refusal{Reason: token.Malformed, Detail: "not an opaque token of this server"}
	errInactive  = &token.Refusal{Reason: token.Inactive, Detail: "the token is not known"}
)

// decode reads the one spelling of a token.
func decode(raw string) (b []byte, ok bool) {
	encoded, ok := strings.CutPrefix(raw, Prefix)
	if !ok || len(encoded) != textChars || strings.ContainsAny(encoded, "\r\n") {
		return nil, false
	}
	b, err := base64.RawURLEncoding.DecodeString(encoded) // there are no unused bits
	return b, err == nil
}

// isAuthentic reports whether the token was made with one of the secrets.
func (o *Tokens) isAuthentic(b []byte) bool {
	random, sum := b[:randomBytes], b[randomBytes:]
	for _, s := range o.Secrets {
		if hmac.Equal(mac(s, random), sum) {
			return true
		}
	}
	return false
}

func mac(s keyring.Subkey, random []byte) []byte {
	h := hmac.New(sha256.New, s.Key)
	h.Write(random)
	return h.Sum(nil)[:macBytes]
}

func (o *Tokens) lookUp(ctx context.Context, raw string) (*token.Token, error) {
	r, denied, err := o.Store.FindOpaque(ctx, Hash(raw))
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, errInactive
	case err != nil:
		return nil, err
	case denied:
		return nil, errRevoked
	}
	return o.read(raw, r.Claims)
}

func (o *Tokens) read(raw string, claims []byte) (*token.Token, error) {
	return token.FromClaims(
		token.Issuer{Name: o.Issuer.Name, Own: true, MaxLifetime: o.Issuer.MaxLifetime},
		raw,
		claims,
	)
}
