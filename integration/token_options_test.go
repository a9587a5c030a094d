package integration

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// optionsAuth has options of the server, of the project `default` and of a client.
func optionsAuth(server, project, client string) string {
	return `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	keys {env.TEST_KEYS}
	` + server + `
	user alice {
		password_hash {{hash "alice"}}
		admin
	}
	project default {
		` + project + `
	}
	client reports {
		` + client + `
	}
}`
}

// TestAccessTokenFormatOfServerAndProject: what the login routes issue has the project's format,
// then the server's, for programs and browsers; gates, renewal and sign-out take both formats.
func TestAccessTokenFormatOfServerAndProject(t *testing.T) {
	g := newGateway(t)
	for _, c := range []struct {
		name, server, project string
		opaque                bool
	}{
		{name: "default"},
		{name: "server opaque", server: "access_token_format opaque", opaque: true},
		{name: "project opaque", project: "access_token_format opaque", opaque: true},
		{
			name:    "project jwt over server opaque",
			server:  "access_token_format opaque",
			project: "access_token_format jwt",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.load(optionsAuth(c.server, c.project, ""), apiSite)
			program, _ := g.apiLogin(t, "default", "alice", alicePassword, "api")
			held := g.signIn(t, "alice", alicePassword)
			renewed := g.renewed(t, held.refresh)
			for _, access := range []string{program.Access, held.access, renewed.access} {
				if got := strings.HasPrefix(access, "at_"); got != c.opaque {
					t.Errorf("opaque: %v, want %v", got, c.opaque)
				}
			}
			g.checkPasses(t, program.Access)
			if a := g.visit(t, "api", cookies{access: renewed.access}); a.status != http.StatusOK {
				t.Errorf("the session cookie: status %d, reason %q", a.status, a.reason(t))
			}
			g.signOut(t, renewed)
			g.checkDead(t, "signed out", renewed)
		})
	}
}

// TestRefreshRotationOfServerAndProject: with refresh_rotation off the same refresh token renews
// again and again.
func TestRefreshRotationOfServerAndProject(t *testing.T) {
	g := newGateway(t)
	for _, c := range []struct {
		name, server, project string
		fixed                 bool
	}{
		{name: "default"},
		{name: "server off", server: "refresh_rotation off", fixed: true},
		{name: "project off", project: "refresh_rotation off", fixed: true},
		{name: "project on over server off", server: "refresh_rotation off", project: "refresh_rotation on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.load(optionsAuth(c.server, c.project, ""), apiSite)
			held := g.signIn(t, "alice", alicePassword)
			first := g.renewed(t, held.refresh)
			second := g.renewed(t, first.refresh)
			if got := first.refresh == held.refresh && second.refresh == held.refresh; got != c.fixed {
				t.Errorf("the refresh token stays the same: %v, want %v", got, c.fixed)
			}
			if a := g.visit(t, "api", cookies{access: second.access}); a.status != http.StatusOK {
				t.Errorf("status %d, reason %q", a.status, a.reason(t))
			}
		})
	}
}

// TestReuseIntervalOfServerAndProject: within the interval the token before gets the same
// successor, and without one it ends the session.
func TestReuseIntervalOfServerAndProject(t *testing.T) {
	g := newGateway(t)
	for _, c := range []struct {
		name, server, project string // the intervals
		again                 int
	}{
		{name: "default of browsers", again: http.StatusOK},
		{name: "server 0s", server: "0s", again: http.StatusUnauthorized},
		{name: "project 0s over server 60s", server: "60s", project: "0s", again: http.StatusUnauthorized},
		{name: "project 60s over server 0s", server: "0s", project: "60s", again: http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, project := "", ""
			if c.server != "" {
				server = "lifetimes {\n\t\trefresh_reuse_interval " + c.server + "\n\t}"
			}
			if c.project != "" {
				project = "refresh_reuse_interval " + c.project
			}
			g.load(optionsAuth(server, project, ""), apiSite)
			held := g.signIn(t, "alice", alicePassword)
			g.renewed(t, held.refresh)
			a := g.visit(t, "api", cookies{refresh: held.refresh})
			g.received(a)
			if a.status != c.again {
				t.Errorf("the token before: status %d, want %d", a.status, c.again)
			}
		})
	}
}

// TestSignOutOfServerAndProject: revoke_all_on_logout of the server counts where the project does
// not say.
func TestSignOutOfServerAndProject(t *testing.T) {
	g := newGateway(t)
	for _, c := range []struct {
		name, server, project string
		all                   bool
	}{
		{name: "default"},
		{name: "server", server: "revoke_all_on_logout", all: true},
		{name: "project off over server", server: "revoke_all_on_logout on", project: "revoke_all_on_logout off"},
		{
			name:    "project on over server off",
			server:  "revoke_all_on_logout off",
			project: "revoke_all_on_logout",
			all:     true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.load(optionsAuth(c.server, c.project, ""), apiSite)
			held, other := g.signIn(t, "alice", alicePassword), g.signIn(t, "alice", alicePassword)
			g.signOut(t, held)
			a := g.visit(t, "api", cookies{access: other.access})
			if got := a.status == http.StatusUnauthorized; got != c.all {
				t.Errorf("the other session: status %d, ended %v, want %v", a.status, got, c.all)
			}
		})
	}
}

