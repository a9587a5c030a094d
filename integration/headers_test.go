package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// gateCase is one request before a gate. `<name>` in its lines stands for a token of that name.
type gateCase struct {
	name     string
	site     string
	call     call
	reason   string   // the refusal's word, or several that are as good; "" = no refusal
	status   int      // 0 = what goes with reason
	user     string   // whom CGI's REMOTE_USER must name
	identity []string // exactly what the application sees of identity headers, in order of name
	contains []string // header lines that the application sees besides
	lacks    []string // folded names of headers that it does not see
	only     string   // "h1" or "h2" where the other cannot say it
	app      string   // "proxy" or "php" where the other does not matter
}

// Most gates of the table forward these three.
const forwardThree = `
		forward sub X-User-Id
		forward role X-User-Role
		forward email X-User-Email
`

var (
	aliceIdentity = []string{"X-User-Email: alice@example.com", "X-User-Id: alice", "X-User-Role: admin"}
	bobIdentity   = []string{"X-User-Id: bob", "X-User-Role: viewer"}
)

// gateSites are the sites of the table, by name. Each stands twice, before a proxy and before
// FastCGI; APP is the application, put at the end where the text does not name it.
var gateSites = []struct{ name, text string }{
	{"api", `jwt_auth api {` + forwardThree + `}`},
	{"web", `jwt_auth web api {` + forwardThree + `}`},
	{"matcher", `jwt_auth /private* api {` + forwardThree + `}`},
	{"named", `@private path /private*
	jwt_auth @private api {` + forwardThree + `}`},
	{"handle", `handle /private* {
		jwt_auth api {` + forwardThree + `}
		APP
	}
	handle {
		jwt_auth off
		APP
	}`},
	{"route", `route {
		jwt_auth /private* api {` + forwardThree + `}
		APP
	}`},
	{"stacked", `jwt_auth api {
		forward sub X-User-Id
	}
	jwt_auth /admin* api {
		require role admin
		forward role X-User-Role
	}`},
	{"strict-first", `jwt_auth /admin* web api {
		require role admin
		forward role X-User-Role
	}
	jwt_auth web api {
		forward sub X-User-Id
	}`},
	{"strict-last", `jwt_auth web api {
		forward sub X-User-Id
	}
	jwt_auth /admin* web {
		require role admin
		forward role X-User-Role
	}`},
	{"off-first", `jwt_auth /open* off
	jwt_auth web api {` + forwardThree + `}`},
	{"optional", `jwt_auth web api {
		mode optional` + forwardThree + `}`},
	{"report", `jwt_auth api {
		mode report_only` + forwardThree + `}`},
	{"preflight", `jwt_auth api {
		preflight` + forwardThree + `}`},
	{"origins", `jwt_auth web {
		origins https://partner.example` + forwardThree + `}`},
	{"lower", `jwt_auth api {
		forward sub x-user-id
	}`},
	{"allow", `jwt_auth api {` + forwardThree + `}`},
	{"snippet", `import guarded`},
	{"remote-user", `jwt_auth api {
		forward_preset remote_user
	}`},
	{"x-forwarded", `jwt_auth api {
		forward_preset x_forwarded
	}`},
	{"x-auth-request", `jwt_auth api {
		forward_preset x_auth_request
	}`},
	{"grafana", `jwt_auth api {
		forward_preset grafana
	}`},
	{"own-cookie", `jwt_auth api {
		from cookie legacy_token` + forwardThree + `}`},
	{"report-matcher", `jwt_auth /private* api {
		mode report_only` + forwardThree + `}`},
	{"report-rewrite", `uri strip_prefix /app
	jwt_auth /private* api {
		mode report_only` + forwardThree + `}`},
	{"tcp", `jwt_auth /private* api {
		upgrades tcp SPDY/3.1` + forwardThree + `}`},
	{"tcp-last", `jwt_auth /private* web api {
		require role admin
		upgrades tcp
	}
	jwt_auth web api {
		upgrades tcp
	}`},
	{"tcp-first", `jwt_auth /private* api {
		upgrades tcp
	}
	jwt_auth api`},
}

// unloggedSites take credentials that Caddy's access log would show, so they have none.
var unloggedSites = []struct{ name, text string }{
	{"own-header", `jwt_auth api {
		from header X-Api-Token` + forwardThree + `}`},
}

const gateGlobals = standardAuth + `
	servers {{addr "allow-proxy"}} {
		protocols h1 h2c
		expected_underscore_headers X_User_Id x_user_*
		expected_dot_headers X.User.Id x.user.*
	}
	servers {{addr "allow-php"}} {
		protocols h1 h2c
		expected_underscore_headers X_User_Id x_user_*
		expected_dot_headers X.User.Id x.user.*
	}
`

// gateConfig is the text of all sites of the table.
func gateConfig() string {
	text := "(guarded) {\n\tjwt_auth api {" + forwardThree + "\t}\n}\n" + authSite
	for _, site := range gateSites {
		text += twoSites(site.name, "log\n\t"+site.text)
	}
	for _, site := range unloggedSites {
		text += twoSites(site.name, site.text)
	}
	return text
}

// twoSites writes a site once for each kind of application.
func twoSites(name, text string) string {
	if !strings.Contains(text, "APP") {
		text += "\n\tAPP"
	}
	both := ""
	for _, c := range []struct{ kind, app string }{
		{"proxy", "reverse_proxy {{.Proxy}}"},
		{"php", "php_fastcgi {{.PHP}} {\n\t\troot \"{{.Dir}}\"\n\t}"},
	} {
		both += siteOf(name+"-"+c.kind, strings.ReplaceAll(text, "APP", c.app))
	}
	return both
}

// people are the tokens that cases name. What they hold is signed with different keys, so that all
// of them are used.
func people(w *tokenFixture) map[string]string {
	alice := map[string]any{
		"role":   "admin",
		"email":  "alice@example.com",
		"name":   "Alice",
		"groups": []string{"staff", "ops"},
	}
	with := func(changes map[string]any) map[string]any {
		all := map[string]any{"role": "admin", "email": "alice@example.com"}
		for name, value := range changes {
			all[name] = value
		}
		return all
	}
	past := time.Now().Add(-time.Hour)
	return map[string]string{
		"alice":    w.mint("es1", "alice", alice),
		"alice-rs": w.mint("rs1", "alice", alice),
		"bob":      w.mint("hs1", "bob", map[string]any{"role": "viewer"}),
		"web":      w.mint("ed1", "alice", with(map[string]any{"aud": []string{"web"}})),
		"web-bob":  w.mint("ed1", "bob", map[string]any{"role": "viewer", "aud": "web"}),
		"web-expired": w.mint("ed1", "alice",
			map[string]any{"aud": "web", "iat": past.Unix(), "exp": past.Add(time.Minute).Unix()}),
		"expired": w.mint("es1", "alice", map[string]any{"iat": past.Unix(), "exp": past.Add(time.Minute).Unix()}),
		"crlf": w.mint("es1", "alice",
			map[string]any{"role": "admin\r\nX-User-Email: eve@example.com", "email": "a@b\nX-User-Id: eve"}),
		"nul":     w.mint("es1", "alice", map[string]any{"role": "ad\x00min", "email": "a\x00"}),
		"long":    w.mint("es1", "alice", map[string]any{"role": strings.Repeat("r", 20_000)}),
		"unicode": w.mint("es1", "alice", map[string]any{"role": "größe-日本"}),
		"empty":   w.mint("es1", "alice", map[string]any{"role": "", "email": nil}),
		"space":   w.mint("es1", "alice", map[string]any{"role": " admin"}),
		"placeholder": w.mint("es1", "alice",
			map[string]any{"role": "{env.TEST_KEYS}", "email": "{http.auth.user.id}"}),
		"list":   w.mint("es1", "alice", map[string]any{"role": []string{"user", "admin"}}),
		"commas": w.mint("es1", "alice", map[string]any{"role": []string{"user,admin", "100%"}}),
		"object": w.mint("es1", "alice", map[string]any{"role": map[string]any{"admin": true}}),
		"digits": w.mint("es1", "alice",
			map[string]any{"role": json.Number("12345678901234567890"), "email": json.Number("1.50")}),
		"number": w.mint("es1", "alice", map[string]any{"role": 12, "email": true}),
	}
}

const (
	asAlice = "Authorization: Bearer <alice>"
	asBob   = "Authorization: Bearer <bob>"
)

