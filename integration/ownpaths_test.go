package integration

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
)

// proxyBehind is an application behind auth_server on the same site, which no gate guards.
const proxyBehind = `
	reverse_proxy {{.Proxy}} {
		transport http {
			keepalive off
		}
	}
`

// sharedRoot has the server's routes at the root of a site that an application shares.
const sharedRoot = `
{{url "auth"}} {
	log
	auth_server
` + proxyBehind + `
	handle_errors {
		reverse_proxy {{.Proxy}}
	}
}
`

// sharedPath has them below a path.
const sharedPath = `
{{url "auth"}} {
	log
	auth_server
` + proxyBehind + `
}
`

// ownPath is a path beneath the public URL of a site that auth_server shares with an application.
type ownPath struct {
	target, method string
	lines          []string
	status         int
	allow          string // 405 only
	page           bool   // HTML, not JSON
}

// An API token as it is sent: an application that receives one could administer everything.
const apiTokenLine = "Authorization: Bearer caat_000000000000000000000000000000000000000000000000"

var ownPaths = []ownPath{
	{target: "/api/nothing", status: 404},
	{target: "/api/projects/", status: 404},
	{target: "/api/projects/1/2/3", status: 404, method: "DELETE"},
	{target: "/api/", status: 404},
	{target: "/api", status: 404},
	{target: "/API/Projects", status: 404},
	{target: "/%61pi/nothing", status: 404},
	{target: "/api%2Fnothing", status: 404},
	{target: "//api/projects", status: 404},
	{target: "/api//projects", status: 404},
	{target: "/./api/projects", status: 404},
	{target: "/x/../api/projects", status: 404},
	{target: "/api/../api/projects", status: 404},
	{target: "/api;x/projects", status: 404},
	{target: "/api/default/auth/login/", status: 404, method: "POST"},
	{target: "/api/default/auth/logout", status: 404, method: "POST"},
	{target: "/api/sessions", status: 404}, // the operator's alone
	{target: "/api/keys/rotate", status: 404, method: "POST"},
	{target: "/api/nothing", status: 404, lines: []string{"Accept: text/html", "Sec-Fetch-Mode: navigate"}},
	{target: "/login/", status: 404},
	{target: "/login/x", status: 404, lines: []string{"Accept: text/html", "Sec-Fetch-Mode: navigate"}, page: true},
	{target: "/Login", status: 404},
	{target: "/logout/now", status: 404, method: "POST"},
	{target: "/session/", status: 404},
	{target: "/session/refresh/x", status: 404, method: "POST"},
	{target: "/session.js/x", status: 404},
	{target: "/session.mjs/x", status: 404},
	{target: "/authorize/", status: 404},
	{target: "/par/x", status: 404, method: "POST"},
	{target: "/consent/", status: 404},
	{target: "/token/", status: 404, method: "POST"},
	{target: "/revoke/x", status: 404, method: "POST"},
	{target: "/introspect/x", status: 404, method: "POST"},
	{target: "/userinfo/", status: 404},
	{target: "/jwks.json/x", status: 404},
	{target: "/.well-known/jwks.json/", status: 404},
	{target: "/healthz/x", status: 404},
	{target: "/.well-known/openid-configuration/", status: 404},
	{target: "/.well-known/OpenID-Configuration", status: 404},
	{target: "/.well-known/oauth-authorization-server/x", status: 404},

	{target: "/api/projects", method: "PUT", status: 405, allow: "GET, HEAD, POST"},
	{target: "/api/openapi.json", method: "POST", status: 405, allow: "GET, HEAD"},
	{target: "/api/default/auth/login", method: "GET", status: 405, allow: "POST"},
	{target: "/login", method: "DELETE", status: 405, allow: "GET, HEAD, POST"},
	{target: "/session", method: "POST", status: 405, allow: "GET, HEAD"},
	{target: "/session/refresh", method: "GET", status: 405, allow: "POST"},
	{target: "/authorize", method: "PUT", status: 405, allow: "GET, HEAD, POST"},
	{target: "/par", method: "GET", status: 405, allow: "OPTIONS, POST"},
	{target: "/token", method: "GET", status: 405, allow: "OPTIONS, POST"},
	{target: "/introspect", method: "PUT", status: 405, allow: "POST"},
	{target: "/userinfo", method: "PUT", status: 405, allow: "GET, HEAD, OPTIONS, POST"},
	{target: "/jwks.json", method: "POST", status: 405, allow: "GET, HEAD, OPTIONS"},
	{target: "/.well-known/jwks.json", method: "DELETE", status: 405, allow: "GET, HEAD, OPTIONS"},
	{target: "/healthz", method: "POST", status: 405, allow: "GET, HEAD"},
	{target: "/.well-known/openid-configuration", method: "POST", status: 405, allow: "GET, HEAD, OPTIONS"},
}

