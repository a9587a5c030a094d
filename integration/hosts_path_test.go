package integration

import (
	"fmt"
	"net/http"
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
	}{
		{"handle", "handle /.auth/* {\n\t\t" + app + "\n\t}", "/.auth/callback", "", "/.auth/*"},
		{"handle_path", "handle_path /.auth/* {\n\t\t" + app + "\n\t}", "/.auth/callback", "", "/.auth/*"},
		{"a matcher of a directive", "reverse_proxy /.auth/callback {{.Proxy}}", "/.auth/callback", "",
			"/.auth/callback"},
		{"without an asterisk", "reverse_proxy /.auth {{.Proxy}}", "/.auth", "", "/.auth"},
		{"a prefix", "reverse_proxy /.auth* {{.Proxy}}", "/.auth/x", "", "/.auth*"},
		{"a named matcher", "@own path /x /.auth/login\n\treverse_proxy @own {{.Proxy}}", "/.auth/login", "",
			"/.auth/login"},
		{"with a method", "@own {\n\t\tpath /.auth/*\n\t\tmethod GET\n\t}\n\treverse_proxy @own {{.Proxy}}",
			"/.auth/logout", "", "/.auth/*"},
		{"within another", "handle {\n\t\thandle /.auth/* {\n\t\t\t" + app + "\n\t\t}\n\t}", "/.auth/callback", "",
			"/.auth/*"},
		{"capitals in web_path", "reverse_proxy /Auth/* {{.Proxy}}", "/Auth/callback", "/Auth", "/auth/*"},
		{"a path that begins alike", "reverse_proxy /.authors/* {{.Proxy}}", "/.authors/x", "", ""},
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
			g := newHosts(t, hostsSites)
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
			if c.shadowed != "" && got.status != http.StatusBadRequest && got.status != http.StatusNotFound &&
				got.status != http.StatusOK && got.status != http.StatusSeeOther {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}