// TestHeadersAndRequests is the table of the first section of the list of attacks.
func TestHeadersAndRequests(t *testing.T) {
	g := newGateway(t)
	g.load(gateGlobals, gateConfig())
	tokens := people(g.tokens)
	for _, c := range slices.Concat(forgedHeaderCases, spellingCases, connectionCases, trailerCases, publicPathCases,
		credentialCases,
		cookieCases, originCases, methodCases, claimCases, stackCases, modeCases, presetCases, sourceCases,
		upgradeCases, spoofCases()) {
		t.Run(c.site+"/"+c.name, func(t *testing.T) {
			for _, p := range protocols {
				for _, app := range []string{"proxy", "php"} {
					if (c.only == "" || c.only == p.name) && (c.app == "" || c.app == app) {
						t.Run(p.name+"-"+app, func(t *testing.T) { g.runCase(t, c, p, app, tokens) })
					}
				}
			}
		})
	}
}

// runCase sends one request and holds the decision and what the application saw against the case.
func (g *gateway) runCase(t *testing.T, c gateCase, p protocol, app string, tokens map[string]string) {
	site := c.site + "-" + app
	request := c.call
	request.lines = fillTokens(t, request.lines, tokens)
	request.target = fillTokens(t, []string{request.target}, tokens)[0]
	if request.host == "" {
		request.host = g.host(site)
	}
	got := p.send(t, g.addr(site), request)
	seen := slices.Concat(g.proxy.take(), g.php.take())
	if c.checkAnswer(t, got) && len(seen) != 0 {
		t.Errorf("refused, but the application saw %q", seen[0].raw)
	}
	if got.status != http.StatusOK {
		return
	}
	if len(seen) != 1 {
		t.Fatalf("the application saw %d requests", len(seen))
	}
	c.checkSighting(t, seen[0], app)
	checkConcealed(t, c, seen[0], tokens)
}

// checkAnswer compares the decision and reports whether it is a refusal.
func (c gateCase) checkAnswer(t *testing.T, got answer) (refused bool) {
	t.Helper()
	if got.broken != nil {
		if c.status != http.StatusBadRequest { // a request that is no HTTP may also end the connection
			t.Fatalf("no answer: %v", got.broken)
		}
		return true
	}
	if c.status != 0 {
		if got.status != c.status {
			t.Errorf("status %d, want %d: %s", got.status, c.status, got.body)
		}
		return got.status != http.StatusOK
	}
	word := got.reason(t)
	if got.status == http.StatusUnauthorized && word == "" {
		word = "no_credential"
	}
	if !slices.Contains(strings.Split(c.reason, "|"), word) || got.status != statusOf(word) {
		t.Errorf("status %d, reason %q, want %q; %q says %q", got.status, word, c.reason,
			got.header.Get("WWW-Authenticate"), got.body)
	}
	checkChallenge(t, got, word)
	return got.status != http.StatusOK
}

// checkChallenge holds a refusal against RFC 6750: every 401 has a challenge, and one without a
// credential no error.
func checkChallenge(t *testing.T, got answer, reason string) {
	t.Helper()
	if got.status != http.StatusUnauthorized || reason == "" {
		return
	}
	challenge := got.header.Get("WWW-Authenticate")
	if !strings.HasPrefix(challenge, "Bearer") {
		t.Errorf("401 with WWW-Authenticate: %q", challenge)
	}
	if code := parameter(challenge, "error"); (code == "") != (reason == "no_credential") {
		t.Errorf("reason %s with WWW-Authenticate: %q", reason, challenge)
	}
}

func statusOf(reason string) int {
	switch reason {
	case "":
		return http.StatusOK
	case "multiple_credentials":
		return http.StatusBadRequest
	case "insufficient_scope", "claim_denied", "cross_origin":
		return http.StatusForbidden
	case "keys_unavailable", "revocation_unavailable":
		return http.StatusServiceUnavailable
	}
	return http.StatusUnauthorized
}

func (c gateCase) checkSighting(t *testing.T, s sighting, app string) {
	t.Helper()
	identity, want := s.identity(), c.identity
	if app == "php" {
		if s.params["REMOTE_USER"] != c.user {
			t.Errorf("REMOTE_USER is %q, want %q", s.params["REMOTE_USER"], c.user)
		}
		identity, want = foldLines(identity), foldLines(want)
	}
	if !slices.Equal(identity, want) {
		t.Errorf("the application saw %q, want %q", identity, want)
	}
	for _, line := range c.contains {
		name, value, _ := strings.Cut(line, ": ")
		if !slices.Contains(s.values(fold(name)), value) {
			t.Errorf("the application did not see %q in %q", line, s.headers)
		}
	}
	for _, name := range c.lacks {
		if values := s.values(name); len(values) > 0 {
			t.Errorf("the application saw %s: %q", name, values)
		}
	}
}

// foldLines writes header lines with their names as CGI knows them, so that only name and value
// count.
func foldLines(lines []string) []string {
	var folded []string
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		folded = append(folded, fold(name)+":"+value)
	}
	slices.Sort(folded)
	return folded
}

// checkConcealed makes sure that no token travelled on, except where the gate only reports.
func checkConcealed(t *testing.T, c gateCase, s sighting, tokens map[string]string) {
	t.Helper()
	if strings.HasPrefix(c.site, "report") {
		return
	}
	for name, token := range tokens {
		if strings.Contains(s.raw, token) {
			t.Errorf("the application saw the token %s", name)
		}
	}
}

// fillTokens replaces `<name>` by the token of that name.
func fillTokens(t *testing.T, lines []string, tokens map[string]string) []string {
	t.Helper()
	filled := slices.Clone(lines)
	for i, line := range filled {
		for name, token := range tokens {
			line = strings.ReplaceAll(line, "<"+name+">", token)
		}
		if at := strings.Index(line, "<"); at >= 0 {
			t.Fatalf("no token for %q", line[at:])
		}
		filled[i] = line
	}
	return filled
}

// forgery is every mapped header with a lie in it.
var forgery = []string{"X-User-Id: eve", "X-User-Role: root", "X-User-Email: eve@example.com"}

func lines(groups ...any) []string {
	var all []string
	for _, group := range groups {
		switch group := group.(type) {
		case string:
			all = append(all, group)
		case []string:
			all = append(all, group...)
		}
	}
	return all
}

var forgedHeaderCases = []gateCase{
	{name: "a good token", site: "api", call: call{lines: lines(asAlice)}, user: "alice", identity: aliceIdentity},
	{
		name:     "a good token with another algorithm",
		site:     "api",
		call:     call{lines: lines("Authorization: Bearer <alice-rs>")},
		user:     "alice",
		identity: aliceIdentity,
	},
	{
		name:     "all headers forged",
		site:     "api",
		call:     call{lines: lines(forgery, asAlice, forgery)},
		user:     "alice",
		identity: aliceIdentity,
	},
	{
		name:     "a header whose claim is absent",
		site:     "api",
		call:     call{lines: lines(asBob, "X-User-Email: eve@example.com")},
		user:     "bob",
		identity: bobIdentity,
	},
	{name: "nothing", site: "api", reason: "no_credential"},
	{name: "forged headers alone", site: "api", call: call{lines: forgery}, reason: "no_credential"},
	{
		name:     "scheme in lower case",
		site:     "api",
		call:     call{lines: lines("authorization: bearer <alice>")},
		user:     "alice",
		identity: aliceIdentity,
	},
	{
		name:     "through a snippet",
		site:     "snippet",
		call:     call{lines: lines(forgery, asAlice)},
		user:     "alice",
		identity: aliceIdentity,
	},
	{
		name:     "name configured in lower case",
		site:     "lower",
		call:     call{lines: lines(asAlice, "X-User-Id: eve", "x_user_id: eve")},
		user:     "alice",
		identity: []string{"X-User-Id: alice"},
	},
	{
		name:     "body and all",
		site:     "api",
		call:     call{method: "POST", lines: lines(forgery, asAlice), body: "a=1"},
		user:     "alice",
		identity: aliceIdentity,
		contains: []string{"Content-Length: 3"},
	},
}

// spellings are ways to write X-User-Id that an application may take for it.
var spellings = []string{
	"X_User_Id: eve", "x_user_id: eve", "X-User_Id: eve", "X.User.Id: eve", "x.user-id: eve", "X_User.Id: eve",
	"x-USER-id: eve", "X-USER-ID: eve", "X_USER_ROLE: root", "X.User.Role: root", "x_user_email: eve@example.com",
}

