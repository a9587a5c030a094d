package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const metricsSite = `
{{url "metrics"}} {
	metrics
}
`

// metric is the value of a series whose line begins so; "" when there is none.
func (g *gateway) metric(t *testing.T, series string) string {
	t.Helper()
	a := g.get(t, "metrics", "/", "")
	if a.status != http.StatusOK {
		t.Fatalf("metrics: status %d", a.status)
	}
	for line := range strings.Lines(a.body) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// logged are the lines of the log with this message.
func (g *gateway) logged(t *testing.T, message string) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(g.log()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err == nil && fields["msg"] == message {
			lines = append(lines, fields)
		}
	}
	return lines
}

const namedSites = authSite + metricsSite + `
{{url "one"}} {
	jwt_auth /admin* web api {
		require role admin
	}
	jwt_auth web api
	@post method POST
	jwt_auth @post web api
	handle /inner/* {
		jwt_auth web api
		respond "inner"
	}
	respond "one"
}
{{url "two"}} {
	jwt_auth web api
	respond "two"
}
{{url "three"}} {
	jwt_auth web api {
		name three
	}
	handle_errors {
		jwt_auth web api
		respond "error"
	}
	respond "three"
}
{{url "watched"}} {
	jwt_auth web api {
		mode report_only
	}
	respond "watched"
}
`

// TestGatesHaveNamesOfTheirOwn: gates with the same audiences can be told apart in logs and
// metrics, by site, path and position.
func TestGatesHaveNamesOfTheirOwn(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, namedSites)
	one, two, watched := g.host("one"), g.host("two"), g.host("watched")
	for _, c := range []struct {
		site, method, target string
		gate                 string
	}{
		{"one", "GET", "/admin/x", one + "/admin*"},
		{"one", "POST", "/x", one},
		{"one", "GET", "/x", one + "#2"}, // Caddy puts the one without a matcher last
		{"two", "GET", "/x", two},
		{"three", "GET", "/x", "three"},
		{"watched", "GET", "/x", watched},
	} {
		t.Run(c.site+" "+c.method+" "+c.target, func(t *testing.T) {
			before := len(g.logged(t, "request refused"))
			g.ask(t, c.site,
				call{method: c.method, target: c.target, lines: []string{"Authorization: Bearer nonsense"}})
			lines := g.logged(t, "request refused")[before:]
			if len(lines) == 0 || lines[0]["gate"] != c.gate {
				t.Errorf("logged %v, want gate %q", lines, c.gate)
			}
			if n := g.metric(t, `caddy_auth_decisions_total{audience="web+api",gate="`+c.gate+
				`",reason="malformed"}`); n != "1" {
				t.Errorf("counted %q for %q", n, c.gate)
			}
		})
	}
	alice := g.tokens.mint("es1", "alice", map[string]any{"role": "admin"})
	if a := g.get(t, "one", "/inner/x", alice); a.body != "inner" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	for _, name := range []string{one + "#2", one + "/inner/*"} {
		if n := g.metric(t, `caddy_auth_decisions_total{audience="web+api",gate="`+name+
			`",reason="admitted"}`); n != "1" {
			t.Errorf("counted %q for %q", n, name)
		}
	}
	if lines := g.logged(t,
		"a gate only reports: it refuses nothing and removes nothing; use it for roll-outs, never to protect"); len(
		lines,
	) != 1 ||
		lines[0]["gate"] != watched {
		t.Errorf("of the gate that reports only: %v", lines)
	}
}

// TestNamesStayOverAReload: counters go on when the same configuration is loaded again, in whatever
// order Caddy builds its servers.
func TestNamesStayOverAReload(t *testing.T) {
	g := newGateway(t)
	for n := range 5 {
		g.load(standardAuth,
			authSite+metricsSite+
				"{{url \"a\"}} {\n\tjwt_auth api\n\trespond a\n}\n{{url \"b\"}} {\n\tjwt_auth api\n\trespond b\n}\n"+
				strings.Repeat("# again\n", n))
		for _, site := range []string{"a", "b"} {
			g.get(t, site, "/", "nonsense")
			if got, want := g.metric(t,
				`caddy_auth_decisions_total{audience="api",gate="`+g.host(site)+`",reason="malformed"}`), string(
				rune('1'+n),
			); got != want {
				t.Errorf("load %d, %s: counted %q, want %s", n, site, got, want)
			}
		}
	}
}

// TestRefusalsNameTheUser: whoever's good token is refused stands in the line, whatever the reason.
func TestRefusalsNameTheUser(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+`
{{url "mcp"}} {
	jwt_auth mcp
	respond "mcp"
}
{{url "app"}} {
	jwt_auth web api {
		require role admin
	}
	respond "app"
}
{{url "watched"}} {
	jwt_auth web api {
		mode report_only
		require role admin
	}
	respond "watched"
}
`)
	bob := g.signIn(t, "bob", bobPassword)
	revoked := g.signIn(t, "bob", bobPassword)
	g.signOut(t, revoked)
	old := time.Now().Add(-2 * time.Hour).Unix()
	for _, c := range []struct{ name, site, token, reason string }{
		{"policy", "app", bob.access, "claim_denied"},
		{"policy, report only", "watched", bob.access, "claim_denied"},
		{"audience", "mcp", bob.access, "wrong_audience"},
		{"revoked", "app", revoked.access, "revoked"},
		{
			"expired", "app", g.tokens.mint("es1", "bob", map[string]any{"iat": old, "nbf": old, "exp": old + 60}),
			"expired",
		},
		{"project", "app", g.tokens.mint("es1", "bob", map[string]any{"project": "other"}), "wrong_project"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(g.logged(t, "request refused"))
			g.get(t, c.site, "/", c.token)
			lines := g.logged(t, "request refused")[before:]
			if len(lines) != 1 || lines[0]["reason"] != c.reason || lines[0]["user_id"] != "bob" {
				t.Errorf("logged %v, want %s of bob", lines, c.reason)
			}
		})
	}
	before := len(g.logged(t, "request refused"))
	g.get(t, "app", "/", bob.access[:len(bob.access)-8]+"AAAAAAAA")
	if lines := g.logged(t, "request refused")[before:]; len(lines) != 1 || lines[0]["user_id"] != nil {
		t.Errorf("a forged token names somebody: %v", lines)
	}
}

