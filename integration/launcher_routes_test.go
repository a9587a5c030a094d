package integration

import (
	"net/http"
	"slices"
	"testing"
)

// TestStartPageAsksTheGatesOfTheRoutes: an application is listed exactly if the gates that its address
// meets let the person pass.
func TestStartPageAsksTheGatesOfTheRoutes(t *testing.T) {
	g := newGateway(t)
	const (
		admins = " web {\n require role admin\n }\n"
		app    = " web {\n app App {{url \"app\"}}"
	)
	for _, c := range []struct {
		name, site, target string
		more               string // other sites
		listed             bool
	}{
		{name: "one gate", site: "jwt_auth" + app + "/x\n }", target: "/x", listed: true},
		{name: "without a path", site: "jwt_auth /admin*" + admins + "jwt_auth" + app + "\n }", target: "/",
			listed: true},
		{name: "a gate on the path", site: "jwt_auth /admin*" + admins + "jwt_auth" + app + "/admin\n }",
			target: "/admin"},
		{name: "letter case of paths", site: "jwt_auth /admin*" + admins + "jwt_auth" + app + "/ADMIN\n }",
			target: "/ADMIN"},
		{name: "an escaped path", site: "jwt_auth /admin*" + admins + "jwt_auth" + app + "/%61dmin\n }",
			target: "/%61dmin"},
		{
			name: "another handle", target: "/open/x", listed: true,
			site: "handle /open/* {\n jwt_auth" + app + "/open/x\n }\n reverse_proxy {{.Proxy}}\n }\n" +
				"handle {\n jwt_auth" + admins + "reverse_proxy {{.Proxy}}\n }",
		},
		{
			name: "a prefix that is taken off", target: "/a/admin",
			site: "handle_path /a/* {\n jwt_auth /admin*" + admins + "jwt_auth" + app + "/a/admin\n }\n" +
				"reverse_proxy {{.Proxy}}\n }",
		},
		{
			name: "rewritten to a gate", target: "/short",
			site: "rewrite /short /admin/long\njwt_auth /admin*" + admins + "jwt_auth" + app + "/short\n }",
		},
		{
			name: "rewritten away from a gate", target: "/admin/x",
			site: "rewrite /admin/x /open\njwt_auth /admin*" + admins + "jwt_auth" + app + "/admin/x\n }",
		},
		{
			name: "a header that may be there", target: "/x", listed: true,
			site: "@odd header X-Odd *\njwt_auth @odd" + admins + "jwt_auth" + app + "/x\n }",
		},
		{
			name: "another method", target: "/x", listed: true,
			site: "@post method POST\njwt_auth @post" + admins + "jwt_auth" + app + "/x\n }",
		},
		{
			name: "the query", target: "/?tab=admin",
			site: "@tab query tab=admin\njwt_auth @tab" + admins + "jwt_auth" + app + "/?tab=admin\n }",
		},
		{
			name: "another query", target: "/?tab=me", listed: true,
			site: "@tab query tab=admin\njwt_auth @tab" + admins + "jwt_auth" + app + "/?tab=me\n }",
		},
		{
			name: "a named route", target: "/x",
			site: "route {\n jwt_auth" + app + "/x\n }\n invoke inner\n }",
			more: "&(inner) {\n jwt_auth" + admins + "reverse_proxy {{.Proxy}}\n}\n",
		},
		{
			name: "another port of the host", target: "/x", listed: true, site: "jwt_auth" + app + "/x\n }",
			more: "{{url \"other\"}} {\n jwt_auth" + admins + "respond 404\n}\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.load(standardAuth, c.more+authSite+"{{url \"app\"}} {\n log\n "+c.site+"\n reverse_proxy {{.Proxy}}\n}\n")
			v, page := g.signedIn(t, "bob", bobPassword)
			if got := slices.Contains(page.applications(), "App"); got != c.listed {
				t.Errorf("it is listed: %v", got)
			}
			if got := v.open(g.url("app") + c.target).status; (got == http.StatusOK) != c.listed {
				t.Errorf("the gates answer %d", got)
			}
			_, page = g.signedIn(t, "alice", alicePassword)
			if !slices.Contains(page.applications(), "App") {
				t.Error("alice does not see it")
			}
		})
	}
}

// TestStartPageBehindAnotherProxy: the addresses that people open are https on the port of the scheme,
// which something in front maps to the sites.
func TestStartPageBehindAnotherProxy(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+`
http://wiki.example.com:{{port "app"}} {
	log
	jwt_auth /admin* web {
		require role admin
	}
	jwt_auth web {
		app Wiki https://wiki.example.com
		app Archive https://wiki.example.com/admin/archive
	}
	reverse_proxy {{.Proxy}}
}
`)
	for _, c := range []struct {
		name, password string
		want           []string
	}{
		{"alice", alicePassword, []string{"Archive", "Wiki"}},
		{"bob", bobPassword, []string{"Wiki"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, page := g.signedIn(t, c.name, c.password); !slices.Equal(page.applications(), c.want) {
				t.Errorf("the page lists %q, want %q", page.applications(), c.want)
			}
		})
	}
}
