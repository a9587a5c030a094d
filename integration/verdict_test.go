package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// verdictServers trusts the proxies on this machine, at the sites that are named.
func verdictServers(sites ...string) string {
	var all strings.Builder
	for _, site := range sites {
		fmt.Fprintf(&all, "\n\tservers {{addr %q}} {\n\t\ttrusted_proxies static 127.0.0.1/32\n"+
			"\t\ttrusted_proxies_strict\n\t}\n", site)
	}
	return all.String()
}

// verdictAuth is standardAuth for an application at http://app.localhost, behind the other proxy.
var verdictAuth = strings.Replace(standardAuth, "{{origins}}", "{{origins}} http://app.localhost", 1)

// verdictSite has gates that decide by path, method and host of the asked request.
func verdictSite(proxy string) string {
	return fmt.Sprintf(`
http://:{{port "verdict"}} {
	log
	auth_verdict %s
	jwt_auth /admin* web api {
		require role admin
		forward sub X-User-Id
		forward role X-User-Role
	}
	jwt_auth /public/* web {
		mode optional
	}
	jwt_auth /query/* api {
		from insecure_query key
	}
	jwt_auth /off/* off
	jwt_auth /trial/* web {
		mode report_only
	}
	@write method POST
	jwt_auth @write api {
		require role admin
	}
	@wiki host wiki.example
	jwt_auth @wiki web api {
		forward sub X-Wiki-User
	}
	@secure {
		path /secure/*
		protocol https
	}
	jwt_auth @secure web api
	jwt_auth /app* web api {
		forward sub X-User-Id
		forward role X-User-Role
		forward email X-User-Email
	}
	respond /answered "an application"
	handle_errors {
		respond "an error route" 200
	}
}
`, proxy)
}

// forwarded are the lines by which Traefik, Caddy and HAProxy say what they ask about.
func forwarded(method, scheme, host, uri string) []string {
	return []string{
		"X-Forwarded-Method: " + method, "X-Forwarded-Proto: " + scheme, "X-Forwarded-Host: " + host,
		"X-Forwarded-Uri: " + uri,
	}
}