// tokenCharacters are those that a header name may have besides letters, digits and `-` (RFC 9110,
// section 5.6.2).
const tokenCharacters = "!#$%&'*+.^_`|~"

// oddSpellings write X-User-Role and X-User-Email with each of them.
func oddSpellings() []string {
	var odd []string
	for _, c := range tokenCharacters {
		odd = append(odd, fmt.Sprintf("X%[1]cUser%[1]cRole: root", c), fmt.Sprintf("x-user%cEMAIL: eve@example.com", c))
	}
	return odd
}

var spellingCases = []gateCase{
	{
		name:     "every spelling, with a token",
		site:     "api",
		call:     call{lines: lines(spellings, asAlice, spellings)},
		user:     "alice",
		identity: aliceIdentity,
	},
	{
		name:     "every spelling, absent claim",
		site:     "api",
		call:     call{lines: lines(spellings, asBob)},
		user:     "bob",
		identity: bobIdentity,
	},
	{
		name:     "allow-lists on, once each",
		site:     "allow",
		call:     call{lines: lines(asAlice, "X_User_Id: eve", "X.User.Id: eve", "X_User_Role: root")},
		user:     "alice",
		identity: aliceIdentity,
	},
	{
		name:     "allow-lists on, every spelling twice",
		site:     "allow",
		call:     call{lines: lines(spellings, asBob, spellings)},
		user:     "bob",
		identity: bobIdentity,
	},
	{
		name:     "allow-lists on, absent claim",
		site:     "allow",
		call:     call{lines: lines(asBob, "X_User_Email: eve@example.com", "x.user.email: eve@example.com")},
		user:     "bob",
		identity: bobIdentity,
	},
	{name: "every spelling on a public path", site: "matcher", call: call{target: "/public", lines: spellings}},
	{
		name:     "every token character",
		site:     "api",
		call:     call{lines: lines(oddSpellings(), asBob)},
		user:     "bob",
		identity: bobIdentity,
	},
	{
		name: "every token character on a public path",
		site: "matcher",
		call: call{target: "/public", lines: oddSpellings()},
	},
	{name: "every token character in Connection", site: "api", call: call{lines: lines(asAlice,
		"Connection: X+User+Id, x!user!role", "Connection: close, X`User~Email")}, user: "alice",
		identity: aliceIdentity,
		only:     "h1"},
	{
		name: "every token character in trailers",
		site: "api",
		call: call{method: "POST", lines: lines(asBob), body: "x", trailers: oddSpellings(),
			announced: "X+User+Role, X~User~Role"},
		user:     "bob",
		identity: bobIdentity,
		app:      "proxy",
	},
	{
		name:   "name with a space before the colon",
		site:   "api",
		call:   call{lines: lines(asAlice, "X-User-Id : eve")},
		status: 400,
		only:   "h1",
	},
	{
		name:     "folded line",
		site:     "api",
		call:     call{lines: lines(asAlice, "X-Other: a\r\n X-User-Id: eve")},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
	},
	{name: "NUL in a header name", site: "api", call: call{lines: lines(asAlice, "X-User-Id\x00: eve")}, status: 400},
}

