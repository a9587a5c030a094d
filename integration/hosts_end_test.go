package integration

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// applicationHosts are those of hostsSites, apart from the server's.
var applicationHosts = []string{"a.one.localhost", "b.one.localhost", "two.localhost"}

// everywhere is a browser whose person has signed in at the server and has used all applications.
func everywhere(t *testing.T, g *gateway, name, password string) *surfer {
	t.Helper()
	v := signedInAtServer(t, g, name, password)
	for _, host := range applicationHosts {
		if page, _ := v.follow(v.open(g.at(host, "/"))); page.status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", host, page.status, page.body)
		}
	}
	return v
}

// hostStream is an answer that goes on.
type hostStream struct {
	name  string
	ended chan time.Time
}

// listenAt opens a stream of the application at an origin with a browser's cookies. It is an event stream,
// or with `socket` a WebSocket.
func (v *surfer) listenAt(origin string, socket bool) hostStream {
	v.t.Helper()
	uri, header := "/events", http.Header{"Accept": {"text/event-stream"}}
	if socket {
		uri, header = "/ws", http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Origin": {origin},
			"Sec-WebSocket-Version": {"13"}, "Sec-WebSocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
		}
	}
	r, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, origin+uri, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header = header
	client := *v.client
	client.Timeout = 0
	resp, err := client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusSwitchingProtocols {
		v.t.Fatalf("%s%s: status %d", origin, uri, resp.StatusCode)
	}
	in := bufio.NewReader(resp.Body)
	if _, err := in.ReadByte(); err != nil {
		v.t.Fatalf("%s%s: %v", origin, uri, err)
	}
	s := hostStream{origin + uri, make(chan time.Time, 1)}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		s.ended <- time.Now()
	}()
	return s
}

