package integration

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// pageSites has a gate of every kind that a browser may meet.
const pageSites = authSite + `
{{url "app"}} {
	log
	jwt_auth /admin* web api {
		require role admin
	}
	jwt_auth /programs* api
	jwt_auth /off* web {
		login off
	}
	jwt_auth /partner* web {
		issuer {{url "auth"}} http://localhost:{{port "nobody"}}
	}
	jwt_auth web api
	reverse_proxy {{.Proxy}}
}
`

func (g *gateway) pageGlobals() string {
	return strings.Replace(standardAuth, "return_to {{origins}}",
		"return_to {{url \"app\"}}\n\thome {{url \"app\"}}/home\n\ttrust http://localhost:{{port \"nobody\"}} {\n"+
			"\t\tjwks http://localhost:{{port \"nobody\"}}/jwks\n\t\tintrospection http://localhost:{{port "+
			"\"nobody\"}}/introspect gateway 0123456789abcdef0123456789abcdef\n\t}", 1)
}

// operatorWords are for operators, not for visitors.
var operatorWords = regexp.MustCompile(`(?i)auth_server|jwt_auth|caddyfile|operator|configur|issuer|audience|\bgate\b`)

var browserLines = []string{navigation, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}

// TestRefusalsLeadOn: every refusal that a person sees is a page with a next step, in words for
// whoever visits.
func TestRefusalsLeadOn(t *testing.T) {
	g := newGateway(t)
	g.load(g.pageGlobals(), pageSites)
	bob, _ := g.formLogin(t, "bob", bobPassword, "")
	alice, _ := g.formLogin(t, "alice", alicePassword, "")
	app, auth := g.url("app"), g.url("auth")
	asBob := "Cookie: access_token=" + bob
	next := func(address string) string { return "next=" + url.QueryEscape(address) }
	for _, c := range []struct {
		name   string
		call   call
		status int
		has    []string
		hasNot []string
	}{
		{"not for this account", call{target: "/admin?x=1", lines: append(browserLines, asBob)}, 403,
			[]string{
				"<strong>bob</strong>", "Use another account", auth + "/login?switch=1&amp;" + next(app+"/admin?x=1"),
				auth + "/logout?" + next(app+"/admin?x=1"), app + "/home",
			},
			nil},
		{
			"a form of another site",
			call{
				method: "POST",
				target: "/save",
				lines:  append(browserLines, asBob, "Sec-Fetch-Site: cross-site"),
				body:   "a=1",
			},
			403,
			[]string{"another site", `href="/"`}, []string{"bob"},
		},
		{
			"a form after the session ended",
			call{
				method: "POST",
				target: "/save",
				lines:  append(browserLines, "Sec-Fetch-Site: same-origin", "Referer: "+app+"/form?id=7"),
				body:   "a=1",
			},
			401,
			[]string{"send it again", auth + "/login?" + next(app+"/form?id=7")}, nil,
		},
		{
			"a form of an old browser",
			call{method: "POST", target: "/save", lines: []string{navigation}, body: "a=1"}, 401,
			[]string{"send it again", auth + "/login?" + next(app+"/")}, []string{next(app + "/save")},
		},
		{
			"a form whose page is elsewhere",
			call{
				method: "POST",
				target: "/save",
				lines:  append(browserLines, "Referer: https://evil.example/form"),
				body:   "a=1",
			},
			401,
			[]string{auth + "/login?" + next(app+"/")}, []string{"evil"},
		},
		{
			"a frame",
			call{
				target: "/part",
				lines: []string{
					navigation, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Referer: " + app + "/around",
				},
			},
			401,
			[]string{"This part of the page", `target="_top"`, auth + "/login?" + next(app+"/around")}, nil,
		},
		{
			"a gate for programs", call{target: "/programs", lines: browserLines}, 401,
			[]string{`href="/programs"`, "Try again"}, []string{"/login"},
		},
		{
			"no login page", call{target: "/off?a=1&b=2", lines: browserLines}, 401,
			[]string{`href="/off?a=1&amp;b=2"`}, []string{"/login"},
		},
		{
			"a bad bearer token", call{target: "/x", lines: append(browserLines, "Authorization: Bearer x.y.z")}, 401,
			[]string{auth + "/login?" + next(app+"/x")}, nil,
		},
		{
			"an unclear address", call{target: "/a/../b", lines: append(browserLines, asBob)}, 400,
			[]string{"more than one way", app + "/home"}, nil,
		},
		{
			"two sign-ins", call{target: "/x", lines: append(browserLines, asBob, "Authorization: Bearer "+alice)},
			400, []string{"more than one sign-in", auth + "/logout?"}, nil,
		},
		{
			"keys that cannot be had",
			call{target: "/partner", lines: append(browserLines, "Authorization: Bearer opaque-of-the-partner")}, 503,
			[]string{"Try again", `href="/partner"`}, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := g.ask(t, "app", c.call)
			if got.status != c.status || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
				t.Fatalf("status %d, %s: %s", got.status, got.header.Get("Content-Type"), got.body)
			}
			g.checkPage(t, got)
			for _, want := range c.has {
				if !strings.Contains(got.body, want) {
					t.Errorf("no %s in\n%s", want, mainOf(got.body))
				}
			}
			for _, bad := range c.hasNot {
				if strings.Contains(mainOf(got.body), bad) {
					t.Errorf("%s in\n%s", bad, mainOf(got.body))
				}
			}
			framed := strings.Contains(got.header.Get("Content-Security-Policy"), "frame-ancestors 'self'") &&
				got.header.Get("X-Frame-Options") == "SAMEORIGIN"
			if framed != (c.name == "a frame") {
				t.Errorf("in a frame: %v", got.header)
			}
			if seen := g.proxy.take(); len(seen) > 0 {
				t.Errorf("the application saw %q", seen[0].raw)
			}
		})
	}
}

