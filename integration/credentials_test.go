package integration

import (
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

// loadFiltered is load with the log filter of docs/operations.md, for tests whose credentials stand
// where Caddy's own log lines show them.
func (g *gateway) loadFiltered(globals, sites string) {
	g.t.Helper()
	text := strings.Replace(g.caddyfile(globals, sites), "format json", documentedFilter(g.t), 1)
	if err := loadText(text); err != nil {
		g.t.Fatalf("loading: %v", err)
	}
	g.settle()
}

// documentedFilter is the filter as it stands in the documentation, for the parameter of
// credentialSites.
func documentedFilter(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "<!-- log-filter -->")
	_, block, found := strings.Cut(block, "log default {\n")
	filter, _, closed := strings.Cut(block, "\n\t}\n}\n")
	if !found || !closed {
		t.Fatal("docs/operations.md has no filter for the log")
	}
	return strings.ReplaceAll(filter, "delete access_token", "delete t")
}

// everything a request carried to the application, as text.
func (s sighting) everything() string {
	all := s.raw
	for name, value := range s.params {
		all += "\n" + name + "=" + value
	}
	return all
}

// credentialSites: the first names places for credentials; the others stand before other
// applications of the same configuration.
var credentialSites = []struct{ name, text string }{
	{"names", `jwt_auth api {
		from cookie legacy_token
		from header X-Api-Token
		from insecure_query t` + forwardThree + `}`},
	{"api", `jwt_auth api {` + forwardThree + `}`},
	{"off", `jwt_auth off`},
	{"optional", `jwt_auth api {
		mode optional` + forwardThree + `}`},
	{"cookie", `jwt_auth web {
		mode optional
		from cookie` + forwardThree + `}`},
	{"matched", `jwt_auth /private* api {` + forwardThree + `}`},
}

func credentialConfig() string {
	text := authSite
	for _, site := range credentialSites {
		text += twoSites(site.name, site.text)
	}
	return text
}

// TestCredentialsOfOneGateReachNoApplication: what one gate takes for a credential is removed at
// all of them, and by the strips.
func TestCredentialsOfOneGateReachNoApplication(t *testing.T) {
	g := newGateway(t)
	g.loadFiltered(standardAuth, credentialConfig())
	tokens := people(g.tokens)
	for _, c := range []struct {
		name, target string
		lines        []string
	}{
		{name: "cookie", lines: lines("Cookie: a=1; legacy_token=<alice>; b=2")},
		{name: "cookie, second line", lines: lines("Cookie: a=1", "Cookie: legacy_token=<alice>")},
		{name: "cookie twice", lines: lines("Cookie: legacy_token=<alice>; legacy_token=<alice-rs>")},
		{name: "header", lines: lines("X-Api-Token: <alice>")},
		{name: "header twice", lines: lines("x-api-token: <alice>", "X-API-TOKEN: <alice-rs>")},
		{name: "header in other spellings", lines: lines(
			"X!Api!Token: <alice>", "X~API~token: <alice>", "x'api|token: <alice>", "X_Api_Token: <alice>",
			"X.Api.Token: <alice>")},
		{name: "query", target: "/open?a=1&t=<alice>&b=2"},
		{name: "query twice", target: "/open?t=<alice>&a=1&t=<alice-rs>"},
		{name: "query in Referer", lines: lines("Referer: http://localhost/open?a=1&t=<alice>")},
		{name: "query only within a parameter", target: "/open?next=%2Fx%3Ft%3D<alice>"},
		{
			name:   "query only within a parameter, twice escaped",
			target: "/open?next=%252Fx%253Fa%253D1%2526t%253D<alice>%2526b",
		},
		{
			name:  "query only within Referer",
			lines: lines("Referer: http://localhost/open?next=%2Fx%3Fa%3D1%26%74%3d<alice>%23f"),
		},
		{
			name:  "query only within an unescaped parameter of Referer",
			lines: lines("Referer: http://localhost/o%3Ft%3D<alice>"),
		},
		{name: "session cookie", lines: lines("Cookie: a=1; refresh_token=<web>")},
	} {
		for _, site := range credentialSites[1:] {
			for _, app := range []string{"proxy", "php"} {
				t.Run(c.name+"/"+site.name+"-"+app, func(t *testing.T) {
					request := call{host: g.host(site.name + "-" + app), target: c.target, lines: c.lines}
					if request.target == "" {
						request.target = "/open"
					}
					if site.name == "api" {
						request.lines = lines(c.lines, asBob)
					}
					g.checkNoToken(t, site.name+"-"+app, request, tokens)
				})
			}
		}
	}
}

