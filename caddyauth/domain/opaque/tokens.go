package opaque

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const (
	// Prefix begins every token. No JWT begins with it.
	Prefix = "at_"

	nonceBytes  = chacha20poly1305.NonceSizeX
	sealedBytes = nonceBytes + chacha20poly1305.Overhead

	// blockBytes is what the claims are filled up to a multiple of: 64 characters of the text.
	blockBytes = 48
)

// Label is the label under which the keys of Tokens are derived from the server's secret and the salt
// of its store.
const Label = "opaque access tokens v2"

var (
	errNoSecret = errors.New("opaque tokens need the secret, and a store that the server has used with it")
	errNoID     = errors.New("an opaque token needs a jti to be revocable")
)

// Tokens makes access tokens whose claims only this server can read, and reads them: `at_` and the
// base64url of a random nonce of 24 bytes and of the claims, a JSON object, sealed with
// XChaCha20-Poly1305. The claims are filled up with spaces, so that a token's length says little of
// them. Nothing is stored. The store is not asked about a token that was not made here, nor about one
// that has long expired. It may be used by many goroutines.
type Tokens struct {
	// Secrets are the keys: the first makes tokens, all of them read. At least one is required.
	Secrets []keyring.Subkey

	// IsDenied asks the store whether a token is denied by what is committed, so that a caller need
	// not wait until the deny list of its node is up to date. Required.
	IsDenied func(ctx context.Context, s revocation.Subject) (bool, error)

	// Issuer is this server: Name and MaxLifetime are used. Required.
	Issuer token.Issuer

	// Denied overrules the cache on this node at once. Default: only gates ask the deny list.
	Denied *revocation.DenyList

	// CacheFor is how long a token that was found is cached, never past its end; one that is denied,
	// 5s at most. Negative: not at all. Default: 60s.
	CacheFor time.Duration

	cache cache
}

// Issue returns a token of these claims, which are those of a JWT for the same purpose, with `jti`,
// and `epoch` in Protocol.
func (o *Tokens) Issue(c token.Claims) (string, error) {
	if c.ID == "" {
		return "", errNoID
	}
	if len(o.Secrets) == 0 {
		return "", errNoSecret
	}
	if c.Issuer != o.Issuer.Name {
		return "", fmt.Errorf("a token of %q would not be read by %q", c.Issuer, o.Issuer.Name)
	}
	claims, err := token.EncodeClaims(c)
	if err != nil {
		return "", err
	}
	raw, err := seal(o.Secrets[0], claims)
	if err != nil {
		return "", err
	}
	if len(raw) > token.MaxSize {
		return "", fmt.Errorf("the token would have %d bytes, more than %d", len(raw), token.MaxSize)
	}
	return raw, nil
}

// Verify returns the token of raw. Like a token.Verifier it does not look at the clock, the
// audience or any policy. The error is a *token.Refusal: token.Inactive for a token that was not
// made here, token.Revoked, and token.KeysUnavailable, wrapped together with the cause, if the store
// cannot be asked.
func (o *Tokens) Verify(ctx context.Context, raw string) (*token.Token, error) {
	if len(raw) > token.MaxSize {
		return nil, errMalformed
	}
	key, p := keyOf(raw), policy{denied: o.Denied, cacheFor: cacheTime(o.CacheFor)}
	if t, known, err := o.cache.get(key, p); known {
		return t, err
	}
	sealed, ok := decode(raw)
	switch {
	case !ok:
		return nil, errMalformed
	case len(o.Secrets) == 0: // a command that must not read the secret
		return nil, unavailable(errNoSecret)
	}
	claims, ok := o.open(sealed)
	if !ok {
		return nil, errInactive
	}
	t, err := o.read(raw, claims)
	if err != nil {
		return nil, err
	}
	if time.Now().After(t.Expiry.Time().Add(revocation.Margin)) { // nobody takes it, and its denial may be gone
		return t, nil
	}
	return o.cache.do(ctx, key, p, func(ctx context.Context) (*token.Token, error) {
		denied, err := o.IsDenied(ctx, t.RevocationSubject())
		switch {
		case err != nil:
			return nil, err
		case denied:
			return nil, errRevoked
		}
		return t, nil
	})
}

var (
	errMalformed = &token.Refusal{Reason: token.Malformed, Detail: "not an opaque token of this server"}
	errInactive  = &token.Refusal{Reason: token.Inactive, Detail: "the token is not known"}
)

// seal returns the token of claims.
func seal(s keyring.Subkey, claims []byte) (string, error) {
	aead, err := chacha20poly1305.NewX(s.Key)
	if err != nil {
		return "", err
	}
	filled := (len(claims) + blockBytes - 1) / blockBytes * blockBytes
	b := make([]byte, nonceBytes+filled, sealedBytes+filled)
	nonce, plain := b[:nonceBytes], b[nonceBytes:]
	rand.Read(nonce)
	for i := copy(plain, claims); i < filled; i++ {
		plain[i] = ' '
	}
	b = aead.Seal(nonce, nonce, plain, nil) // in place
	return string(base64.RawURLEncoding.AppendEncode([]byte(Prefix), b)), nil
}

// decode reads the one spelling of a token.
func decode(raw string) (sealed []byte, ok bool) {
	encoded, ok := strings.CutPrefix(raw, Prefix)
	if !ok || strings.ContainsAny(encoded, "\r\n") {
		return nil, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	return sealed, err == nil && len(sealed) > sealedBytes
}

// open returns the claims of a token that was made with one of the secrets.
func (o *Tokens) open(sealed []byte) (claims []byte, ok bool) {
	for _, s := range o.Secrets {
		aead, err := chacha20poly1305.NewX(s.Key)
		if err != nil {
			return nil, false
		}
		if claims, err := unseal(aead, sealed); err == nil {
			return claims, true
		}
	}
	return nil, false
}

func unseal(aead cipher.AEAD, sealed []byte) ([]byte, error) {
	plain, err := aead.Open(nil, sealed[:nonceBytes], sealed[nonceBytes:], nil)
	return bytes.TrimRight(plain, " "), err
}

func (o *Tokens) read(raw string, claims []byte) (*token.Token, error) {
	return token.FromClaims(
		token.Issuer{Name: o.Issuer.Name, Own: true, MaxLifetime: o.Issuer.MaxLifetime},
		raw,
		claims,
	)
}
