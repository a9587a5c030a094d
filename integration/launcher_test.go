package integration

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// launcherSites are gates with different conditions that name applications.
const launcherSites = authSite + `
{{url "wiki"}} {
	log
	jwt_auth web {
		app Wiki {{url "wiki"}} icon https://icons.example:8443/wiki.png
		app Elsewhere https://elsewhere.example/start?x=1&y=2
		app "The desk" {{url "shared"}}/
	}
	reverse_proxy {{.Proxy}}
}
{{url "admin"}} {
	log
	jwt_auth web {
		require role admin
		app Administration {{url "admin"}} icon data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=
	}
	reverse_proxy {{.Proxy}}
}
{{url "team"}} {
	log
	jwt_auth web {
		require role viewer editor
		app Team {{url "team"}}
	}
	reverse_proxy {{.Proxy}}
}
{{url "paths"}} {
	log
	jwt_auth /admin* web {
		require role admin
	}
	jwt_auth web {
		app Handbook {{url "paths"}}/read
		app "Handbook of secrets" {{url "paths"}}/admin/
	}
	rewrite /moved /admin/moved
	reverse_proxy {{.Proxy}}
}
{{url "shared"}} {
	log
	jwt_auth /a* web {
		require role admin
		app Shared {{url "shared"}}
	}
	jwt_auth /b* web {
		require role viewer
		app Shared {{url "shared"}} icon https://icons.example:8443/shared.png
	}
	reverse_proxy {{.Proxy}}
}
{{url "modes"}} {
	log
	jwt_auth /optional* web {
		mode optional
		deny role viewer
		app Optional {{url "modes"}}/optional
	}
	jwt_auth /reports* web {
		mode report_only
		require role nobody
		app "Only reports" {{url "modes"}}/reports
	}
	jwt_auth /again* web {
		require acr pwd
		max_age 1s
		leeway 0s
		app "Asks again" {{url "modes"}}/again
	}
	jwt_auth /never* web {
		require acr mfa
		app "Never here" {{url "modes"}}/never
	}
	jwt_auth /other* web {
		project other
		app "Other project" {{url "modes"}}/other
	}
	jwt_auth /bound* web {
		dpop required
		app Bound {{url "modes"}}/bound
	}
	reverse_proxy {{.Proxy}}
}
`

// hostileSites have names and addresses that must not get out of their place on the page.
const hostileSites = authSite + `
{{url "wiki"}} {
	log
	jwt_auth web {
		app "<img src=x onerror=alert(1)>" {{url "wiki"}}/"onmouseover="alert(1)
		app "'\"></a><script>alert(2)</script>" "{{url "wiki"}}/?a=<script>"
		app "javascript:alert(3)" {{url "wiki"}}/javascript:alert(3) icon "data:image/svg+xml,<svg onload='alert(4)'/>"
	}
	reverse_proxy {{.Proxy}}
}
`

var launched = regexp.MustCompile(`<li( hidden)?><a href="([^"]*)">.*<span class="name" dir="auto">([^<]*)</span>`)

// applications lists what the start page shows.
func (s seen) applications() (names []string) {
	for _, m := range launched.FindAllStringSubmatch(s.body, -1) {
		if m[1] == "" {
			names = append(names, html.UnescapeString(m[3]))
		}
	}
	return names
}

// signedIn is the browser of a person who has signed in at the server, and the page to which that led.
func (g *gateway) signedIn(t *testing.T, name, password string) (*surfer, seen) {
	t.Helper()
	v := newSurfer(t)
	page, _ := v.signIn(v.open(g.url("auth")+"/login"), name, password)
	return v, page
}

