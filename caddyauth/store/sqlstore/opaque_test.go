package sqlstore

import (
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

func reference(hash string, b revocation.Subject) opaque.Reference {
	return opaque.Reference{
		Hash:    hash,
		Claims:  []byte(`{"sub":"алиса","x":"\u0000'"}`),
		Expiry:  noon.Add(15 * time.Minute),
		Subject: b,
	}
}

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

func mustAddOpaque(t *testing.T, s *Store, all ...opaque.Reference) {
	t.Helper()
	for _, r := range all {
		if err := s.AddOpaque(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpaqueTokenComesBackWhole(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, other := open(), open()
		full, bare := reference("full", ofAlice), opaque.Reference{Hash: "bare", Claims: []byte("{}")}
		mustAddOpaque(t, s, full, bare)
		for _, want := range []opaque.Reference{full, bare} {
			got, denied, err := other.FindOpaque(t.Context(), want.Hash)
			if err != nil || denied || !reflect.DeepEqual(got, want) {
				t.Errorf("came back as %+v, %v, %v\nwant %+v", got, denied, err, want)
			}
		}
		if _, _, err := s.FindOpaque(t.Context(), "absent"); !errors.Is(err, opaque.ErrNotFound) {
			t.Errorf("an absent token: %v", err)
		}
		if err := s.AddOpaque(t.Context(), full); err == nil {
			t.Error("the same token twice")
		}
	})
}

// The condition in SQL against the rule in Go, for each kind of denial and what is next to it.
func TestOpaqueTokenIsDeniedAsTheDenyListSays(t *testing.T) {
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
				for hash, b := range bearers {
					mustAddOpaque(t, s, reference(hash, b))
				}
				if err := c.revoke(t, s); err != nil {
					t.Fatal(err)
				}
				all, _, err := s.Denials(t.Context(), 0)
				if err != nil || len(all) != 1 {
					t.Fatalf("denials %+v, %v; want one", all, err)
				}
				var list revocation.DenyList
				list.Add(all...)
				for hash, b := range bearers {
					_, denied, err := s.FindOpaque(t.Context(), hash)
					if want := list.Denied(b) != ""; err != nil || denied != want {
						t.Errorf("%s: denied %v, %v; want %v", hash, denied, err, want)
					}
					if isDenied, err := s.IsDenied(t.Context(), b); err != nil || isDenied != denied {
						t.Errorf("%s: IsDenied %v, %v; want %v", hash, isDenied, err, denied)
					}
				}
			})
		})
	}
}

func TestJanitorDeletesExpiredOpaqueTokensInBatches(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open()}
		for i := range 30 {
			r := reference(fmt.Sprint("old ", i), ofAlice)
			r.Expiry = noon.Add(-time.Duration(i+1) * time.Second)
			mustAddOpaque(t, nodes[0], r)
		}
		last := reference("last", ofAlice)
		last.Expiry = noon
		mustAddOpaque(t, nodes[0], last)
		if n, err := nodes[0].DeleteOpaque(t.Context(), noon, 10); err != nil || n != 10 {
			t.Fatalf("the first batch: %d, %v; want 10", n, err)
		}
		if _, _, err := nodes[0].FindOpaque(t.Context(), "old 0"); err != nil {
			t.Errorf("the youngest of the expired went first: %v", err)
		}
		var deleted atomic.Int64
		atOnce(8, func(i int) {
			n, err := nodes[i%2].DeleteOpaque(t.Context(), noon, 10)
			if err != nil {
				t.Error(err)
			}
			deleted.Add(int64(n))
		})
		rest, err := nodes[1].DeleteOpaque(t.Context(), noon, 100)
		if err != nil || int(deleted.Load())+rest != 20 {
			t.Errorf("%d and then %d, %v; want 20 together", deleted.Load(), rest, err)
		}
		if _, _, err := nodes[0].FindOpaque(t.Context(), "last"); err != nil {
			t.Errorf("a token that has just expired: %v", err)
		}
	})
}

// The whole way on a real database: issued on one node, found on another, revoked there, refused
// here.
func TestOpaqueTokenIsGoodOnAnotherNodeUntilRevoked(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, other := open(), open()
		issuer := token.Issuer{Name: "https://iss"}
		secrets := []keyring.Subkey{{ID: "1", Key: []byte("the key of these opaque tokens..")}}
		here := &opaque.Tokens{Secrets: secrets, Store: s, Issuer: issuer, CacheFor: -1}
		there := &opaque.Tokens{Secrets: secrets, Store: other, Issuer: issuer, CacheFor: -1}
		now := time.Now()
		raw, err := here.Issue(t.Context(), token.Claims{
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