var connectionCases = []gateCase{
	{
		name:     "Connection names a header",
		site:     "api",
		call:     call{lines: lines(asAlice, "Connection: X-User-Id")},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
	},
	{name: "Connection names all, in a list", site: "api",
		call:     call{lines: lines(asAlice, "connection: close, x-user-id , X-USER-ROLE,x-user-email")},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1"},
	{
		name:     "two Connection lines",
		site:     "api",
		call:     call{lines: lines(asAlice, "Connection: keep-alive", "Connection: X-User-Id,X-User-Role")},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
	},
	{
		name:     "Connection with other spellings",
		site:     "api",
		call:     call{lines: lines(asAlice, "Connection: X_User_Id, X.User.Role, x-user_email")},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
	},
	{name: "Connection with Upgrade", site: "api",
		call: call{
			lines: lines(asAlice, "Connection: Upgrade, X-User-Id", "Upgrade: websocket",
				"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13"),
		},
		user: "alice", identity: aliceIdentity, only: "h1", app: "proxy", contains: []string{"Upgrade: websocket"}},
	{
		name:     "Connection names the credential",
		site:     "api",
		call:     call{lines: lines(asAlice, "Connection: Authorization, Cookie")},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
	},
	{
		name:     "Connection on the second of two gates",
		site:     "stacked",
		call:     call{target: "/admin", lines: lines(asAlice, "Connection: X-User-Role, X-User-Id")},
		user:     "alice",
		identity: []string{"X-User-Id: alice", "X-User-Role: admin"},
		only:     "h1",
	},
	{
		name:     "Proxy-Connection and Keep-Alive",
		site:     "api",
		call:     call{lines: lines(asAlice, "Proxy-Connection: X-User-Id", "Keep-Alive: X-User-Id")},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
	},
	{
		name:   "Connection is no part of HTTP/2",
		site:   "api",
		call:   call{lines: lines(asAlice, "connection: x-user-id")},
		status: 400,
		only:   "h2",
	},
}

var lateForgery = []string{"X-User-Id: eve", "X-User-Role: root", "X_User_Email: eve@example.com", "X-Harmless: yes"}

var trailerCases = []gateCase{
	{
		name: "announced trailer",
		site: "api",
		call: call{method: "POST", lines: lines(asBob), body: "x", trailers: lateForgery,
			announced: "X-User-Id, X-User-Role, X_User_Email, X-User-Email, X-Harmless"},
		user:     "bob",
		identity: bobIdentity,
		app:      "proxy",
	},
	{
		name:     "trailer that nobody announced",
		site:     "api",
		call:     call{method: "POST", lines: lines(asBob), body: "x", trailers: lateForgery},
		user:     "bob",
		identity: bobIdentity,
		app:      "proxy",
	},
	{
		name:     "trailer without a body",
		site:     "api",
		call:     call{method: "POST", lines: lines(asBob), trailers: lateForgery, announced: "X-User-Id"},
		user:     "bob",
		identity: bobIdentity,
		app:      "proxy",
		only:     "h2",
	},
	{
		name: "trailer on a public path",
		site: "matcher",
		call: call{target: "/public", method: "POST", body: "x", trailers: lateForgery,
			announced: "X-User-Id, X-User-Role"},
		app: "proxy",
	},
	{
		name: "trailer before FastCGI",
		site: "api",
		call: call{method: "POST", lines: lines(asBob), body: "x", trailers: lateForgery,
			announced: "X-User-Id, X-User-Role"},
		user:     "bob",
		identity: bobIdentity,
		app:      "php",
	},
	{
		name: "trailer before two gates",
		site: "stacked",
		call: call{target: "/admin", method: "POST", lines: lines(asAlice), body: "x",
			trailers: lateForgery, announced: "X-User-Id, X-User-Role"},
		user:     "alice",
		identity: []string{"X-User-Id: alice", "X-User-Role: admin"},
		app:      "proxy",
	},
	{
		name: "credential in a trailer",
		site: "api",
		call: call{method: "POST", body: "x", trailers: lines("Authorization: Bearer abc"),
			announced: "Authorization"},
		reason: "no_credential",
		only:   "h1",
	},
}

// publicPathCases: the strip covers what the gate's matcher leaves alone.
var publicPathCases = slices.Concat(
	publicAndPrivate("matcher"), publicAndPrivate("named"), publicAndPrivate("handle"), publicAndPrivate("route"),
)

func publicAndPrivate(site string) []gateCase {
	return []gateCase{
		{name: "forged headers on a public path", site: site, call: call{target: "/public", lines: forgery}},
		{
			name: "forged headers with a token on a public path",
			site: site,
			call: call{target: "/public", lines: lines(forgery, spellings)},
		},
		{
			name: "Connection on a public path",
			site: site,
			call: call{target: "/public", lines: lines(forgery, "Connection: X-User-Id")},
			only: "h1",
		},
		{
			name:   "private path without credential",
			site:   site,
			call:   call{target: "/private", lines: forgery},
			reason: "no_credential",
		},
		{
			name:     "private path with a token",
			site:     site,
			call:     call{target: "/private/x", lines: lines(forgery, asAlice)},
			user:     "alice",
			identity: aliceIdentity,
		},
	}
}

var credentialCases = []gateCase{
	{
		name:   "two Authorization lines",
		site:   "api",
		call:   call{lines: lines(asAlice, asBob)},
		reason: "multiple_credentials",
	},
	{
		name:   "the same Authorization line twice",
		site:   "api",
		call:   call{lines: lines(asAlice, asAlice)},
		reason: "multiple_credentials",
	},
	{
		name:   "two tokens in one line",
		site:   "api",
		call:   call{lines: lines("Authorization: Bearer <alice>, Bearer <bob>")},
		reason: "multiple_credentials|malformed",
	},
	{
		name:   "two tokens with a comma",
		site:   "api",
		call:   call{lines: lines("Authorization: Bearer <alice>,<bob>")},
		reason: "multiple_credentials|malformed",
	},
	{
		name:   "Basic and Bearer",
		site:   "api",
		call:   call{lines: lines("Authorization: Basic YWxpY2U6eA==", asAlice)},
		reason: "multiple_credentials",
	},
	{
		name:   "Bearer and Basic",
		site:   "api",
		call:   call{lines: lines(asAlice, "Authorization: Basic YWxpY2U6eA==")},
		reason: "multiple_credentials",
	},
	{
		name:   "Basic alone",
		site:   "api",
		call:   call{lines: lines("Authorization: Basic YWxpY2U6eA==")},
		reason: "no_credential",
	},
	{
		name:   "header and cookie that differ",
		site:   "web",
		call:   call{lines: lines(asBob, "Cookie: access_token=<web>")},
		reason: "multiple_credentials",
	},
	{
		name:   "header and cookie that differ, one garbage",
		site:   "web",
		call:   call{lines: lines(asAlice, "Cookie: access_token=garbage")},
		reason: "multiple_credentials",
	},
	{
		name:     "header and cookie alike",
		site:     "web",
		call:     call{lines: lines("Authorization: Bearer <web>", "Cookie: access_token=<web>")},
		user:     "alice",
		identity: aliceIdentity,
	},
	{
		name:   "cookie twice in one line",
		site:   "web",
		call:   call{lines: lines("Cookie: access_token=<web>; access_token=<web-bob>")},
		reason: "multiple_credentials",
	},
	{
		name:   "cookie in two lines",
		site:   "web",
		call:   call{lines: lines("Cookie: access_token=<web>", "Cookie: a=1; access_token=<web-bob>")},
		reason: "multiple_credentials",
	},
	{
		name:   "empty bearer",
		site:   "api",
		call:   call{lines: lines("Authorization: Bearer ")},
		reason: "malformed|no_credential",
	},
	{
		name:   "token without a scheme",
		site:   "api",
		call:   call{lines: lines("Authorization: <alice>")},
		reason: "no_credential|malformed",
	},
	{
		name:   "a gate that reads no cookie",
		site:   "api",
		call:   call{lines: lines("Cookie: access_token=<web>")},
		reason: "no_credential",
	},
	{
		name:     "a cookie beside the bearer that a gate does not read",
		site:     "api",
		call:     call{lines: lines(asAlice, "Cookie: access_token=<web-bob>; a=1")},
		user:     "alice",
		identity: aliceIdentity,
		contains: []string{"Cookie: a=1"},
	},
	{
		name:   "query parameter where none is configured",
		site:   "api",
		call:   call{target: "/?access_token=nothing&token=nothing"},
		reason: "no_credential",
	},
}

var cookieCases = []gateCase{
	{
		name:     "cookie",
		site:     "web",
		call:     call{lines: lines("Cookie: access_token=<web>", forgery)},
		user:     "alice",
		identity: aliceIdentity,
		lacks:    []string{"cookie"},
	},
	{
		name:     "cookie among others",
		site:     "web",
		call:     call{lines: lines("Cookie: a=1; access_token=<web>; b=2")},
		user:     "alice",
		identity: aliceIdentity,
		contains: []string{"Cookie: a=1; b=2"},
	},
	{
		name:   "cookie whose name only looks alike",
		site:   "web",
		call:   call{lines: lines("Cookie: xaccess_token=<web>; Access_Token=<web>")},
		reason: "no_credential",
	},
	{
		name:   "cookie of the https name on http",
		site:   "web",
		call:   call{lines: lines("Cookie: __Host-access_token=<web>")},
		reason: "no_credential",
	},
	{
		name:   "stale cookie",
		site:   "web",
		call:   call{lines: lines("Cookie: access_token=<web-expired>")},
		reason: "expired",
	},
	{
		name:   "garbage cookie",
		site:   "web",
		call:   call{lines: lines("Cookie: access_token=garbage")},
		reason: "malformed",
	},
	{
		name:   "cookie for another audience",
		site:   "origins",
		call:   call{lines: lines("Cookie: access_token=<bob>")},
		reason: "wrong_audience",
	},
	{
		name:     "own cookie on a public path",
		site:     "matcher",
		call:     call{target: "/public", lines: lines("Cookie: a=1; access_token=<web>")},
		contains: []string{"Cookie: a=1"},
	},
}

var upgrade = []string{
	"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
	"Sec-WebSocket-Version: 13", "Cookie: access_token=<web>",
}

const cookieAlice = "Cookie: access_token=<web>"

var originCases = []gateCase{
	{
		name:   "POST from another origin",
		site:   "web",
		call:   call{method: "POST", lines: lines(cookieAlice, "Origin: https://evil.example")},
		reason: "cross_origin",
	},
	{
		name:   "POST from a sibling host",
		site:   "web",
		call:   call{method: "POST", lines: lines(cookieAlice, "Origin: http://other.localhost")},
		reason: "cross_origin",
	},
	{
		name:   "POST from a sibling, told by the browser",
		site:   "web",
		call:   call{method: "POST", lines: lines(cookieAlice, "Sec-Fetch-Site: same-site")},
		reason: "cross_origin",
	},
	{
		name:   "POST from a stranger, told by the browser",
		site:   "web",
		call:   call{method: "POST", lines: lines(cookieAlice, "Sec-Fetch-Site: cross-site")},
		reason: "cross_origin",
	},
	{
		name:   "POST from the null origin",
		site:   "web",
		call:   call{method: "POST", lines: lines(cookieAlice, "Origin: null")},
		reason: "cross_origin",
	},
	{
		name:   "DELETE from another origin",
		site:   "web",
		call:   call{method: "DELETE", lines: lines(cookieAlice, "Origin: https://evil.example")},
		reason: "cross_origin",
	},
	{
		name:   "unknown method from another origin",
		site:   "web",
		call:   call{method: "BREW", lines: lines(cookieAlice, "Origin: https://evil.example")},
		reason: "cross_origin",
	},
	{
		name:     "POST from the same origin",
		site:     "web",
		call:     call{method: "POST", lines: lines(cookieAlice, "Sec-Fetch-Site: same-origin")},
		user:     "alice",
		identity: aliceIdentity,
	},
	{
		name:     "GET from another origin",
		site:     "web",
		call:     call{lines: lines(cookieAlice, "Sec-Fetch-Site: cross-site")},
		user:     "alice",
		identity: aliceIdentity,
	},
	{
		name:     "POST with a bearer from anywhere",
		site:     "web",
		call:     call{method: "POST", lines: lines(asAlice, "Origin: https://evil.example")},
		user:     "alice",
		identity: aliceIdentity,
	},
	{
		name: "POST from a listed origin",
		site: "origins",
		call: call{
			method: "POST",
			lines:  lines(cookieAlice, "Origin: https://partner.example", "Sec-Fetch-Site: cross-site"),
		},
		user:     "alice",
		identity: aliceIdentity,
	},
	{
		name:   "WebSocket from another origin",
		site:   "web",
		call:   call{lines: lines(upgrade, "Origin: https://evil.example")},
		reason: "cross_origin",
		only:   "h1",
	},
	{
		name:   "WebSocket from a sibling host",
		site:   "web",
		call:   call{lines: lines(upgrade, "Origin: http://other.localhost", "Sec-Fetch-Site: same-site")},
		reason: "cross_origin",
		only:   "h1",
	},
	{
		name:     "WebSocket from the same origin",
		site:     "web",
		call:     call{lines: lines(upgrade, "Sec-Fetch-Site: same-origin")},
		user:     "alice",
		identity: aliceIdentity,
		only:     "h1",
		app:      "proxy",
	},
}

var methodCases = slices.Concat(guardedMethods("HEAD", "TRACE", "OPTIONS", "BREW", "PROPFIND", "PATCH"), []gateCase{
	{
		name:     "HEAD with a token",
		site:     "api",
		call:     call{method: "HEAD", lines: lines(asAlice)},
		user:     "alice",
		identity: aliceIdentity,
	},
	{
		name:     "unknown method with a token",
		site:     "api",
		call:     call{method: "BREW", lines: lines(asAlice)},
		user:     "alice",
		identity: aliceIdentity,
		app:      "proxy",
	},
	{name: "preflight where none is configured", site: "api", call: call{method: "OPTIONS",
		lines: lines("Origin: https://evil.example", "Access-Control-Request-Method: POST")}, reason: "no_credential"},
	{name: "real preflight", site: "preflight", call: call{method: "OPTIONS",
		lines: lines("Origin: https://evil.example", "Access-Control-Request-Method: POST", forgery)}},
	{name: "preflight that carries a token", site: "preflight", call: call{method: "OPTIONS",
		lines: lines("Origin: https://evil.example", "Access-Control-Request-Method: POST", asAlice, forgery)},
		lacks: []string{
			"authorization",
		}},
	{
		name:   "preflight without an origin",
		site:   "preflight",
		call:   call{method: "OPTIONS", lines: lines("Access-Control-Request-Method: POST")},
		reason: "no_credential",
	},
	{
		name:   "OPTIONS that asks for no method",
		site:   "preflight",
		call:   call{method: "OPTIONS", lines: lines("Origin: https://evil.example")},
		reason: "no_credential",
	},
	{
		name:   "GET dressed as a preflight",
		site:   "preflight",
		call:   call{lines: lines("Origin: https://evil.example", "Access-Control-Request-Method: POST")},
		reason: "no_credential",
	},
	{
		name: "method override",
		site: "preflight",
		call: call{lines: lines("Origin: https://evil.example", "Access-Control-Request-Method: POST",
			"X-HTTP-Method-Override: OPTIONS")},
		reason: "no_credential",
	},
})

func guardedMethods(methods ...string) []gateCase {
	var cases []gateCase
	for _, method := range methods {
		cases = append(cases,
			gateCase{
				name:   method + " without credential",
				site:   "api",
				call:   call{method: method},
				reason: "no_credential",
			})
	}
	return cases
}

// claimCases: a claim's value is data. It never splits a header, never expands, and one that cannot
// be written is absent.
var claimCases = []gateCase{
	{
		name:     "claim with CR and LF",
		site:     "api",
		call:     call{lines: lines("Authorization: Bearer <crlf>", forgery)},
		user:     "alice",
		identity: []string{"X-User-Id: alice"},
	},
	{
		name:     "claim with NUL",
		site:     "api",
		call:     call{lines: lines("Authorization: Bearer <nul>")},
		user:     "alice",
		identity: []string{"X-User-Id: alice"},
	},
	{
		name:   "claim of 20 kB",
		site:   "api",
		call:   call{lines: lines("Authorization: Bearer <long>")},
		reason: "too_large",
	},
	{
		name:     "claim beyond ASCII",
		site:     "api",
		call:     call{lines: lines("Authorization: Bearer <unicode>")},
		user:     "alice",
		identity: []string{"X-User-Id: alice", "X-User-Role: größe-日本"},
	},
	{
		name:     "empty claim",
		site:     "api",
		call:     call{lines: lines("Authorization: Bearer <empty>", forgery)},
		user:     "alice",
		identity: []string{"X-User-Id: alice"},
	},
	{
		name:     "claim with a leading space",
		site:     "api",
		call:     call{lines: lines("Authorization: Bearer <space>")},
		user:     "alice",
		identity: []string{"X-User-Id: alice"},
	},
	{
		name:     "claim that looks like a placeholder",
		site:     "api",
		call:     call{lines: lines("Authorization: Bearer <placeholder>")},
		user:     "alice",
		identity: []string{"X-User-Email: {http.auth.user.id}", "X-User-Id: alice", "X-User-Role: {env.TEST_KEYS}"},
	},
	{name: "list", site: "api", call: call{lines: lines("Authorization: Bearer <list>")}, user: "alice",
		identity: []string{"X-User-Id: alice", "X-User-Role: user,admin"}},
	{
		name:     "list with commas inside",
		site:     "api",
		call:     call{lines: lines("Authorization: Bearer <commas>")},
		user:     "alice",
		identity: []string{"X-User-Id: alice", "X-User-Role: user%2Cadmin,100%25"},
	},
	{name: "object", site: "api", call: call{lines: lines("Authorization: Bearer <object>", forgery)}, user: "alice",
		identity: []string{"X-User-Id: alice"}},
	{
		name:     "number keeps its digits",
		site:     "api",
		call:     call{lines: lines("Authorization: Bearer <digits>")},
		user:     "alice",
		identity: []string{"X-User-Email: 1.50", "X-User-Id: alice", "X-User-Role: 12345678901234567890"},
	},
	{
		name:     "number and truth value",
		site:     "api",
		call:     call{lines: lines("Authorization: Bearer <number>")},
		user:     "alice",
		identity: []string{"X-User-Email: true", "X-User-Id: alice", "X-User-Role: 12"},
	},
}

var stackCases = slices.Concat(stackedCookies("strict-first"), stackedCookies("strict-last"), []gateCase{
	{
		name:     "both policies hold",
		site:     "stacked",
		call:     call{target: "/admin", lines: lines(forgery, asAlice)},
		user:     "alice",
		identity: []string{"X-User-Id: alice", "X-User-Role: admin"},
	},
	{
		name:   "the stricter refuses",
		site:   "stacked",
		call:   call{target: "/admin", lines: lines(forgery, asBob)},
		reason: "claim_denied",
	},
	{name: "the first refuses", site: "stacked", call: call{target: "/admin", lines: forgery}, reason: "no_credential"},
	{
		name:     "a strip before the gate, cookie",
		site:     "off-first",
		call:     call{target: "/open", lines: lines(cookieAlice, forgery)},
		user:     "alice",
		identity: aliceIdentity,
		lacks:    []string{"cookie"},
	},
	{
		name:     "a strip before the gate, bearer",
		site:     "off-first",
		call:     call{target: "/open", lines: lines(asBob, forgery)},
		user:     "bob",
		identity: bobIdentity,
	},
	{
		name:   "a strip before the gate, two credentials",
		site:   "off-first",
		call:   call{target: "/open", lines: lines(asBob, cookieAlice)},
		reason: "multiple_credentials",
	},
	{name: "a strip before the gate, two cookies", site: "off-first", call: call{target: "/open",
		lines: lines("Cookie: access_token=<web>; a=1; access_token=<web-bob>")}, reason: "multiple_credentials"},
	{
		name:     "only the first applies",
		site:     "stacked",
		call:     call{target: "/x", lines: lines(forgery, asBob)},
		user:     "bob",
		identity: []string{"X-User-Id: bob"},
	},
})

// stackedCookies: with a cookie, too, the order in which gates are written makes no difference.
func stackedCookies(site string) []gateCase {
	const bob = "Cookie: a=1; access_token=<web-bob>"
	return []gateCase{
		{
			name:     "cookie, both policies hold",
			site:     site,
			call:     call{target: "/admin", lines: lines(cookieAlice, forgery)},
			user:     "alice",
			identity: []string{"X-User-Id: alice", "X-User-Role: admin"},
			lacks:    []string{"cookie"},
		},
		{
			name:   "cookie, the stricter refuses",
			site:   site,
			call:   call{target: "/admin", lines: lines(bob, forgery)},
			reason: "claim_denied",
		},
		{
			name:     "cookie, only one applies",
			site:     site,
			call:     call{target: "/x", lines: lines(bob, forgery)},
			user:     "bob",
			identity: []string{"X-User-Id: bob"},
			contains: []string{"Cookie: a=1"},
		},
		{name: "none", site: site, call: call{target: "/x", lines: forgery}, reason: "no_credential"},
		{
			name:   "cookie from another origin",
			site:   site,
			call:   call{method: "POST", target: "/admin", lines: lines(cookieAlice, "Origin: https://evil.example")},
			reason: "cross_origin",
		},
	}
}

var modeCases = []gateCase{
	{name: "optional without credential", site: "optional", call: call{lines: forgery}},
	{
		name:     "optional with a token",
		site:     "optional",
		call:     call{lines: lines(forgery, asAlice)},
		user:     "alice",
		identity: aliceIdentity,
	},
	{
		name:   "optional with garbage",
		site:   "optional",
		call:   call{lines: lines("Authorization: Bearer garbage")},
		reason: "malformed",
	},
	{
		name:   "optional with an expired bearer",
		site:   "optional",
		call:   call{lines: lines("Authorization: Bearer <expired>")},
		reason: "expired",
	},
	{
		name:     "optional with an expired cookie",
		site:     "optional",
		call:     call{lines: lines("Cookie: a=1; access_token=<web-expired>", forgery)},
		contains: []string{"Cookie: a=1"},
	},
	{
		name:     "optional with Basic",
		site:     "optional",
		call:     call{lines: lines("Authorization: Basic YWxpY2U6eA==", forgery)},
		contains: []string{"Authorization: Basic YWxpY2U6eA=="},
	},
	{
		name:     "report_only refuses nothing and touches nothing",
		site:     "report",
		call:     call{lines: lines("X-User-Id: eve", "Authorization: Bearer garbage")},
		identity: []string{"X-User-Id: eve"},
		contains: []string{"Authorization: Bearer garbage"},
	},
	{name: "report_only sets nothing", site: "report", call: call{lines: lines(asAlice)}},
	{name: "report_only with a matcher touches nothing there", site: "report-matcher", call: call{target: "/private",
		lines: lines("X-User-Id: eve", "Authorization: Bearer garbage", "Cookie: access_token=garbage")},
		identity: []string{
			"X-User-Id: eve",
		},
		contains: []string{"Authorization: Bearer garbage", "Cookie: access_token=garbage"}},
	{name: "report_only with a matcher touches nothing elsewhere", site: "report-matcher", call: call{target: "/public",
		lines: lines("X-User-Id: eve", "Cookie: access_token=garbage", "Connection: X-Other")}, identity: []string{
		"X-User-Id: eve",
	},
		contains: []string{"Cookie: access_token=garbage"}, only: "h1"},
	{
		name: "report_only touches nothing when it would refuse the path",
		site: "report-rewrite",
		call: call{target: "/app/private;x",
			lines: lines("X-User-Id: eve", "Authorization: Bearer garbage", "Cookie: access_token=garbage")},
		identity: []string{"X-User-Id: eve"},
		contains: []string{"Authorization: Bearer garbage", "Cookie: access_token=garbage"},
		app:      "proxy",
	},
	{
		name:     "report_only with a matcher refuses no path",
		site:     "report-matcher",
		call:     call{target: "/public/%2e%2e/x", lines: lines("X-User-Id: eve")},
		identity: []string{"X-User-Id: eve"},
		app:      "proxy",
	},
}

var presetForgery = []string{
	"Remote-User: eve", "Remote_Groups: root", "Remote-Email: eve@example.com", "Remote-Name: Eve",
	"X-Forwarded-User: eve", "X-Forwarded-Email: eve@example.com", "X-Forwarded-Groups: root",
	"X_Forwarded_Preferred_Username: eve", "X-Forwarded-Preferred-Username: eve", "X-Auth-Request-User: eve",
	"X-Auth-Request-Groups: root", "X-Auth-Request-Email: eve@example.com", "X-Auth-Request-Preferred-Username: eve",
	"X-WEBAUTH-USER: eve", "X-WEBAUTH-ROLE: Admin", "X-Webauth-Name: Eve", "X-Webauth-Email: eve@example.com",
}

// presetCases send what their own preset owns, forged. What other presets own is none of that
// site's business, so each case sends only the forged headers that belong to it.
var presetCases = []gateCase{
	{
		name: "preset",
		site: "remote-user",
		call: call{lines: lines(presetForgery[:4], asAlice)},
		user: "alice",
		identity: []string{
			"Remote-Email: alice@example.com", "Remote-Groups: staff,ops", "Remote-Name: Alice", "Remote-User: alice"},
	},
	{
		name:     "preset, absent claims",
		site:     "remote-user",
		call:     call{lines: lines(presetForgery[:4], asBob)},
		user:     "bob",
		identity: []string{"Remote-User: bob"},
	},
	{
		name: "preset",
		site: "x-forwarded",
		call: call{lines: lines(presetForgery[4:9], asAlice)},
		user: "alice",
		identity: []string{
			"X-Forwarded-Email: alice@example.com", "X-Forwarded-Groups: staff,ops", "X-Forwarded-User: alice"},
	},
	{
		name: "preset",
		site: "x-auth-request",
		call: call{lines: lines(presetForgery[9:13], asAlice)},
		user: "alice",
		identity: []string{
			"X-Auth-Request-Email: alice@example.com", "X-Auth-Request-Groups: staff,ops",
			"X-Auth-Request-User: alice"},
	},
	{
		name: "preset",
		site: "grafana",
		call: call{lines: lines(presetForgery[13:], asAlice)},
		user: "alice",
		identity: []string{
			"X-Webauth-Email: alice@example.com", "X-Webauth-Name: Alice", "X-Webauth-Role: admin",
			"X-Webauth-User: alice"},
	},
	{
		name: "preset, absent claims",
		site: "grafana",
		call: call{lines: lines(presetForgery[13:], asBob)},
		user: "bob",
		identity: []string{
			"X-Webauth-Role: viewer", "X-Webauth-User: bob"},
	},
}

var sourceCases = []gateCase{
	{
		name:     "configured header",
		site:     "own-header",
		call:     call{lines: lines("X-Api-Token: <alice>", forgery)},
		user:     "alice",
		identity: aliceIdentity,
		lacks:    []string{"x-api-token"},
	},
	{
		name:   "configured header twice",
		site:   "own-header",
		call:   call{lines: lines("X-Api-Token: <alice>", "X-Api-Token: <bob>")},
		reason: "multiple_credentials",
	},
	{
		name:     "configured cookie",
		site:     "own-cookie",
		call:     call{lines: lines("Cookie: a=1; legacy_token=<alice>")},
		user:     "alice",
		identity: aliceIdentity,
		contains: []string{"Cookie: a=1"},
	},
	{
		name:   "configured cookie from another origin",
		site:   "own-cookie",
		call:   call{method: "POST", lines: lines("Cookie: legacy_token=<alice>", "Origin: https://evil.example")},
		reason: "cross_origin",
	},
}

// TestCredentialInQuery has a server of its own: Caddy's logs show every URL, so a site like this
// must not log, and an error that Caddy itself logs would show it too.
func TestCredentialInQuery(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+twoSites("query", "jwt_auth api {\n\t\tfrom insecure_query token"+forwardThree+"\t}"))
	tokens := people(g.tokens)
	for _, c := range []gateCase{
		{
			name:     "parameter",
			site:     "query",
			call:     call{target: "/x?a=1&token=<alice>&b=2"},
			user:     "alice",
			identity: aliceIdentity,
			app:      "proxy",
		},
		{
			name:   "parameter twice",
			site:   "query",
			call:   call{target: "/x?token=<alice>&token=<bob>"},
			reason: "multiple_credentials",
		},
		{
			name:   "another parameter",
			site:   "query",
			call:   call{target: "/x?access_token=<alice>"},
			reason: "no_credential",
		},
	} {
		t.Run(c.name, func(t *testing.T) { g.runCase(t, c, protocols[0], "proxy", tokens) })
	}
}

