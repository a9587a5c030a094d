package integration

import (
	"net/url"
	"strings"
	"testing"
)

// TestRedirectURIDuties: a redirect URI is compared with the registered ones byte for byte, but for the
// port of a loopback address; whatever differs is told to the person, and nobody is sent there.
func TestRedirectURIDuties(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword))
	for _, c := range []struct {
		client, uri string
		good        bool
	}{
		{"rp", "https://rp.example/cb?tenant=1", true},
		{"rp", "https://rp.example/cb", false},
		{"rp", "https://rp.example/cb?tenant=2", false},
		{"rp", "https://rp.example/cb?tenant=1&", false},
		{"rp", "https://rp.example:443/cb?tenant=1", false},
		{"rp", "https://RP.example/cb?tenant=1", false},
		{"rp", "https://rp.example./cb?tenant=1", false},
		{"rp", "http://rp.example/cb?tenant=1", false},
		{"rp", "https://rp.example/./cb?tenant=1", false},
		{"rp", "https://rp.example/x/../cb?tenant=1", false},
		{"rp", "https://rp.example//cb?tenant=1", false},
		{"rp", "https://rp.example/cb?tenant=1#", false},
		{"rp", "https://rp.example\\@evil.example/cb?tenant=1", false},
		{"rp", " https://rp.example/cb?tenant=1", false},
		{"rp", "//rp.example/cb?tenant=1", false},
		{"rp", "/cb?tenant=1", false},
		{"rp", "*", false},
		{"spa", "http://127.0.0.1/cb", true},
		{"spa", "http://127.0.0.1:1/cb", true},
		{"spa", "http://127.0.0.1:65535/cb", true},
		{"spa", "http://127.0.0.1:65536/cb", false},
		{"spa", "http://127.0.0.1:/cb", false},
		{"spa", "http://127.0.0.1:0x50/cb", false},
		{"spa", "http://127.0.0.1:1:2/cb", false},
		{"spa", "http://127.0.0.1:1@evil.example/cb", false},
		{"spa", "http://127.0.0.1.evil.example/cb", false},
		{"spa", "http://127.0.0.2/cb", false},
		{"spa", "http://127.1/cb", false},
		{"spa", "http://localhost:1/cb", false},
		{"spa", "http://[::1]:1/cb", false},
		{"spa", "https://127.0.0.1:1/cb", false},
		{"spa", "http://a@127.0.0.1:1/cb", false},
		{"spa", "http://127.0.0.1:1/cb/", false},
		{"spa", "http://127.0.0.1:1/cb?x", false},
		{"spa", "http://127.0.0.1:1/CB", false},
		{"spa", "com.example.app:/cb", true},
		{"spa", "com.example.app:/cb/", false},
		{"spa", "com.example.app://cb", false},
		{"spa", "COM.example.app:/cb", false},
		{"spa", "com.example.app:1/cb", false},
		{"here", "http://[::1]:9/cb", true},
		{"here", "http://localhost:9/cb", true},
		{"here", "http://localhost/cb", true},
		{"here", "http://LOCALHOST:9/cb", false},
		{"here", "http://[0:0:0:0:0:0:0:1]:9/cb", false},
		{"here", "http://localhost.:9/cb", false},
		{"here", "https://[::1]:9/cb", false},
	} {
		t.Run(c.client+" "+c.uri, func(t *testing.T) {
			v := v.in(t)
			p := v.get(request(t, "client_id="+c.client+"&redirect_uri="+url.QueryEscape(c.uri)))
			if c.good {
				v.code(p)
				if to := p.header.Get("Location"); !strings.HasPrefix(to, c.uri) {
					t.Errorf("sent to %s", to)
				}
				return
			}
			if p.status != 400 || p.leads() || p.header.Get("Refresh") != "" ||
				!strings.Contains(p.body, "<code>invalid_redirect_uri</code>") ||
				strings.Contains(p.body, "href=\"http") {
				t.Errorf("%d to %v: %s", p.status, p.location, p.body)
			}
		})
	}
}
