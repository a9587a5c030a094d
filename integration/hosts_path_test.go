package integration

import (
	"fmt"
	"strings"
	"testing"
)

// TestTheGatewaysPathWins: a site's own route for what is below the gateway's path is never asked, however
// it is written, and `check` says so with the path; a route that only looks alike is.
func TestTheGatewaysPathWins(t *testing.T) {
	const app = "reverse_proxy {{.Proxy}}"
	for _, c := range []struct {
		name, route, ask string
		webPath          string
		shadowed         string // the pattern in the warning; empty when the route is asked
		status           int
		says             string // in the page, or in the address to which it leads
	}{
		{
			name: "handle", route: "handle /.auth/* {\n\t\t" + app + "\n\t}", ask: "/.auth/callback",
			shadowed: "/.auth/*", status: 400, says: "<code>invalid_state</code>",
		},
		{
			name: "handle_path", route: "handle_path /.auth/* {\n\t\t" + app + "\n\t}", ask: "/.auth/callback",
			shadowed: "/.auth/*", status: 400, says: "<code>invalid_state</code>",
		},
		{
			name: "a matcher of a directive", route: "reverse_proxy /.auth/callback {{.Proxy}}", ask: "/.auth/callback",
			shadowed: "/.auth/callback", status: 400, says: "<code>invalid_state</code>",
		},
		{
			name: "without an asterisk", route: "reverse_proxy /.auth {{.Proxy}}", ask: "/.auth",
			shadowed: "/.auth", status: 404, says: "<code>not_found</code>",
		},
		{
			name: "a prefix", route: "reverse_proxy /.auth* {{.Proxy}}", ask: "/.auth/x",
			shadowed: "/.auth*", status: 404, says: "<code>not_found</code>",
		},
		{
			name: "a named matcher", route: "@own path /x /.auth/login\n\treverse_proxy @own {{.Proxy}}",
			ask: "/.auth/login", shadowed: "/.auth/login", status: 303, says: "//auth.localhost:",
		},
		{
			name: "with a method", ask: "/.auth/logout", shadowed: "/.auth/*", status: 200, says: `id="sign-out"`,
			route: "@own {\n\t\tpath /.auth/*\n\t\tmethod GET\n\t}\n\treverse_proxy @own {{.Proxy}}",
		},
		{
			name: "within another", route: "handle {\n\t\thandle /.auth/* {\n\t\t\t" + app + "\n\t\t}\n\t}",
			ask: "/.auth/callback", shadowed: "/.auth/*", status: 400, says: "<code>invalid_state</code>",
		},
		{
			name: "capitals in web_path", route: "reverse_proxy /Auth/* {{.Proxy}}", ask: "/Auth/callback",
			webPath: "/Auth", shadowed: "/auth/*", status: 400, says: "<code>invalid_state</code>",
		},
		{
			name: "a path that begins alike", route: "reverse_proxy /.authors/* {{.Proxy}}", ask: "/.authors/x",
			status: 200,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			site := fmt.Sprintf("https://b.one.localhost:{{port \"https\"}} {\n\tlog\n\ttls internal\n\t"+
				"jwt_auth /private* web\n\t%s\n", c.route)
			sites := strings.Replace(hostsSites,
				"https://b.one.localhost:{{port \"https\"}} {\n\timport application\n", site, 1)
			auth := hostsAuth
			if c.webPath != "" {
				auth = strings.Replace(auth, "auth {", "auth {\n\tweb_path "+c.webPath, 1)
			}
			g := newGateway(t)
			out, stderr, err := command("", "check", "--config", g.configFile(auth, sites))
			if err != nil {
				t.Fatalf("%v: %s%s", err, out, stderr)
			}
			warning := "the route for " + c.shadowed + " is never asked"
			if warns := strings.Contains(out, warning); warns != (c.shadowed != "") {
				t.Errorf("check says:\n%s", out)
			}
			g.loadTLS(auth, sites)
			g.proxy.take()
			got := newSurfer(t).open(g.at("b.one.localhost", c.ask))
			if asked := len(g.proxy.take()) > 0; asked != (c.shadowed == "") {
				t.Errorf("the application is asked: %v; status %d: %s", asked, got.status, got.body)
			}
			if got.status != c.status || !strings.Contains(got.body+got.location(), c.says) {
				t.Errorf("status %d to %s: %s", got.status, got.location(), got.body)
			}
		})
	}
}
