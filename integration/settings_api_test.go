package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// apiAuth declares a project and a client, and an administrator; other projects come from the API.
const apiAuth = `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	keys {env.TEST_KEYS}
	store "sqlite:{{.Dir}}/auth.db"
	user alice {
		password_hash {{hash "alice"}}
		admin
	}
	user bob {
		password_hash {{hash "bob"}}
	}
	project acme {
		lifetimes {
			access_token 5m
		}
	}
	user carol {
		project acme
		password_hash {{hash "bob"}}
	}
	client reports {
		lifetimes {
			access_token 10m
		}
	}
}`

// apiGateway is a running server with API tokens, one for each of some abilities.
func apiGateway(t *testing.T) (g *gateway, tokens map[string]string) {
	t.Helper()
	g = newGateway(t)
	g.load(apiAuth, apiSite) // makes the projects
	if err := stopServer(); err != nil {
		t.Fatal(err)
	}
	tokens = map[string]string{}
	for _, c := range []struct {
		name, slug string
		abilities  []string
	}{
		{"create", "", []string{apitoken.Create}}, {"admin", "", []string{apitoken.Admin}},
		{"others", "", []string{apitoken.Read, apitoken.Update, apitoken.Delete}},
		{"acme's", "acme", []string{apitoken.Create}}, {"revoked", "", []string{apitoken.Create}},
	} {
		tokens[c.name] = g.addAPIToken(t, c.slug, c.abilities, c.name == "revoked")
	}
	g.load(apiAuth, apiSite)
	return g, tokens
}

// addAPIToken puts an API token into the store of a server that does not run.
func (g *gateway) addAPIToken(t *testing.T, slug string, abilities []string, revoked bool) string {
	t.Helper()
	return g.addAPITokenTo(t, "sqlite:"+filepath.Join(g.dir, "auth.db"), slug, abilities, revoked)
}

