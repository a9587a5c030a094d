package integration

import (
	"strings"
	"testing"
)

// besideSites are a gated site and, beside it, one that leads to the same application or to
// another.
var besideSites = []struct {
	name   string
	warned bool
	gated  string
	beside string
}{
	{"the same upstream", true, "jwt_auth api\nreverse_proxy 127.0.0.1:9000", "reverse_proxy 127.0.0.1:9000"},
	{"another name of loopback", true, "jwt_auth api\nreverse_proxy 127.0.0.1:9000", "reverse_proxy localhost:9000"},
	{"IPv6", true, "jwt_auth api\nreverse_proxy 127.0.0.1:9000", "reverse_proxy [::1]:9000"},
	{"no host", true, "jwt_auth api\nreverse_proxy 127.0.0.1:9000", "reverse_proxy :9000"},
	{
		"the default port", true, "jwt_auth api\nreverse_proxy legacy.internal",
		"reverse_proxy http://LEGACY.internal.:80",
	},
	{"one of several", true, "jwt_auth api\nreverse_proxy a:1 b:2", "reverse_proxy c:3 b:2"},
	{"a placeholder", true, "jwt_auth api\nreverse_proxy 127.0.0.1:9000", "reverse_proxy {env.TEST_UPSTREAM}"},
	{"a socket", true, "jwt_auth api\nreverse_proxy unix//run/app.sock", "reverse_proxy unix//run/x/../app.sock"},
	{
		"PHP", true, "jwt_auth api\nphp_fastcgi unix//run/php.sock {\nroot /srv\n}",
		"php_fastcgi unix//run/php.sock {\nroot /srv\n}",
	},
	{
		"behind a matcher", true, "jwt_auth /admin* api\nreverse_proxy 127.0.0.1:9000",
		"handle /x {\nreverse_proxy 127.0.0.1:9000\n}",
	},
	{
		"names that are looked up", true, "jwt_auth api\nreverse_proxy {\ndynamic a legacy.internal 9000\n}",
		"reverse_proxy {\ndynamic a legacy.internal 9000\n}",
	},
	{
		"in an error route", true, "jwt_auth api\nreverse_proxy 127.0.0.1:9000",
		"respond 404\nhandle_errors {\nreverse_proxy 127.0.0.1:9000\n}",
	},
	{"another port", false, "jwt_auth api\nreverse_proxy 127.0.0.1:9000", "reverse_proxy 127.0.0.1:9001"},
	{"another host", false, "jwt_auth api\nreverse_proxy a:9000", "reverse_proxy b:9000"},
	{
		"a filter says that it is meant", false, "jwt_auth api\nreverse_proxy 127.0.0.1:9000",
		"jwt_auth off\nreverse_proxy 127.0.0.1:9000",
	},
	{
		"a gate of its own", false, "jwt_auth api\nreverse_proxy 127.0.0.1:9000",
		"jwt_auth api\nreverse_proxy 127.0.0.1:9000",
	},
	{"nothing is guarded", false, "jwt_auth off\nreverse_proxy 127.0.0.1:9000", "reverse_proxy 127.0.0.1:9000"},
}

// TestUpstreamsBesideTheGate: what a gate guards is reached without it through a site that has
// none; the load and `check` say so.
func TestUpstreamsBesideTheGate(t *testing.T) {
	t.Setenv("TEST_UPSTREAM", "127.0.0.1:9000")
	const text = "no gate covers it, and the same upstream is guarded elsewhere"
	for _, c := range besideSites {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			sites := authSite + "\n{{url \"gated\"}} {\n" + c.gated + "\n}\n{{url \"beside\"}} {\n" + c.beside + "\n}\n"
			out, stderr, err := command("", "check", "--config", g.configFile(standardAuth, sites))
			if err != nil {
				t.Fatalf("%v: %s", err, stderr)
			}
			if got := strings.Contains(out, text); got != c.warned {
				t.Errorf("check says %q", out)
			}
			g.load(standardAuth, sites)
			if got := strings.Contains(g.log(), text); got != c.warned {
				t.Errorf("the load says so: %v", got)
			}
		})
	}
}