// spoofs are headers by which other gateways were talked into a different URL, method, scheme or
// client.
var spoofs = []string{
	"X-Forwarded-Uri: /public", "X-Forwarded-Path: /public", "X-Forwarded-Prefix: /public",
	"X-Forwarded-Method: OPTIONS", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https",
	"X-Forwarded-Port: 443", "X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1;host=evil.example;proto=https",
	"X-Real-IP: 10.0.0.1", "X-Original-URL: /public", "X-Rewrite-URL: /public", "X-HTTP-Method-Override: OPTIONS",
	"X-Original-Method: OPTIONS", "X-Envoy-Original-Path: /public", "X-Auth-Request-Redirect: /public",
	"User-Agent: kube-probe/1.30", "User-Agent: ELB-HealthChecker/2.0", "User-Agent: Googlebot",
	"Origin: https://app.example.com", "Referer: http://localhost/public", "Accept: text/html", "Accept: */*",
	"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Upgrade-Insecure-Requests: 1", "Purpose: prefetch",
	"Content-Type: application/grpc",
}

// spoofCases: none of them, alone or all together, changes a decision.
func spoofCases() []gateCase {
	cases := []gateCase{
		{
			name:   "all spoofs, stricter gate",
			site:   "stacked",
			call:   call{target: "/admin", lines: lines(spoofs, asBob)},
			reason: "claim_denied",
		},
		{
			name:   "Host beside :authority",
			site:   "matcher",
			call:   call{target: "/private", lines: lines("host: evil.example", forgery)},
			status: 400,
			only:   "h2",
		},
		{
			name:   "all spoofs, private path",
			site:   "matcher",
			call:   call{target: "/private", lines: spoofs},
			reason: "no_credential",
		},
		{
			name:     "all spoofs, good token",
			site:     "stacked",
			call:     call{target: "/admin", lines: lines(spoofs, asAlice)},
			user:     "alice",
			identity: []string{"X-User-Id: alice", "X-User-Role: admin"},
		},
	}
	for _, line := range spoofs {
		cases = append(cases,
			gateCase{
				name:   "spoof " + line,
				site:   "api",
				call:   call{lines: lines(line)},
				reason: "no_credential",
				app:    "proxy",
			},
			gateCase{
				name:   "spoof " + line,
				site:   "matcher",
				call:   call{target: "/private", lines: lines(line)},
				reason: "no_credential",
				app:    "proxy",
			})
	}
	return cases
}

