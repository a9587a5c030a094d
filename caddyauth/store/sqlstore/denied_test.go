package sqlstore

import (
	"errors"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// ofAlice is what a token of the first epoch says of itself.
var ofAlice = revocation.Subject{
	Issuer:   "https://iss",
	TokenID:  "id",
	Family:   "family",
	Project:  "default",
	Subject:  "алиса",
	ClientID: "web",
	Epoch:    1,
}

// The condition in SQL against the rule in Go, for each kind of denial and what is next to it.
func TestTokensAreDeniedAsTheDenyListSays(t *testing.T) {
	revokeAll := func(o revocation.Revocation) func(*testing.T, *Store) error {
		return func(t *testing.T, s *Store) error {
			o.Until = noon.Add(time.Hour)
			_, _, err := s.RevokeAll(t.Context(), o, noon)
			return err
		}
	}
	revokeToken := func(issuer, id string) func(*testing.T, *Store) error {
		return func(t *testing.T, s *Store) error {
			_, err := s.RevokeToken(t.Context(), issuer, id, noon.Add(time.Hour), noon)
			return err
		}
	}
	revokeGrant := func(id string) func(*testing.T, *Store) error {
		return func(t *testing.T, s *Store) error {
			_, err := s.RevokeGrant(t.Context(), id, "logout", noon)
			return err
		}
	}
	young := ofAlice
	young.Epoch = noon.Add(time.Hour).UnixMilli()
	bare := revocation.Subject{Issuer: "https://iss", Project: "default", Subject: "bob"}
	bearers := map[string]revocation.Subject{"alice": ofAlice, "young": young, "bare": bare}
	for _, c := range []struct {
		name   string
		revoke func(*testing.T, *Store) error
	}{
		{"the token", revokeToken("https://iss", "id")},
		{"of another issuer", revokeToken("https://other", "id")},
		{"another token", revokeToken("https://iss", "other")},
		{"the family", revokeGrant("family")},
		{"another family", revokeGrant("another")},
		{"the user", revokeAll(revocation.Revocation{Kind: revocation.UserKind, Project: "default", ID: "алиса"})},
		{
			"the user elsewhere",
			revokeAll(revocation.Revocation{Kind: revocation.UserKind, Project: "acme", ID: "алиса"}),
		},
		{
			"a client of that name",
			revokeAll(revocation.Revocation{Kind: revocation.ClientKind, Project: "default", ID: "алиса"}),
		},
		{"the client", revokeAll(revocation.Revocation{Kind: revocation.ClientKind, Project: "default", ID: "web"})},
		{"the project", revokeAll(revocation.Revocation{Kind: revocation.ProjectKind, Project: "default"})},
		{"another project", revokeAll(revocation.Revocation{Kind: revocation.ProjectKind, Project: "acme"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, open func() *Store) {
				s := open()
				mustAddGrants(t, s, ownedBy("family", "p", "u", "c"), ownedBy("another", "p", "u", "c"))
				if err := c.revoke(t, s); err != nil {
					t.Fatal(err)
				}
				all, _, err := s.Denials(t.Context(), 0)
				if err != nil || len(all) != 1 {
					t.Fatalf("denials %+v, %v; want one", all, err)
				}
				var list revocation.DenyList
				list.Add(all...)
				for name, b := range bearers {
					denied, err := s.IsDenied(t.Context(), b)
					if want := list.Denied(b) != ""; err != nil || denied != want {
						t.Errorf("%s: denied %v, %v; want %v", name, denied, err, want)
					}
				}
			})
		})
	}
}

// The whole way on a real database: issued on one node, read on another, revoked there, refused
// here.
func TestOpaqueTokenIsGoodOnAnotherNodeUntilRevoked(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, other := open(), open()
		issuer := token.Issuer{Name: "https://iss"}
		secrets := []keyring.Subkey{{ID: "1", Key: []byte("the key of these opaque tokens..")}}
		here := &opaque.Tokens{Secrets: secrets, IsDenied: s.IsDenied, Issuer: issuer, CacheFor: -1}
		there := &opaque.Tokens{Secrets: secrets, IsDenied: other.IsDenied, Issuer: issuer, CacheFor: -1}
		now := time.Now()
		raw, err := here.Issue(token.Claims{
			Issuer:   "https://iss",
			Subject:  "alice",
			Audience: []string{"api"},
			IssuedAt: now,
			Expiry:   now.Add(time.Hour),
			ID:       "id",
			Project:  "default",
		})
		if err != nil {
			t.Fatal(err)
		}
		found, err := there.Verify(t.Context(), raw)
		if err != nil || found.Subject != "alice" || !found.Own() {
			t.Fatalf("%+v, %v", found, err)
		}
		if _, err := other.RevokeToken(t.Context(), "https://iss", "id", found.Expiry.Time(), now); err != nil {
			t.Fatal(err)
		}
		_, err = here.Verify(t.Context(), raw)
		if r, ok := errors.AsType[*token.Refusal](err); !ok || r.Reason != token.Revoked {
			t.Errorf("after its revocation: %v", err)
		}
		s.Close()
		_, err = here.Verify(t.Context(), raw)
		if r, ok := errors.AsType[*token.Refusal](err); !ok || r.Reason != token.KeysUnavailable ||
			!errors.Is(err, ErrUnavailable) {
			t.Errorf("without a store: %v", err)
		}
	})
}