// checkNoToken sends a request that must pass, and whose tokens the application must not see. It
// returns what the application saw.
func (g *gateway) checkNoToken(t *testing.T, site string, request call, tokens map[string]string) sighting {
	t.Helper()
	request.lines = fillTokens(t, request.lines, tokens)
	request.target = fillTokens(t, []string{request.target}, tokens)[0]
	got := sendHTTP1(t, g.addr(site), request)
	seen := slices.Concat(g.proxy.take(), g.php.take())
	if got.status != http.StatusOK || len(seen) != 1 {
		t.Fatalf("status %d: %s; the application saw %d requests", got.status, got.body, len(seen))
	}
	all := seen[0].everything()
	for name, token := range tokens {
		if strings.Contains(all, token) {
			t.Errorf("the application saw the token %s: %s", name, all)
		}
	}
	return seen[0]
}

// TestBearersOfOurs: where a gate does not read the Authorization header, and at strips, our own
// tokens are removed and those of the application stay.
func TestBearersOfOurs(t *testing.T) {
	g := newGateway(t)
	f := newForeignIssuer(t)
	g.loadFiltered(withTrust(f.trust("/good")), credentialConfig())
	tokens := map[string]string{
		"alice":   people(g.tokens)["alice"],
		"foreign": f.mint(g.tokens, "/good", "f-rs"),
		"api":     "caat_" + strings.Repeat("A1b2", 11),
		"refresh": "rt_" + strings.Repeat("A1b2", 20),
		"opaque":  "at_" + strings.Repeat("A1b2", 11)[:43],
		"secret":  "cacs_" + strings.Repeat("A1b2", 11),

		"registration": "cart_" + strings.Repeat("A1b2", 11),
	}
	g.secret("tokens", tokens["api"], tokens["refresh"], tokens["opaque"], tokens["secret"], tokens["registration"])
	own := []struct{ name, value string }{
		{"text", "app_" + strings.Repeat("x9", 10)},
		// Whatever its key, no gate accepts it.
		{"jwt", g.tokens.mint("es1", "dave", map[string]any{"iss": "https://app.example"})},
	}
	for _, site := range []string{"off", "cookie", "matched"} {
		for _, app := range []string{"proxy", "php"} {
			send := func(t *testing.T, line string, all map[string]string) sighting {
				line = fillTokens(t, lines(line), all)[0]
				if before, pair, found := strings.Cut(line, "["); found {
					line = before + base64.StdEncoding.EncodeToString([]byte(strings.TrimSuffix(pair, "]")))
				}
				request := call{host: g.host(site + "-" + app), target: "/open", lines: lines(line)}
				return g.checkNoToken(t, site+"-"+app, request, tokens)
			}
			for name := range tokens {
				for _, form := range authorizationForms {
					t.Run(site+"-"+app+"/ours/"+name+"/"+form, func(t *testing.T) {
						s := send(t, "Authorization: "+fmt.Sprintf(form, name), tokens)
						if len(s.values("authorization")) > 0 {
							t.Errorf("the application saw %q", s.headers)
						}
					})
				}
			}
			for _, c := range own {
				t.Run(site+"-"+app+"/the application's/"+c.name, func(t *testing.T) {
					s := send(t, "Authorization: Bearer "+c.value, nil)
					if !slices.Equal(s.values("authorization"), []string{"Bearer " + c.value}) {
						t.Errorf("the application saw %q", s.headers)
					}
				})
			}
		}
	}
}

// authorizationForms are headers with a token in them.
var authorizationForms = []string{
	"Bearer <%s>", "bearer  <%s>", "<%s>", "Token <%s>", "Bearer x, Bearer <%s>", `Digest token="<%s>"`, "Bearer:<%s>",
	"token:<%s>", "Bearer ><%s>>", "(<%s>)", "AWS4 Credential=<%s>/x", "Bearer-<%s>", "a.<%s>", "x/<%s>.",
	"Basic [<%s>]", "Basic\t[a:<%s>]", "Basic [a:b:<%s>]", "Basic [a:Bearer <%s>]", "bearer x, basic [<%s>:]",
}

