package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// circleSites are an application that guards nothing itself and sends everybody to sign in who does not
// bring what it asks for, and one with a gate.
var circleSites = strings.Replace(hostsSites, "https://b.one.localhost:{{port \"https\"}} {\n\timport application\n",
	"https://b.one.localhost:{{port \"https\"}} {\n\tlog\n\ttls internal\n\tjwt_auth /private* web\n"+
		"\tredir /app* /.auth/login?next={uri} 303\n\trespond /private* \"hello\"\n", 1)

// setCookie puts a cookie into the jar of a browser; without a value it is removed.
func (v *surfer) setCookie(g *gateway, host, name, value string) {
	v.t.Helper()
	u, err := url.Parse(g.at(host, "/"))
	if err != nil {
		v.t.Fatal(err)
	}
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true}
	if value == "" {
		c.MaxAge = -1
	}
	v.jar.SetCookies(u, []*http.Cookie{c})
}

// TestLinksToSignInNeverLoop: who follows the link to sign in with a session that is over signs in, with
// one that counts goes on, and one whom the application sends back every time reads why after two rounds.
func TestLinksToSignInNeverLoop(t *testing.T) {
	g := newHosts(t, circleSites)
	const host = "b.one.localhost"
	link := g.at(host, "/.auth/login?next=%2Fprivate")
	for _, c := range []struct {
		name   string
		change func(t *testing.T, v *surfer)
		signs  bool // the person is sent to sign in
	}{
		{"a living session", func(*testing.T, *surfer) {}, false},
		{"no access token", func(_ *testing.T, v *surfer) { v.setCookie(g, host, "__Host-access_token", "") }, false},
		{"a spoilt access token",
			func(_ *testing.T, v *surfer) { v.setCookie(g, host, "__Host-access_token", "spoilt") }, false},
		{"a session that was ended", func(t *testing.T, _ *surfer) {
			g.operate(t, "session", "revoke", "--user", "alice")
		}, true},
		{"a refresh token of nobody", func(_ *testing.T, v *surfer) {
			v.setCookie(g, host, "__Host-access_token", "")
			v.setCookie(g, host, "__Host-refresh_token", "rt_x.y.0.z")
		}, true},
		{"a session of another host", func(_ *testing.T, v *surfer) {
			for _, name := range []string{"__Host-access_token", "__Host-refresh_token"} {
				v.setCookie(g, host, name, v.cookieAt(g, "a.one.localhost", name).Value)
			}
		}, true},
		{"no session", func(_ *testing.T, v *surfer) {
			v.setCookie(g, host, "__Host-access_token", "")
			v.setCookie(g, host, "__Host-refresh_token", "")
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := signedInAtServer(t, g, "alice", alicePassword)
			for _, at := range []string{"a.one.localhost", host} {
				if page, _ := v.follow(v.open(g.at(at, "/private"))); page.status != http.StatusOK {
					t.Fatalf("%s: status %d: %s", at, page.status, page.body)
				}
			}
			c.change(t, v)
			to := v.open(link).location()
			if signs := strings.HasPrefix(to, g.at("auth.localhost", "/authorize?")); signs != c.signs ||
				!signs && to != g.at(host, "/private") {
				t.Errorf("sent to %q", to)
			}
		})
	}
	t.Run("an application that is never content", func(t *testing.T) {
		v := signedInAtServer(t, g, "alice", alicePassword)
		for _, c := range []struct {
			uri    string
			rounds int
		}{{"/app?x=1", 4}, {"/app?x=2", 3}} { // the first one signs in; tabs do not count for each other
			page, way := v.follow(v.open(g.at(host, c.uri)))
			if page.status != http.StatusUnauthorized || !strings.Contains(page.body, "<code>round_trips</code>") ||
				!strings.Contains(page.body, "Sign out") {
				t.Errorf("%s: at %s: status %d: %s", c.uri, page.at, page.status, page.body)
			}
			if rounds := strings.Count(strings.Join(way, "\n"), "/.auth/login?"); rounds != c.rounds {
				t.Errorf("%s: %d rounds: %s", c.uri, rounds, strings.Join(way, "\n"))
			}
		}
		if log := g.log(); !strings.Contains(log, "a page of the application sends") ||
			strings.Contains(log, "the gate there does not") {
			t.Error("the log does not say that it is the application")
		}
	})
	t.Run("a gate that is never content", func(t *testing.T) {
		v := signedInAtServer(t, g, "alice", alicePassword)
		for round := range 3 {
			page, _ := v.follow(v.open(g.at("a.one.localhost", "/")))
			if round < 2 && page.status != http.StatusOK || round == 2 && (page.status != http.StatusUnauthorized ||
				!strings.Contains(page.body, "<code>round_trips</code>")) {
				t.Errorf("round %d: at %s: status %d: %s", round, page.at, page.status, page.body)
			}
			v.setCookie(g, "a.one.localhost", "__Host-access_token", "")
			v.setCookie(g, "a.one.localhost", "__Host-refresh_token", "")
		}
		if page, _ := v.follow(v.open(g.at("a.one.localhost", "/"))); page.status != http.StatusOK {
			t.Errorf("trying again: status %d", page.status)
		}
		if !strings.Contains(g.log(), "the gate there does not") {
			t.Error("the log does not say that it is the gate")
		}
	})
}

