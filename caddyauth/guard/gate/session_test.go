package gate

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// TestAdmitsSession: what a gate says of a browser that would come is what it says when it comes.
func TestAdmitsSession(t *testing.T) {
	w := newTokenFixture(t)
	session := func(g *Gate) { g.Session, g.VerifySession = Source{Cookie, cookieName}, w.Verifier.Verify }
	rule := func(r Rule) func(*Gate) { return func(g *Gate) { g.Rules = []Rule{r} } }
	for _, c := range []struct {
		name    string
		gate    func(*Gate)
		token   func(*token.Claims)
		address string
		want    token.Reason
	}{
		{name: "nothing asked"},
		{name: "no path", address: "https://app.example.com"},
		{name: "a rule", gate: rule(Rule{Claim: "role", Values: []string{"admin"}})},
		{name: "a rule missed", gate: rule(Rule{Claim: "role", Values: []string{"editor"}}), want: ClaimDenied},
		{name: "denied", gate: rule(Rule{Claim: "groups", Values: []string{"staff"}, Deny: true}), want: ClaimDenied},
		{name: "a scope", gate: rule(Rule{Claim: "scope", Values: []string{"read"}}), want: InsufficientScope},
		{name: "another project", gate: func(g *Gate) { g.Project = "acme" }, want: token.WrongProject},
		{name: "another issuer", gate: func(g *Gate) { g.Issuers = map[string][]string{foreignIssuer: nil} },
			want: token.UnknownIssuer},
		{name: "another audience", gate: func(g *Gate) { g.Audiences = []string{"mcp"} }, want: token.WrongAudience},
		{name: "a resource", gate: func(g *Gate) { g.Resource = "https://api.example.com" }, want: token.WrongAudience},
		{name: "another host", gate: func(g *Gate) {
			g.CountsAt = func(_ *token.Token, host string) bool { return host == "other.example.com" }
		}, want: token.WrongAudience},
		{name: "expired", token: func(c *token.Claims) {
			c.IssuedAt, c.Expiry = now.Add(-time.Hour), now.Add(-time.Minute)
		}, want: token.Expired},
		{name: "revoked", gate: func(g *Gate) {
			g.Revoked = func(*token.Token, time.Time) error { return refuse(token.Revoked, "") }
		}, want: token.Revoked},
		{name: "signed in long ago", gate: func(g *Gate) { g.MaxAge = time.Minute }, want: InsufficientAuthentication},
		{name: "no cookie", gate: func(g *Gate) { g.Sources = []Source{{Kind: Bearer}} }, want: NoCredential},
		{name: "no cookie needed", gate: func(g *Gate) { g.Sources, g.Mode = []Source{{Kind: Bearer}}, Optional }},
		{name: "optional", gate: func(g *Gate) { g.Mode = Optional; rule(Rule{Claim: "role", Deny: true})(g) },
			want: ClaimDenied},
		{name: "report only", gate: func(g *Gate) { g.Mode = ReportOnly; rule(Rule{Claim: "role", Deny: true})(g) }},
		{name: "a path that is read in different ways", address: "https://app.example.com/a;b", want: AmbiguousPath},
		{name: "such a path allowed", address: "https://app.example.com/a;b?c=/../",
			gate: func(g *Gate) { g.Paths.Parameters = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := w.gate(t, func(g *Gate) {
				session(g)
				if c.gate != nil {
					c.gate(g)
				}
			})
			living, err := w.Verifier.Verify(context.Background(), w.mint(t, c.token))
			if err != nil {
				t.Fatal(err)
			}
			if c.address == "" {
				c.address = "https://app.example.com/x?y=1"
			}
			address, err := url.Parse(c.address)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.AdmitsSession(address, living, now); reasonOrNone(err) != c.want {
				t.Errorf("%v, want %q", err, c.want)
			}
			if g.Mode == ReportOnly || address.Path == "" { // Admit only reports, or never sees an empty path
				return
			}
			r := request(cookie(living.Raw()))
			r.URL.Path, r.URL.RawQuery = address.Path, address.RawQuery
			if _, err := g.Admit(r, nil, now); reasonOrNone(err) != c.want {
				t.Errorf("Admit: %v, want %q", err, c.want)
			}
		})
	}
}

// reasonOrNone is empty without an error.
func reasonOrNone(err error) token.Reason {
	if err == nil {
		return ""
	}
	return ReasonOf(err)
}