// queryTargets spell the parameter `t`.
var queryTargets = []string{
	"/x?t=<alice>", "/x?a=1&t=<alice>&b=2", "/x?%74=<alice>", "/x?t=<alice>&", "/x?&&t=<alice>", "/x?a=1;t=<alice>",
	"/x?t=<alice>;a=1", "/x?t=<alice>&t=<bob>",
	"/x?%zz=1&t=<alice>", "/x?t=<alice>%zz", "/x?a=%3Ft%3D1&t=<alice>#t=1",
}

// TestQueryCredentialVanishes: the application, an error route, a login page and Location never see
// it, admitted or refused, however the parameter is spelled.
func TestQueryCredentialVanishes(t *testing.T) {
	g := newGateway(t)
	const seen = "{http.request.orig_uri}|{http.request.orig_uri.query}|{http.request.uri}" +
		"|{http.request.orig_uri.prefixed_query}"
	g.loadFiltered(standardAuth, strings.Replace(authSite, "\tlog\n", "", 1)+ // its own log would show `next`
		twoSites("query", `jwt_auth api {
		mode optional
		from insecure_query t`+forwardThree+`}`)+
		twoSites("rewritten", `rewrite * /index.php?orig=1&{query}
	jwt_auth api {
		mode optional
		from insecure_query t
	}`)+
		twoSites("errors", `jwt_auth api {
		from insecure_query t
		require role nobody
	}
	handle_errors {
		vars orig "`+seen+`"
		request_header X-Seen {vars.orig}
		APP
	}`)+
		twoSites("shown", `jwt_auth api {
		mode optional
		from insecure_query t
	}
	request_header X-Seen "`+seen+`|{query.t}"
	APP`)+`
{{url "login"}} {
	jwt_auth web {
		from insecure_query t
		require role nobody
	}
	reverse_proxy {{.Proxy}}
}
`)
	tokens := people(g.tokens)
	for _, target := range queryTargets {
		t.Run(target, func(t *testing.T) {
			target := fillTokens(t, []string{target}, tokens)[0]
			for _, site := range []string{"query", "rewritten", "errors", "shown"} {
				for _, app := range []string{"proxy", "php"} {
					request := call{host: g.host(site + "-" + app), target: target}
					if site == "query" || site == "shown" { // of the others, Caddy itself logs all headers
						request.lines = carriers(target)
					}
					got := sendHTTP1(t, g.addr(site+"-"+app), request)
					for _, s := range slices.Concat(g.proxy.take(), g.php.take()) {
						if strings.Contains(s.everything(), tokens["alice"]) {
							t.Errorf("%s-%s: the application saw the token: %s", site, app, s.everything())
						}
						if strings.Contains(target, "a=1") && !strings.Contains(s.everything(), "a=1") {
							t.Errorf("%s-%s: the rest of the query is gone: %s", site, app, s.everything())
						}
					}
					checkNoTokenIn(t, site, got, tokens)
				}
			}
			browser := lines(navigation, "Sec-Fetch-Mode: navigate")
			got := sendHTTP1(t, g.addr("login"), call{host: g.host("login"), target: target, lines: browser})
			checkNoTokenIn(t, "login", got, tokens)
		})
	}
	t.Run("a return target that holds it", func(t *testing.T) { g.checkCleanTarget(t, tokens) })
}

