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

// TestHostsThatAreReadInTwoWays: a gate that a matcher for hosts leads to is not passed by a spelling of
// the host that the matcher does not know and applications do.
func TestHostsThatAreReadInTwoWays(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+`
http://:{{port "hosts"}} {
	@administration host admin.example
	jwt_auth @administration api {
		require role admin
	}
	jwt_auth api {
		forward sub X-User-Id
	}
	reverse_proxy {{.Proxy}}
}
http://:{{port "open"}} {
	@administration host admin.example
	jwt_auth @administration api
	jwt_auth off
	reverse_proxy {{.Proxy}}
}
`)
	bob := []string{"Authorization: Bearer " + g.tokens.mint("es1", "bob", map[string]any{"role": "viewer"})}
	for _, c := range []struct {
		host       string
		hosts, off int // the status at each site
	}{
		{"admin.example", 403, 401},
		{"ADMIN.example:80", 403, 401},
		{"wiki.example", 200, 200},
		{"wiki.example:8080", 200, 200},
		{"192.0.2.7:80", 200, 200},
		{"[2001:db8::7]", 200, 200},
		{"[2001:db8::7]:80", 200, 200},
		{"admin.example.", 400, 400},
		{"admin.example.:80", 400, 400},
		{"admin.example..", 400, 400},
		{"admin.example:80:80", 400, 400},
		{"admin.example:80:", 400, 400},
		{"[2001:db8::7]:80:80", 400, 400},
	} {
		t.Run(c.host, func(t *testing.T) {
			for _, x := range []struct {
				site   string
				status int
				lines  []string
			}{{"hosts", c.hosts, bob}, {"open", c.off, nil}} {
				got := sendHTTP1(t, g.addr(x.site), call{target: "/", host: c.host, lines: x.lines})
				seen := g.proxy.take()
				if got.status != x.status || len(seen) > 0 != (x.status == http.StatusOK) {
					t.Errorf("%s: status %d, want %d: %s; the application saw %d requests", x.site, got.status,
						x.status, got.body, len(seen))
				}
				if x.status == http.StatusBadRequest && got.reason(t) != "ambiguous_path" {
					t.Errorf("%s: refused with %q", x.site, got.reason(t))
				}
			}
		})
	}
}