// TestNothingIsSaidToHaveEnded: where there is no sign-in to end, the answer does not say that one was
// ended, and leads to where there may be one.
func TestNothingIsSaidToHaveEnded(t *testing.T) {
	g := newHosts(t, hostsSites)
	post := func(v *surfer, host, path string, header http.Header) seen {
		header["Origin"] = []string{g.at(host, "")}
		return v.send(http.MethodPost, g.at(host, path), "x=1", header)
	}
	for _, c := range []struct {
		name   string
		change func(v *surfer)
	}{
		{"without cookies", func(v *surfer) {
			v.setCookie(g, "a.one.localhost", "__Host-access_token", "")
			v.setCookie(g, "a.one.localhost", "__Host-refresh_token", "")
		}},
		{"with cookies of nobody", func(v *surfer) {
			v.setCookie(g, "a.one.localhost", "__Host-access_token", "x")
			v.setCookie(g, "a.one.localhost", "__Host-refresh_token", "rt_x.y.0.z")
		}},
		{"with cookies of a session that was ended", func(v *surfer) {
			post(v, "b.one.localhost", "/.auth/logout", http.Header{})
			page, _ := v.signIn(v.open(g.at("auth.localhost", "/login")), "alice", alicePassword)
			if page.status != http.StatusOK {
				t.Fatalf("status %d: %s", page.status, page.body)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := everywhere(t, g, "alice", alicePassword)
			c.change(v)
			got := post(v, "a.one.localhost", "/.auth/logout", http.Header{})
			if strings.Contains(got.body, "You are signed out") || got.status != http.StatusUnauthorized ||
				!strings.Contains(got.body, "<code>not_signed_in</code>") ||
				!strings.Contains(got.body, `href="`+g.at("auth.localhost", "/logout")+`"`) {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			program := post(v, "a.one.localhost", "/.auth/logout", http.Header{"Accept": {"application/json"}})
			if program.status != http.StatusUnauthorized || !strings.Contains(program.body, `"not_signed_in"`) {
				t.Errorf("a program: status %d: %s", program.status, program.body)
			}
			if still := v.open(g.at("auth.localhost", "/login")); still.isLogin() {
				t.Error("the sign-in at the server has ended")
			}
		})
	}
	t.Run("at the server", func(t *testing.T) {
		got := post(newSurfer(t), "auth.localhost", "/logout", http.Header{})
		if got.location() != g.at("auth.localhost", "/login") || got.status != http.StatusSeeOther {
			t.Errorf("status %d to %s", got.status, got.location())
		}
	})
	if n := strings.Count(g.log(), `"result":"not_signed_in"`); n != 5 && n != 6 { // five in a second
		t.Errorf("%d lines in the log", n)
	}
}

// signInFixations are cookies of sign-ins that are under way, in forms that browsers take for them.
var signInFixations = []string{
	"__Host-sign_in_mlkzpx8aabcdef=fixed; Path=/; Secure", "__HOST-Sign_In_mlkzpx8aabcdef=fixed; Path=/; Secure",
	"=__Host-sign_in_x=fixed; Path=/; Secure", "sign_in_mlkzpx8aabcdef=fixed", "__Host-sign_ins=fixed; Path=/; Secure",
	"sign_ins=fixed", " sign_ins =fixed", "__Host-sign_in_=fixed; Path=/; Secure",
}

// TestApplicationsCannotSetSignInCookies: neither an application's answer nor its trailers set a cookie
// of a sign-in that is under way, and the gate's own arrive, besides those that it clears.
func TestApplicationsCannotSetSignInCookies(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Set-Cookie"] = append([]string{"theirs=1", "sign_in_count=3", "sign_in=4"}, signInFixations...)
		h.Set("Trailer", "Set-Cookie")
		_, _ = io.WriteString(w, "hello")
		h["Set-Cookie"] = signInFixations
		h[http.TrailerPrefix+"Set-Cookie"] = signInFixations
	}))
	t.Cleanup(app.Close)
	g := newGateway(t)
	g.extra["App"] = app.Listener.Addr().String()
	g.loadTLS(hostsAuth, strings.ReplaceAll(hostsSites, "{{.Proxy}}", "{{.App}}"))
	v := signedInAtServer(t, g, "alice", alicePassword)
	page, _ := v.follow(v.open(g.at("a.one.localhost", "/")))
	if got := strings.Join(page.header["Set-Cookie"], "\n"); page.status != http.StatusOK ||
		got != "theirs=1\nsign_in_count=3\nsign_in=4" {
		t.Errorf("status %d, the browser gets:\n%s", page.status, got)
	}
	// Of a session that is over the cookies are cleared in the answer that begins a sign-in.
	v.setCookie(g, "a.one.localhost", "__Host-access_token", "")
	v.setCookie(g, "a.one.localhost", "__Host-refresh_token", "rt_x.y.0.z")
	began := strings.Join(v.open(g.at("a.one.localhost", "/")).header["Set-Cookie"], "\n")
	for _, want := range []string{"__Host-sign_in_", "__Host-access_token=;", "__Host-refresh_token=;"} {
		if strings.Count(began, want) != 1 {
			t.Errorf("no %s in:\n%s", want, began)
		}
	}
}