// TestQueryCredentialVanishesFromNestedURLs: a URL in a parameter of another repeats the credential
// without a parameter of its name. The token is one of another issuer, which nothing recognises.
func TestQueryCredentialVanishesFromNestedURLs(t *testing.T) {
	g, i := newGateway(t), newIntrospector(t)
	reads := "jwt_auth api {\n\tissuer " + i.URL + "\n\tmode optional\n\tfrom insecure_query t\n}\n"
	const whole = "rewrite * /index.php?orig={uri}&{query}\n"
	places := []struct{ name, text string }{
		{"gate", reads + "APP"},
		{"off", "jwt_auth off\nAPP"},
		{"rewritten", whole + reads + "APP"},
		{"rewritten-off", whole + "jwt_auth off\nAPP"},
		{"rewritten-alone", "rewrite * /index.php?orig={uri}\n" + reads + "APP"},
		{"rewritten-later", whole + "jwt_auth off\n" + reads + "APP"},
		{"errors", whole + strings.Replace(reads, "mode optional", "require role nobody", 1) + "APP"},
	}
	sites := authSite
	for _, place := range places {
		sites += twoSites(place.name, "route {\n"+place.text+"\n}\nhandle_errors {\nAPP\n}\n")
	}
	trust := "\ttrust " + i.URL + " {\n\t\tintrospection " + i.URL +
		"/introspect gateway gateway-secret\n\t\taudiences api\n\t}\n"
	g.loadFiltered(withTrust(trust), sites)
	const raw = "opaque-of-erin"
	for _, target := range []string{
		"/x?t=<>", "/x?a=1&t=<>&b=2", "/x?next=/y?t=<>", "/x?next=/y?t=<>&t=<>", "/x?next=%2Fy%3Ft%3D<>&t=<>",
		"/x?next=%2fy%3ft%3d<>%26b&t=<>", "/x?t=<>&next=%252Fy%253Ft%253D<>", "/x?next=%2Fy%3F%74%3D<>&%74=<>",
	} {
		for _, place := range places {
			for _, app := range []string{"proxy", "php"} {
				t.Run(place.name+"-"+app+target, func(t *testing.T) {
					target, site := strings.ReplaceAll(target, "<>", raw), place.name+"-"+app
					request := call{host: g.host(site), target: target, lines: lines(
						"Referer: http://localhost/b?next=/x?t="+raw, "X-Keep: list=1, 127.0.0.1")}
					if strings.Contains(target, "&t=") || strings.Contains(target, "?t=") {
						request.lines = lines(request.lines, "X-Next: ?next=%2Fx%3Ft%3D"+raw)
					}
					got := sendHTTP1(t, g.addr(site), request)
					seen := slices.Concat(g.proxy.take(), g.php.take())
					if len(seen) != 1 {
						t.Fatalf("status %d: %s; the application saw %d requests", got.status, got.body, len(seen))
					}
					if all := seen[0].everything(); strings.Contains(all, raw) ||
						!strings.Contains(all, "list=1, 127.0.0.1") {
						t.Errorf("the application saw %s", all)
					}
				})
			}
		}
	}
}

// checkCleanTarget signs in with a return target that somebody has made with a token in it.
func (g *gateway) checkCleanTarget(t *testing.T, tokens map[string]string) {
	next := url.QueryEscape(g.url("login") + "/x?a=1&t=" + tokens["alice"] + "&b=2#f")
	got := sendHTTP1(t, g.addr("auth"), call{
		host: g.host("auth"), target: "/login?next=" + next, lines: lines(navigation),
	})
	checkNoTokenIn(t, "login page", got, tokens)
	want := html.EscapeString(g.url("login") + "/x?a=1&b=2#f")
	if got.status != http.StatusOK || !strings.Contains(got.body, want) {
		t.Errorf("status %d, the page does not hold %s: %s", got.status, want, got.body)
	}
	got = sendHTTP1(t, g.addr("auth"), call{
		method: "POST", host: g.host("auth"), target: "/login",
		lines: lines("Content-Type: application/x-www-form-urlencoded"),
		body:  "username=alice&password=" + alicePassword + "&next=" + next,
	})
	want = g.url("login") + "/x?a=1&b=2#f"
	if got.status != http.StatusSeeOther || got.header.Get("Location") != want {
		t.Errorf("status %d, Location %q, want %q", got.status, got.header.Get("Location"), want)
	}
	g.checkCleanNestedTarget(t, tokens)
}