// TestStartPageListsApplications: a person sees the applications whose gates would let them pass, which
// is asked of the gates themselves.
func TestStartPageListsApplications(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, launcherSites)
	for _, c := range []struct {
		name, password string
		want           []string
		images         string
	}{
		{
			"alice", alicePassword,
			[]string{
				"Administration", "Asks again", "Elsewhere", "Handbook", "Handbook of secrets", "Only reports",
				"Optional", "Shared", "The desk", "Wiki",
			},
			"; img-src data: https://icons.example:8443; form-action 'self'; ",
		},
		{
			"bob", bobPassword,
			[]string{"Asks again", "Elsewhere", "Handbook", "Only reports", "Shared", "Team", "The desk", "Wiki"},
			"; img-src https://icons.example:8443; form-action 'self'; ",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, page := g.signedIn(t, c.name, c.password)
			if page.at != g.url("auth")+"/" || page.status != http.StatusOK {
				t.Fatalf("the sign-in led to %s: %d", page.at, page.status)
			}
			if got := page.applications(); !slices.Equal(got, c.want) {
				t.Errorf("the page lists %q, want %q", got, c.want)
			}
			if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, c.images) {
				t.Errorf("the policy is %s, want %s", csp, c.images)
			}
			for _, want := range []string{
				`<strong id="subject">` + c.name + `</strong>`, `id="search"`, `id="sign-out"`, `action="/logout"`,
				`href="https://elsewhere.example/start?x=1&amp;y=2"`,
				`<img src="https://icons.example:8443/shared.png" alt=""`,
			} {
				if !strings.Contains(page.body, want) {
					t.Errorf("no %s in %s", want, mainOf(page.body))
				}
			}
		})
	}
	// What the page says is what the gates do.
	bob, _ := g.formLogin(t, "bob", bobPassword, "")
	for _, c := range []struct {
		site   string
		status int
	}{{"wiki", 200}, {"admin", 403}, {"team", 200}} {
		got := g.ask(t, c.site, call{target: "/", lines: append(browserLines, "Cookie: access_token="+bob)})
		if got.status != c.status {
			t.Errorf("%s answers bob %d, want %d", c.site, got.status, c.status)
		}
	}
}

// TestStartPageOfNobody: who is not signed in, or no longer, sees no application, and is led to sign in.
func TestStartPageOfNobody(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, launcherSites)
	start := g.url("auth") + "/"
	nobody := func(page seen) {
		t.Helper()
		if page.status != http.StatusOK || len(page.applications()) > 0 || strings.Contains(page.body, "Wiki") ||
			!strings.Contains(page.body, "You are not signed in") || !strings.Contains(page.body, `href="/login"`) ||
			strings.Contains(page.header.Get("Content-Security-Policy"), "img-src") {
			t.Errorf("%d %v %s", page.status, page.header, page.body)
		}
	}
	nobody(newSurfer(t).open(start))
	v, _ := g.signedIn(t, "alice", alicePassword)
	other := newSurfer(t)
	u, _ := url.Parse(start)
	other.jar.SetCookies(u, v.jar.Cookies(u)) // a copy of the browser
	if got := other.open(start).applications(); len(got) != 10 {
		t.Fatalf("before the end: %q", got)
	}
	v.submit(g.url("auth"), "/logout", "x=1")
	nobody(v.open(start))
	nobody(other.open(start))
}

// TestStartPageRenewsTheSession: the page is for people who come back after a while.
func TestStartPageRenewsTheSession(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, launcherSites)
	v, _ := g.signedIn(t, "bob", bobPassword)
	u, _ := url.Parse(g.url("auth") + "/")
	v.jar.SetCookies(u, []*http.Cookie{{Name: "access_token", Path: "/", MaxAge: -1}})
	page := v.open(u.String())
	if got := page.applications(); !slices.Contains(got, "Team") || len(page.header["Set-Cookie"]) != 2 {
		t.Errorf("it lists %q with the cookies %q", got, page.header["Set-Cookie"])
	}
	again := v.open(u.String())
	if len(again.header["Set-Cookie"]) != 0 || !slices.Contains(again.applications(), "Team") {
		t.Errorf("the second time it lists %q", again.applications())
	}
}