// TestSignOutIsAnEvent: a sign-out has its own line and its own entry, with the person's name, also
// when the access token has expired.
func TestSignOutIsAnEvent(t *testing.T) {
	g := newGateway(t)
	g.load(apiAuth, authSite)
	if err := stopServer(); err != nil {
		t.Fatal(err)
	}
	token := g.addAPIToken(t, "", []string{"admin"}, false)
	g.load(apiAuth, authSite)
	for _, c := range []struct {
		name string
		held func(cookies) cookies
	}{
		{"both cookies", func(c cookies) cookies { return c }},
		{"only the refresh cookie", func(c cookies) cookies { return cookies{refresh: c.refresh} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(g.logged(t, "sign-out"))
			if a := g.signOut(t, c.held(g.signIn(t, "bob", bobPassword))); a.status >= 400 {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			lines := g.logged(t, "sign-out")[before:]
			if len(lines) != 1 || lines[0]["user_id"] != "bob" || lines[0]["kind"] != "logout" ||
				lines[0]["result"] != "success" {
				t.Errorf("logged %v", lines)
			}
			var trail struct{ Items []map[string]any }
			a := g.manage(t, "GET",
				"/api/audit?"+
					url.Values{"action": {"logout"}, "limit": {"1"}, "actor": {"user:bob"}}.Encode(), token, "")
			if err := json.Unmarshal([]byte(a.body), &trail); err != nil || len(trail.Items) != 1 {
				t.Fatalf("audit trail: %v %s", err, a.body)
			}
			at, err := time.Parse(time.RFC3339, trail.Items[0]["at"].(string))
			if err != nil || time.Since(at) > time.Minute || trail.Items[0]["target_name"] != "bob" {
				t.Errorf("entry %v", trail.Items[0])
			}
		})
	}
	if lines := g.logged(t, "sign-in"); slices.ContainsFunc(lines,
		func(l map[string]any) bool { return l["kind"] == "logout" }) {
		t.Errorf("a sign-out is called a sign-in: %v", lines)
	}
	trail := g.manage(t, "GET", "/api/audit?action=logout", token, "")
	if n := strings.Count(trail.body, `"action":"logout"`); n != 2 {
		t.Errorf("%d entries of sign-outs: %s", n, trail.body)
	}
}

// TestManagementCallsNamePeople: the line of a call has the names beside the ids.
func TestManagementCallsNamePeople(t *testing.T) {
	g, tokens := apiGateway(t)
	made := g.manage(t, "POST", "/api/users", tokens["admin"], `{"name":"dora"}`)
	g.manage(t, "PATCH", "/api/users/"+userID(t, made.body), tokens["admin"], `{"disabled":true}`)
	lines := g.logged(t, "management call")
	last := lines[len(lines)-1]
	if last["target"] != userID(t, made.body) || last["target_name"] != "dora" || last["actor_name"] != "test" ||
		!strings.HasPrefix(last["actor"].(string), "api_token:") {
		t.Errorf("logged %v", last)
	}
	alice := g.signIn(t, "alice", alicePassword)
	g.manage(t, "GET", "/api/users/"+userID(t, made.body), "", "", as(alice)...)
	if lines = g.logged(t, "management call"); lines[len(lines)-1]["actor"] != "user:alice" ||
		lines[len(lines)-1]["actor_name"] != "alice" {
		t.Errorf("logged %v", lines[len(lines)-1])
	}
}

// TestVersionIsTold: in the line of a start, in a metric, and by a command.
func TestVersionIsTold(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+metricsSite)
	lines := g.logged(t, "authentication gateway started")
	if len(lines) != 1 || lines[0]["version"] == nil || lines[0]["go"] == nil || lines[0]["caddy"] == nil {
		t.Fatalf("logged %v", lines)
	}
	version := lines[0]["version"].(string)
	found := false
	for line := range strings.Lines(g.get(t, "metrics", "/", "").body) {
		found = found ||
			strings.HasPrefix(line, "caddy_auth_build_info{") && strings.Contains(line, `version="`+version+`"`) &&
				strings.HasSuffix(line, "} 1\n")
	}
	if !found {
		t.Errorf("no metric has the version %q", version)
	}
	out, stderr, err := command("", "version")
	if err != nil || stderr != "" || !strings.Contains(out, version) || !strings.Contains(out, "go1.") {
		t.Errorf("%q %q %v", out, stderr, err)
	}
	out, _, err = command("", "version", "--json")
	var told map[string]string
	if err != nil || json.Unmarshal([]byte(out), &told) != nil || told["version"] != version ||
		!strings.HasPrefix(told["go"], "go1.") || told["caddy"] == "" {
		t.Errorf("%s %v", out, err)
	}
}