// checkPage holds a page to what all have: a heading, a way on, its policy, no word for operators,
// no credential.
func (g *gateway) checkPage(t *testing.T, got answer) {
	t.Helper()
	main := mainOf(got.body)
	if strings.Count(main, "<h1>") != 1 || !strings.Contains(main, "<a ") && !strings.Contains(main, "<button") {
		t.Errorf("no heading or no way on:\n%s", main)
	}
	if word := operatorWords.FindString(main); word != "" {
		t.Errorf("the visitor reads %q:\n%s", word, main)
	}
	if !strings.Contains(got.header.Get("Content-Security-Policy"), "script-src 'nonce-") ||
		got.header.Get("Cache-Control") != "no-store" || tokenLike.MatchString(got.body) {
		t.Errorf("%v\n%s", got.header, main)
	}
}

var scripts = regexp.MustCompile(`(?s)<script.*?</script>|<svg.*?</svg>`)

// mainOf is what a person sees of a page.
func mainOf(page string) string {
	_, main, _ := strings.Cut(page, "<main>")
	return scripts.ReplaceAllString(main, "")
}

// TestProgramsGetNoPages: what no person looks at stays JSON.
func TestProgramsGetNoPages(t *testing.T) {
	g := newGateway(t)
	g.load(g.pageGlobals(), pageSites)
	for _, c := range []struct {
		name string
		call call
	}{
		{"fetch", call{method: "POST", target: "/x", lines: []string{"Accept: text/html", "Sec-Fetch-Mode: cors"}}},
		{
			"fetch, GET",
			call{target: "/x", lines: []string{"Accept: */*", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}},
		},
		{
			"XMLHttpRequest",
			call{method: "POST", target: "/x", lines: []string{navigation, "X-Requested-With: XMLHttpRequest"}},
		},
		{"program", call{method: "POST", target: "/x", lines: []string{"Accept: application/json"}}},
		{"curl", call{target: "/x", lines: []string{"Accept: */*"}}},
		{
			"image",
			call{
				target: "/x",
				lines:  []string{"Accept: image/png,*/*", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := g.ask(t, "app", c.call)
			if got.status != http.StatusUnauthorized || got.header.Get("Content-Type") != "application/json" ||
				got.reason(t) != "no_credential" {
				t.Errorf("status %d, %s: %s", got.status, got.header.Get("Content-Type"), got.body)
			}
		})
	}
}

// TestStartPage: the root of the server says who is signed in and where to go, unless an
// application answers there.
func TestStartPage(t *testing.T) {
	for _, c := range []struct {
		name, globals, sites string
		site, root, home     string // the page, and where it leads
		application          bool
	}{
		{
			"own host",
			"auth {\n\tissuer {{url \"auth\"}}\n\treturn_to {{url \"app\"}}\n\thome {{url \"app\"}}/home" + onePerson +
				"\n}",
			pageSitesOf("handle_errors {\n\t\trespond x\n\t}"), "auth", "/", `{{url "app"}}/home`, false,
		},
		{
			"beneath a path", "auth {\n\tissuer {{url \"app\"}}/auth" + onePerson + "\n}",
			"{{url \"app\"}} {\n\thandle /auth/* {\n\t\tauth_server\n\t}\n\thandle {\n\t\tjwt_auth web\n" +
				"\t\treverse_proxy {{.Proxy}}\n\t}\n}\n",
			"app", "/auth/", `{{url "app"}}/`, false,
		},
		{
			"beneath a path, without a slash", "auth {\n\tissuer {{url \"app\"}}/auth" + onePerson + "\n}",
			"{{url \"app\"}} {\n\tauth_server\n\tjwt_auth web\n\treverse_proxy {{.Proxy}}\n}\n", "app", "/auth",
			`{{url "app"}}/`, false,
		},
		{
			"an application shares the site", "auth {\n\tissuer {{url \"app\"}}" + onePerson + "\n}",
			"{{url \"app\"}} {\n\tauth_server\n\treverse_proxy {{.Proxy}}\n}\n", "app", "/", "", true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			g.load(c.globals, c.sites)
			got := g.get(t, c.site, c.root, "", browserLines...)
			if seen := g.proxy.take(); (len(seen) == 1) != c.application {
				t.Errorf("the application saw %d requests", len(seen))
			}
			if c.application {
				return
			}
			g.checkPage(t, got)
			for _, want := range []string{
				"You are not signed in", "Sign in", strings.TrimSuffix(c.root, "/") + `/login"`, g.expand(c.home),
			} {
				if got.status != http.StatusOK || !strings.Contains(got.body, want) {
					t.Errorf("status %d, no %s in\n%s", got.status, want, mainOf(got.body))
				}
			}
			b := &wanderer{g: g, cookies: map[string]map[string]string{}}
			b.follow(t, g.url(c.site)+strings.TrimSuffix(c.root, "/")+"/login")
			g.proxy.take()
			in := b.ask(t, http.MethodGet, g.url(c.site)+c.root, "")
			g.checkPage(t, in)
			for _, want := range []string{
				"<strong>alice</strong>", "Sign out", "Use another account", `href="` + g.expand(c.home) + `"`,
			} {
				if in.status != http.StatusOK || !strings.Contains(in.body, want) {
					t.Errorf("signed in: status %d, no %s in\n%s", in.status, want, mainOf(in.body))
				}
			}
		})
	}
}