const navigation = "Accept: text/html,application/xhtml+xml"

// TestNavigationGoesToLogin: a browser without a session is sent to the login page and told where
// it came from, whatever the request says about hosts.
func TestNavigationGoesToLogin(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+twoSites("web", "log\n\turi strip_prefix /app\n\tjwt_auth web"))
	browser := lines(navigation, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
	want := g.url("auth") + "/login?next="
	for _, c := range []struct {
		name  string
		lines []string
		login bool
	}{
		{"navigation", browser, true},
		{"navigation of an old browser", lines(navigation), true},
		{
			"navigation with spoofed headers",
			lines(browser, "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "Forwarded: host=evil.example",
				"X-Forwarded-Uri: /evil", "X-Original-URL: /evil", "X-Rewrite-URL: /evil", "X-Forwarded-Port: 443",
				"X-Forwarded-Prefix: /evil"),
			true,
		},
		{"stale cookie", lines(browser, "Cookie: access_token=garbage"), true},
		{"fetch", lines("Accept: */*", "Sec-Fetch-Mode: cors"), false},
		{"program", lines("Accept: application/json"), false},
		{"form of another page", lines(navigation, "Sec-Fetch-Mode: no-cors"), false},
	} {
		for _, p := range protocols {
			t.Run(c.name+"/"+p.name, func(t *testing.T) {
				got := p.send(t, g.addr("web-proxy"),
					call{target: "/app/page?a=1&b=2", host: g.host("web-proxy"), lines: c.lines})
				location := got.header.Get("Location")
				if !c.login {
					if got.status != http.StatusUnauthorized || location != "" {
						t.Errorf("status %d, Location %q", got.status, location)
					}
					return
				}
				if got.status != http.StatusSeeOther {
					t.Fatalf("status %d: %s", got.status, got.body)
				}
				address, sent, _ := strings.Cut(location, "&sent=")
				if _, err := strconv.ParseInt(sent, 10, 64); err != nil {
					t.Errorf("Location: %s", location)
				}
				if next, ok := strings.CutPrefix(address, want); !ok ||
					unescape(t, next) != g.url("web-proxy")+"/app/page?a=1&b=2" {
					t.Errorf("Location: %s", location)
				}
				if strings.Contains(location+got.body, "evil") {
					t.Errorf("Location %q, body %q", location, got.body)
				}
			})
		}
	}
	if seen := g.proxy.take(); len(seen) > 0 {
		t.Errorf("the application saw %q", seen[0].raw)
	}
}

