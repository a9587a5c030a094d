// Package tokentest owns what tests make tokens with: issuers that have a key each, and a verifier
// that knows them. It is test support: nothing but tests imports it.
package tokentest

import (
	"context"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// Issuer is an issuer that a Fixture signs as.
type Issuer struct {
	// Issuer is how the verifier knows it. Keys is set by New.
	token.Issuer

	// Key is what it signs with. Default: a new ES256 key.
	Key *keyring.Key
}

// Fixture makes tokens of its issuers and verifies them.
type Fixture struct {
	// Verifier knows the issuers and no others.
	Verifier *token.Verifier

	keys map[string]*keyring.Key // by issuer
}

// New makes a fixture of some issuers.
func New(t testing.TB, issuers ...Issuer) *Fixture {
	t.Helper()
	f := &Fixture{keys: make(map[string]*keyring.Key, len(issuers))}
	known := make([]token.Issuer, len(issuers))
	for i, issuer := range issuers {
		if issuer.Key == nil {
			issuer.Key = generate(t)
		}
		f.keys[issuer.Name] = issuer.Key
		issuer.Issuer.Keys = f.find(issuer.Name)
		known[i] = issuer.Issuer
	}
	var err error
	if f.Verifier, err = token.NewVerifier(known); err != nil {
		t.Fatal(err)
	}
	return f
}

func generate(t testing.TB) *keyring.Key {
	t.Helper()
	key, err := keyring.Generate("ES256", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (f *Fixture) find(issuer string) func(context.Context, string) (*keyring.Key, error) {
	return func(_ context.Context, kid string) (*keyring.Key, error) {
		if key := f.keys[issuer]; key.ID() == kid {
			return key, nil
		}
		return nil, keyring.ErrUnknownKey
	}
}

// Key returns what an issuer signs with.
func (f *Fixture) Key(issuer string) *keyring.Key { return f.keys[issuer] }

// Mint makes an access token, signed by the issuer that the claims name.
func (f *Fixture) Mint(t testing.TB, c token.Claims) string {
	t.Helper()
	return f.MintType(t, "at+jwt", c)
}

// MintType is Mint for another `typ` header.
func (f *Fixture) MintType(t testing.TB, typ string, c token.Claims) string {
	t.Helper()
	raw, err := token.Mint(f.keys[c.Issuer], typ, c)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