// checkCleanNestedTarget signs in with a return target that holds the token only within the URL of
// another parameter, escaped once and twice.
func (g *gateway) checkCleanNestedTarget(t *testing.T, tokens map[string]string) {
	for _, inner := range []string{
		"https://other.example/y?t=" + tokens["alice"] + "&c=3",
		url.QueryEscape("https://other.example/y?t=" + tokens["alice"] + "&c=3"),
	} {
		next := url.QueryEscape(g.url("login") + "/x?a=1&back=" + url.QueryEscape(inner) + "&b=2")
		got := sendHTTP1(t, g.addr("auth"), call{
			host: g.host("auth"), target: "/login?next=" + next, lines: lines(navigation),
		})
		if got.status != http.StatusOK {
			t.Errorf("the login page has status %d", got.status)
		}
		got.body = unescapeAll(got.body)
		checkNoTokenIn(t, "login page", got, tokens)
		got = sendHTTP1(t, g.addr("auth"), call{
			method: "POST", host: g.host("auth"), target: "/login",
			lines: lines("Content-Type: application/x-www-form-urlencoded"),
			body:  "username=alice&password=" + alicePassword + "&next=" + next,
		})
		location := got.header.Get("Location")
		if got.status != http.StatusSeeOther || strings.Contains(unescapeAll(location), tokens["alice"]) ||
			!strings.Contains(location, "&b=2") {
			t.Errorf("status %d, Location %q", got.status, location)
		}
	}
}

// unescapeAll unescapes a text three times.
func unescapeAll(text string) string {
	for range 3 {
		if unescaped, err := url.QueryUnescape(text); err == nil {
			text = unescaped
		}
	}
	return text
}

// carriers are headers by which clients and proxies repeat a URL.
func carriers(target string) []string {
	var all []string
	for _, name := range []string{
		"Referer", "X-Original-URL", "X-Original-URI", "X-Rewrite-URL", "X-Forwarded-Uri", "HX-Current-URL",
		"X-Anything",
	} {
		all = append(all, name+": http://localhost"+target)
	}
	return all
}

func checkNoTokenIn(t *testing.T, where string, got answer, tokens map[string]string) {
	t.Helper()
	for _, text := range []string{got.body, fmt.Sprint(got.header)} {
		if unescaped, _ := url.QueryUnescape(text); strings.Contains(text+" "+unescaped, tokens["alice"]) {
			t.Errorf("%s: the answer holds the token: %s", where, text)
		}
	}
}

// TestStackedGatesWithTwoTokens: one request has one identity, also where each gate looks in a
// place of its own.
func TestStackedGatesWithTwoTokens(t *testing.T) {
	g := newGateway(t)
	const (
		first    = "jwt_auth api {\n\tforward sub X-User-Id\n}\n"
		second   = "jwt_auth api {\n\tfrom header X-Api-Token\n\tforward role X-User-Role\n}\n"
		optional = "jwt_auth api {\n\tmode optional\n\t"
	)
	sites := authSite
	for _, site := range []struct{ name, gates, behind string }{
		{"both", first + second, ""},
		{"optional-last", first + strings.Replace(second, "from", "mode optional\n\tfrom", 1), ""},
		{"optional-first", optional + "forward sub X-User-Id\n}\n" + second, ""},
		{"between", first + optional + "from cookie legacy_token\n}\njwt_auth off\n" + second, ""},
		{"errors", first + second, "handle_errors {\nAPP\n}\n"},
	} {
		sites += twoSites(site.name, "route {\n"+site.gates+"APP\n}\n"+site.behind)
	}
	g.loadFiltered(standardAuth, sites)
	tokens := people(g.tokens)
	header := "X-Api-Token: <bob>"
	two, twice := call{lines: lines(asAlice, header)}, call{lines: lines(asBob, header)}
	for _, c := range []gateCase{
		{name: "two tokens", site: "both", call: two, reason: "multiple_credentials"},
		{name: "one token twice", site: "both", call: twice, user: "bob", identity: bobIdentity},
		{name: "only one", site: "both", call: call{lines: lines(asAlice)}, reason: "no_credential"},
		{name: "two tokens", site: "optional-last", call: two, reason: "multiple_credentials"},
		{name: "one token twice", site: "optional-last", call: twice, user: "bob", identity: bobIdentity},
		{name: "only the first", site: "optional-last", call: call{lines: lines(asAlice)}, user: "alice",
			identity: []string{"X-User-Id: alice"}},
		{name: "two tokens", site: "optional-first", call: two, reason: "multiple_credentials"},
		{name: "only the second", site: "optional-first", call: call{lines: lines(header)}, user: "bob",
			identity: []string{"X-User-Role: viewer"}},
		{name: "two tokens", site: "between", call: two, reason: "multiple_credentials"},
		{name: "two tokens, the cookie's second", site: "between", reason: "multiple_credentials",
			call: call{lines: lines(asAlice, "Cookie: legacy_token=<bob>")}},
		{name: "one token", site: "between", user: "bob", identity: bobIdentity,
			call: call{lines: lines(asBob, header, "Cookie: legacy_token=<bob>")}},
	} {
		t.Run(c.site+"/"+c.name, func(t *testing.T) {
			for _, app := range []string{"proxy", "php"} {
				g.runCase(t, c, protocols[0], app, tokens)
			}
		})
	}
	t.Run("errors/the first gate's identity is withdrawn", func(t *testing.T) {
		for _, app := range []string{"proxy", "php"} {
			request := call{host: g.host("errors-" + app), lines: fillTokens(t, two.lines, tokens)}
			sendHTTP1(t, g.addr("errors-"+app), request)
			seen := slices.Concat(g.proxy.take(), g.php.take())
			if len(seen) != 1 {
				t.Fatalf("the error route saw %d requests", len(seen))
			}
			if len(seen[0].identity()) > 0 || seen[0].params["REMOTE_USER"] != "" {
				t.Errorf("the error route saw %s", seen[0].everything())
			}
		}
	})
}