// TestVerdicts: gates decide about the request that another proxy asks about, and about nothing
// else.
func TestVerdicts(t *testing.T) {
	g := newGateway(t)
	g.load(verdictAuth+verdictServers("verdict"), authSite+verdictSite("traefik"))
	tokens := people(g.tokens)
	alice, bob := "Authorization: Bearer "+tokens["alice"], "Authorization: Bearer "+tokens["bob"]
	says := func(method, scheme, host, uri string, more ...string) []string {
		return append(forwarded(method, scheme, host, uri), more...)
	}
	app := func(uri string, more ...string) []string { return says("GET", "https", "app.localhost", uri, more...) }
	page := []string{"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	const unclear = "unclear_request"
	ownPath := func(below string) string {
		return "own_path: the proxy must pass what is below " + below +
			" to the site with auth_server, and not ask about it"
	}
	session := "Cookie: access_token=" + tokens["web"]
	for _, c := range []struct {
		name   string
		method string // of the asking request
		target string
		lines  []string
		status int
		reason string
		fields map[string]string // of the answer; "-" is a field that is there and empty
	}{
		{
			name: "verified", lines: app("/app/x?y=1", alice), status: 200,
			fields: map[string]string{
				"X-User-Id": "alice", "X-User-Role": "admin", "X-User-Email": "alice@example.com", "X-Wiki-User": "-",
				"Authorization": "-", "Cookie": "-", "Cache-Control": "no-store",
			},
		},
		{
			name: "a claim that is absent", lines: app("/app", bob), status: 200,
			fields: map[string]string{"X-User-Id": "bob", "X-User-Email": "-"},
		},
		{
			name: "forged", status: 200,
			lines: app("/app", bob, "X-User-Id: alice", "X-User-Email: alice@example.com", "X-Wiki-User: alice",
				"Cookie: theme=dark"),
			fields: map[string]string{
				"X-User-Id": "bob", "X-User-Email": "-", "X-Wiki-User": "-", "Cookie": "theme=dark",
			},
		},
		{
			name: "forged in a spelling that an application may take for it", status: 400, reason: unclear,
			lines: app("/app", bob, "X~User~Id: alice"),
		},
		{
			name: "forged in a spelling of a header of another gate", status: 400, reason: unclear,
			lines: app("/public/x", "X-Wiki!User: alice"),
		},
		{name: "another header with such characters", lines: app("/app", bob, "X~Users: alice"), status: 200},
		{name: "nobody", lines: app("/app"), status: 401, reason: "no_credential"},
		{name: "a page", lines: app("/app", page...), status: 303},
		{name: "not for bob", lines: app("/admin/x", bob), status: 403, reason: "claim_denied"},
		{
			name: "for alice", lines: app("/admin/x", alice), status: 200,
			fields: map[string]string{"X-User-Id": "alice"},
		},
		{
			name: "public", lines: app("/public/x", "X-User-Id: alice"), status: 200,
			fields: map[string]string{"X-User-Id": "-", "X-User-Role": "-"},
		},
		{name: "the gateway's sign-out", lines: says("POST", "http", "app.localhost", "/.auth/logout", alice,
			"Origin: http://app.localhost"), status: 403, reason: ownPath("/.auth/")},
		{name: "the gateway's answers", lines: app("/.auth/callback?code=x&state=y", page...), status: 403,
			reason: ownPath("/.auth/")},
		{name: "the session script", lines: app("/.auth/session.js", alice), status: 403, reason: ownPath("/.auth/")},
		{name: "the server's own host", lines: says("GET", "http", g.host("auth"), "/login", page...), status: 403,
			reason: ownPath("/")},
		{name: "what begins like the gateway's path", lines: app("/.authentic", alice), status: 403, reason: "no_gate"},
		{name: "the gateway's path at another host", lines: says("GET", "http", "other.example", "/.auth/logout"),
			status: 403, reason: "no_gate"},
		{name: "no gate", lines: app("/other", alice), status: 403, reason: "no_gate"},
		{name: "a filter is no gate", lines: app("/off/x", alice), status: 403, reason: "no_gate"},
		{name: "a trial is no gate", lines: app("/trial/x", alice), status: 403, reason: "no_gate"},
		{
			name: "the asking request's path", target: "/public/x", lines: app("/app"), status: 401,
			reason: "no_credential",
		},
		{
			name: "by method", lines: says("POST", "https", "app.localhost", "/other", bob),
			status: 403, reason: "claim_denied",
		},
		{
			name: "the asking request's method", method: "POST", lines: app("/other", alice), status: 403,
			reason: "no_gate",
		},
		{
			name: "by host", lines: says("GET", "https", "wiki.example", "/other", bob), status: 200,
			fields: map[string]string{"X-Wiki-User": "bob", "X-User-Id": "-"},
		},
		{name: "by scheme", lines: says("GET", "https", "app.localhost", "/secure/x", bob), status: 200},
		{
			name: "another scheme", lines: says("GET", "http", "app.localhost", "/secure/x", bob), status: 403,
			reason: "no_gate",
		},
		{name: "two credentials", lines: app("/app", alice, bob), status: 400, reason: "multiple_credentials"},
		{name: "dot segments", lines: app("/public/../admin/x", bob), status: 400, reason: "ambiguous_path"},
		{name: "encoded dots", lines: app("/public/%2e%2e/admin/x", bob), status: 400, reason: "ambiguous_path"},
		{name: "parameters", lines: app("/public;x/../admin", bob), status: 400, reason: "ambiguous_path"},
		{name: "two slashes", lines: app("//public/x", alice), status: 400, reason: "ambiguous_path"},
		{name: "a URL", lines: app("https://app.localhost/app"), status: 401, reason: "no_credential"},
		{
			name: "a URL of another host", lines: app("https://wiki.example/app", alice), status: 400,
			reason: "ambiguous_path",
		},
		{name: "opaque", lines: app("x:/app", alice), status: 400},
		{name: "no target", lines: app("app", alice), status: 400, reason: unclear},
		{name: "a fragment", lines: app("/admin#", bob), status: 400, reason: unclear},
		{name: "a fragment behind a path", lines: app("/app#x", alice), status: 400, reason: unclear},
		{name: "spaces", lines: app("/app x", alice), status: 400, reason: unclear},
		{name: "a broken escape", lines: app("/app%zz", alice), status: 400, reason: unclear},
		{name: "no method", lines: app("/app", alice)[1:], status: 400, reason: unclear},
		{name: "no scheme", lines: slices.Delete(app("/app", alice), 1, 2), status: 400, reason: unclear},
		{name: "no host", lines: slices.Delete(app("/app", alice), 2, 3), status: 400, reason: unclear},
		{name: "no URI", target: "/app", lines: slices.Delete(app("/app", alice), 3, 4), status: 400, reason: unclear},
		{
			name: "two hosts", lines: app("/app", alice, "X-Forwarded-Host: wiki.example"),
			status: 400, reason: unclear,
		},
		{
			name: "a list of hosts", lines: says("GET", "https", "a.example, b.example", "/app", alice), status: 400,
			reason: unclear,
		},
		{
			name: "a host with a path", lines: says("GET", "https", "a.example/x", "/app", alice),
			status: 400, reason: unclear,
		},
		{
			name: "a host with a person", lines: says("GET", "https", "x@a.example", "/app", alice),
			status: 400, reason: unclear,
		},
		{
			name: "a host with a dot behind it", status: 400, reason: unclear,
			lines: says("GET", "https", "wiki.example.", "/app", alice),
		},
		{
			name: "a dot before the port", status: 400, reason: unclear,
			lines: says("GET", "https", "wiki.example.:443", "/app", alice),
		},
		{
			name: "more than a port behind the host", status: 400, reason: unclear,
			lines: says("GET", "https", "app.localhost::443", "/app", alice),
		},
		{name: "two URIs", lines: app("/app", alice, "X-Forwarded-Uri: /public/x"), status: 400, reason: unclear},
		{
			name: "no scheme of the web", lines: says("GET", "wss", "app.localhost", "/app", alice),
			status: 400, reason: unclear,
		},
		{name: "no token", lines: says("GE T", "https", "app.localhost", "/app", alice), status: 400, reason: unclear},
		{
			name: "CONNECT", lines: says("CONNECT", "https", "app.localhost", "/app", alice), status: 400,
			reason: "ambiguous_path",
		},
		{
			name: "nginx's fields", status: 400, reason: unclear,
			lines: []string{"X-Original-Method: GET", "X-Original-URL: https://app.localhost/app", alice},
		},
		{
			name: "nginx's fields beside", lines: app("/app", "X-Original-URL: https://app.localhost/public/x"),
			status: 401,
			reason: "no_credential",
		},
		{name: "a WebSocket", lines: app("/app", alice, "Connection: Upgrade", "Upgrade: websocket"), status: 200},
		{
			name: "a WebSocket of this site", status: 200,
			lines: app("/app", session, "Origin: https://app.localhost", "Sec-WebSocket-Key: x"),
		},
		{
			name: "a WebSocket of another site", status: 403, reason: "cross_origin",
			lines: app("/app", session, "Origin: https://evil.app.localhost", "Sec-WebSocket-Key: x"),
		},
		{
			name: "a WebSocket of another site, by its Upgrade", status: 403, reason: "cross_origin",
			lines: app("/app", session, "Origin: https://evil.app.localhost", "Connection: Upgrade",
				"Upgrade: websocket"),
		},
		{
			name: "an upgrade to HTTP/2", lines: app("/app", alice, "Connection: Upgrade", "Upgrade: h2c"), status: 400,
			reason: unclear,
		},
		{
			name: "two lines of cookies", lines: app("/app", alice, "Cookie: a=b", "Cookie: c=d"), status: 200,
			fields: map[string]string{"Cookie": "a=b; c=d"},
		},
		{name: "an application answers", lines: app("/answered", alice), status: 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := g.ask(t, "verdict", call{method: c.method, target: c.target, lines: c.lines})
			if got.status != c.status {
				t.Fatalf("status %d, want %d: %v %s (%v)", got.status, c.status, got.header, got.body, got.broken)
			}
			if c.reason != "" && !strings.Contains(got.body, `"`+c.reason+`"`) {
				t.Errorf("body %s, want reason %s", got.body, c.reason)
			}
			checkFields(t, got.header, c.fields)
			if c.status != http.StatusOK && got.header.Get("X-User-Id") != "" {
				t.Errorf("a refusal tells who asks: %v", got.header)
			}
		})
	}
	if line := `"gate":"auth_verdict"`; !strings.Contains(g.log(), line) {
		t.Errorf("no line of the log has %s", line)
	}
}