// TestPasswordChangeOfServerAndProject: a new password, set through the API, ends the sign-ins
// unless the project, then the server says off.
func TestPasswordChangeOfServerAndProject(t *testing.T) {
	g, tokens := apiGateway(t)
	for _, c := range []struct {
		name, server, project string
		kept                  bool
	}{
		{name: "default"},
		{name: "server off", server: "revoke_refresh_on_password_change off", kept: true},
		{
			name:    "project on over server off",
			server:  "revoke_refresh_on_password_change off",
			project: "revoke_refresh_on_password_change on",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			more := c.server + "\n\tproject default {\n\t\t" + c.project + "\n\t}\n}"
			g.load(strings.TrimSuffix(apiAuth, "}")+"\t"+more, apiSite)
			name := "dave-" + strings.ReplaceAll(c.name, " ", "-")
			password := "correct-horse-battery-staple"
			g.secret("dave's password", password)
			body := encode(t, map[string]string{"name": name, "password": password})
			made := g.manage(t, "POST", "/api/users", tokens["admin"], body)
			if made.status != http.StatusCreated {
				t.Fatalf("status %d: %s", made.status, made.body)
			}
			held := g.signIn(t, name, password)
			target := "/api/users/" + userID(t, made.body) + "/password"
			body = encode(t, map[string]string{"password": password + "-2"})
			if a := g.manage(t, "PUT", target, tokens["admin"], body); a.status != http.StatusNoContent {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			a := g.visit(t, "api", cookies{access: held.access})
			if got := a.status == http.StatusOK; got != c.kept {
				t.Errorf("the session: status %d, kept %v, want %v", a.status, got, c.kept)
			}
		})
	}
}

// TestPresetsOfTheServer: the lifetimes of real tokens and cookies; an explicit lifetime beside the
// preset wins.
func TestPresetsOfTheServer(t *testing.T) {
	g := newGateway(t)
	const day = 24 * 3600
	for _, c := range []struct {
		name, server, project string
		access, refresh       int64
	}{
		{name: "development", server: "preset development", access: 30 * day, refresh: 180 * day},
		{name: "production", server: "preset production", access: day, refresh: 90 * day},
		{
			name:    "explicit lifetime beside it",
			server:  "lifetimes {\n\t\taccess_token 3600s\n\t}\n\tpreset development",
			access:  3600,
			refresh: 180 * day,
		},
		{
			name:    "project over server",
			server:  "preset development",
			project: "preset production",
			access:  day,
			refresh: 90 * day,
		},
		{name: "project development", project: "preset development", access: 30 * day, refresh: 180 * day},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.load(optionsAuth(c.server, c.project, ""), apiSite)
			s, _ := g.apiLogin(t, "default", "alice", alicePassword, "api")
			if got := lifetimeOf(t, s.Access); got != c.access || s.RefreshExpires != c.refresh {
				t.Errorf("access %d s, refresh %d s, want %d and %d", got, s.RefreshExpires, c.access, c.refresh)
			}
			g.checkPasses(t, s.Access)
		})
	}
}

// TestSourcesOfOptions: the management API shows the options in force and the level that sets each;
// null inherits again.
func TestSourcesOfOptions(t *testing.T) {
	g, tokens := apiGateway(t)
	server := "access_token_format opaque\n\trevoke_all_on_logout\n\t"
	g.load(strings.TrimSuffix(apiAuth, "}")+"\t"+server+"project default {\n\t\trefresh_rotation off\n\t}\n}", apiSite)
	shown := func(method, target, body string) (all map[string]any) {
		t.Helper()
		a := g.manage(t, method, target, tokens["admin"], body)
		if err := json.Unmarshal([]byte(a.body), &all); err != nil || a.status >= 300 {
			t.Fatalf("%s %s: status %d: %s", method, target, a.status, a.body)
		}
		return all
	}
	check := func(when string, got map[string]any, option string, value any, source string) {
		t.Helper()
		sources, _ := got["sources"].(map[string]any)
		if got[option] != value || sources[option] != source {
			t.Errorf("%s: %s is %v from %v, want %v from %s", when, option, got[option], sources[option], value, source)
		}
	}
	p := shown("GET", "/api/projects/default", "")
	check("declared project", p, "access_token_format", "opaque", "server")
	check("declared project", p, "refresh_rotation", false, "project")
	check("declared project", p, "refresh_reuse_interval", nil, "default")
	check("declared project", p, "revoke_all_on_logout", true, "server")
	check("declared project", p, "revoke_refresh_on_password_change", true, "default")

	shown("POST", "/api/projects", `{"slug":"shop","refresh_reuse_interval":0,"revoke_all_on_logout":false}`)
	p = shown("GET", "/api/projects/shop", "")
	check("made project", p, "refresh_reuse_interval", float64(0), "project")
	check("made project", p, "revoke_all_on_logout", false, "project")
	p = shown("PATCH", "/api/projects/shop", `{"revoke_all_on_logout":null,"access_token_format":"jwt"}`)
	check("changed project", p, "revoke_all_on_logout", true, "server")
	check("changed project", p, "access_token_format", "jwt", "project")

	c := shown("POST", "/api/clients",
		`{"id":"cart","project":"shop","refresh_rotation":true,"refresh_reuse_interval":30}`)
	check("made client", c, "access_token_format", "jwt", "project")
	check("made client", c, "refresh_rotation", true, "client")
	check("made client", c, "refresh_reuse_interval", float64(30), "client")
	c = shown("PATCH", "/api/clients/cart", `{"refresh_rotation":null,"refresh_reuse_interval":null}`)
	check("changed client", c, "refresh_rotation", true, "default")
	check("changed client", c, "refresh_reuse_interval", float64(0), "project")
	c = shown("GET", "/api/clients/reports", "")
	check("declared client", c, "access_token_format", "opaque", "server")
	check("declared client", c, "refresh_rotation", false, "project")
}