// TestHostIsNoReturnTarget: where to come back to is taken from the list, never from the Host
// field.
func TestHostIsNoReturnTarget(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+`
http://:{{port "any"}} {
	log
	jwt_auth web
	reverse_proxy {{.Proxy}}
}
`)
	for _, host := range []string{
		"evil.example", "evil.example:80", "localhost.evil.example", g.host("any") + ".evil.example",
	} {
		got := sendHTTP1(t, g.addr("any"),
			call{target: "//evil.example/x", host: host, lines: lines(navigation, "Sec-Fetch-Mode: navigate")})
		if location := got.header.Get("Location"); strings.Contains(unescape(t, location), host) {
			t.Errorf("Host %s: Location: %s", host, location)
		}
		if got.status == http.StatusOK {
			t.Errorf("Host %s: status 200", host)
		}
	}
}

// TestErrorRoutesSeeNothing: a refused request that an error route sends to an application carries
// neither the credential nor a forged identity.
func TestErrorRoutesSeeNothing(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+twoSites("errors", `log
	jwt_auth api {`+forwardThree+`}
	handle_errors {
		reverse_proxy {{.Proxy}}
	}`))
	expired := people(g.tokens)["expired"]
	for _, p := range protocols {
		for _, c := range []struct {
			name       string
			credential []string
		}{
			{"bad bearer", []string{"Authorization: Bearer " + expired}},
			{"cookie", []string{"Cookie: a=1; access_token=" + expired}},
			{"nothing", nil},
		} {
			t.Run(c.name+"/"+p.name, func(t *testing.T) {
				got := p.send(t, g.addr("errors-proxy"),
					call{host: g.host("errors-proxy"), lines: lines(c.credential, forgery, spellings)})
				seen := g.proxy.take()
				if got.status != http.StatusOK || len(seen) != 1 {
					t.Errorf("status %d, the error route saw %d requests", got.status, len(seen))
				}
				for _, s := range seen {
					if strings.Contains(s.raw, expired) || len(s.identity()) > 0 {
						t.Errorf("the error route saw %q", s.raw)
					}
				}
			})
		}
	}
}

// TestErrorsBeforeTheGate: a request can fail before it meets a gate, and an error route that sends it
// to an application is covered as well.
func TestErrorsBeforeTheGate(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+`
http://:{{port "early"}} {
	log
	basic_auth /secret* {
		alice {{hash "alice"}}
	}
	jwt_auth api {`+forwardThree+`}
	reverse_proxy {{.Proxy}}
	handle_errors {
		reverse_proxy {{.Proxy}}
	}
}
`)
	for _, tc := range []struct {
		name string
		c    call
	}{
		{
			"refused by another handler",
			call{target: "/secret", host: g.host("early"), lines: lines(forgery, spellings)},
		},
		{"refused by the server", call{host: ".", lines: lines(forgery, spellings)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := sendHTTP1(t, g.addr("early"), tc.c)
			if seen := g.proxy.take(); len(seen) != 1 || len(seen[0].identity()) > 0 {
				t.Errorf("status %d; the application saw %+v", got.status, seen)
			}
		})
	}
}

// TestPlaceholderInProxyHeader: an operator may build headers of placeholders, and a subject is
// data there too.
func TestPlaceholderInProxyHeader(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+`
{{url "up"}} {
	log
	jwt_auth api
	reverse_proxy {{.Proxy}} {
		header_up X-User-Name {http.auth.user.id}
		header_up X-User-Text "{http.auth.user.role}!"
	}
}
`)
	for _, c := range []struct {
		sub  string
		want []string
	}{
		{"alice", []string{"X-User-Name: alice", "X-User-Text: !"}}, {"alice\r\nX-User-Role: root", nil},
		{"{env.TEST_KEYS}", []string{"X-User-Name: {env.TEST_KEYS}", "X-User-Text: !"}},
	} {
		t.Run(c.sub, func(t *testing.T) {
			got := g.get(t, "up", "/", g.tokens.mint("es1", c.sub, nil), "X-User-Name: eve", "X-User-Text: eve")
			seen := g.proxy.take()
			switch {
			case c.want != nil && (len(seen) != 1 || !slices.Equal(seen[0].identity(), c.want)):
				t.Errorf("%q: status %d, the application saw %q", c.sub, got.status, seen)
			case c.want == nil && len(seen) == 1 && len(seen[0].values("x-user-role")) > 0:
				t.Errorf("%q: the application saw %q", c.sub, seen[0].raw)
			}
		})
	}
}

