package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSignOutEndsAllWhereTheProjectSaysSo: with revoke_all_on_logout, signing out of one session ends the person's others, whichever cookie
// is left; other people's go on, and she can sign in again at once.
func TestSignOutEndsAllWhereTheProjectSaysSo(t *testing.T) {
	g := newGateway(t)
	g.extra["Reuse"], g.extra["Alice"] = "10s", aliceAs(alicePassword)
	g.load(strings.TrimSuffix(sessionAuth, "}")+"\tproject default {\n\t\trevoke_all_on_logout\n\t}\n}", apiSite)
	bystander := g.signIn(t, "bob", bobPassword)
	for name, shown := range map[string]func(cookies) cookies{
		"both cookies":       func(c cookies) cookies { return c },
		"the access cookie":  func(c cookies) cookies { return cookies{access: c.access} },
		"the refresh cookie": func(c cookies) cookies { return cookies{refresh: c.refresh} },
		"an expired one":     func(c cookies) cookies { return cookies{access: g.aged(t, c, time.Hour), refresh: c.refresh} },
	} {
		held, other, program := g.signIn(t, "alice", alicePassword), g.signIn(t, "alice", alicePassword), g.login(t, "alice", alicePassword)
		g.signOut(t, shown(held))
		g.checkDead(t, "signed out with "+name, held)
		g.checkDead(t, "the other session, signed out with "+name, other)
		if a := g.get(t, "api", "/", program); a.status != http.StatusUnauthorized || a.reason(t) != "revoked" {
			t.Errorf("%s: a program's token: status %d, reason %q", name, a.status, a.reason(t))
		}
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

// TestProjectsIssueForTheirAudiencesAlone: what a project does not name is not issued, neither to programs nor to browsers.
func TestProjectsIssueForTheirAudiencesAlone(t *testing.T) {
	g := newGateway(t)
	g.extra["Reuse"], g.extra["Alice"] = "10s", aliceAs(alicePassword)
	g.load(strings.TrimSuffix(sessionAuth, "}")+"\tproject default {\n\t\taudiences api a2a\n\t}\n}", apiSite)
	for audience, want := range map[string]bool{"api": true, "a2a": true, "mcp": false, "web": false} {
		s, a := g.apiLogin(t, "default", "alice", alicePassword, audience)
		if got := a.status == http.StatusOK && s.Access != ""; got != want {
			t.Errorf("%s: status %d, %s", audience, a.status, a.body)
		}
	}
	if _, a := g.formLogin(t, "alice", alicePassword, ""); a.status == http.StatusSeeOther || len(cookiesIn(a)) > 0 && g.received(a).access != "" {
		t.Errorf("a browser: status %d", a.status)
	}
}
