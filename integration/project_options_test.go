package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSignOutEndsAllWhereTheProjectSaysSo: with revoke_all_on_logout, signing out of one session
// ends the person's others, whichever cookie is left; other people's go on, and she can sign in
// again at once.
func TestSignOutEndsAllWhereTheProjectSaysSo(t *testing.T) {
	g := newGateway(t)
	g.extra["Reuse"], g.extra["Alice"] = "10s", aliceAs(alicePassword)
	g.load(strings.TrimSuffix(sessionAuth, "}")+"\tproject default {\n\t\trevoke_all_on_logout\n\t}\n}", apiSite)
	bystander := g.signIn(t, "bob", bobPassword)
	for _, c := range []struct {
		name  string
		shown func(cookies) cookies
	}{
		{"both cookies", func(c cookies) cookies { return c }},
		{"the access cookie", func(c cookies) cookies { return cookies{access: c.access} }},
		{"the refresh cookie", func(c cookies) cookies { return cookies{refresh: c.refresh} }},
		{
			"an expired one",
			func(c cookies) cookies { return cookies{access: g.aged(t, c, time.Hour), refresh: c.refresh} },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			held, other, program := g.signIn(t, "alice", alicePassword), g.signIn(t, "alice", alicePassword), g.login(
				t, "alice", alicePassword,
			)
			g.signOut(t, c.shown(held))
			g.checkDead(t, "signed out with "+c.name, held)
			g.checkDead(t, "the other session, signed out with "+c.name, other)
			if a := g.get(t, "api", "/", program); a.status != http.StatusUnauthorized || a.reason(t) != "revoked" {
				t.Errorf("%s: a program's token: status %d, reason %q", c.name, a.status, a.reason(t))
			}
		})
	}
	if a := g.visit(t, "api", bystander); a.status != http.StatusOK {
		t.Errorf("somebody else's session: status %d, reason %q", a.status, a.reason(t))
	}
	g.checkPasses(t, g.login(t, "alice", alicePassword))
}

// TestDeadCookiesEndNothingElse: an expired or revoked session signs nobody out of others.
func TestDeadCookiesEndNothingElse(t *testing.T) {
	g := newGateway(t)
	g.extra["Reuse"], g.extra["Alice"] = "10s", aliceAs(alicePassword)
	g.load(strings.TrimSuffix(sessionAuth, "}")+"\tproject default {\n\t\trevoke_all_on_logout\n\t}\n}", apiSite)
	old := g.signIn(t, "alice", alicePassword)
	g.signOut(t, old)
	living := g.signIn(t, "alice", alicePassword)
	g.signOut(t, old)
	g.signOut(t, cookies{access: g.aged(t, living, time.Hour)[:40], refresh: old.refresh})
	if a := g.visit(t, "api", living); a.status != http.StatusOK {
		t.Errorf("the living session: status %d, reason %q", a.status, a.reason(t))
	}
}

// TestProjectsIssueForTheirAudiencesAlone: what a project does not name is not issued, neither to
// programs nor to browsers.
func TestProjectsIssueForTheirAudiencesAlone(t *testing.T) {
	g := newGateway(t)
	g.extra["Reuse"], g.extra["Alice"] = "10s", aliceAs(alicePassword)
	g.load(strings.TrimSuffix(sessionAuth, "}")+"\tproject default {\n\t\taudiences api a2a\n\t}\n}", apiSite)
	for _, c := range []struct {
		audience string
		want     bool
	}{{"api", true}, {"a2a", true}, {"mcp", false}, {"web", false}} {
		t.Run(c.audience, func(t *testing.T) {
			s, a := g.apiLogin(t, "default", "alice", alicePassword, c.audience)
			if got := a.status == http.StatusOK && s.Access != ""; got != c.want {
				t.Errorf("%s: status %d, %s", c.audience, a.status, a.body)
			} else if !c.want &&
				(a.status != http.StatusBadRequest || errorWord(a) != "invalid_request" ||
					a.header.Get("Retry-After") != "") {
				t.Errorf("%s: status %d, %v, %s", c.audience, a.status, a.header, a.body)
			}
		})
	}
	if _, a := g.formLogin(t, "alice", alicePassword, ""); a.status != http.StatusBadRequest ||
		len(cookiesIn(a)) > 0 && g.received(a).access != "" {
		t.Errorf("a browser: status %d", a.status)
	}
}