func pageSitesOf(more string) string {
	return authSite + "{{url \"app\"}} {\n\tlog\n\tjwt_auth web\n\treverse_proxy {{.Proxy}}\n\t" + more + "\n}\n"
}

// TestWhoSignsOutComesBack: after signing out and in again a person is where they were, or home.
func TestWhoSignsOutComesBack(t *testing.T) {
	for _, c := range []struct {
		name, home string
		referer    string // of the page for signing out
		forget     bool   // the cookie of the form
		want       string
	}{
		{"from the application", "", `{{url "app"}}/some/page?a=1`, false, `{{url "app"}}/`},
		{
			"from the application, with a home there", `{{url "app"}}/home`, `{{url "app"}}/some/page`, false,
			`{{url "app"}}/home`,
		},
		{"from nowhere", "", "", false, `{{url "app"}}/`},
		{"from nowhere, and nothing is known", `{{url "app"}}/home`, "", true, `{{url "app"}}/home`},
		{"from another site", `{{url "app"}}/home`, "https://evil.example/x", true, `{{url "app"}}/home`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			globals := "auth {\n\t" + authAtAuth + onePerson
			if c.home != "" {
				globals += "\n\thome " + c.home
			}
			g.load(globals+"\n}", webSiteWith("name app"))
			b := &wanderer{g: g, cookies: map[string]map[string]string{}}
			b.follow(t, g.url("app")+"/some/page?a=1")
			if c.forget {
				delete(b.cookies["localhost"], "login_return")
			}
			lines := append([]string{"Cookie: access_token=" + b.cookies["localhost"]["access_token"]}, browserLines...)
			if c.referer != "" {
				lines = append(lines, "Referer: "+g.expand(c.referer))
			}
			asks := g.get(t, "auth", "/logout", "", lines...)
			if asks.status != http.StatusOK || strings.Contains(asks.body, "evil") {
				t.Fatalf("status %d: %s", asks.status, asks.body)
			}
			form := url.Values{}
			for _, field := range hiddenField.FindAllStringSubmatch(asks.body, -1) {
				form.Set(field[1], field[2])
			}
			out := b.ask(t, http.MethodPost, g.url("auth")+"/logout", form.Encode()+"&x=1")
			if location := out.header.Get("Location"); out.status != http.StatusSeeOther ||
				strings.Contains(location, "some") {
				t.Fatalf("status %d to %s", out.status, location)
			}
			b.forms = 0
			g.proxy.take()
			b.follow(t, b.resolve(t, g.url("auth")+"/logout", out.header.Get("Location")))
			if last := b.visited[len(b.visited)-1]; last != "GET "+g.expand(c.want) || len(g.proxy.take()) != 1 {
				t.Errorf("back at %s, want %s:\n%s", last, g.expand(c.want), strings.Join(b.visited, "\n"))
			}
		})
	}
}