// TestServerKeepsItsPaths asks for paths beneath the server's own prefixes that it does not have,
// or not with the method: it answers them itself, so that an application on the same site sees no
// API token and no path that somebody takes for the server's.
func TestServerKeepsItsPaths(t *testing.T) {
	for _, site := range []struct{ name, mount, sites string }{
		{"at the root", "", sharedRoot}, {"below a path", "/auth", sharedPath},
	} {
		t.Run(site.name, func(t *testing.T) {
			g := newGateway(t)
			g.load(strings.ReplaceAll(apiAuth, `public_url {{url "auth"}}`, `public_url {{url "auth"}}`+site.mount),
				site.sites)
			for _, c := range ownPaths {
				t.Run(strings.TrimSpace(c.method+" "+c.target), func(t *testing.T) { g.checkOwnPath(t, site.mount, c) })
			}
		})
	}
}

func (g *gateway) checkOwnPath(t *testing.T, mount string, c ownPath) {
	target := mount + c.target
	if strings.HasPrefix(c.target, "//") && mount != "" {
		target = "/" + target
	}
	got := g.ask(t, "auth", call{method: c.method, target: target, lines: append(c.lines, apiTokenLine)})
	if seen := g.proxy.take(); len(seen) != 0 {
		t.Errorf("the application saw %q", seen[0].raw)
	}
	if got.status != c.status || got.header.Get("Allow") != c.allow {
		t.Errorf("status %d, Allow %q, want %d, %q: %s", got.status, got.header.Get("Allow"), c.status, c.allow,
			got.body)
	}
	contentType := got.header.Get("Content-Type")
	switch {
	case c.page && !strings.HasPrefix(contentType, "text/html"):
		t.Errorf("a person's browser got %q", contentType)
	case !c.page && c.status == 404 && (contentType != "application/json" || errorWord(got) != "not_found"):
		t.Errorf("a program got %q: %s", contentType, got.body)
	}
	if got.header.Get("Cache-Control") != "no-store" && got.status == 404 {
		t.Errorf("Cache-Control %q", got.header.Get("Cache-Control"))
	}
}

// TestServerPassesOthersPaths asks for paths that only look like the server's: they are the
// application's.
func TestServerPassesOthersPaths(t *testing.T) {
	for _, site := range []struct {
		name, mount, sites string
		targets            []string
	}{
		{"at the root", "", sharedRoot, []string{
			"/", "/apis", "/api.html", "/apiary/x", "/loginx", "/x/login", "/sessions", "/session.css", "/tokens",
			"/.well-known/", "/.well-known/other", "/.well-known/acme-challenge/x", "/revoked", "/healthzz",
			"/x/api/projects", "/index.html?x=/api/projects",
		}},
		{"below a path", "/auth", sharedPath, []string{
			"/", "/api/projects", "/login", "/token", "/healthz", "/authx", "/authors/api", "/auth.html",
			"/x/auth/login", "/.well-known/jwks.json",
			"/.well-known/oauth-authorization-server/authx",
		}},
	} {
		t.Run(site.name, func(t *testing.T) {
			g := newGateway(t)
			g.load(strings.ReplaceAll(apiAuth, `public_url {{url "auth"}}`, `public_url {{url "auth"}}`+site.mount),
				site.sites)
			for _, target := range site.targets {
				got := g.ask(t, "auth", call{target: target, lines: lines(apiTokenLine)})
				seen := g.proxy.take()
				if got.status != http.StatusOK || len(seen) != 1 || seen[0].target != target {
					t.Errorf("%s: status %d, the application saw %d requests", target, got.status, len(seen))
				}
				if len(seen) == 1 && strings.Contains(seen[0].raw, "caat_") {
					t.Errorf("%s: the application saw the API token: %q", target, seen[0].raw)
				}
			}
		})
	}
}

