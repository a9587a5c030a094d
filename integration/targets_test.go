package integration

import (
	"net/http"
	"strings"
	"testing"
)

// oddTargets are request targets that are no path, by which gateways were passed. AUTHORITY stands
// for the site's host and port.
var oddTargets = []struct{ name, method, target string }{
	{"opaque with an authority", "GET", "x:http://AUTHORITY/admin/users"},
	{"opaque with dot segments inside", "GET", "x:http://AUTHORITY/public/../admin/users"},
	{"opaque path", "GET", "x:admin/users"},
	{"opaque http", "GET", "http:admin/users"},
	{"opaque with a query", "GET", "x:http://AUTHORITY/admin/users?x=1"},
	{"scheme and path", "GET", "x:/admin/users"},
	{"http without authority", "GET", "http:/admin/users"},
	{"http with an empty authority", "GET", "http:///admin/users"},
	{"another scheme", "GET", "ftp://AUTHORITY/public"},
	{"empty path", "GET", "http://AUTHORITY"},
	{"empty path with a query", "GET", "http://AUTHORITY?x=1"},
	{"empty path and OPTIONS", "OPTIONS", "http://AUTHORITY"},
	{"userinfo", "GET", "http://user@AUTHORITY/public"},
	{"userinfo with a password", "GET", "http://user:pw@AUTHORITY/public"},
	{"asterisk", "GET", "*"},
	{"asterisk and POST", "POST", "*"},
	{"authority", "CONNECT", "AUTHORITY"},
	{"path and CONNECT", "CONNECT", "/admin/users"},
}

// TestRequestTargets: whatever is no path is refused by gates and filters of every kind, and no
// application sees it.
func TestRequestTargets(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+targetTestSites)
	alice := g.tokens.mint("es1", "alice", map[string]any{"role": "admin"})
	for _, site := range []string{
		"prefix", "exact", "inverse", "off", "optional", "required", "handles", "strip", "rewritten", "php",
	} {
		for _, odd := range oddTargets {
			t.Run(site+"/"+odd.name, func(t *testing.T) {
				for _, bearer := range []string{"", alice} {
					c := call{
						method: odd.method,
						target: strings.ReplaceAll(odd.target, "AUTHORITY", g.host(site)),
						host:   g.host(site),
					}
					if bearer != "" {
						c.lines = []string{"Authorization: Bearer " + bearer}
					}
					g.refusesTarget(t, sendHTTP1, site, c)
				}
			})
		}
		t.Run(site+"/h2", func(t *testing.T) {
			for _, target := range []string{
				"http://AUTHORITY/admin/users", "http://other.example/admin/users", "x:/admin/users",
				"x:http://AUTHORITY/admin", "*",
			} {
				g.refusesTarget(t, sendHTTP2, site,
					call{target: strings.ReplaceAll(target, "AUTHORITY", g.host(site)), host: g.host(site)})
			}
		})
		t.Run(site+"/absolute", func(t *testing.T) { g.takesAbsoluteForm(t, site, alice) })
	}
}

// targetTestSites are the shapes in which people write down what a path is worth.
const targetTestSites = `
{{url "prefix"}} {
	jwt_auth /admin* api
	reverse_proxy {{.Proxy}}
}
{{url "exact"}} {
	jwt_auth / api
	jwt_auth /admin/* api
	reverse_proxy {{.Proxy}}
}
{{url "inverse"}} {
	@private not path /public /public/*
	jwt_auth @private api
	reverse_proxy {{.Proxy}}
}
{{url "off"}} {
	jwt_auth off
	reverse_proxy {{.Proxy}}
}
{{url "optional"}} {
	jwt_auth api {
		mode optional
	}
	reverse_proxy {{.Proxy}}
}
{{url "required"}} {
	jwt_auth api
	reverse_proxy {{.Proxy}}
}
{{url "handles"}} {
	handle /admin* {
		jwt_auth api
		reverse_proxy {{.Proxy}}
	}
	handle {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}
}
{{url "strip"}} {
	uri strip_prefix /app
	jwt_auth /admin* api
	reverse_proxy {{.Proxy}}
}
{{url "rewritten"}} {
	rewrite * /index.html
	jwt_auth /admin* api
	reverse_proxy {{.Proxy}}
}
{{url "php"}} {
	jwt_auth /admin* api
	php_fastcgi {{.PHP}} {
		root "{{.Dir}}"
	}
}
`

// refusesTarget sends a request that must end in a refusal, with the right reason where there is a
// body, and that no application may see.
func (g *gateway) refusesTarget(t *testing.T, send func(*testing.T, string, call) answer, site string, c call) {
	t.Helper()
	got := send(t, g.addr(site), c)
	for _, s := range append(g.proxy.take(), g.php.take()...) {
		t.Errorf("%s %s: status %d, the application saw %q %q", c.method, c.target, got.status, s.method, s.target)
	}
	if got.status/100 == 2 {
		t.Errorf("%s %s: status %d", c.method, c.target, got.status)
	}
	if got.status == http.StatusBadRequest && strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
		if reason := got.reason(t); reason != "ambiguous_path" {
			t.Errorf("%s %s: refused with %q", c.method, c.target, reason)
		}
	}
}

// takesAbsoluteForm: the absolute form of a proxy's client is the same request as its path (RFC
// 9112, section 3.2.2).
func (g *gateway) takesAbsoluteForm(t *testing.T, site, bearer string) {
	got := sendHTTP1(t, g.addr(site), call{
		target: "http://" + g.host(site) + "/public/x",
		host:   "other.example",
		lines:  []string{"Authorization: Bearer " + bearer},
	})
	seen := append(g.proxy.take(), g.php.take()...)
	if got.status != http.StatusOK || len(seen) != 1 {
		t.Fatalf("status %d: %s; the application saw %d requests", got.status, got.body, len(seen))
	}
	if strings.Contains(seen[0].target, "://") || seen[0].values("host")[0] != g.host(site) {
		t.Errorf("the application saw %q for %q", seen[0].target, seen[0].values("host"))
	}
}