// TestSigningOutBehindAStripEndsTheSession: a strip in front of the routes hides the session from
// applications, not from its owner.
func TestSigningOutBehindAStripEndsTheSession(t *testing.T) {
	g := newGateway(t)
	g.load("auth {\n\tissuer {{url \"app\"}}/auth"+onePerson+"\n}",
		"{{url \"app\"}} {\n\tjwt_auth /admin* web\n\thandle /auth/* {\n\t\tauth_server\n\t}\n\thandle {\n"+
			"\t\tjwt_auth web\n\t\treverse_proxy {{.Proxy}}\n\t}\n}\n")
	b := &wanderer{g: g, cookies: map[string]map[string]string{}}
	b.follow(t, g.url("app")+"/page")
	stolen := "Cookie: access_token=" + b.cookies["localhost"]["access_token"]
	if got := g.get(t, "app", "/page", "", stolen); got.status != http.StatusOK {
		t.Fatalf("status %d", got.status)
	}
	b.ask(t, http.MethodPost, g.url("app")+"/auth/logout", "x=1")
	if got := g.get(t, "app", "/page", "", stolen); got.status != http.StatusUnauthorized ||
		got.reason(t) != "revoked" {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

// TestAnotherAccount: whoever is signed in can sign in as somebody else without signing out.
func TestAnotherAccount(t *testing.T) {
	g := newGateway(t)
	g.load(g.pageGlobals(), pageSites)
	bob, _ := g.formLogin(t, "bob", bobPassword, "")
	b := &wanderer{g: g, cookies: map[string]map[string]string{"localhost": {"access_token": bob}}}
	refused := b.follow(t, g.url("app")+"/admin")
	link := regexp.MustCompile(`href="([^"]*switch=1[^"]*)"`).FindStringSubmatch(refused.body)
	if refused.status != http.StatusForbidden || link == nil {
		t.Fatalf("status %d: %s", refused.status, refused.body)
	}
	got := b.follow(t, strings.ReplaceAll(link[1], "&amp;", "&"))
	if got.status != http.StatusOK || b.visited[len(b.visited)-1] != "GET "+g.url("app")+"/admin" ||
		len(g.proxy.take()) != 1 {
		t.Errorf("status %d: %s\n%s", got.status, mainOf(got.body), strings.Join(b.visited, "\n"))
	}
}
