package integration

import (
	"net/http"
	"strings"
	"testing"
)

const adminGate = `jwt_auth /admin* api {
		name "NAME"
		require role admin
		forward role X-User-Role
	}`

// rewrittenSites rewrite what clients ask for before the gate's matcher sees it. The guarded path is /admin.
var rewrittenSites = []struct {
	name   string
	mount  string // where the application begins
	warned string // what the load says runs before the gate; empty when it says nothing
	site   string
}{
	{"try_files", "", "`rewrite` or `try_files`", `try_files {path} /index.php
	` + adminGate + `
	php_fastcgi {{.PHP}} {
		root "{{.Dir}}"
	}`},
	{"rewrite", "", "`rewrite` or `try_files`", `rewrite * /front
	` + adminGate + `
	reverse_proxy {{.Proxy}}`},
	{"rewrite by path", "", "`rewrite` or `try_files`", `rewrite /admin/* /front
	` + adminGate + `
	reverse_proxy {{.Proxy}}`},
	{"uri", "", "`uri`", `uri replace /admin /front
	` + adminGate + `
	reverse_proxy {{.Proxy}}`},
	{"inverse", "", "`rewrite` or `try_files`", `rewrite * /public/front
	@private not path /public/*
	jwt_auth @private api {
		name "NAME"
		require role admin
		forward role X-User-Role
	}
	reverse_proxy {{.Proxy}}`},
	{"expression with a placeholder", "", "`rewrite` or `try_files`", `rewrite * /front
	@private expression {path}.startsWith('/admin')
	jwt_auth @private api {
		name "NAME"
		require role admin
		forward role X-User-Role
	}
	reverse_proxy {{.Proxy}}`},
	{"stacked", "", "`rewrite` or `try_files`", `rewrite * /front
	` + adminGate + `
	jwt_auth api {
		mode optional
		forward sub X-User-Id
	}
	reverse_proxy {{.Proxy}}`},
	{"handles", "", "`rewrite` or `try_files`", `rewrite * /front
	handle /admin/login {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}
	handle /admin* {
		jwt_auth api {
			name "NAME"
		require role admin
			forward role X-User-Role
		}
		reverse_proxy {{.Proxy}}
	}
	handle {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}`},
	{"handle_path", "/app", "`rewrite` or `try_files`", `handle_path /app/* {
		try_files {path} /index.php
		` + adminGate + `
		php_fastcgi {{.PHP}} {
			root "{{.Dir}}"
		}
	}
	handle {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}`},
	{"stripped and rewritten", "/app", "`rewrite` or `try_files`", `route {
		uri strip_prefix /app
		try_files {path} /index.php
		` + adminGate + `
		php_fastcgi {{.PHP}} {
			root "{{.Dir}}"
		}
	}`},
	{"mounted", "/app", "", `handle_path /app/* {
		` + adminGate + `
		reverse_proxy {{.Proxy}}
	}
	handle {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}`},
	{"gate first", "", "", `route {
		` + adminGate + `
		rewrite * /front
		reverse_proxy {{.Proxy}}
	}`},
}

// TestRewrittenRequestsMeetTheGate: a gate guards what clients ask for, also when something has rewritten it before.
func TestRewrittenRequestsMeetTheGate(t *testing.T) {
	g := newGateway(t)
	sites := authSite
	for _, s := range rewrittenSites {
		sites += "{{url \"" + s.name + "\"}} {\n\troot {{.Dir}}\n\t" + strings.ReplaceAll(s.site, "NAME", s.name) + "\n}\n"
	}
	g.load(standardAuth, sites)
	for _, s := range rewrittenSites {
		for _, p := range protocols {
			t.Run(s.name+"/"+p.name, func(t *testing.T) { g.checkRewritten(t, p, s.name, s.mount) })
		}
		if warned := strings.Contains(g.warningOf(s.name), s.warned+" runs before the gate"); warned != (s.warned != "") {
			t.Errorf("%s: the load says %q", s.name, g.warningOf(s.name))
		}
	}
}

// warningOf is the warning of the load about rewrites before the gate of a site, which has the site's name.
func (g *gateway) warningOf(site string) string {
	for line := range strings.Lines(g.log()) {
		if strings.Contains(line, "runs before the gate") && strings.Contains(line, `"level":"warn"`) && strings.Contains(line, "gate "+site+" (") {
			return line
		}
	}
	return ""
}

func (g *gateway) checkRewritten(t *testing.T, p protocol, site, mount string) {
	bob := g.tokens.mint("es1", "bob", map[string]any{"role": "viewer"})
	alice := g.tokens.mint("es1", "alice", map[string]any{"role": "admin"})
	for _, c := range []struct {
		name, target, token string
		status              int
		role                string
	}{
		{"anonymous", "/admin/users", "", http.StatusUnauthorized, ""},
		{"anonymous in upper case", "/ADMIN/users", "", http.StatusUnauthorized, ""},
		{"bob", "/admin/users", bob, http.StatusForbidden, ""},
		{"alice", "/admin/users", alice, http.StatusOK, "admin"},
		{"anonymous in public", "/public/x", "", http.StatusOK, ""},
	} {
		if strings.Contains("uri, expression with a placeholder", site) && c.name == "anonymous in upper case" {
			continue // these know case
		}
		got := p.send(t, g.addr(site), call{
			target: mount + c.target, host: g.host(site),
			lines: []string{"X-User-Role: admin", "Authorization: Bearer " + c.token}[:1+min(1, len(c.token))],
		})
		seen := append(g.proxy.take(), g.php.take()...)
		if got.status != c.status || len(seen) != map[bool]int{true: 1}[c.status == http.StatusOK] {
			t.Errorf("%s: status %d, want %d; the application saw %q", c.name, got.status, c.status, seen)
			continue
		}
		if len(seen) == 1 && (strings.Join(seen[0].values("x-user-role"), ",") != c.role || len(seen[0].values("authorization")) > 0) {
			t.Errorf("%s: the application saw %q", c.name, seen[0].headers)
		}
	}
}

// TestRewrittenRequestsAreJudgedAsSent: php_fastcgi tells the application what the client asked for.
func TestRewrittenRequestsAreJudgedAsSent(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+`
{{url "gate"}} {
	root {{.Dir}}
	uri strip_prefix /app
	jwt_auth /admin* api
	php_fastcgi {{.PHP}}
}
{{url "whole"}} {
	root {{.Dir}}
	uri strip_prefix /app
	jwt_auth off
	php_fastcgi {{.PHP}}
}
`)
	for _, c := range []struct {
		target string
		both   bool // refused also where no path decides
	}{
		{"/app/public/../admin", true},
		{"/app/public/%2e%2e/admin", true},
		{"/app/./public", true},
		{"//app/public", false},
		{"/app;x/public", false},
	} {
		t.Run(c.target, func(t *testing.T) {
			g.refusesTarget(t, sendHTTP1, "gate", call{target: c.target, host: g.host("gate")})
			if c.both {
				g.refusesTarget(t, sendHTTP1, "whole", call{target: c.target, host: g.host("whole")})
				return
			}
			got := sendHTTP1(t, g.addr("whole"), call{target: c.target, host: g.host("whole")})
			if seen := g.php.take(); got.status != http.StatusOK || len(seen) != 1 {
				t.Errorf("status %d, the application saw %d requests", got.status, len(seen))
			}
		})
	}
}
