package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// hostsClient is an OpenID client of the people who use the applications of hostsSites.
const hostsClient = `
	client rp {
		redirect_uri https://rp.example/cb
		post_logout_redirect_uri https://rp.example/bye
		secret {{.RPSecret}}
		scope openid
		consent off
	}
}`

// withStreams gives each application of sites answers that go on.
func withStreams(sites string) string {
	return strings.ReplaceAll(sites, "reverse_proxy {{.Proxy}}", "reverse_proxy /ws {{.Streams}}\n"+
		"\treverse_proxy /events {{.Streams}}\n\treverse_proxy {{.Proxy}}")
}

// newSigningOut is a server with applications that have streams, and with an OpenID client.
func newSigningOut(t *testing.T, options string) *gateway {
	t.Helper()
	g := newGateway(t)
	g.extra["Streams"], g.extra["RPSecret"] = newStreamer(t).Listener.Addr().String(), rpSecret
	g.secret("the client's secret", rpSecret)
	g.loadTLS(strings.Replace(strings.TrimSuffix(hostsAuth, "}"), "auth {", "auth {\n\t"+options, 1)+hostsClient,
		withStreams(hostsSites), "format json", documentedFilter(t)) // clients send ID tokens in the address
	return g
}

// idToken is that of the OpenID client, for a person who is signed in at the server.
func (v *surfer) idToken(g *gateway) string {
	v.t.Helper()
	query := url.Values{"client_id": {"rp"}, "redirect_uri": {"https://rp.example/cb"}, "response_type": {"code"},
		"scope": {"openid"}, "code_challenge": {pkceChallenge}, "code_challenge_method": {"S256"}}
	answer := v.open(g.at("auth.localhost", "/authorize?"+query.Encode()))
	to, err := url.Parse(answer.location())
	if err != nil || to.Query().Get("code") == "" {
		v.t.Fatalf("no code: status %d to %s: %s", answer.status, answer.location(), answer.body)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "client_id": {"rp"},
		"client_secret": {rpSecret}, "redirect_uri": {"https://rp.example/cb"}, "code_verifier": {pkceVerifier}}
	got := newSurfer(v.t).send(http.MethodPost, g.at("auth.localhost", "/token"), form.Encode(), nil)
	var tokens tokenAnswer
	if err := json.Unmarshal([]byte(got.body), &tokens); err != nil || tokens.ID == "" {
		v.t.Fatalf("no ID token: status %d: %s", got.status, got.body)
	}
	g.tokens.remember(tokens.ID)
	g.tokens.remember(tokens.Access)
	return tokens.ID
}

// operatorSession is a session as operators see it.
type operatorSession struct {
	ID string `json:"id"`
}

// onlySession is the id of the one session of a kind that a person has.
func (g *gateway) onlySession(t *testing.T, user, kind string) string {
	t.Helper()
	out, stderr, err := command("", "session", "list", "--user", user, "--kind", kind, "--json", "--address",
		g.addr("admin"))
	var list []operatorSession
	if err != nil || json.Unmarshal([]byte(out), &list) != nil || len(list) != 1 {
		t.Fatalf("%v: %s%s", err, out, stderr)
	}
	return list[0].ID
}

// operate runs a command of an operator.
func (g *gateway) operate(t *testing.T, args ...string) {
	t.Helper()
	if out, stderr, err := command("", append(args, "--address", g.addr("admin"))...); err != nil {
		t.Fatalf("%v: %s%s", err, out, stderr)
	}
}

// ending prepares the end of a sign-in, and returns what ends it.
type ending struct {
	name  string
	ready func(t *testing.T, g *gateway, v *surfer) (end func())
}

// atOnce is an ending that needs no preparation.
func atOnce(end func(t *testing.T, g *gateway, v *surfer)) func(*testing.T, *gateway, *surfer) func() {
	return func(t *testing.T, g *gateway, v *surfer) func() { return func() { end(t, g, v) } }
}

