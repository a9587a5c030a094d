package integration

import (
	"fmt"
	"strings"
	"testing"
)

// TestExplainSitesWithTLS: a browser at a site with TLS is sent to sign in, as the server does it, whether
// the site says how it gets its certificate or Caddy sees to that.
func TestExplainSitesWithTLS(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite) // which makes the store
	auth := strings.ReplaceAll(standardAuth, `{{url "auth"}}`, `https://auth.example.com:{{port "auth"}}`)
	config := g.configFile(auth, `
https://auth.example.com:{{port "auth"}} {
	tls internal
	auth_server
}
https://app.example.com:{{port "app"}} {
	jwt_auth web
	respond ok
}
https://app.localhost:{{port "local"}} {
	tls internal
	jwt_auth web
	respond ok
}
`)
	for _, c := range []struct{ host, port string }{{"app.example.com", "app"}, {"app.localhost", "local"}} {
		for _, path := range []string{"/x", "/.auth/login"} {
			t.Run(c.host+path, func(t *testing.T) {
				text, stderr, err := command("", "explain", "--config", config,
					"--url", fmt.Sprintf("https://%s:%d%s", c.host, g.port(c.port), path),
					"--header", "Accept: text/html", "--header", "Sec-Fetch-Mode: navigate",
					"--header", "Sec-Fetch-Dest: document")
				to := fmt.Sprintf("Location: https://auth.example.com:%d/authorize?", g.port("auth"))
				if err != nil || !strings.Contains(text, "303 See Other") || !strings.Contains(text, to) {
					t.Errorf("%v %s%s", err, stderr, text)
				}
			})
		}
	}
}