// TestAccessLogNamesTheUser: access logs say who asked, as they do with basic_auth.
func TestAccessLogNamesTheUser(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+twoSites("api", "log\n\tjwt_auth api"))
	if got := g.get(t, "api-proxy", "/named", g.tokens.mint("es1", "alice", nil)); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	eventually(t, clientPatience, func() string {
		for line := range strings.Lines(g.log()) {
			if strings.Contains(line, `"uri":"/named"`) && strings.Contains(line, `"user_id":"alice"`) {
				return ""
			}
		}
		return "no access log line names alice"
	})
}

// TestPlaceholders: what was verified is there for other directives, and what is absent is empty,
// not literal.
func TestPlaceholders(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+`
{{url "say"}} {
	log
	jwt_auth api {
		mode optional
	}
	respond "{http.auth.user.id}|{http.auth.user.role}|{http.auth.user.realm_access.roles}|`+
		`{http.auth.user.email}|{http.auth.user.nothing}"
}
`)
	token := g.tokens.mint("es1", "alice",
		map[string]any{"role": "{env.TEST_KEYS}", "realm_access": map[string]any{"roles": []string{"a", "b"}}})
	if got := g.get(t, "say", "/", token); got.body != "alice|{env.TEST_KEYS}|a,b||" {
		t.Errorf("with a token: %q", got.body)
	}
	if got := g.get(t, "say", "/", "", forgery...); got.body != "||||" {
		t.Errorf("without: %q", got.body)
	}
}

// TestPlaceholdersAreTheGates: another handler that signs people in, before the gate or behind it,
// does not say who the user is.
func TestPlaceholdersAreTheGates(t *testing.T) {
	g := newGateway(t)
	const basic = "basic_auth {\n\t\tbob {{hash \"bob\"}}\n\t}\n"
	const say = `"{http.auth.user.id}|{http.auth.user.role}|{http.auth.user.nothing}"`
	gate := func(mode string) string {
		return "jwt_auth api {\n\t\tmode " + mode + "\n\t\tfrom header X-Api-Token\n\t}\n"
	}
	g.load(standardAuth, authSite+`
{{url "before"}} {
	`+basic+gate("optional")+`
	respond `+say+`
}
{{url "behind"}} {
	route {
		`+gate("optional")+basic+`
		respond `+say+`
	}
}
{{url "between"}} {
	route {
		`+gate("optional")+basic+gate("required")+`
		respond `+say+`
	}
}
{{url "matched"}} {
	@named path_regexp where ^/(.*)$
	handle @named {
		`+basic+gate("optional")+`
		respond "{re.where.1}|{http.auth.user.id}"
	}
}
{{url "refused"}} {
	`+basic+gate("required")+`
	respond `+say+`
	handle_errors {
		respond `+say+`
	}
}
`)
	token := "X-Api-Token: " + g.tokens.mint("es1", "alice", map[string]any{"role": "admin"})
	bob := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("bob:"+bobPassword))
	for _, c := range []struct {
		site  string
		lines []string
		want  string
	}{
		{"before", lines(bob), "||"},
		{"before", lines(bob, token), "alice|admin|"},
		{"behind", lines(bob), "||"},
		{"behind", lines(bob, token), "alice|admin|"},
		{"between", lines(bob, token), "alice|admin|"},
		{"matched", lines(bob, token), "x|alice"},
		{"refused", lines(bob), "||"},
		{"refused", lines(bob, token), "alice|admin|"},
	} {
		t.Run(fmt.Sprintf("%s/%d", c.site, len(c.lines)), func(t *testing.T) {
			if got := g.get(t, c.site, "/x", "", c.lines...); got.body != c.want {
				t.Errorf("status %d: %q, want %q", got.status, got.body, c.want)
			}
		})
	}
}

// TestClientIPIsCaddys: guessing passwords is counted by the address that Caddy trusts, not by what
// a header claims.
func TestClientIPIsCaddys(t *testing.T) {
	guess := func(t *testing.T, g *gateway, n int) []int {
		var statuses []int
		for i := range n {
			a := g.tryLogin(t, "alice", "wrong guess", fmt.Sprintf("X-Forwarded-For: 198.51.100.%d", i+1),
				fmt.Sprintf("X-Real-IP: 198.51.100.%d", i+1),
				fmt.Sprintf("Forwarded: for=198.51.100.%d", i+1))
			statuses = append(statuses, a.status)
		}
		return statuses
	}
	t.Run("nobody is trusted", func(t *testing.T) {
		g := newGateway(t)
		g.load(standardAuth, authSite)
		if got := guess(t, g, 7); !slices.Equal(got, []int{401, 401, 401, 401, 401, 429, 429}) {
			t.Errorf("statuses %v", got)
		}
		g.checkAudit(t, "127.0.0.1")
	})
	t.Run("a trusted proxy names the client", func(t *testing.T) {
		g := newGateway(t)
		g.load(standardAuth+
			"\n\tservers {{addr \"auth\"}} {\n\t\tprotocols h1 h2c\n"+
			"\t\ttrusted_proxies static 127.0.0.1/32\n\t}\n", authSite)
		if got := guess(t, g, 7); slices.Contains(got, 429) {
			t.Errorf("statuses %v", got)
		}
		g.checkAudit(t, "198.51.100.7")
	})
}

// checkAudit looks for one audit line per guess, the last of them with this client.
func (g *gateway) checkAudit(t *testing.T, client string) {
	t.Helper()
	var last string
	n := 0
	for line := range strings.Lines(g.log()) {
		if strings.Contains(line, `"logger":"auth"`) && strings.Contains(line, `"kind":`) {
			last = line
			n++
		}
	}
	if n != 7 || !strings.Contains(last, `"client_ip":"`+client+`"`) || !strings.Contains(last, `"level":"info"`) {
		t.Errorf("%d audit lines, the last: %s", n, last)
	}
}

// TestSpoofedLogin: what a client says about hosts and schemes changes neither the session cookie
// nor the issuer, nor where the login leads.
func TestSpoofedLogin(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, authSite+twoSites("web", "log\n\tjwt_auth web"))
	next := g.url("web-proxy") + "/x"
	_, plain := g.formLogin(t, "alice", alicePassword, next)
	cookie, spoofed := g.formLogin(t, "alice", alicePassword, next, "X-Forwarded-Proto: https",
		"X-Forwarded-Host: evil.example",
		"X-Forwarded-Port: 443", "X-Forwarded-Prefix: /evil", "Forwarded: host=evil.example;proto=https",
		"X-Original-URL: /evil", "X-Rewrite-URL: /evil")
	if cookie == "" {
		t.Fatalf("status %d: %s", spoofed.status, spoofed.body)
	}
	if got, want := attributes(spoofed), attributes(plain); got != want || !strings.Contains(got, "HttpOnly") ||
		strings.Contains(got, "Domain") {
		t.Errorf("Set-Cookie %q, want %q", got, want)
	}
	if to := spoofed.header.Get("Location"); to != next {
		t.Errorf("Location: %s", to)
	}
	for _, token := range []string{
		cookie, g.login(t, "alice", alicePassword, "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"),
	} {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil || !strings.Contains(string(payload), `"iss":"`+g.url("auth")+`"`) {
			t.Errorf("claims %s (%v)", payload, err)
		}
	}
}

// attributes are what Set-Cookie says besides the value, which is different each time.
func attributes(a answer) string {
	_, rest, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	return rest
}

// TestUpstreamCannotSetOurCookie: an application behind the gate does not sign people in.
func TestUpstreamCannotSetOurCookie(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth,
		authSite+twoSites("web", "log\n\tjwt_auth web api")+twoSites("matcher", "log\n\tjwt_auth /private* web"))
	// Browsers trim a name (RFC 6265, section 5.2), and send a cookie without one as its bare
	// value.
	g.proxy.answerWith("Set-Cookie: access_token=fixed; Path=/", "Set-Cookie: theirs=1",
		"Set-Cookie: access_token =fixed; Path=/",
		"Set-Cookie: =access_token=fixed; Path=/", "Set-Cookie: access_token")
	for _, c := range []struct{ site, target string }{{"web-proxy", "/"}, {"matcher-proxy", "/public"}} {
		t.Run(c.site, func(t *testing.T) {
			got := g.get(t, c.site, c.target, g.tokens.mint("es1", "alice", nil))
			if cookies := got.header.Values("Set-Cookie"); !slices.Equal(cookies, []string{"theirs=1"}) {
				t.Errorf("%s: status %d, Set-Cookie: %q", c.site, got.status, cookies)
			}
		})
	}
}
