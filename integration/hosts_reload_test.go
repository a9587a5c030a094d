package integration

import (
	"net/http"
	"strings"
	"testing"
)

// TestHandOverAcrossAReload: a sign-in that begins before a reload ends after it. Where the reload has
// taken the host away, or has given its path another name, a page says so, and nobody is signed in.
func TestHandOverAcrossAReload(t *testing.T) {
	const host = "a.one.localhost"
	site := "https://a.one.localhost:{{port \"https\"}} {\n\timport application\n}\n"
	for _, c := range []struct {
		name        string
		auth, sites string
		status      int
		says        string // of the page at the callback; empty when it leads on
		authorizes  bool   // the request that was made before is good at the server
	}{
		{"the same configuration", hostsAuth, hostsSites, 303, "", true},
		{"another lifetime", strings.Replace(hostsAuth, "auth {", "auth {\n\tlifetimes {\n\t\taccess_token 5m\n\t}", 1),
			hostsSites, 303, "", true},
		{"a host more", hostsAuth, hostsSites +
			"\nhttps://more.localhost:{{port \"https\"}} {\n\timport application\n}\n", 303, "", true},
		{"the host is gone, with its site", hostsAuth, strings.Replace(hostsSites, site, "", 1), 200, "", false},
		{"the host has no gate", hostsAuth, strings.Replace(hostsSites, site,
			strings.Replace(site, "import application", "tls internal\n\trespond \"no gate\"", 1), 1),
			200, "no gate", false},
		{"the host is one of a pattern that is not named", hostsAuth,
			strings.Replace(strings.Replace(hostsSites, site, "", 1), "*.wild.localhost", "*.one.localhost", 1),
			401, "return_to https://a.one.localhost", false},
		{"another path", strings.Replace(hostsAuth, "auth {", "auth {\n\tweb_path /gate", 1), hostsSites, 303,
			"", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newHosts(t, hostsSites)
			v := signedInAtServer(t, g, "alice", alicePassword)
			b := v.begin(g, host, "/wanted?a=1")
			authorize := v.open(g.at(host, "/another")).location()
			g.proxy.take()
			g.loadTLS(c.auth, c.sites)
			got := v.open(b.callback)
			if got.status != c.status || !strings.Contains(got.body, c.says) {
				t.Errorf("status %d to %s: %s", got.status, got.location(), got.body)
			}
			to, authorizing := got.location(), g.at("auth.localhost", "/authorize?")
			if c.authorizes && to != b.wanted || !c.authorizes && to != "" && !strings.HasPrefix(to, authorizing) {
				t.Errorf("sent to %s", to)
			}
			for _, cookie := range (&http.Response{Header: got.header}).Cookies() {
				if !c.authorizes && strings.Contains(cookie.Name, "_token") {
					t.Errorf("it sets %s", cookie.Name)
				}
			}
			if seen := g.proxy.take(); len(seen) > 0 {
				t.Errorf("the application saw %s", seen[0].raw)
			}
			answer := v.open(authorize)
			if sent := strings.HasPrefix(answer.location(), g.at(host, "/")); sent != c.authorizes {
				t.Errorf("at the server: status %d to %s", answer.status, answer.location())
			}
			if !c.authorizes && !strings.Contains(answer.body, "The way back is not known") {
				t.Errorf("at the server: status %d: %s", answer.status, answer.body)
			}
		})
	}
}