// managedSites are two hosts that have the server's routes, on one port; MANAGE is the block of the
// directive.
const managedSites = `
http://localhost:{{port "auth"}}, http://admin.localhost:{{port "auth"}} {
	log
	auth_server MANAGE
` + proxyBehind + `
}
`

// TestManageChoosesWhereTheManagementAPIIs signs an administrator in, who holds an API token
// besides, and looks on which hosts the management API answers. Where it does not, nothing else
// does: no application sees the call.
func TestManageChoosesWhereTheManagementAPIIs(t *testing.T) {
	for _, c := range []struct {
		name, block string
		answers     map[string]bool // by host, without the port
	}{
		{"default", "", map[string]bool{"localhost": true, "admin.localhost": true}},
		{"off", "{\n\t\tmanage off\n\t}", nil},
		{"host", "{\n\t\tmanage admin.localhost\n\t}", map[string]bool{"admin.localhost": true}},
		{"host in capitals", "{\n\t\tmanage Admin.LocalHost\n\t}", map[string]bool{"admin.localhost": true}},
		{
			"host and port", "{\n\t\tmanage admin.localhost:{{port \"auth\"}}\n\t}",
			map[string]bool{"admin.localhost": true},
		},
		{"host and another port", "{\n\t\tmanage admin.localhost:1\n\t}", nil},
		{"host of a placeholder", "{\n\t\tmanage {env.TEST_MANAGE_HOST}\n\t}", map[string]bool{"localhost": true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("TEST_MANAGE_HOST", "localhost")
			g := newGateway(t)
			g.load(apiAuth, authSite)
			if err := stopServer(); err != nil {
				t.Fatal(err)
			}
			token := g.addAPIToken(t, "", []string{apitoken.Admin}, false)
			g.load(apiAuth, strings.ReplaceAll(managedSites, "MANAGE", c.block))
			for _, host := range []string{"localhost", "admin.localhost"} {
				t.Run(host, func(t *testing.T) { g.checkManaged(t, host, token, c.answers[host]) })
			}
		})
	}
}

func (g *gateway) checkManaged(t *testing.T, host, token string, answers bool) {
	_, port, _ := strings.Cut(g.addr("auth"), ":")
	cookie := g.cookieOn(t, host+":"+port)
	for _, credential := range []string{"Authorization: Bearer " + token, "Cookie: access_token=" + cookie} {
		for _, target := range []string{
			"/api/projects", "/api/openapi.json", "/api/tokens", "/api/audit", "/api/users",
		} {
			a := sendHTTP1(t, g.addr("auth"),
				call{target: target, host: host + ":" + port, lines: []string{credential}})
			if want := map[bool]int{true: 200, false: 404}[answers]; a.status != want {
				t.Errorf("%s with %.12s: status %d, want %d: %s", target, credential, a.status, want, a.body)
			}
		}
		a := sendHTTP1(t, g.addr("auth"), call{
			method: "POST",
			target: "/api/projects",
			host:   host + ":" + port,
			body:   `{"slug":"new"}`,
			lines:  []string{credential, "Content-Type: application/json"},
		})
		if a.status == 404 == answers || a.status == http.StatusCreated && !answers {
			t.Errorf("making a project with %.12s: status %d: %s", credential, a.status, a.body)
		}
	}
	if seen := g.proxy.take(); len(seen) != 0 {
		t.Errorf("the application saw %q", seen[0].raw)
	}
}

// cookieOn signs alice in on one host, as programs do, and returns the session cookie.
func (g *gateway) cookieOn(t *testing.T, host string) string {
	t.Helper()
	a := sendHTTP1(t, g.addr("auth"), call{
		method: "POST", target: "/login", host: host, body: `{"username":"alice","password":"` + alicePassword + `"}`,
		lines: []string{"Content-Type: application/json", "Accept: application/json"},
	})
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		if cookie.Name == "access_token" {
			g.tokens.remember(cookie.Value)
			return cookie.Value
		}
	}
	t.Fatalf("signing in on %s: status %d: %s", host, a.status, a.body)
	return ""
}
