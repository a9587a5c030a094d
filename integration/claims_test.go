package integration

import (
	"net/http"
	"strings"
	"testing"
)

const roleSite = authSite + `
{{url "api"}} {
	log
	jwt_auth web api {
		forward sub X-User-Id
		forward role X-User-Role
	}
	reverse_proxy {{.Proxy}} {
		transport http {
			keepalive off
		}
	}
}
`

// roleAt is the role that the application sees of a browser's session, and the cookies that the
// browser has then.
func (g *gateway) roleAt(t *testing.T, c cookies) (string, cookies) {
	t.Helper()
	g.proxy.take()
	a := g.visit(t, "api", c)
	if a.status != http.StatusOK {
		t.Fatalf("the session has ended: status %d, reason %q", a.status, a.reason(t))
	}
	if now := g.received(a); now.access != "" {
		c = now
	}
	seen := g.proxy.take()
	if len(seen) != 1 {
		t.Fatalf("the application saw %d requests", len(seen))
	}
	return strings.Join(seen[0].values("x-user-role"), ", "), c
}

// TestClaimsHoldAtOnce: what a change of a user takes away or gives, it does at once. Tokens from
// before are refused, sessions go on: a browser gets a new token with the same request, a program
// one for its refresh token. What changes nothing ends nothing.
func TestClaimsHoldAtOnce(t *testing.T) {
	g, tokens := apiGateway(t)
	g.load(apiAuth, roleSite)
	g.secret("mallory's password", malloryPassword)
	made := g.manage(t, "POST", "/api/users", tokens["create"],
		encode(t,
			map[string]any{
				"name":     "dave",
				"password": malloryPassword,
				"claims":   map[string]any{"role": "editor", "n": 12345678901234567},
			}))
	dave := "/api/users/" + userID(t, made.body)
	patch := func(body string) func(t *testing.T) {
		return func(t *testing.T) {
			if a := g.manage(t, "PATCH", dave, tokens["admin"], body); a.status != http.StatusOK {
				t.Fatalf("%s: status %d: %s", body, a.status, a.body)
			}
		}
	}
	bob := "user bob {\n\t\tpassword_hash {{hash \"bob\"}}\n\t"
	load := func(more string) func(t *testing.T) {
		return func(t *testing.T) { g.load(strings.Replace(apiAuth, bob, bob+more+"\n\t", 1), roleSite) }
	}
	for _, c := range []struct {
		name, user, password string
		change               func(t *testing.T)
		role                 string
		ends                 bool
	}{
		{
			"through the API", "dave", malloryPassword, patch(`{"claims":{"role":"viewer","n":12345678901234567}}`),
			"viewer", true,
		},
		{
			"through the API, the same", "dave", malloryPassword,
			patch(`{"claims":{"n":12345678901234567,"role":"viewer"}}`), "viewer", false,
		},
		{"through the API, something else", "dave", malloryPassword, patch(`{"disabled":false}`), "viewer", false},
		{
			"through the API, one digit", "dave", malloryPassword,
			patch(`{"claims":{"role":"viewer","n":12345678901234568}}`), "viewer", true,
		},
		{"through the API, none are left", "dave", malloryPassword, patch(`{"claims":{}}`), "", true},
		{"in the Caddyfile", "bob", bobPassword, load("claim role chief"), "chief", true},
		{"in the Caddyfile, the same", "bob", bobPassword, load("claim role chief"), "chief", false},
		{"in the Caddyfile, gone", "bob", bobPassword, load(""), "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := g.heldOf(t, "default", c.user, c.password)
			c.change(t)
			a := g.get(t, "api", "/", h.program.Access)
			if want := map[bool]int{true: http.StatusUnauthorized, false: http.StatusOK}[c.ends]; a.status != want {
				t.Errorf("a token from before: status %d, reason %q, want %d", a.status, a.reason(t), want)
			}
			role, now := g.roleAt(t, h.browser)
			if role != c.role || (now.access != h.browser.access) != c.ends {
				t.Errorf("the application sees the role %q, want %q", role, c.role)
			}
			if role, _ := g.roleAt(t, now); role != c.role {
				t.Errorf("with the next request it sees %q", role)
			}
			renewed := g.renewed(t, h.program.Refresh)
			if got, _ := claimsIn(t, renewed.access)["role"].(string); got != c.role {
				t.Errorf("the program's next token has the role %q, want %q", got, c.role)
			}
		})
	}
}

// TestFormerAdministratorsGetNewTokens: who is an administrator no more goes on with a new token.
func TestFormerAdministratorsGetNewTokens(t *testing.T) {
	g, _ := apiGateway(t)
	g.load(apiAuth, roleSite)
	h := g.heldOf(t, "default", "alice", alicePassword)
	g.load(strings.Replace(apiAuth, "\t\tadmin\n", "", 1), roleSite)
	if a := g.get(t, "api", "/", h.program.Access); a.status != http.StatusUnauthorized || a.reason(t) != "revoked" {
		t.Errorf("a token from before: status %d, reason %q", a.status, a.reason(t))
	}
	_, now := g.roleAt(t, h.browser)
	if a := g.manage(t, "GET", "/api/users", "", "", now.lines()...); a.status != http.StatusForbidden {
		t.Errorf("at the management API: status %d", a.status)
	}
}
