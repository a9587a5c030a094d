package integration

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostsStepUp has pages that ask for a recent sign-in, for a class that passwords have, and for one that
// nothing here has.
var hostsStepUp = strings.Replace(hostsSites, "\tjwt_auth web {\n", `	jwt_auth /fresh web {
		max_age 5s
		leeway 0s
		forward sub X-User-Id
	}
	jwt_auth /class web {
		require acr pwd
	}
	jwt_auth /strong web {
		require acr phr
	}
	jwt_auth web {
`, 1)

// TestStepUpAtAnotherHost: a page that asks for a recent sign-in asks for the password once, and comes to
// where the person wanted to go. No other host asks anew, and what is open there goes on.
func TestStepUpAtAnotherHost(t *testing.T) {
	g := newGateway(t)
	g.extra["Streams"] = newStreamer(t).Listener.Addr().String()
	g.loadTLS(hostsAuth, withStreams(hostsStepUp))
	v := everywhere(t, g, "alice", alicePassword)
	streams := []hostStream{v.listenAt(g.at("b.one.localhost", ""), true), v.listenAt(g.at("two.localhost", ""), false)}
	wanted := g.at("a.one.localhost", "/fresh?a=%2F&b=1")
	var sent seen
	eventually(t, 20*time.Second, func() string {
		if sent = v.open(wanted); sent.status == http.StatusOK {
			return "the sign-in is still recent enough"
		}
		return ""
	})

	login, way := v.follow(sent)
	if !login.isLogin() || !strings.HasPrefix(login.at, g.at("auth.localhost", "/login?")) {
		t.Fatalf("at %s: status %d: %s\n%s", login.at, login.status, login.body, strings.Join(way, "\n"))
	}
	g.proxy.take()
	page, way := v.signIn(login, "alice", alicePassword)
	if got := g.proxy.take(); page.status != http.StatusOK || page.at != wanted || len(got) != 1 ||
		got[0].target != "/fresh?a=%2F&b=1" || !slices.Equal(got[0].values("x-user-id"), []string{"alice"}) {
		t.Errorf("at %s: status %d: %s\n%s\nthe application saw %+v", page.at, page.status, page.body,
			strings.Join(way, "\n"), got)
	}
	for _, host := range applicationHosts {
		if got := v.open(g.at(host, "/")); got.status != http.StatusOK {
			t.Errorf("%s asks anew: status %d to %s", host, got.status, got.location())
		}
	}
	for _, stream := range streams {
		if len(stream.ended) > 0 {
			t.Errorf("%s has ended", stream.name)
		}
	}
	since := time.Now()
	v.signOutAtHost(g, "b.one.localhost")
	for _, stream := range streams {
		stream.endsSoon(t, since)
	}
	v.isOut(g, since) // a.one.localhost asks for the third sign-in within a minute: each page counts its own
}

// TestClassesAtAnotherHost: a session at an application has the class of the sign-in that it is under. For
// a class that no sign-in here has, nobody is sent round in a circle.
func TestClassesAtAnotherHost(t *testing.T) {
	g := newHosts(t, hostsStepUp)
	v := signedInAtServer(t, g, "alice", alicePassword)
	page, _ := v.follow(v.open(g.at("two.localhost", "/class")))
	if page.status != http.StatusOK || page.at != g.at("two.localhost", "/class") {
		t.Errorf("at %s: status %d: %s", page.at, page.status, page.body)
	}
	got := v.open(g.at("two.localhost", "/strong"))
	if got.status != http.StatusUnauthorized || got.location() != "" || !strings.Contains(got.body, "Sign in again") {
		t.Errorf("status %d to %s: %s", got.status, got.location(), got.body)
	}
}