// TestVerdictsAboutCredentialsInURLs: gates take a credential out of the query, and no answer makes the
// other proxy do so.
func TestVerdictsAboutCredentialsInURLs(t *testing.T) {
	g := newGateway(t)
	g.load(verdictAuth+verdictServers("verdict"),
		authSite+strings.Replace(verdictSite("traefik"), "\tlog\n", // an access log would have the URLs
			"\turi /app/tidy* query -utm_source\n\turi /app/tidy* query -key\n", 1))
	tokens := people(g.tokens)
	alice := "Authorization: Bearer " + tokens["alice"]
	for _, c := range []struct {
		name, uri string
		lines     []string
		status    int
	}{
		{"a token", "/query/x?a=1&key=" + tokens["alice"], nil, 400},
		{"one that another gate reads", "/app?key=" + tokens["bob"], []string{alice}, 400},
		{"escaped", "/app?%6bey=" + tokens["bob"], []string{alice}, 400},
		{"in an address", "/app?next=" + url.QueryEscape("/query/?key="+tokens["bob"]), []string{alice}, 400},
		{"no token", "/app?key=x", []string{alice}, 400},
		{"other parameters", "/app?keys=1&x=key", []string{alice}, 200},
		{"a parameter that the site takes out", "/app/tidy?utm_source=x&a=1", []string{alice}, 200},
		{"a token that the site takes out", "/app/tidy?key=" + tokens["bob"], []string{alice}, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := append(forwarded("GET", "https", "app.localhost", c.uri), c.lines...)
			got := g.ask(t, "verdict", call{lines: lines})
			if got.status != c.status || c.status == 400 && !strings.Contains(got.body, `"credential_in_url"`) {
				t.Errorf("status %d, want %d: %s", got.status, c.status, got.body)
			}
		})
	}
}

func checkFields(t *testing.T, header http.Header, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if value == "-" {
			value = ""
		}
		if lines := header[http.CanonicalHeaderKey(name)]; len(lines) != 1 || lines[0] != value {
			t.Errorf("%s: %q, want %q", name, lines, value)
		}
	}
}