// TestFailingApplicationsLeakNoCredential: Caddy logs a request whose handler failed as it came.
// With the documented filter no line holds a credential, and stop looks through all of them.
func TestFailingApplicationsLeakNoCredential(t *testing.T) {
	g := newGateway(t)
	g.extra["Dead"] = fmt.Sprintf("127.0.0.1:%d", g.port("dead"))
	sites := authSite
	for _, site := range credentialSites {
		sites += strings.ReplaceAll(twoSites(site.name, "log\n\t"+site.text+"\n\tAPP"), ".Proxy}}", ".Dead}}")
	}
	g.loadFiltered(standardAuth, strings.ReplaceAll(sites, ".PHP}}", ".Dead}}"))
	tokens := people(g.tokens)
	for _, site := range credentialSites {
		for _, app := range []string{"proxy", "php"} {
			all := lines("Cookie: legacy_token=<alice>", "X-Api-Token: <alice>",
				"Referer: http://localhost/?t=<alice>", asAlice)
			request := call{host: g.host(site.name + "-" + app), lines: fillTokens(t, all, tokens)}
			request.target = "/open?a=1&t=" + tokens["alice"]
			if got := sendHTTP1(t, g.addr(site.name+"-"+app), request); got.status != http.StatusBadGateway {
				t.Errorf("%s-%s: status %d", site.name, app, got.status)
			}
		}
	}
	if log := g.log(); !strings.Contains(log, "http.log.error") || !strings.Contains(log, "http.log.access") {
		t.Error("Caddy logged no error, or no request")
	}
}

// TestServerSecretsReachNoApplicationBesideAuthServer: what programs send to the server's own
// routes does not pass on to an application on the same site, and a gate behind auth_server still
// says what is wrong with it.
func TestServerSecretsReachNoApplicationBesideAuthServer(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, `
{{url "auth"}} {
	log
	auth_server
	jwt_auth /private* api
	reverse_proxy {{.Proxy}}
}
{{url "open"}} {
	log
	auth_server
	reverse_proxy {{.Proxy}}
}
`)
	api, refresh := "caat_"+strings.Repeat("A1b2", 11), "rt_"+strings.Repeat("A1b2", 20)
	secret := "cacs_" + strings.Repeat("A1b2", 11)
	registration := "cart_" + strings.Repeat("A1b2", 11)
	g.secret("tokens", api, refresh, secret, registration)
	basic := base64.StdEncoding.EncodeToString([]byte("client:" + secret))
	tokens := map[string]string{"api": api, "refresh": refresh, "secret": secret, "basic": basic,
		"registration": registration}
	for _, line := range []string{
		"Authorization: Bearer " + api, "authorization: bearer  " + api, "Authorization: " + api,
		"Authorization: Token " + api, "Authorization: Bearer " + refresh,
		"Authorization: Basic " + basic, "Authorization: basic " + strings.TrimRight(basic, "="),
		"Authorization: Basic\t" + basic, "Authorization: Bearer:" + api, "Authorization: (" + api + ")",
		"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("a:b:"+secret)),
		"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("a:Bearer "+api)),
		"Authorization: Bearer " + registration,
	} {
		t.Run(line, func(t *testing.T) {
			for _, site := range []string{"auth", "open"} {
				s := g.checkNoToken(t, site, call{host: g.host(site), target: "/apiary", lines: lines(line)}, tokens)
				if len(s.values("authorization")) > 0 {
					t.Errorf("%s: the application saw %q", site, s.headers)
				}
			}
		})
	}
	for _, line := range []string{
		"Authorization: Bearer app_" + strings.Repeat("x9", 10),
		"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("a:b")),
	} {
		t.Run(line, func(t *testing.T) {
			s := g.checkNoToken(t, "open", call{host: g.host("open"), target: "/apiary", lines: lines(line)}, tokens)
			if want := strings.TrimPrefix(line, "Authorization: "); !slices.Equal(s.values("authorization"),
				[]string{want}) {
				t.Errorf("the application saw %q", s.headers)
			}
		})
	}
	got := g.get(t, "auth", "/private", api)
	if got.status != http.StatusUnauthorized || got.reason(t) != "malformed" {
		t.Errorf("status %d, reason %s", got.status, got.reason(t))
	}
	bob := people(g.tokens)["bob"]
	got = g.get(t, "auth", "/private", bob)
	if got.status != http.StatusOK {
		t.Errorf("a good token: status %d, reason %s", got.status, got.reason(t))
	}
}