// paceOf is what a page of a session is told: refresh_window and check_every, in seconds.
func (g *gateway) paceOf(t *testing.T, c cookies) string {
	t.Helper()
	a := g.ask(t, "auth", call{target: "/session", lines: c.lines()})
	var told struct {
		Window *int `json:"refresh_window"`
		Every  *int `json:"check_every"`
	}
	if err := json.Unmarshal([]byte(a.body), &told); err != nil || told.Window == nil || told.Every == nil {
		t.Fatalf("session: status %d: %s", a.status, a.body)
	}
	return fmt.Sprint(*told.Window, " ", *told.Every)
}

// TestProjectsRenewAtTheirOwnPace: refresh_window and refresh_check of a project count for the gate
// and for pages, soon after the API has set them and at once when the Caddyfile does.
func TestProjectsRenewAtTheirOwnPace(t *testing.T) {
	g, tokens := apiGateway(t)
	expect := func(want string, renewed map[time.Duration]bool) {
		t.Helper()
		held := g.signIn(t, "alice", alicePassword)
		for _, tc := range []struct {
			who string
			c   cookies
		}{{"signed in", held}, {"nobody", cookies{}}} {
			t.Run(tc.who, func(t *testing.T) {
				eventually(t, 5*time.Second, func() string {
					if told := g.paceOf(t, tc.c); told != want {
						return tc.who + ": told " + told + ", want " + want
					}
					return ""
				})
			})
		}
		for age, want := range renewed { // of 60 s
			held := g.signIn(t, "alice", alicePassword)
			a := g.visit(t, "api", cookies{g.aged(t, held, age), held.refresh})
			if got := g.received(a).access != ""; a.status != http.StatusOK || got != want {
				t.Errorf("an access token of %v: status %d, renewed: %v, want %v", age, a.status, got, want)
			}
		}
	}
	expect("300 60", map[time.Duration]bool{30 * time.Second: false, 45 * time.Second: true})
	for _, c := range []struct {
		body string
		want int
	}{
		{`{"refresh_window":8,"refresh_check":7}`, http.StatusOK},
		{`{"refresh_window":90000}`, http.StatusUnprocessableEntity},
	} {
		t.Run(c.body, func(t *testing.T) {
			if a := g.manage(t, "PATCH", "/api/projects/default", tokens["admin"], c.body); a.status != c.want {
				t.Fatalf("%s: status %d: %s", c.body, a.status, a.body)
			}
		})
	}
	expect("8 7", map[time.Duration]bool{30 * time.Second: false, 45 * time.Second: false, 56 * time.Second: true})
	if a := g.manage(t, "PATCH", "/api/projects/default", tokens["admin"],
		`{"refresh_window":null,"refresh_check":null}`); a.status != http.StatusOK {
		t.Fatalf("resetting: status %d: %s", a.status, a.body)
	}
	expect("300 60", map[time.Duration]bool{45 * time.Second: true})
	g.load(strings.TrimSuffix(apiAuth, "}")+"\tproject default {\n\t\trefresh_window 3s\n\t\trefresh_check 2h\n\t}\n}",
		apiSite)
	if told := g.paceOf(t, cookies{}); told != "3 7200" {
		t.Errorf("after the reload: %s", told)
	}
	expect("3 7200", map[time.Duration]bool{45 * time.Second: false, 58 * time.Second: true})
	g.load(apiAuth, apiSite)
	if told := g.paceOf(t, cookies{}); told != "300 60" {
		t.Errorf("declared no more: %s", told)
	}
}
