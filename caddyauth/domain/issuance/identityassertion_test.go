package issuance

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// assertable is a relying party that may have assertions for another server, and an ID token of
// Alice's sign-in.
func assertable(t *testing.T) (*issuer, IdentityAssertion) {
	t.Helper()
	x, g, ring := relyingParty(t)
	c := &x.store.parties.Client
	c.GrantTypes = []string{clients.GrantExchange}
	c.IdentityAssertions = []clients.AssertionAudience{{
		Issuer:   "https://chat.example",
		ClientID: "portal-there",
		Scopes:   []string{"read", "write"},
	}, {
		Issuer: "https://iss",
	}}
	verifier, err := token.NewVerifier([]token.Issuer{{
		Name:  "https://iss",
		Own:   true,
		Types: []string{IDTokenType},
		Keys:  func(_ context.Context, kid string) (*keyring.Key, error) { return ring.Key(kid), nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	x.VerifyIDToken = verifier.Verify
	g.IdleEnds, g.Ends = noon.Add(time.Hour), noon.Add(time.Hour)
	x.store.grants["grant"] = g
	x.store.grants["sign-in"] = session.Grant{ID: "sign-in", IdleEnds: noon.Add(time.Hour), Ends: noon.Add(time.Hour)}
	raw, err := x.IDToken(t.Context(), IDTokenRequest{Grant: g, Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	return x, IdentityAssertion{
		Parties:      x.store.parties,
		SubjectToken: raw,
		Audience:     "https://chat.example",
		Now:          noon,
	}
}

// TestIdentityAssertionEnds: with what happens first.
func TestIdentityAssertionEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(x *issuer, r *IdentityAssertion)
		want   time.Duration // after noon
	}{
		{"by itself", func(*issuer, *IdentityAssertion) {}, 5 * time.Minute},
		{"with the grant", func(x *issuer, _ *IdentityAssertion) {
			g := x.store.grants["grant"]
			g.IdleEnds = noon.Add(2 * time.Minute)
			x.store.grants["grant"] = g
		}, 2 * time.Minute},
		{"with the ID token", func(x *issuer, r *IdentityAssertion) {
			t, _ := x.VerifyIDToken(context.Background(), r.SubjectToken)
			r.Now = t.Expiry.Time().Add(-time.Minute)
			g := x.store.grants["grant"]
			g.IdleEnds, g.Ends = r.Now.Add(time.Hour), r.Now.Add(time.Hour)
			x.store.grants["grant"], x.store.grants["sign-in"] = g, g
		}, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, r := assertable(t)
			c.change(x, &r)
			issued, err := x.IdentityAssertion(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			_, claims, err := token.Inspect(issued.AccessToken)
			lives := issued.AccessUntil.Sub(r.Now)
			if err != nil || lives != c.want || claims["client_id"] != "portal-there" || claims["sub"] != "Alice" ||
				claims["email"] != "alice@example.com" || claims["email_verified"] != true || claims["role"] != nil {
				t.Errorf("%v after %v: %v", err, lives, claims)
			}
		})
	}
}

// TestIdentityAssertionIsRefused where something is not as it was at the sign-in, and where it cannot
// be told.
func TestIdentityAssertionIsRefused(t *testing.T) {
	down := errors.New("the disk is full")
	grant := func(change func(*session.Grant)) func(*issuer, *IdentityAssertion) {
		return func(x *issuer, _ *IdentityAssertion) {
			g := x.store.grants["grant"]
			change(&g)
			x.store.grants["grant"] = g
		}
	}
	for _, c := range []struct {
		name   string
		breaks func(x *issuer, r *IdentityAssertion)
		want   error
		reason token.Reason
	}{
		{"an ID token that has expired", func(_ *issuer, r *IdentityAssertion) { r.Now = noon.Add(24 * time.Hour) },
			ErrSubjectToken, token.Expired},
		{"this server as audience", func(_ *issuer, r *IdentityAssertion) { r.Audience = "https://iss" },
			ErrTarget, ""},
		{"another audience", func(_ *issuer, r *IdentityAssertion) { r.Audience = "https://x" }, ErrTarget, ""},
		{"another scope", func(_ *issuer, r *IdentityAssertion) { r.Scopes = []string{"admin"} }, ErrScope, ""},
		{"a grant that is over", grant(func(g *session.Grant) { g.IdleEnds = noon }), ErrSubjectToken, "revoked"},
		{"a grant that was revoked", grant(func(g *session.Grant) { g.Revoked = noon }), ErrSubjectToken, "revoked"},
		{"a grant of another sign-in", grant(func(g *session.Grant) { g.Parent = "other" }),
			ErrSubjectToken, "revoked"},
		{"a grant of another client", grant(func(g *session.Grant) { g.ClientID = "other" }),
			ErrSubjectToken, "revoked"},
		{"a grant of another person", grant(func(g *session.Grant) { g.Subject = "Bob" }),
			ErrSubjectToken, "revoked"},
		{"a sign-in that is over", func(x *issuer, _ *IdentityAssertion) { delete(x.store.grants, "sign-in") },
			ErrSubjectToken, "revoked"},
		{"a revocation that this node has not read", func(x *issuer, _ *IdentityAssertion) { x.store.denied = true },
			ErrSubjectToken, token.Revoked},
		{"a grant that is bound to a key", grant(func(g *session.Grant) { g.JKT = "key" }),
			ErrSubjectToken, "other_key"},
		{"a grant that is bound to a certificate", grant(func(g *session.Grant) { g.X5T = "certificate" }),
			ErrSubjectToken, "other_key"},
		{"a person who is disabled", func(x *issuer, _ *IdentityAssertion) { x.store.parties.User.Disabled = true },
			ErrSubjectToken, "not_allowed"},
		{"a person who is gone", func(x *issuer, _ *IdentityAssertion) { x.store.parties.User = nil },
			ErrSubjectToken, "not_allowed"},
		{"a client that is paused", func(x *issuer, _ *IdentityAssertion) { x.store.parties.Client.Active = false },
			ErrSubjectToken, "not_allowed"},
		{"a project that is paused", func(x *issuer, _ *IdentityAssertion) { x.store.parties.Project.Active = false },
			ErrSubjectToken, "not_allowed"},
		{"keys that cannot be had", func(x *issuer, _ *IdentityAssertion) { x.keys = down }, down, ""},
		{"no store", func(x *issuer, _ *IdentityAssertion) { x.store.fail = down }, down, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, r := assertable(t)
			c.breaks(x, &r)
			issued, err := x.IdentityAssertion(t.Context(), r)
			refusal, _ := errors.AsType[*SubjectRefusal](err)
			if !errors.Is(err, c.want) || issued.AccessToken != "" || (refusal != nil) != (c.reason != "") ||
				refusal != nil && refusal.Reason != c.reason || x.seen["identity_assertion"] != 0 {
				t.Errorf("%v: %+v", err, issued)
			}
		})
	}
}

// TestIdentityAssertionWithAKey: the client has authenticated, so that any key will do.
func TestIdentityAssertionWithAKey(t *testing.T) {
	x, r := assertable(t)
	g := x.store.grants["grant"]
	g.JKT, r.JKT, g.X5T, r.X5T = "key", "another", "certificate", "another"
	x.store.grants["grant"] = g
	if _, err := x.IdentityAssertion(t.Context(), r); err != nil {
		t.Error(err)
	}
}