// addAPITokenTo puts an API token into a store.
func (g *gateway) addAPITokenTo(t *testing.T, storeURL, slug string, abilities []string, revoked bool) string {
	t.Helper()
	store, err := sqlstore.New(storeURL)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	token, secret, err := apitoken.New("test", slug, abilities, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.AddAPIToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if revoked {
		if err := store.RevokeAPIToken(t.Context(), token.ID, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	g.secret("an API token", secret)
	return secret
}

// manage calls the management API.
func (g *gateway) manage(t *testing.T, method, target, bearer, body string, more ...string) answer {
	t.Helper()
	lines := more
	if bearer != "" {
		lines = append(lines, "Authorization: Bearer "+bearer)
	}
	if body != "" {
		lines = append(lines, "Content-Type: application/json")
	}
	return g.ask(t, "auth", call{method: method, target: target, lines: lines, body: body})
}

// projectID is the UUID of a project.
func (g *gateway) projectID(t *testing.T, slug, bearer string) string {
	t.Helper()
	a := g.manage(t, "GET", "/api/projects/"+slug, bearer, "")
	var p struct{ ID, Slug string }
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != http.StatusOK || p.Slug != slug ||
		len(p.ID) != 36 {
		t.Fatalf("project %s: status %d: %s", slug, a.status, a.body)
	}
	return p.ID
}

// errorWord is the `error` of an answer.
func errorWord(a answer) string {
	var body struct{ Error string }
	_ = json.Unmarshal([]byte(a.body), &body)
	return body.Error
}

// settingsCall is one call of the settings API and its answer.
type settingsCall struct {
	name, method, target, token, body string
	lines                             []string
	status                            int
	word                              string
}

// TestSettingsStatusCodes drives the settings of a project's tokens through every answer there is.
func TestSettingsStatusCodes(t *testing.T) {
	g, tokens := apiGateway(t)
	id := g.projectID(t, "default", tokens["admin"])
	ttl := "/api/projects/" + id + "/settings/jwt-ttl"
	for _, c := range slices.Concat(g.settingsAllowed(t, tokens, ttl), g.settingsRefused(t, tokens, ttl, id),
		settingsInvalid(tokens["create"], ttl)) {
		t.Run(c.name, func(t *testing.T) {
			a := g.manage(t, c.method, c.target, c.token, c.body, c.lines...)
			if a.status != c.status || errorWord(a) != c.word {
				t.Fatalf("status %d, want %d: %s", a.status, c.status, a.body)
			}
			if challenge := a.header.Get("WWW-Authenticate"); (challenge != "") != (c.status == 401) &&
				!(c.status == 403 && c.token != "") {
				t.Errorf("WWW-Authenticate %q", challenge)
			}
			if c.status != 200 && a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", a.header.Get("Cache-Control"))
			}
		})
	}
	if a := g.manage(t, "GET", ttl, tokens["create"], ""); !strings.HasPrefix(a.body,
		`{"jwt_access_ttl":null,"jwt_refresh_ttl":null,`) {
		t.Errorf("what was refused left its mark: %s", a.body)
	}
	ttl = "/api/clients/reports/settings/token-ttl"
	for _, c := range []struct {
		method, target, token, body string
		status                      int
	}{
		{"GET", ttl, tokens["create"], "", 200}, {"PATCH", ttl, tokens["create"], `{"jwt_access_ttl":120}`, 200},
		{"GET", ttl, "", "", 401}, {"PATCH", ttl, tokens["others"], `{"jwt_access_ttl":120}`, 403},
		{"GET", ttl, tokens["acme's"], "", 404},
		{"GET", strings.Replace(ttl, "reports", "nobody", 1), tokens["create"], "", 404},
		{"PATCH", ttl, tokens["create"], `{"jwt_access_ttl":59}`, 422},
		{"PATCH", "/api/clients/reports", tokens["admin"], `{"name":"other"}`, 409},
	} {
		if a := g.manage(t, c.method, c.target, c.token, c.body); a.status != c.status {
			t.Errorf("%s %s with %s: status %d, want %d: %s", c.method, c.target, c.body, a.status, c.status, a.body)
		}
	}
}

// settingsYear is the longest lifetime, in seconds.
const settingsYear = 365 * 24 * 3600

func (g *gateway) settingsAllowed(t *testing.T, tokens map[string]string, ttl string) []settingsCall {
	t.Helper()
	admin := g.signIn(t, "alice", alicePassword)
	sameOrigin := []string{"Origin: " + g.url("auth"), "Sec-Fetch-Site: same-origin"}
	acme := g.projectID(t, "acme", tokens["admin"])
	return []settingsCall{
		{"read", "GET", ttl, tokens["create"], "", nil, 200, ""},
		{"read, as somebody who may everything", "GET", ttl, tokens["admin"], "", nil, 200, ""},
		{"read, as an administrator who has signed in", "GET", ttl, "", "", as(admin), 200, ""},
		{
			"read, with a scheme in capitals", "GET", ttl, "", "",
			[]string{"Authorization: BEARER " + tokens["create"]}, 200, "",
		},
		{"head", "HEAD", ttl, tokens["create"], "", nil, 200, ""},
		{"change", "PATCH", ttl, tokens["create"], `{"jwt_access_ttl":600}`, nil, 200, ""},
		{"change, as an administrator", "PATCH", ttl, "", `{"jwt_access_ttl":600}`, as(admin, sameOrigin...), 200, ""},
		{"change nothing", "PATCH", ttl, tokens["create"], `{}`, nil, 200, ""},
		{"the shortest", "PATCH", ttl, tokens["create"], `{"jwt_access_ttl":60,"jwt_refresh_ttl":60}`, nil, 200, ""},
		{
			"the longest", "PATCH", ttl, tokens["create"],
			fmt.Sprintf(`{"jwt_access_ttl":%d,"jwt_refresh_ttl":%d}`, settingsYear, settingsYear), nil, 200, "",
		},
		{
			"back to the defaults", "PATCH", ttl, tokens["create"], `{"jwt_access_ttl":null,"jwt_refresh_ttl":0}`, nil,
			200, "",
		},
		{
			"the project of a token", "PATCH", "/api/projects/" + acme + "/settings/jwt-ttl", tokens["acme's"], `{}`,
			nil, 200, "",
		},
		{"a project by its name", "GET", "/api/projects/acme/settings/jwt-ttl", tokens["create"], "", nil, 200, ""},
	}
}

func (g *gateway) settingsRefused(t *testing.T, tokens map[string]string, ttl, id string) []settingsCall {
	t.Helper()
	admin, bob := g.signIn(t, "alice", alicePassword), g.signIn(t, "bob", bobPassword)
	foreign := []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}
	nobody := "/api/projects/00000000-0000-4000-8000-000000000000/settings/jwt-ttl"
	acme := g.projectID(t, "acme", tokens["admin"])
	return []settingsCall{
		{"no credential", "GET", ttl, "", "", nil, 401, "no_credential"},
		{"no credential, change", "PATCH", ttl, "", `{}`, nil, 401, "no_credential"},
		{
			"an unknown token", "GET", ttl, tokens["create"][:len(tokens["create"])-2] + "xx", "", nil, 401,
			"invalid_token",
		},
		{"a revoked token", "GET", ttl, tokens["revoked"], "", nil, 401, "invalid_token"},
		{"an access token", "GET", ttl, g.login(t, "alice", alicePassword), "", nil, 401, "invalid_token"},
		{"a bad token beside a good session", "GET", ttl, "nonsense", "", as(admin), 401, "invalid_token"},
		{"a dead session", "GET", ttl, "", "", []string{"Cookie: access_token=garbage"}, 401, "no_credential"},
		{"only a refresh cookie", "GET", ttl, "", "", as(cookies{refresh: admin.refresh}), 401, "no_credential"},

		{"other abilities", "GET", ttl, tokens["others"], "", nil, 403, "insufficient_ability"},
		{
			"other abilities, change", "PATCH", ttl, tokens["others"], `{"jwt_access_ttl":600}`, nil, 403,
			"insufficient_ability",
		},
		{"another project's token", "GET", ttl, tokens["acme's"], "", nil, 404, "not_found"},
		{
			"another project's token, change", "PATCH", ttl, tokens["acme's"], `{"jwt_access_ttl":600}`, nil, 404,
			"not_found",
		},
		{"another project's token, no such project", "GET", nobody, tokens["acme's"], "", nil, 404, "not_found"},
		{"somebody who is no administrator", "GET", ttl, "", "", as(bob), 403, "insufficient_ability"},
		{"an administrator on another site, reading", "GET", ttl, "", "", as(admin, foreign...), 403, "cross_origin"},
		{
			"an administrator on a sibling host, reading", "GET", ttl, "", "", as(admin, "Sec-Fetch-Site: same-site"),
			403, "cross_origin",
		},
		{
			"an administrator on another site", "PATCH", ttl, "", `{"jwt_access_ttl":600}`, as(admin, foreign...), 403,
			"cross_origin",
		},

		{"no such project", "GET", nobody, tokens["create"], "", nil, 404, "not_found"},
		{"no such project, change", "PATCH", nobody, tokens["create"], `{"jwt_access_ttl":600}`, nil, 404, "not_found"},
		{
			"no UUID", "GET", "/api/projects/%27%20OR%201=1/settings/jwt-ttl", tokens["create"], "", nil, 404,
			"not_found",
		},

		{
			"what the Caddyfile declares", "PATCH", "/api/projects/" + acme, tokens["admin"], `{"name":"other"}`, nil,
			409, "declared",
		},
		{"its end", "DELETE", "/api/projects/" + acme, tokens["admin"], "", nil, 409, "declared"},
		{
			"the end of the default project", "DELETE", "/api/projects/" + id, tokens["admin"], "", nil, 409,
			"default_project",
		},
		{"a slug in use", "POST", "/api/projects", tokens["admin"], `{"slug":"acme"}`, nil, 409, "already_exists"},

		{
			"an old version", "PATCH", ttl, tokens["create"], `{"jwt_access_ttl":600}`,
			[]string{`If-Match: "1000000"`}, 412, "version_mismatch",
		},
		{"another method", "PUT", ttl, tokens["create"], `{}`, nil, 405, "method_not_allowed"},
		{"no JSON", "PATCH", ttl, tokens["create"], `jwt_access_ttl=600`, nil, 400, "invalid_request"},
		{"a list", "PATCH", ttl, tokens["create"], `[]`, nil, 400, "invalid_request"},
		{
			"a member twice", "PATCH", ttl, tokens["create"], `{"jwt_access_ttl":600,"jwt_access_ttl":601}`, nil, 400,
			"invalid_request",
		},
		{
			"a large body", "PATCH", ttl, tokens["create"], `{"x":"` + strings.Repeat("x", 70_000) + `"}`, nil, 413,
			"too_large",
		},
		{
			"a form", "PATCH", ttl, tokens["create"], "", []string{"Content-Type: application/x-www-form-urlencoded"},
			415, "unsupported_media_type",
		},
	}
}

// settingsInvalid are values outside the limits, which are refused and never moved to the limit.
func settingsInvalid(token, ttl string) []settingsCall {
	return []settingsCall{
		{"under a minute", "PATCH", ttl, token, `{"jwt_access_ttl":59}`, nil, 422, "invalid_value"},
		{"a second", "PATCH", ttl, token, `{"jwt_access_ttl":1}`, nil, 422, "invalid_value"},
		{"negative", "PATCH", ttl, token, `{"jwt_access_ttl":-900}`, nil, 422, "invalid_value"},
		{
			"over a year", "PATCH", ttl, token, fmt.Sprintf(`{"jwt_access_ttl":%d}`, settingsYear+1), nil, 422,
			"invalid_value",
		},
		{
			"beyond 64 bits", "PATCH", ttl, token, `{"jwt_access_ttl":99999999999999999999999}`, nil, 422,
			"invalid_value",
		},
		{"refresh under a minute", "PATCH", ttl, token, `{"jwt_refresh_ttl":59}`, nil, 422, "invalid_value"},
		{
			"refresh over its absolute end", "PATCH", ttl, token,
			fmt.Sprintf(`{"jwt_refresh_ttl":%d}`, settingsYear+1), nil, 422, "invalid_value",
		},
		{
			"one good, one bad", "PATCH", ttl, token, `{"jwt_access_ttl":600,"jwt_refresh_ttl":1}`, nil, 422,
			"invalid_value",
		},
		{"a fraction", "PATCH", ttl, token, `{"jwt_access_ttl":600.5}`, nil, 422, "invalid_value"},
		{"an exponent", "PATCH", ttl, token, `{"jwt_access_ttl":6e2}`, nil, 422, "invalid_value"},
		{"a string", "PATCH", ttl, token, `{"jwt_access_ttl":"600"}`, nil, 422, "invalid_value"},
		{"a boolean", "PATCH", ttl, token, `{"jwt_access_ttl":true}`, nil, 422, "invalid_value"},
		{"a misspelt name", "PATCH", ttl, token, `{"jwt_acces_ttl":600}`, nil, 422, "invalid_value"},
	}
}

// as is a request with a session's cookies and more lines.
func as(c cookies, more ...string) []string { return append(c.lines(), more...) }

// TestSettingsShapes: the answers have exactly the members that were promised.
func TestSettingsShapes(t *testing.T) {
	g, tokens := apiGateway(t)
	of := func(slug string) string {
		return "/api/projects/" + g.projectID(t, slug, tokens["admin"]) + "/settings/jwt-ttl"
	}
	defaults := `"defaults":{"access_ttl":900,"refresh_ttl":2592000}}`
	for _, c := range []struct{ method, target, body, want string }{
		{"GET", of("default"), "", `{"jwt_access_ttl":null,"jwt_refresh_ttl":null,` + defaults},
		{
			"PATCH", of("default"), `{"jwt_access_ttl":120,"jwt_refresh_ttl":3600}`,
			`{"jwt_access_ttl":120,"jwt_refresh_ttl":3600}`,
		},
		{"GET", of("default"), "", `{"jwt_access_ttl":120,"jwt_refresh_ttl":3600,` + defaults},
		{"PATCH", of("default"), `{"jwt_access_ttl":null}`, `{"jwt_access_ttl":null,"jwt_refresh_ttl":3600}`},
		{"PATCH", of("default"), `{"jwt_refresh_ttl":0}`, `{"jwt_access_ttl":null,"jwt_refresh_ttl":null}`},
		{"GET", of("acme"), "", `{"jwt_access_ttl":300,"jwt_refresh_ttl":null,` + defaults},
		{"PATCH", of("acme"), `{"jwt_access_ttl":600}`, `{"jwt_access_ttl":600,"jwt_refresh_ttl":null}`},
		{"PATCH", of("acme"), `{"jwt_access_ttl":null}`, `{"jwt_access_ttl":300,"jwt_refresh_ttl":null}`},
		{
			"GET", "/api/clients/reports/settings/token-ttl", "",
			`{"jwt_access_ttl":600,"jwt_refresh_ttl":null,` + defaults,
		},
	} {
		a := g.manage(t, c.method, c.target, tokens["create"], c.body)
		if a.status != http.StatusOK || strings.TrimSpace(a.body) != c.want ||
			a.header.Get("Content-Type") != "application/json" || a.header.Get("ETag") == "" {
			t.Errorf("%s %s: status %d, %s, want %s; Content-Type %q, ETag %q", c.method, c.body, a.status, a.body,
				c.want,
				a.header.Get("Content-Type"), a.header.Get("ETag"))
		}
	}
}

// TestLostUpdatesAreRefused: of two who read the same version, the second to write is told.
func TestLostUpdatesAreRefused(t *testing.T) {
	g, tokens := apiGateway(t)
	ttl := "/api/projects/" + g.projectID(t, "default", tokens["admin"]) + "/settings/jwt-ttl"
	read := g.manage(t, "GET", ttl, tokens["create"], "").header.Get("ETag")
	first := g.manage(t, "PATCH", ttl, tokens["create"], `{"jwt_access_ttl":600}`, "If-Match: "+read)
	second := g.manage(t, "PATCH", ttl, tokens["create"], `{"jwt_access_ttl":700}`, "If-Match: "+read)
	third := g.manage(t, "PATCH", ttl, tokens["create"], `{"jwt_access_ttl":700}`,
		"If-Match: "+first.header.Get("ETag"))
	if first.status != http.StatusOK || second.status != http.StatusPreconditionFailed ||
		third.status != http.StatusOK {
		t.Errorf("status %d, %d, %d", first.status, second.status, third.status)
	}
}

// TestSettingsChangeNewTokensOnly: a changed lifetime holds for what is issued afterwards, at
// sign-in and by renewal, for programs and browsers; what was issued before keeps its end. It
// outlives a reload, a restart and what the Caddyfile says.
func TestSettingsChangeNewTokensOnly(t *testing.T) {
	g, tokens := apiGateway(t)
	ids := map[string]string{
		"default": g.projectID(t, "default", tokens["admin"]),
		"acme":    g.projectID(t, "acme", tokens["admin"]),
	}
	set := func(slug, body string) {
		t.Helper()
		if a := g.manage(t, "PATCH", "/api/projects/"+ids[slug]+
			"/settings/jwt-ttl", tokens["create"], body); a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
	}
	check := func(when string, access, refresh, acme int64) {
		t.Helper()
		s, _ := g.apiLogin(t, "default", "alice", alicePassword, "api")
		if lifetimeOf(t, s.Access) != access || s.ExpiresIn != access || s.RefreshExpires != refresh {
			t.Errorf("%s: exp %d, expires_in %d, refresh_expires_in %d, want %d and %d", when, lifetimeOf(t, s.Access),
				s.ExpiresIn, s.RefreshExpires, access, refresh)
		}
		g.checkPasses(t, s.Access)
		other, _ := g.apiLogin(t, "acme", "carol", bobPassword, "api")
		if got := lifetimeOf(t, other.Access); got != acme {
			t.Errorf("%s: acme's tokens live %d s, want %d", when, got, acme)
		}
		_, in := g.formLogin(t, "bob", bobPassword, "")
		set := cookiesIn(in)
		if set["access_token"].MaxAge != int(access) || set["refresh_token"].MaxAge != int(refresh) {
			t.Errorf("%s: cookies for %d and %d s", when, set["access_token"].MaxAge, set["refresh_token"].MaxAge)
		}
		g.received(in)
	}
	check("at first", 900, 2592000, 300)
	old, _ := g.apiLogin(t, "default", "alice", alicePassword, "api")
	browser := g.signIn(t, "alice", alicePassword)

	set("default", `{"jwt_access_ttl":120,"jwt_refresh_ttl":3600}`)
	set("acme", `{"jwt_access_ttl":240}`)
	check("changed", 120, 3600, 240)
	if got := lifetimeOf(t, old.Access); got != 900 {
		t.Errorf("the old token lives %d s", got)
	}
	g.checkPasses(t, old.Access)
	browser = g.renewed(t, browser.refresh)
	if got := lifetimeOf(t, browser.access); got != 120 {
		t.Errorf("an old session's new token lives %d s", got)
	}

	g.load(apiAuth, apiSite)
	check("after a reload", 120, 3600, 240)
	g.restart(t, apiAuth, apiSite)
	check("after a restart", 120, 3600, 240)
	g.restart(t, strings.Replace(apiAuth, "access_token 5m", "access_token 6m", 1), apiSite)
	check("after another Caddyfile", 120, 3600, 240)
	g.checkPasses(t, old.Access)

	set("default", `{"jwt_access_ttl":null,"jwt_refresh_ttl":0}`)
	set("acme", `{"jwt_access_ttl":0}`)
	check("reset", 900, 2592000, 360)
	if got := lifetimeOf(t, g.renewed(t, browser.refresh).access); got != 900 {
		t.Errorf("after the reset a session's new token lives %d s", got)
	}
}

// TestPausedProjects: a project of the API that is paused ends what it issued at once and issues
// nothing; waking it brings nothing back.
func TestPausedProjects(t *testing.T) {
	g, tokens := apiGateway(t)
	must := func(method, target, body string, status int) answer {
		t.Helper()
		a := g.manage(t, method, target, tokens["admin"], body)
		if a.status != status {
			t.Fatalf("%s %s: status %d: %s", method, target, a.status, a.body)
		}
		return a
	}
	sites := apiSite +
		"{{url \"shop\"}} {\n\tjwt_auth web api {\n\t\tproject shop\n\t}\n\treverse_proxy {{.Proxy}}\n}\n"
	g.load(apiAuth, sites)
	must("POST", "/api/projects", `{"slug":"shop"}`, http.StatusCreated)
	dave := "correct-horse-battery-staple"
	g.secret("dave's password", dave)
	made := must("POST", "/api/users",
		encode(t, map[string]string{"name": "dave", "project": "shop", "password": dave}), http.StatusCreated)
	if strings.Contains(made.body, "argon") || strings.Contains(made.body, dave) {
		t.Errorf("the answer holds a password: %s", made.body)
	}
	s, a := g.apiLogin(t, "shop", "dave", dave, "web")
	if a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	check := func(when string, status int, reason string) {
		t.Helper()
		if a := g.get(t, "shop", "/", s.Access); a.status != status || a.reason(t) != reason {
			t.Errorf("%s: the access token: status %d, reason %q", when, a.status, a.reason(t))
		}
	}
	check("before", http.StatusOK, "")
	shop := "/api/projects/" + g.projectID(t, "shop", tokens["admin"])
	must("PATCH", shop, `{"active":false}`, http.StatusOK)
	check("paused", http.StatusUnauthorized, "revoked")
	if a := g.visit(t, "shop", cookies{refresh: s.Refresh}); a.status != http.StatusUnauthorized {
		t.Errorf("paused, the refresh token: status %d", a.status)
	}
	if _, a := g.apiLogin(t, "shop", "dave", dave, "web"); a.status != http.StatusNotFound {
		t.Errorf("paused, signing in: status %d", a.status)
	}
	must("PATCH", shop, `{"active":true}`, http.StatusOK)
	check("awake", http.StatusUnauthorized, "revoked")
	s, a = g.apiLogin(t, "shop", "dave", dave, "web")
	if a.status != http.StatusOK {
		t.Fatalf("awake, signing in: status %d: %s", a.status, a.body)
	}
	check("signed in again", http.StatusOK, "")

	user := "/api/users/" + userID(t, made.body)
	must("PUT", user+"/password", encode(t, map[string]string{"password": dave + "-2"}), http.StatusNoContent)
	check("a new password", http.StatusUnauthorized, "revoked")
	if s, a = g.apiLogin(t, "shop", "dave", dave+"-2", "web"); a.status != http.StatusOK {
		t.Fatalf("with the new password: status %d: %s", a.status, a.body)
	}
	must("PATCH", user, `{"disabled":true}`, http.StatusOK)
	check("disabled", http.StatusUnauthorized, "revoked")
	must("PATCH", user, `{"disabled":false}`, http.StatusOK)
	if s, a = g.apiLogin(t, "shop", "dave", dave+"-2", "web"); a.status != http.StatusOK {
		t.Fatalf("enabled again: status %d: %s", a.status, a.body)
	}
	check("enabled again", http.StatusOK, "")
	must("DELETE", user, "", http.StatusNoContent)
	check("deleted", http.StatusUnauthorized, "revoked")
	must("DELETE", shop, "", http.StatusNoContent)
}

func userID(t *testing.T, body string) string {
	t.Helper()
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(body), &made); err != nil || made.ID == "" {
		t.Fatalf("no id in %s", body)
	}
	return made.ID
}
