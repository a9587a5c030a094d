package integration

import (
	"net/http"
	"strings"
	"testing"
)

// TestVerdictsForTrustedProxies: whoever is no trusted proxy speaks for nobody.
func TestVerdictsForTrustedProxies(t *testing.T) {
	for _, proxy := range []string{"nginx", "traefik", "caddy", "haproxy", "envoy"} {
		t.Run(proxy, func(t *testing.T) {
			g := newGateway(t)
			g.load(standardAuth, authSite+verdictSite(proxy))
			alice := "Authorization: Bearer " + people(g.tokens)["alice"]
			lines := append(forwarded("GET", "https", "app.localhost", "/app"), alice, "X-Original-Method: GET",
				"X-Original-URL: https://app.localhost/app")
			got := g.ask(t, "verdict", call{target: "/app", lines: lines})
			if got.status != http.StatusForbidden || !strings.Contains(got.body, `"untrusted_proxy"`) {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

// TestVerdictDialects: each proxy has fields of its own, and understands answers of its own.
func TestVerdictDialects(t *testing.T) {
	page := []string{"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	original := func(uri string) []string {
		return []string{"X-Original-Method: GET", "X-Original-URL: https://app.localhost" + uri}
	}
	for _, c := range []struct {
		proxy, name string
		target      string
		lines       []string
		person      string
		status      int
	}{
		{"nginx", "verified", "/ask", original("/app?x=https://y"), "alice", 200},
		{"nginx", "a page", "/ask", append(original("/app"), page...), "", 401},
		{"nginx", "nobody", "/ask", original("/app"), "", 401},
		{"nginx", "denied", "/ask", original("/admin"), "bob", 403},
		{"nginx", "ambiguous", "/ask", original("/public/../admin"), "bob", 403},
		{"nginx", "no path", "/ask", original(""), "alice", 403},
		{"nginx", "two slashes", "/ask", original("//public/x"), "alice", 403},
		{"nginx", "no URL", "/ask", []string{"X-Original-Method: GET", "X-Original-URL: app.localhost/app"},
			"alice", 403},
		{"nginx", "the forwarded fields", "/ask", forwarded("GET", "https", "app.localhost", "/app"), "alice", 403},
		{"caddy", "verified", "/ask", forwarded("GET", "https", "app.localhost", "/app"), "alice", 200},
		{"caddy", "a page", "/ask", append(forwarded("GET", "https", "app.localhost", "/app"), page...), "", 303},
		{"haproxy", "verified", "/ask", forwarded("GET", "https", "app.localhost", "/app"), "alice", 200},
		{"envoy", "verified", "/app", []string{"X-Forwarded-Proto: https"}, "alice", 200},
		{"envoy", "denied", "/admin/x", []string{"X-Forwarded-Proto: https"}, "bob", 403},
		{"envoy", "no scheme", "/app", nil, "alice", 400},
		{"envoy", "the forwarded fields", "/admin/x",
			forwarded("GET", "https", "app.localhost", "/public/x"), "bob", 403},
	} {
		t.Run(c.proxy+"/"+c.name, func(t *testing.T) {
			g := newGateway(t)
			g.load(verdictAuth+verdictServers("verdict"), authSite+verdictSite(c.proxy))
			lines := c.lines
			if c.person != "" {
				lines = append(lines, "Authorization: Bearer "+people(g.tokens)[c.person])
			}
			got := g.ask(t, "verdict", call{target: c.target, lines: lines})
			if got.status != c.status {
				t.Fatalf("status %d, want %d: %s", got.status, c.status, got.body)
			}
			if c.name == "a page" && !strings.HasPrefix(got.header.Get("Location"), g.url("auth")+"/authorize?") {
				t.Errorf("Location: %q", got.header.Get("Location"))
			}
			if c.status == http.StatusOK {
				checkFields(t, got.header, map[string]string{"X-User-Id": c.person, "Authorization": "-"})
			}
		})
	}
}
