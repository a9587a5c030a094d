package oauth

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
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const (
	// opaquePrefix begins our opaque access tokens, and no JWT.
	opaquePrefix = "at_"
	opaqueRandom = 32
	opaqueMAC    = 16
	opaqueText   = (opaqueRandom + opaqueMAC) * 8 / 6 // characters
)

// OpaqueLabel is the label under which the keys of Opaque are derived from the server's secret.
const OpaqueLabel = "opaque access tokens v1"

var (
	// ErrNoOpaque says that there is no opaque token of that hash.
	ErrNoOpaque = errors.New("no such opaque token")

	errNoSecret = errors.New("opaque tokens need a secret")
	errNoID     = errors.New("an opaque token needs a jti, or it could not be revoked")
)

// Reference is an opaque access token as the store keeps it. Nothing in it is the token.
type Reference struct {
	// Hash is HashOpaque of the token.
	Hash string

	// Claims are the token's claims, a JSON object.
	Claims []byte

	// Expiry is the claim `exp`.
	Expiry time.Time

	// Subject are the claims by which the token can be denied. Foreign is false.
	Subject revocation.Subject
}

// OpaqueStore is what keeps opaque access tokens. Every verb is one atomic step; times are kept in
// milliseconds.
type OpaqueStore interface {
	// AddOpaque stores a new token.
	AddOpaque(ctx context.Context, r Reference) error

	// FindOpaque returns the token of that hash, an expired one too, or ErrNoOpaque. denied says
	// that a denial stands against it, so that whoever asks the store need not wait for the deny
	// list of its node.
	FindOpaque(ctx context.Context, hash string) (r Reference, denied bool, err error)

	// DeleteOpaque deletes at most n tokens that expired before a time, oldest first, and returns
	// how many it deleted (janitor).
	DeleteOpaque(ctx context.Context, before time.Time, n int) (int, error)
}

// Opaque makes access tokens that are references, and looks them up: `at_` and the base64url of 256
// random bits and of 128 bits of their HMAC-SHA256. What was not made here is refused without a
// question to the store. It may be used by many goroutines.
type Opaque struct {
	// Secrets are the keys: the first makes tokens, all of them verify. At least one is required.
	Secrets []session.Secret

	// Store keeps the tokens. Required.
	Store OpaqueStore

	// Issuer is this server: Name and MaxLifetime are used. Required.
	Issuer token.Issuer

	// Denied overrules what is remembered, on this node at once. Default: gates alone ask the deny
	// list.
	Denied *revocation.DenyList

	// CacheFor is how long a token that was found is remembered, never past its end; one that was
	// not found, 5s at most. Negative: nothing is. Default: 60s.
	CacheFor time.Duration

	answers answers
}

// IsOpaque reports whether raw begins like one of our opaque access tokens, so that Opaque is to be
// asked and nobody else.
func IsOpaque(raw string) bool { return strings.HasPrefix(raw, opaquePrefix) }

// HashOpaque returns the base64url SHA-256 under which a token is stored. That is enough for 256
// random bits, which nobody can guess.
func HashOpaque(raw string) string {
	sum := sha256.Sum256([]byte(raw))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Issue stores the claims and returns the token which refers to them; it is good when Issue
// returns. The claims are those of a JWT for the same purpose, with `jti`, and `epoch` in Protocol.
func (o *Opaque) Issue(ctx context.Context, c token.Claims) (string, error) {
	if c.ID == "" {
		return "", errNoID
	}
	if len(o.Secrets) == 0 {
		return "", errNoSecret
	}
	claims, err := token.EncodeClaims(c)
	if err != nil {
		return "", err
	}
	random := make([]byte, opaqueRandom, opaqueRandom+opaqueMAC)
	rand.Read(random)
	raw := opaquePrefix + base64.RawURLEncoding.EncodeToString(append(random, opaqueSum(o.Secrets[0], random)...))
	t, err := o.read(raw, claims) // what could not be read again is not given out
	if err != nil {
		return "", err
	}
	err = o.Store.AddOpaque(ctx, Reference{Hash: HashOpaque(raw), Claims: claims, Expiry: t.Expiry, Subject: t.RevocationSubject()})
	if err != nil {
		return "", err
	}
	return raw, nil
}

// Verify returns the token of raw; like a token.Verifier it does not look at the clock, the
// audience or any policy. The error is a *token.Refusal: token.Inactive for a token that does not
// exist, token.Revoked, and token.KeysUnavailable, with the cause wrapped beside it, when the store
// cannot be asked.
func (o *Opaque) Verify(ctx context.Context, raw string) (*token.Token, error) {
	if len(raw) != len(opaquePrefix)+opaqueText {
		return nil, errNotOpaque
	}
	key, m := keyOf(raw), memory{denied: o.Denied, cacheFor: remembered(o.CacheFor)}
	if t, known, err := o.answers.recall(key, m); known {
		return t, err
	}
	bytes, ok := readOpaque(raw)
	switch {
	case !ok:
		return nil, errNotOpaque
	case len(o.Secrets) == 0: // a command that may not read the secret
		return nil, cannotAsk(errNoSecret)
	case !o.made(bytes):
		return nil, errInactive
	}
	return o.answers.find(ctx, key, m, func(ctx context.Context) (*token.Token, error) { return o.lookUp(ctx, raw) })
}

var (
	errNotOpaque = &token.Refusal{Reason: token.Malformed, Detail: "not an opaque token of this server"}
	errInactive  = &token.Refusal{Reason: token.Inactive, Detail: "the token is not known, or no longer"}
)

// readOpaque knows the one spelling of a token.
func readOpaque(raw string) (bytes []byte, ok bool) {
	encoded, ok := strings.CutPrefix(raw, opaquePrefix)
	if !ok || len(encoded) != opaqueText || strings.ContainsAny(encoded, "\r\n") {
		return nil, false
	}
	bytes, err := base64.RawURLEncoding.DecodeString(encoded) // every character counts whole: there are no bits to spare
	return bytes, err == nil
}

// made says whether the token was made with one of the secrets. Which one is not told, nor is it
// secret.
func (o *Opaque) made(bytes []byte) bool {
	random, sum := bytes[:opaqueRandom], bytes[opaqueRandom:]
	for _, s := range o.Secrets {
		if hmac.Equal(opaqueSum(s, random), sum) {
			return true
		}
	}
	return false
}

func opaqueSum(s session.Secret, random []byte) []byte {
	h := hmac.New(sha256.New, s.Key)
	h.Write(random)
	return h.Sum(nil)[:opaqueMAC]
}

func (o *Opaque) lookUp(ctx context.Context, raw string) (*token.Token, error) {
	r, denied, err := o.Store.FindOpaque(ctx, HashOpaque(raw))
	switch {
	case errors.Is(err, ErrNoOpaque):
		return nil, errInactive
	case err != nil:
		return nil, err
	case denied:
		return nil, errRevoked
	}
	return o.read(raw, r.Claims)
}

func (o *Opaque) read(raw string, claims []byte) (*token.Token, error) {
	return token.FromClaims(token.Issuer{Name: o.Issuer.Name, Own: true, MaxLifetime: o.Issuer.MaxLifetime}, raw, claims)
}