// TestSessionsThatNoBrowserWouldKeep: a code that would buy a session whose cookie is too large buys
// nothing, and the person is told.
func TestSessionsThatNoBrowserWouldKeep(t *testing.T) {
	// What the settings name is counted with the claims; this host has only a site.
	long := strings.Repeat(strings.Repeat("a", 60)+".", 3) + "localhost"
	site := "https://" + long + ":{{port \"https\"}} {\n\timport application\n}\n"
	auth := func(size int) string {
		return strings.Replace(hostsAuth, "claim role admin", "claim role "+strings.Repeat("r", size), 1)
	}
	g := newGateway(t)
	refused := g.tryLoad(strings.ReplaceAll(auth(3500), "https", "http"),
		strings.ReplaceAll(strings.ReplaceAll(hostsSites+site, "tls internal", ""), "https", "http"))
	over := regexp.MustCompile(`make them (\d+) bytes shorter`).FindStringSubmatch(fmt.Sprint(refused))
	if over == nil {
		t.Fatalf("a load with 3500 bytes: %v", refused)
	}
	shorter, err := strconv.Atoi(over[1])
	if err != nil {
		t.Fatal(err)
	}
	g.loadTLS(auth(3500-shorter-40), hostsSites+site)
	v := signedInAtServer(t, g, "alice", alicePassword)
	if page, _ := v.follow(v.open(g.at("a.one.localhost", "/"))); page.status != http.StatusOK {
		t.Fatalf("a short host: status %d: %s", page.status, page.body)
	}
	sessions := func() int {
		out, stderr, err := command("", "session", "list", "--user", "alice", "--address", g.addr("admin"))
		if err != nil {
			t.Fatalf("%v: %s%s", err, out, stderr)
		}
		return strings.Count(out, "alice")
	}
	before := sessions()
	page, _ := v.follow(v.open(g.at(long, "/")))
	if page.status != http.StatusInternalServerError || !strings.Contains(page.body, "<code>token_too_large</code>") ||
		strings.Contains(strings.Join(page.header["Set-Cookie"], "\n"), "_token") {
		t.Errorf("at %s: status %d: %s", page.at, page.status, page.body)
	}
	if after := sessions(); before != 2 || after != before {
		t.Errorf("%d sessions, and %d before", after, before)
	}
}

// TestJunkAtTheCallbackDoesNotFillTheLog: anybody can send it, so it is sampled like requests without a
// credential.
func TestJunkAtTheCallbackDoesNotFillTheLog(t *testing.T) {
	g := newHosts(t, hostsSites)
	v := newSurfer(t)
	begun := time.Now()
	for range 100 {
		v.open(g.at("a.one.localhost", "/.auth/callback?state=junk&code=junk"))
	}
	seconds := int(time.Since(begun)/time.Second) + 1
	if n := strings.Count(g.log(), `"web sign in"`); n == 0 || n > 5*(seconds+1) {
		t.Errorf("%d lines in %d seconds", n, seconds)
	}
}
