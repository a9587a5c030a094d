package integration

import (
	"net/http"
	"strings"
	"testing"
)

// malloryPassword is that of the user whom somebody with an API token makes before the Caddyfile
// declares the name.
const malloryPassword = "mallory-was-here-before-you"

// keptSessions is a project default whose sessions survive a new password.
const keptSessions = "project default {\n\t\trevoke_refresh_on_password_change off\n\t}"

// takeoverAuth is apiAuth with more declarations.
func takeoverAuth(more string) string { return strings.TrimSuffix(apiAuth, "}") + "\t" + more + "\n}" }

// held is everything that one person has got of the server.
type held struct {
	project string
	browser cookies
	program apiSession
}

// heldOf signs a person in through both doors.
func (g *gateway) heldOf(t *testing.T, project, name, password string) held {
	t.Helper()
	h := held{project: project}
	if project == "default" {
		h.browser = g.signIn(t, name, password)
	}
	var a answer
	if h.program, a = g.apiLogin(t, project, name, password, "api"); a.status != http.StatusOK {
		t.Fatalf("login of %s: status %d: %s", name, a.status, a.body)
	}
	return h
}

// checkOver demands that nothing of what a person held is good for anything, at gates and at the
// management API.
func (g *gateway) checkOver(t *testing.T, h held) {
	t.Helper()
	site := map[string]string{"default": "api"}[h.project]
	if site == "" {
		site = h.project
	}
	if a := g.get(t, site, "/", h.program.Access); a.status != http.StatusUnauthorized || a.reason(t) != "revoked" {
		t.Errorf("the program's access token: status %d, reason %q", a.status, a.reason(t))
	}
	if a := g.visit(t, site, cookies{refresh: h.program.Refresh}); a.status != http.StatusUnauthorized {
		t.Errorf("the program's refresh token as a cookie: status %d", a.status)
	}
	if h.project != "default" {
		return
	}
	if a := g.manage(t, "GET", "/api/users", "", "", h.browser.lines()...); a.status != http.StatusUnauthorized {
		t.Errorf("the browser at the management API: status %d: %s", a.status, a.body)
	}
	g.checkDead(t, "taken over", h.browser)
}

// TestDeclarationsEndWhatWasIssuedBefore: whoever had made a user through the API is signed out
// when the Caddyfile declares the name, and so is a declared user who becomes an administrator,
// whatever the project keeps after a new password.
func TestDeclarationsEndWhatWasIssuedBefore(t *testing.T) {
	hash := cheapHash("the-operators-own-choice")
	for _, c := range []struct{ name, before, after string }{
		{"a user who administers", "", "user mallory {\n\tpassword_hash " + hash + "\n\tadmin\n}"},
		{"a user", "", "user mallory {\n\tpassword_hash " + hash + "\n}"},
		{"a user in another spelling", "", "user Mallory {\n\tpassword_hash " + hash + "\n\tadmin\n}"},
		{"a user in full-width letters", "", "user ｍallory {\n\tpassword_hash " + hash + "\n\tadmin\n}"},
		{"a user without a password", "", "user mallory {\n\tadmin\n}"},
		{
			"a user who was declared before", "user mallory {\n\tpassword_hash " + hash + "\n}",
			"user mallory {\n\tpassword_hash " + hash + "\n\tadmin\n}",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, tokens := apiGateway(t)
			g.secret("mallory's password", malloryPassword)
			g.load(takeoverAuth(keptSessions+"\n"+c.before), apiSite)
			g.load(takeoverAuth(keptSessions), apiSite) // what was declared is declared no more
			if c.before != "" {
				g.manage(t, "DELETE", "/api/users/"+g.idOf(t, "mallory", tokens["admin"]), tokens["admin"], "")
			}
			made := g.manage(t, "POST", "/api/users", tokens["create"],
				encode(t, map[string]string{"name": "mallory", "password": malloryPassword}))
			if made.status != http.StatusCreated {
				t.Fatalf("status %d: %s", made.status, made.body)
			}
			h := g.heldOf(t, "default", "mallory", malloryPassword)
			g.load(takeoverAuth(keptSessions+"\n"+c.after), apiSite)
			g.checkOver(t, h)
			if a := g.tryLogin(t, "mallory", malloryPassword); a.status != http.StatusUnauthorized {
				t.Errorf("signing in with the password that the API set: status %d", a.status)
			}
		})
	}
}

// TestBecomingAnAdministratorEndsSessions: what a declared user got before is not good enough for
// an administrator.
func TestBecomingAnAdministratorEndsSessions(t *testing.T) {
	g, _ := apiGateway(t)
	bob := "user bob {\n\t\tpassword_hash {{hash \"bob\"}}\n\t"
	h, bystander := g.heldOf(t, "default", "bob", bobPassword), g.heldOf(t, "default", "alice", alicePassword)
	g.load(strings.Replace(apiAuth, bob, bob+"\tadmin\n\t", 1), apiSite)
	g.checkOver(t, h)
	if a := g.visit(t, "api", bystander.browser); a.status != http.StatusOK {
		t.Errorf("an administrator who stays one: status %d, reason %q", a.status, a.reason(t))
	}
	again := g.signIn(t, "bob", bobPassword)
	if a := g.manage(t, "GET", "/api/users", "", "", again.lines()...); a.status != http.StatusOK {
		t.Errorf("signed in anew at the management API: status %d: %s", a.status, a.body)
	}
}

// TestDeclaredProjectsEndWhatWasIssuedBefore: a project that somebody made through the API, with
// people in it, begins anew when the Caddyfile declares it.
func TestDeclaredProjectsEndWhatWasIssuedBefore(t *testing.T) {
	g, tokens := apiGateway(t)
	g.secret("mallory's password", malloryPassword)
	sites := apiSite +
		"{{url \"shop\"}} {\n\tjwt_auth web api {\n\t\tproject shop\n\t}\n\treverse_proxy {{.Proxy}}\n}\n"
	g.load(apiAuth, sites)
	for _, call := range [][2]string{
		{"/api/projects", `{"slug":"shop"}`},
		{"/api/users", encode(t, map[string]string{"name": "mallory", "project": "shop", "password": malloryPassword})},
	} {
		if a := g.manage(t, "POST", call[0], tokens["create"], call[1]); a.status != http.StatusCreated {
			t.Fatalf("%s: status %d: %s", call[0], a.status, a.body)
		}
	}
	h := g.heldOf(t, "shop", "mallory", malloryPassword)
	if a := g.get(t, "shop", "/", h.program.Access); a.status != http.StatusOK {
		t.Fatalf("before: status %d, reason %q", a.status, a.reason(t))
	}
	g.load(takeoverAuth("project shop"), sites)
	g.checkOver(t, h)
}

// idOf is the id of a user of the project default.
func (g *gateway) idOf(t *testing.T, name, bearer string) string {
	t.Helper()
	a := g.manage(t, "GET", "/api/users?project=default&name="+name, bearer, "")
	_, list, _ := strings.Cut(a.body, "[")
	return userID(t, strings.TrimSuffix(list[:strings.LastIndex(list, "]")], ","))
}
