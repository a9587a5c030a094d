package integration

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// renewalSites are behind gates that refuse renewed sessions.
const renewalSites = apiSite + `
{{url "viewers"}} {
	jwt_auth web {
		require role viewer
	}
	reverse_proxy {{.Proxy}}
}
{{url "errors"}} {
	jwt_auth web {
		require role viewer
		forward sub X-User-Id
	}
	handle_errors {
		reverse_proxy {{.Proxy}}
	}
}
{{url "errors-off"}} {
	jwt_auth web {
		require role viewer
	}
	handle_errors {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}
}
{{url "errors-twice"}} {
	jwt_auth web
	jwt_auth web {
		require role viewer
	}
	handle_errors {
		reverse_proxy {{.Proxy}}
	}
}
{{url "programs"}} {
	jwt_auth web {
		from cookie
		from header X-Token
		forward sub X-User-Id
	}
	reverse_proxy {{.Proxy}}
}
`

// renewalGateway has no reuse interval: a refresh token that is used twice ends its session.
func renewalGateway(t *testing.T) *gateway {
	t.Helper()
	g := newGateway(t)
	g.extra["Reuse"], g.extra["Alice"] = "0s", aliceAs(alicePassword)
	g.load(sessionAuth, renewalSites)
	return g
}

// TestWhatNoTokenCouldChangeRenewsNothing: a request that is refused whoever sends it, as other
// sites can make a browser send it, uses up no refresh token.
func TestWhatNoTokenCouldChangeRenewsNothing(t *testing.T) {
	g := renewalGateway(t)
	held := g.signIn(t, "alice", alicePassword)
	elsewhere := []string{"Origin: http://evil.localhost:8080", "Sec-Fetch-Site: same-site"}
	socket := []string{
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}
	for _, shown := range []struct {
		name string
		cookies
	}{
		{"the refresh token alone", cookies{refresh: held.refresh}},
		{"an access token that has expired", cookies{g.aged(t, held, time.Hour), held.refresh}},
		{"one that is near its end", cookies{g.aged(t, held, 45*time.Second), held.refresh}},
	} {
		for _, c := range []struct {
			name, reason string
			status       int
			call         call
		}{
			{
				"a form of another site", "cross_origin", http.StatusForbidden,
				call{method: http.MethodPost, lines: elsewhere, body: "x=1"},
			},
			{
				"a WebSocket of another site", "cross_origin", http.StatusForbidden,
				call{lines: append(socket, elsewhere...)},
			},
			{"a path of two meanings", "ambiguous_path", http.StatusBadRequest, call{target: "/x/%2e%2e/y"}},
			{
				"two sessions", "multiple_credentials", http.StatusBadRequest,
				call{lines: []string{"Cookie: access_token=a; access_token=b"}},
			},
		} {
			c.call.lines = append(slices.Clone(c.call.lines), shown.lines()...)
			a := g.ask(t, "api", c.call)
			if a.status != c.status || a.reason(t) != c.reason || len(cookiesIn(a)) > 0 {
				t.Errorf("%s, %s: status %d, reason %q, Set-Cookie %q", c.name, shown.name, a.status, a.reason(t),
					a.header.Values("Set-Cookie"))
			}
		}
	}
	if seen := g.proxy.take(); len(seen) > 0 {
		t.Errorf("the application saw %q", seen)
	}
	if _, generation := reference(t, g.renewed(t, held.refresh).refresh); generation != 1 {
		t.Errorf("generation %d", generation)
	}
}

// TestOtherCredentialsRenewNothing: where a program shows a token of its own in a place of the
// gate's, that is the one.
func TestOtherCredentialsRenewNothing(t *testing.T) {
	g := renewalGateway(t)
	held, bob := g.signIn(t, "alice", alicePassword), g.signIn(t, "bob", bobPassword)
	a := g.visit(t, "programs", cookies{refresh: held.refresh}, "X-Token: "+bob.access)
	if a.status != http.StatusOK || len(cookiesIn(a)) > 0 {
		t.Errorf("status %d, reason %q, Set-Cookie %q", a.status, a.reason(t), a.header.Values("Set-Cookie"))
	}
	if seen := g.proxy.take(); len(seen) != 1 || !slices.Equal(seen[0].values("x-user-id"), []string{"bob"}) {
		t.Errorf("the application saw %q", seen)
	}
	g.renewed(t, held.refresh)
}

// TestRefusalsAfterARenewalBringTheCookies: the policy knows the token only, which was renewed for
// it. The refusal brings the new cookies, whoever writes it, and the session goes on with them.
func TestRefusalsAfterARenewalBringTheCookies(t *testing.T) {
	g := renewalGateway(t)
	for _, c := range []struct {
		name   string
		site   string
		lines  []string
		status int
	}{
		{"JSON", "viewers", nil, http.StatusForbidden},
		{"a page", "viewers", []string{navigation}, http.StatusForbidden},
		{"an error route", "errors", nil, http.StatusOK},
		{"an error route to a browser", "errors", []string{navigation}, http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			held := g.signIn(t, "alice", alicePassword)
			for generation := range 3 {
				a := g.visit(t, c.site, cookies{refresh: held.refresh}, c.lines...)
				g.checkCookies(t, c.name, a, false, "", nil)
				held = g.received(a)
				if _, got := reference(t, held.refresh); a.status != c.status || got != generation+1 ||
					a.header.Get("Cache-Control") != "private, no-store" {
					t.Errorf("status %d, generation %d after %d, Cache-Control %q", a.status, got, generation,
						a.header.Values("Cache-Control"))
				}
			}
			if a := g.visit(t, "api", cookies{access: held.access}); a.status != http.StatusOK {
				t.Errorf("the new access token: status %d, reason %q", a.status, a.reason(t))
			}
			g.renewed(t, held.refresh)
		})
	}
}

// TestErrorRoutesSeeNothingOfARefusedRenewal: a request that is refused before its session is
// renewed carries neither cookies nor a forged identity to an error route.
func TestErrorRoutesSeeNothingOfARefusedRenewal(t *testing.T) {
	g := renewalGateway(t)
	held := g.signIn(t, "alice", alicePassword)
	a := g.ask(t, "errors", call{method: http.MethodPost, body: "x=1", lines: []string{
		"Cookie: theme=dark; refresh_token=" + held.refresh, "X-User-Id: admin", "Origin: http://evil.localhost:8080",
		"Sec-Fetch-Site: cross-site",
	}})
	seen := g.proxy.take()
	if a.status != http.StatusOK || len(seen) != 1 {
		t.Fatalf("status %d, the application saw %q", a.status, seen)
	}
	if got := strings.Join(seen[0].values("cookie"), "|"); got != "theme=dark" || len(seen[0].values("x-user-id")) > 0 {
		t.Errorf("the error route saw %q", seen[0].raw)
	}
	g.renewed(t, held.refresh)
}