// TestStripsLeaveCredentialsToLaterGates: what a strip or an earlier gate conceals, the gate that
// reads it still finds, and a gate that only reports in between neither loses nor shows it.
func TestStripsLeaveCredentialsToLaterGates(t *testing.T) {
	g := newGateway(t)
	reads := credentialSites[0].text + "\n"
	reports := "jwt_auth api {\n\t\tmode report_only\n\t\tfrom header X-Api-Token\n\t}\n"
	optional := "jwt_auth api {\n\t\tmode optional\n\t}\n"
	sites := authSite
	for _, site := range []struct{ name, text string }{
		{"strip", "jwt_auth off\n" + reads},
		{"strip-report", "jwt_auth off\n" + reports + reads},
		{"gate", optional + reads},
		{"gate-report", optional + reports + "jwt_auth off\n" + reads},
	} {
		sites += twoSites(site.name, "route {\n"+site.text+"APP\n}")
	}
	sites += twoSites("only-reports", "route {\njwt_auth off\n"+reports+"APP\n}")
	g.loadFiltered(standardAuth, sites)
	tokens := people(g.tokens)
	for _, site := range []string{"strip", "strip-report", "gate", "gate-report"} {
		for _, c := range []gateCase{
			{name: "cookie", call: call{lines: lines("Cookie: a=1; legacy_token=<alice>; b=2")}, user: "alice",
				identity: aliceIdentity, contains: []string{"Cookie: a=1; b=2"}},
			{name: "header", call: call{lines: lines("X-Api-Token: <alice>")}, user: "alice", identity: aliceIdentity},
			{name: "query", call: call{target: "/x?a=1&t=<alice>"}, user: "alice", identity: aliceIdentity},
			{name: "all three", user: "alice", identity: aliceIdentity,
				call: call{
					target: "/x?t=<alice>",
					lines:  lines("X-Api-Token: <alice>", "Cookie: legacy_token=<alice>"),
				}},
			{name: "two", reason: "multiple_credentials",
				call: call{lines: lines("X-Api-Token: <alice>", "Cookie: legacy_token=<bob>")}},
			{name: "cookie twice", reason: "multiple_credentials",
				call: call{lines: lines("Cookie: legacy_token=<alice>; legacy_token=<bob>")}},
			{name: "none", reason: "no_credential"},
		} {
			c.site = site
			t.Run(site+"/"+c.name, func(t *testing.T) {
				for _, app := range []string{"proxy", "php"} {
					g.runCase(t, c, protocols[0], app, tokens)
				}
			})
		}
	}
	t.Run("only-reports", func(t *testing.T) {
		for _, app := range []string{"proxy", "php"} {
			request := call{
				host:   g.host("only-reports-" + app),
				target: "/x?t=<bob>",
				lines:  lines("X-Api-Token: <alice>"),
			}
			g.checkNoToken(t, "only-reports-"+app, request, tokens)
		}
	})
}