var endings = []ending{
	{"at an application", func(t *testing.T, g *gateway, v *surfer) func() {
		v.asksToSignOut(g, "a.one.localhost")
		return func() {
			if got := v.signOutAtHost(g, "a.one.localhost"); got.status != http.StatusOK ||
				!strings.Contains(got.body, "You are signed out.") {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
		}
	}},
	{"at the server", atOnce(func(t *testing.T, g *gateway, v *surfer) {
		got := v.submit(g.at("auth.localhost", ""), "/logout", "x=1")
		if got.status != http.StatusSeeOther {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
	})},
	{"by a client, with the ID token", func(t *testing.T, g *gateway, v *surfer) func() {
		hint := v.idToken(g)
		return func() {
			got := v.open(g.at("auth.localhost", logoutAddress("id_token_hint", hint, "post_logout_redirect_uri",
				"https://rp.example/bye", "state", "s")))
			if got.location() != "https://rp.example/bye?state=s" {
				t.Fatalf("status %d to %s: %s", got.status, got.location(), got.body)
			}
		}
	}},
	{"by a client, confirmed by the person", func(t *testing.T, g *gateway, v *surfer) func() {
		v.idToken(g)
		address := g.at("auth.localhost", logoutAddress("client_id", "rp", "post_logout_redirect_uri",
			"https://rp.example/bye"))
		if asks := v.open(address); asks.status != http.StatusOK || !strings.Contains(asks.body, `id="sign-out"`) {
			t.Fatalf("status %d: %s", asks.status, asks.body)
		}
		return func() {
			form := url.Values{
				"confirmed": {"1"}, "client_id": {"rp"}, "post_logout_redirect_uri": {"https://rp.example/bye"},
			}
			got := v.submit(g.at("auth.localhost", ""), "/logout", form.Encode())
			if got.location() != "https://rp.example/bye" {
				t.Fatalf("status %d to %s: %s", got.status, got.location(), got.body)
			}
		}
	}},
	{"by an operator, all sessions of the person", atOnce(func(t *testing.T, g *gateway, _ *surfer) {
		g.operate(t, "session", "revoke", "--user", "alice")
	})},
	{"by an operator, the session", func(t *testing.T, g *gateway, _ *surfer) func() {
		id := g.onlySession(t, "alice", "browser")
		return func() { g.operate(t, "session", "revoke", id) }
	}},
	{"by the API, the session", func(t *testing.T, g *gateway, _ *surfer) func() {
		id := g.onlySession(t, "alice", "browser")
		return func() {
			got := sendHTTP1(t, g.addr("admin"),
				call{method: http.MethodDelete, target: "/auth/api/sessions/" + id, host: g.addr("admin")})
			if got.status != http.StatusNoContent {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
		}
	}},
	{"by the API, all sessions of the person", atOnce(func(t *testing.T, g *gateway, _ *surfer) {
		got := sendHTTP1(t, g.addr("admin"), call{method: http.MethodPost, target: "/auth/api/sessions/revoke",
			host: g.addr("admin"), lines: []string{"Content-Type: application/json"},
			body: `{"user":"alice","project":"default"}`})
		if got.status != http.StatusOK {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
	})},
}

// TestSigningOutEndsAllHosts: wherever a sign-in ends, it ends at all hosts within a second, with what
// is open there; another person stays.
func TestSigningOutEndsAllHosts(t *testing.T) {
	for _, c := range []struct {
		preset string
		isOut  func(*surfer, *gateway, time.Time)
	}{
		{"standard", (*surfer).isOut},
		{"api_only", (*surfer).isRefused}, // without a refresh token, what is left of a session opens nothing
	} {
		t.Run(c.preset, func(t *testing.T) {
			g := newSigningOut(t, "preset "+c.preset)
			for _, e := range endings {
				t.Run(e.name, func(t *testing.T) { testEnding(t, g, e, c.isOut) })
			}
		})
	}
}

func testEnding(t *testing.T, g *gateway, e ending, isOut func(*surfer, *gateway, time.Time)) {
	v := everywhere(t, g, "alice", alicePassword)
	other := everywhere(t, g, "bob", bobPassword)
	defer g.operate(t, "session", "revoke", "--project", "default")
	var streams []hostStream
	for _, host := range applicationHosts {
		streams = append(streams, v.listenAt(g.at(host, ""), true), v.listenAt(g.at(host, ""), false))
	}
	stays := []hostStream{other.listenAt(g.at("two.localhost", ""), true),
		other.listenAt(g.at("two.localhost", ""), false)}
	end := e.ready(t, g, v)
	since := time.Now()
	end()
	for _, stream := range streams {
		stream.endsSoon(t, since)
	}
	isOut(v, g, since)
	if got := v.open(g.at("auth.localhost", "/login")); !got.isLogin() {
		t.Errorf("at the server: status %d: %s", got.status, got.body)
	}
	if got := other.open(g.at("two.localhost", "/")); got.status != http.StatusOK {
		t.Errorf("another person: status %d", got.status)
	}
	for _, stream := range stays {
		if len(stream.ended) > 0 {
			t.Errorf("another person: %s has ended", stream.name)
		}
	}
	page, _ := v.follow(v.open(g.at("two.localhost", "/again?x=1")))
	page, _ = v.signIn(page, "alice", alicePassword)
	if page.status != http.StatusOK || page.at != g.at("two.localhost", "/again?x=1") {
		t.Errorf("signing in again: at %s: status %d", page.at, page.status)
	}
}

// TestAllSessionsEndWithOne: with revoke_all_on_logout, signing out anywhere ends the person's sign-ins in
// all browsers, with what is open there.
func TestAllSessionsEndWithOne(t *testing.T) {
	for _, c := range []struct {
		name, option string
		all          bool
	}{{"one", "", false}, {"all", "revoke_all_on_logout", true}} {
		t.Run(c.name, func(t *testing.T) {
			g := newSigningOut(t, c.option)
			for _, e := range endings[:4] { // those of the person
				t.Run(e.name, func(t *testing.T) {
					defer g.operate(t, "session", "revoke", "--project", "default")
					here, there := everywhere(t, g, "alice", alicePassword), everywhere(t, g, "alice", alicePassword)
					streams := []hostStream{there.listenAt(g.at("b.one.localhost", ""), true),
						there.listenAt(g.at("two.localhost", ""), false)}
					end := e.ready(t, g, here)
					since := time.Now()
					end()
					here.isOut(g, since)
					if c.all {
						for _, stream := range streams {
							stream.endsSoon(t, since)
						}
						there.isOut(g, since)
						return
					}
					if got := there.open(g.at("b.one.localhost", "/")); got.status != http.StatusOK {
						t.Errorf("another browser: status %d", got.status)
					}
					if len(streams[0].ended)+len(streams[1].ended) > 0 {
						t.Error("another browser: a stream has ended")
					}
				})
			}
		})
	}
}

// TestOneApplicationsSessionIsRevoked: an operator who ends the session at one host ends what is open
// there. The sign-in goes on: the other hosts go on as they were, and the host begins anew without a question.
func TestOneApplicationsSessionIsRevoked(t *testing.T) {
	g := newSigningOut(t, "")
	v := signedInAtServer(t, g, "alice", alicePassword)
	v.follow(v.open(g.at("a.one.localhost", "/")))
	id := g.onlySession(t, "alice", "web")
	v.follow(v.open(g.at("two.localhost", "/")))
	ends := []hostStream{v.listenAt(g.at("a.one.localhost", ""), true),
		v.listenAt(g.at("a.one.localhost", ""), false)}
	stays := []hostStream{v.listenAt(g.at("two.localhost", ""), true),
		v.listenAt(g.at("two.localhost", ""), false)}
	since := time.Now()
	g.operate(t, "session", "revoke", id)
	for _, stream := range ends {
		stream.endsSoon(t, since)
	}
	if page, way := v.follow(v.open(g.at("a.one.localhost", "/x?y=1"))); page.status != http.StatusOK ||
		page.at != g.at("a.one.localhost", "/x?y=1") || len(way) != 3 {
		t.Errorf("the same host: at %s: status %d: %s\n%s", page.at, page.status, page.body, strings.Join(way, "\n"))
	}
	if got := v.open(g.at("two.localhost", "/")); got.status != http.StatusOK {
		t.Errorf("another host: status %d", got.status)
	}
	if ended := len(stays[0].ended) + len(stays[1].ended); ended > 0 {
		t.Errorf("another host: %d streams have ended", ended)
	}
}
