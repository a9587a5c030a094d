package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// cookieAt is a cookie that a browser sends to a host.
func (v *surfer) cookieAt(g *gateway, host, name string) *http.Cookie {
	v.t.Helper()
	u, err := url.Parse(g.at(host, "/"))
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.jar.Cookies(u) {
		if c.Name == name {
			return c
		}
	}
	v.t.Fatalf("no cookie %s at %s", name, host)
	return nil
}

// TestSessionsBelongToTheirHost: what a browser has at one host is good at no other, in whatever way it
// is presented there.
func TestSessionsBelongToTheirHost(t *testing.T) {
	g := newHosts(t, strings.Replace(hostsSites, "\tauth_server\n",
		"\thandle /guarded {\n\t\tjwt_auth web\n\t\treverse_proxy {{.Proxy}}\n\t}\n\tauth_server\n", 1))
	v := everywhere(t, g, "alice", alicePassword)
	access := v.cookieAt(g, "a.one.localhost", "__Host-access_token")
	refresh := v.cookieAt(g, "a.one.localhost", "__Host-refresh_token")
	ways := []struct {
		name   string
		header http.Header
	}{
		{"the access token as cookie", http.Header{"Cookie": {access.String()}}},
		{"the access token as bearer", http.Header{"Authorization": {"Bearer " + access.Value}}},
		{"the refresh token as cookie", http.Header{"Cookie": {refresh.String()}}},
		{"both cookies", http.Header{"Cookie": {access.String() + "; " + refresh.String()}}},
	}
	g.proxy.take()
	for _, host := range []string{"b.one.localhost", "two.localhost", "named.wild.localhost", "auth.localhost"} {
		for _, way := range ways {
			t.Run(host+"/"+way.name, func(t *testing.T) {
				thief := newSurfer(t)
				got := thief.send(http.MethodGet, g.at(host, "/guarded"), "", way.header)
				if got.status != http.StatusSeeOther && got.status != http.StatusUnauthorized {
					t.Errorf("status %d: %s", got.status, got.body)
				}
				if seen := g.proxy.take(); len(seen) > 0 {
					t.Errorf("the application saw %s", seen[0].raw)
				}
				path := "/.auth/session"
				if host == "auth.localhost" {
					path = "/session"
				}
				state := thief.send(http.MethodGet, g.at(host, path), "", way.header)
				renewed := thief.send(http.MethodPost, g.at(host, path+"/refresh"), "", way.header)
				if strings.Contains(state.body, "alice") || renewed.status != http.StatusUnauthorized {
					t.Errorf("the state is %s, a renewal is answered %d: %s", state.body, renewed.status, renewed.body)
				}
			})
		}
	}
	// Nothing of that has used anything up: all are good where they were made.
	for _, way := range ways {
		t.Run("a.one.localhost/"+way.name, func(t *testing.T) {
			got := newSurfer(t).send(http.MethodGet, g.at("a.one.localhost", "/guarded"), "", way.header)
			if got.status != http.StatusOK {
				t.Errorf("status %d to %s: %s", got.status, got.location(), got.body)
			}
		})
	}
}

// TestAnApplicationCannotLendItsVisitors: who has made an attempt, and gets the code with which a person
// comes back to one host, has a session of theirs at this host and at no other.
func TestAnApplicationCannotLendItsVisitors(t *testing.T) {
	g := newHosts(t, hostsSites)
	attacker, victim := newSurfer(t), signedInAtServer(t, g, "alice", alicePassword)
	authorize := attacker.open(g.at("a.one.localhost", "/")).location()
	callback := victim.open(authorize).location() // which a script of a.one.localhost passes on
	if got := attacker.open(callback); got.location() != g.at("a.one.localhost", "/") {
		t.Fatalf("status %d to %s: %s", got.status, got.location(), got.body)
	}
	access := attacker.cookieAt(g, "a.one.localhost", "__Host-access_token")
	for _, host := range append(applicationHosts, "named.wild.localhost") {
		for name, header := range map[string]http.Header{
			"cookie": {"Cookie": {access.String()}}, "bearer": {"Authorization": {"Bearer " + access.Value}},
		} {
			t.Run(host+"/"+name, func(t *testing.T) {
				got := newSurfer(t).send(http.MethodGet, g.at(host, "/"), "", header)
				if own := host == "a.one.localhost"; own != (got.status == http.StatusOK) {
					t.Errorf("status %d to %s", got.status, got.location())
				}
			})
		}
	}
}