// endsSoon makes sure that a stream ends within a second of a moment.
func (s hostStream) endsSoon(t *testing.T, since time.Time) {
	t.Helper()
	select {
	case at := <-s.ended:
		if took := at.Sub(since); took > time.Second {
			t.Errorf("%s: ended after %v", s.name, took)
		} else {
			t.Logf("%s: ended after %v", s.name, took)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("%s: it goes on", s.name)
	}
}

// isOut makes sure that within a second no host lets a browser in, and that its cookies are cleared.
func (v *surfer) isOut(g *gateway, since time.Time) {
	v.t.Helper()
	v.isRefused(g, since)
	for _, host := range applicationHosts {
		u, _ := url.Parse(g.at(host, "/"))
		for _, cookie := range v.jar.Cookies(u) {
			if strings.HasSuffix(cookie.Name, "_token") {
				v.t.Errorf("%s: %s is still there", host, cookie.Name)
			}
		}
	}
}

// isRefused makes sure that within a second no host lets a browser in.
func (v *surfer) isRefused(g *gateway, since time.Time) {
	v.t.Helper()
	for _, host := range applicationHosts {
		eventually(v.t, 10*time.Second, func() string {
			got := v.open(g.at(host, "/"))
			if got.status == http.StatusOK {
				return host + " lets the browser in"
			}
			if took := time.Since(since); took > 2*time.Second { // a second, and one for a busy machine
				v.t.Errorf("%s: out after %v", host, took)
			}
			login, _ := v.follow(got)
			if !login.isLogin() {
				v.t.Errorf("%s: at %s: status %d: %s", host, login.at, login.status, login.body)
			}
			return ""
		})
	}
}

// asksToSignOut opens the page that asks, which changes nothing.
func (v *surfer) asksToSignOut(g *gateway, host string) {
	v.t.Helper()
	asks := v.open(g.at(host, "/.auth/logout"))
	if asks.status != http.StatusOK || !strings.Contains(asks.body, `action="/.auth/logout"`) ||
		!strings.Contains(asks.body, "alice") {
		v.t.Fatalf("status %d: %s", asks.status, asks.body)
	}
	if still := v.open(g.at(host, "/")); still.status != http.StatusOK {
		v.t.Fatalf("the page that asks has signed out: status %d", still.status)
	}
}

// signOutAtHost confirms the page that asks.
func (v *surfer) signOutAtHost(g *gateway, host string) seen {
	v.t.Helper()
	return v.submit(g.at(host, ""), "/.auth/logout", "x=1")
}

// TestSigningInAgain: a second sign-in in the same browser takes over the sessions that applications have
// by the first. Those of another person end.
func TestSigningInAgain(t *testing.T) {
	g := newHosts(t, hostsSites)
	for _, c := range []struct {
		name, user, password string
		times                int
		atOnce               bool
		again                []string // applications that are used once more before the end
	}{
		{name: "the same person", user: "alice", password: alicePassword, times: 1},
		{name: "several times", user: "alice", password: alicePassword, times: 3, again: applicationHosts},
		{name: "another person", user: "bob", password: bobPassword, times: 1, atOnce: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := everywhere(t, g, "alice", alicePassword)
			elsewhere := everywhere(t, g, "alice", alicePassword)
			for range c.times { // the third takes over what the second did
				since := time.Now()
				page, _ := v.signIn(v.open(g.at("auth.localhost", "/login?switch=1")), c.user, c.password)
				if page.status != http.StatusOK || !strings.Contains(page.body, "You are signed in") {
					t.Fatalf("status %d: %s", page.status, page.body)
				}
				if c.atOnce {
					v.isNot(g, "alice", since)
				} else {
					for _, host := range applicationHosts {
						if got := v.open(g.at(host, "/")); got.status != http.StatusOK {
							t.Errorf("%s asks again: status %d", host, got.status)
						}
					}
				}
			}
			for _, host := range append([]string{"a.one.localhost"}, c.again...) {
				g.proxy.take()
				page, _ := v.follow(v.open(g.at(host, "/")))
				seen := g.proxy.take()
				if page.status != http.StatusOK || len(seen) != 1 ||
					!slices.Equal(seen[0].values("x-user-id"), []string{c.user}) {
					t.Fatalf("%s: status %d: %s; the application saw %+v", host, page.status, page.body, seen)
				}
			}
			since := time.Now()
			got := v.signOutAtHost(g, "a.one.localhost")
			if got.status != http.StatusOK || !strings.Contains(got.body, "You are signed out.") {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			v.isOut(g, since)
			if got := v.open(g.at("auth.localhost", "/login")); !got.isLogin() {
				t.Errorf("at the server: status %d: %s", got.status, got.body)
			}
			if got := elsewhere.open(g.at("two.localhost", "/")); got.status != http.StatusOK {
				t.Errorf("another browser: status %d", got.status)
			}
		})
	}
}

// isNot makes sure that within a second no application takes a browser for a person.
func (v *surfer) isNot(g *gateway, subject string, since time.Time) {
	v.t.Helper()
	for _, host := range applicationHosts {
		eventually(v.t, 10*time.Second, func() string {
			g.proxy.take()
			v.open(g.at(host, "/"))
			for _, seen := range g.proxy.take() {
				if strings.Contains(seen.raw, "X-User-Id: "+subject) {
					return host + " takes the browser for " + subject
				}
			}
			if took := time.Since(since); took > 2*time.Second { // a second, and one for a busy machine
				v.t.Errorf("%s: another after %v", host, took)
			}
			return ""
		})
	}
}

// TestSignOutsAtHostsAreRecorded: the trail names who signed out at an application, also when only the
// refresh token tells it.
func TestSignOutsAtHostsAreRecorded(t *testing.T) {
	for _, c := range []struct {
		name   string
		access bool // the browser brings the access token, too
	}{
		{"both cookies", true},
		{"only the refresh cookie", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newHosts(t, hostsSites)
			v := everywhere(t, g, "alice", alicePassword)
			if !c.access {
				v.setCookie(g, "a.one.localhost", "__Host-access_token", "")
			}
			got := v.signOutAtHost(g, "a.one.localhost")
			if got.status != http.StatusOK {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			trail := sendHTTP1(t, g.addr("admin"),
				call{target: "/auth/api/audit?action=logout&project=default", host: g.addr("admin")})
			if n := strings.Count(trail.body, `"action":"logout"`); n != 1 || !strings.Contains(trail.body, "alice") {
				t.Errorf("%d entries: %s", n, trail.body)
			}
		})
	}
}

// TestSessionsOfPagesAtEachHost: a page finds the state of its session below the path of the gateway, and
// renews it there.
func TestSessionsOfPagesAtEachHost(t *testing.T) {
	g := newHosts(t, strings.ReplaceAll(hostsSites, "jwt_auth web {", "jwt_auth /private* web {"))
	v := signedInAtServer(t, g, "alice", alicePassword)
	page := http.Header{"Accept": {"application/json"}, "Sec-Fetch-Site": {"same-origin"}}
	for _, host := range applicationHosts {
		t.Run(host, func(t *testing.T) {
			state := func() (got struct {
				SignedIn  bool   `json:"signed_in"`
				Subject   string `json:"subject"`
				Renewable bool   `json:"renewable"`
			}) {
				answer := v.send(http.MethodGet, g.at(host, "/.auth/session"), "", page)
				if err := json.Unmarshal([]byte(answer.body), &got); err != nil {
					t.Fatalf("status %d: %s", answer.status, answer.body)
				}
				return got
			}
			if got := state(); got.SignedIn || got.Renewable {
				t.Errorf("before: %+v", got)
			}
			if got, _ := v.follow(v.open(g.at(host, "/private"))); got.status != http.StatusOK {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			if got := state(); !got.SignedIn || got.Subject != "alice" || !got.Renewable {
				t.Errorf("after: %+v", got)
			}
			renewed := v.send(http.MethodPost, g.at(host, "/.auth/session/refresh"), "",
				http.Header{"Accept": {"application/json"}, "Origin": {g.at(host, "")}})
			if renewed.status != http.StatusOK || !strings.Contains(renewed.body, `"subject":"alice"`) {
				t.Errorf("renewing: status %d: %s", renewed.status, renewed.body)
			}
			foreign := v.send(http.MethodPost, g.at(host, "/.auth/session/refresh"), "",
				http.Header{"Origin": {"https://evil.example"}})
			if foreign.status != http.StatusForbidden {
				t.Errorf("for another site: status %d", foreign.status)
			}
			for _, name := range []string{"session.js", "session.mjs"} {
				if got := v.open(g.at(host, "/.auth/"+name)); got.status != http.StatusOK ||
					!strings.Contains(got.header.Get("Content-Type"), "javascript") {
					t.Errorf("%s: status %d: %v", name, got.status, got.header)
				}
			}
		})
	}
}

// TestSignOutsThatAreRefused: another site cannot end a sign-in, and what is not there is answered here
// and not by the application.
func TestSignOutsThatAreRefused(t *testing.T) {
	g := newHosts(t, hostsSites)
	v := everywhere(t, g, "alice", alicePassword)
	g.proxy.take()
	for _, c := range []struct {
		name, method, uri string
		header            http.Header
		status            int
	}{
		{"another site", http.MethodPost, "/.auth/logout", http.Header{"Origin": {"https://evil.example"}}, 403},
		{"a sibling", http.MethodPost, "/.auth/logout", http.Header{"Sec-Fetch-Site": {"same-site"}}, 403},
		{"another method", http.MethodDelete, "/.auth/logout", nil, 405},
		{"a POST to the callback", http.MethodPost, "/.auth/callback", nil, 405},
		{"a HEAD to the callback", http.MethodHead, "/.auth/callback?code=x", nil, 405},
		{"nothing", http.MethodGet, "/.auth/other", nil, 404},
		{"the path itself", http.MethodGet, "/.auth", nil, 404},
		{"the path with a slash", http.MethodGet, "/.auth/", nil, 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := v.send(c.method, g.at("a.one.localhost", c.uri), "", c.header); got.status != c.status {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			if seen := g.proxy.take(); len(seen) > 0 {
				t.Errorf("the application saw %s", seen[0].raw)
			}
		})
	}
	if got := v.open(g.at("b.one.localhost", "/")); got.status != http.StatusOK {
		t.Errorf("the sign-in has ended: status %d", got.status)
	}
	if got := v.open(g.at("a.one.localhost", "/.authors")); got.status != http.StatusOK {
		t.Errorf("an application's own path: status %d", got.status)
	}
	// A program signs out without a page.
	got := v.send(http.MethodPost, g.at("a.one.localhost", "/.auth/logout"), "", http.Header{"Accept": {"*/*"}})
	if got.status != http.StatusNoContent {
		t.Errorf("a program: status %d: %s", got.status, got.body)
	}
	v.isOut(g, time.Now())
}