// TestStartPageSearches: the search works without scripts.
func TestStartPageSearches(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, launcherSites)
	v, _ := g.signedIn(t, "alice", alicePassword)
	for _, c := range []struct {
		name, query string
		want        []string
		shown       string // of the search field
	}{
		{"a word", "WIKI", []string{"Wiki"}, "WIKI"},
		{"two words", " secrets  hand ", []string{"Handbook of secrets"}, "secrets  hand"},
		{"the host", "elsewhere.EXAMPLE", []string{"Elsewhere"}, "elsewhere.EXAMPLE"},
		{"nothing", "xyzzy", nil, "xyzzy"},
		{"what others may see", "team", nil, "team"},
		{"empty", "  ", []string{
			"Administration", "Asks again", "Elsewhere", "Handbook", "Handbook of secrets", "Only reports", "Optional",
			"Shared", "The desk", "Wiki",
		}, ""},
		{"hostile", `"><script>alert(1)</script>`, nil, `&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;`},
		{"no UTF-8", "wi\xffki", []string{"Wiki"}, "wiki"},
		{"too long", strings.Repeat("ä", 5000), nil, strings.Repeat("ä", 100)},
	} {
		t.Run(c.name, func(t *testing.T) {
			page := v.open(g.url("auth") + "/?q=" + url.QueryEscape(c.query))
			if got := page.applications(); !slices.Equal(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
			if !strings.Contains(page.body, `type="search" value="`+c.shown+`"`) {
				t.Errorf("the field does not show %s: %s", c.shown, mainOf(page.body))
			}
			if none := strings.Contains(page.body, ">No application matches.<"); none != (len(c.want) == 0) {
				t.Errorf("it says that nothing matches: %v", none)
			}
		})
	}
}

// TestStartPageIsEscaped: names and addresses stay in their place.
func TestStartPageIsEscaped(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, hostileSites)
	_, page := g.signedIn(t, "bob", bobPassword)
	want := []string{`'"></a><script>alert(2)</script>`, "<img src=x onerror=alert(1)>", "javascript:alert(3)"}
	if got := page.applications(); !slices.Equal(got, want) {
		t.Errorf("the page lists %q, want %q", got, want)
	}
	for _, raw := range []string{"<script>alert", "<img src=x", `"onmouseover`, "?a=<", "<svg onload"} {
		if strings.Contains(page.body, raw) {
			t.Errorf("%s stands in %s", raw, mainOf(page.body))
		}
	}
	if n := strings.Count(page.body, "<script"); n != 1 {
		t.Errorf("the page has %d scripts", n)
	}
	if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "; img-src data:; ") {
		t.Error(csp)
	}
}

// TestStartPageFollowsTheConfiguration: a reload changes what is listed; with 200 applications the page
// is still read in one go, and without any it is as before.
func TestStartPageFollowsTheConfiguration(t *testing.T) {
	g := newGateway(t)
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, `{{url "wiki"}}/%d/* {
	jwt_auth web {
		app "Application %03d" {{url "wiki"}}/%d/
	}
	reverse_proxy {{.Proxy}}
}
`, i, i, i)
	}
	g.load(standardAuth, authSite+many.String())
	v, page := g.signedIn(t, "bob", bobPassword)
	if got := page.applications(); len(got) != 200 || got[7] != "Application 007" || len(page.body) > 200_000 {
		t.Errorf("%d applications in %d bytes", len(got), len(page.body))
	}
	g.load(standardAuth, launcherSites)
	if got := v.open(g.url("auth") + "/").applications(); len(got) != 8 || slices.Contains(got, "Application 007") {
		t.Errorf("after the reload: %q", got)
	}
	g.load(standardAuth, strings.Replace(launcherSites, "app Team {{url \"team\"}}", "", 1))
	if got := v.open(g.url("auth") + "/").applications(); len(got) != 7 || slices.Contains(got, "Team") {
		t.Errorf("after the second reload: %q", got)
	}
	g.load(standardAuth, authSite)
	page = v.open(g.url("auth") + "/")
	if !strings.Contains(page.body, "You are signed in") || strings.Contains(page.body, "application") {
		t.Errorf("without applications: %s", mainOf(page.body))
	}
}
