package integration

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestVerdictsSetNoCookiesForApplications: what stands behind the gates of a site with auth_verdict sets
// no cookie of the gateway's through the other proxy: neither in a refusal that is passed on, nor beside a
// permission.
func TestVerdictsSetNoCookiesForApplications(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = append([]string{"theirs=1"}, fixations...)
		w.Header()[http.TrailerPrefix+"Set-Cookie"] = fixations
		w.WriteHeader(http.StatusConflict)
	}))
	t.Cleanup(app.Close)
	g := newGateway(t)
	g.extra["App"] = app.Listener.Addr().String()
	var lines strings.Builder
	for _, line := range append([]string{"theirs=1"}, fixations...) {
		lines.WriteString("\t\theader +Set-Cookie \"" + strings.ReplaceAll(line, "\t", " ") + "\"\n")
	}
	g.load(verdictAuth+verdictServers("verdict"), authSite+`
http://:{{port "verdict"}} {
	route {
		auth_verdict traefik
		jwt_auth web api {
			forward sub X-User-Id
		}
`+lines.String()+`		reverse_proxy /app* {{.App}}
	}
}
`)
	alice := "Authorization: Bearer " + people(g.tokens)["alice"]
	for _, c := range []struct {
		name, uri string
		status    int
	}{
		{"a permission", "/x", http.StatusOK},
		{"an answer of an application", "/app", http.StatusConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := g.ask(t, "verdict", call{lines: append(forwarded("GET", "https", "app.localhost", c.uri), alice)})
			if got.status != c.status {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			all := strings.Join(got.header["Set-Cookie"], "\n")
			for name, values := range got.header {
				if strings.HasPrefix(name, "X-Auth-Set-Cookie") {
					all += "\n" + strings.Join(values, "\n")
				}
			}
			if strings.Contains(all, "fixed") || !strings.Contains(all, "theirs=1") {
				t.Errorf("the browser would get:\n%s", all)
			}
		})
	}
}
