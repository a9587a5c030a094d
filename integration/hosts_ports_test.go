package integration

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestPortsOfOneHost: browsers send the cookies of a host to all of its ports, so a session counts at all
// of them. What has an origin keeps to it: the answer of the server, requests of other origins, and the
// addresses to which people go back. No application sees the cookies.
func TestPortsOfOneHost(t *testing.T) {
	g := newHosts(t, hostsSites+`
https://two.localhost:{{port "second"}} {
	import application
}
https://auth.localhost:{{port "beside"}} {
	import application
}
`)
	at := func(site, uri string) string { return g.atPort(site, "two.localhost", uri) }
	both := func(t *testing.T, v *surfer, status int) {
		t.Helper()
		for _, site := range []string{"https", "second"} {
			got := v.open(at(site, "/x"))
			if got.status != status {
				t.Errorf("%s: status %d to %s", site, got.status, got.location())
			}
			seen := g.proxy.take()
			if len(seen) > 0 != (status == http.StatusOK) {
				t.Errorf("%s: the application saw %d requests", site, len(seen))
			}
			for _, s := range seen {
				if strings.Contains(s.raw, "_token") || !strings.Contains(s.raw, "X-User-Id: alice") {
					t.Errorf("the application saw %s", s.raw)
				}
			}
		}
	}
	t.Run("a session counts at both", func(t *testing.T) {
		for _, site := range []string{"https", "second"} {
			v := signedInAtServer(t, g, "alice", alicePassword)
			if page, _ := v.follow(v.open(at(site, "/x"))); page.at != at(site, "/x") || page.status != http.StatusOK {
				t.Fatalf("%s: at %s: status %d", site, page.at, page.status)
			}
			g.proxy.take()
			both(t, v, http.StatusOK)
		}
	})
	t.Run("an answer belongs to its port", func(t *testing.T) {
		v := signedInAtServer(t, g, "alice", alicePassword)
		callback := v.open(v.open(at("https", "/x")).location()).location()
		got := v.open(strings.Replace(callback, at("https", ""), at("second", ""), 1))
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, "<code>other_host</code>") {
			t.Errorf("status %d: %s", got.status, got.body)
		}
		if got := v.open(callback); got.location() != at("https", "/x") {
			t.Errorf("at its own port: status %d to %s", got.status, got.location())
		}
	})
	t.Run("a page of one port sends nothing to the other", func(t *testing.T) {
		v := signedInAtServer(t, g, "alice", alicePassword)
		v.follow(v.open(at("https", "/x")))
		g.proxy.take()
		for _, uri := range []string{"/x", "/.auth/logout", "/.auth/session/refresh"} {
			got := v.send(http.MethodPost, at("second", uri), "x=1", http.Header{"Origin": {at("https", "")}})
			if got.status != http.StatusForbidden || !strings.Contains(got.body, "cross_origin") {
				t.Errorf("%s: status %d: %s", uri, got.status, got.body)
			}
		}
		if seen := g.proxy.take(); len(seen) > 0 {
			t.Errorf("the application saw %s", seen[0].raw)
		}
		both(t, v, http.StatusOK)
	})
	t.Run("signing out at one ends both", func(t *testing.T) {
		v := signedInAtServer(t, g, "alice", alicePassword)
		v.follow(v.open(at("https", "/x")))
		v.submit(at("second", ""), "/.auth/logout", "x=1")
		g.proxy.take()
		both(t, v, http.StatusSeeOther)
	})
	t.Run("no answer goes to a port without a site", func(t *testing.T) {
		v := signedInAtServer(t, g, "alice", alicePassword)
		authorize := v.open(at("https", "/x")).location()
		for _, c := range []struct {
			to, leads, says string
			status          int
		}{
			{to: "https://two.localhost:1/.auth/callback", status: 400, says: "The way back is not known"},
			{ // the scheme's port may be mapped
				to: "https://two.localhost/.auth/callback", status: 303,
				leads: "https://two.localhost/.auth/callback?",
			},
		} {
			got := v.open(with(t, authorize, "redirect_uri", c.to))
			if got.status != c.status || !strings.HasPrefix(got.location(), c.leads) ||
				!strings.Contains(got.body, c.says) {
				t.Errorf("%s: status %d to %s: %s", c.to, got.status, got.location(), got.body)
			}
		}
	})
	t.Run("beside the server", func(t *testing.T) {
		// The session of the server itself comes to every port of its host: no hand-over is needed there,
		// and what is not behind a gate there gets the cookie by which clients are let in.
		v := signedInAtServer(t, g, "alice", alicePassword)
		g.proxy.take()
		if got := v.open(g.atPort("beside", "auth.localhost", "/x")); got.status != http.StatusOK {
			t.Errorf("status %d to %s", got.status, got.location())
		}
		if seen := g.proxy.take(); len(seen) != 1 || strings.Contains(seen[0].raw, "_token") ||
			!slices.Equal(seen[0].values("x-user-id"), []string{"alice"}) {
			t.Errorf("the application saw %+v", seen)
		}
	})
}
