package auth

import (
	"context"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

// TestHintsAreIDTokensOfThisServer, however old; nothing else is one.
func TestHintsAreIDTokensOfThisServer(t *testing.T) {
	now := time.Now()
	own, foreign := newTestKey(t, now), newTestKey(t, now)
	verifier, err := token.NewVerifier([]token.Issuer{{
		Name:  "https://iss",
		Own:   true,
		Types: []string{issuance.IDTokenType},
		Keys: func(_ context.Context, kid string) (*keyring.Key, error) {
			if kid == own.ID() {
				return own, nil
			}
			return nil, keyring.ErrUnknownKey
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	e := ending{verification: &Verification{idTokens: verifier}}
	for _, row := range []struct {
		name   string
		key    *keyring.Key
		typ    string
		change func(c *token.Claims)
		ok     bool
	}{
		{"valid", own, issuance.IDTokenType, func(*token.Claims) {}, true},
		{"expired long ago", own, issuance.IDTokenType, func(c *token.Claims) {
			c.IssuedAt, c.Expiry = now.AddDate(-1, 0, 0), now.AddDate(-1, 0, 1)
		}, true},
		{"an access token", own, "at+jwt", func(*token.Claims) {}, false},
		{"a logout token", own, issuance.LogoutTokenType, func(*token.Claims) {}, false},
		{"a foreign key", foreign, issuance.IDTokenType, func(*token.Claims) {}, false},
		{"another issuer", own, issuance.IDTokenType, func(c *token.Claims) { c.Issuer = "https://other" }, false},
		{"two clients", own, issuance.IDTokenType, func(c *token.Claims) { c.Audience = []string{"rp", "other"} },
			false},
	} {
		t.Run(row.name, func(t *testing.T) {
			claims := token.Claims{
				Issuer:   "https://iss",
				Subject:  "alice",
				Audience: []string{"rp"},
				Session:  "s1",
				IssuedAt: now,
				Expiry:   now.Add(time.Hour),
			}
			row.change(&claims)
			raw, err := token.Mint(row.key, row.typ, claims)
			if err != nil {
				t.Fatal(err)
			}
			hint, err := e.hint(t.Context(), raw)
			if want := (login.Hint{ClientID: "rp", Subject: "alice", Session: "s1"}); row.ok &&
				(err != nil || hint != want) ||
				!row.ok && err == nil {
				t.Errorf("%+v, %v", hint, err)
			}
		})
	}
}

func newTestKey(t *testing.T, now time.Time) *keyring.Key {
	t.Helper()
	key, err := keyring.Generate("ES256", now)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
