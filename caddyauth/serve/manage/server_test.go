package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/consent"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// fixture is a server with its stores, and the API tokens to call it with.
type fixture struct {
	*testing.T
	*Server
	*memory
	events    []audit.Event
	exercised map[string]bool // operations that succeeded
	secrets   []string        // must never be seen again
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	base, err := url.Parse("https://auth.example.org/auth")
	if err != nil {
		t.Fatal(err)
	}
	passwords := identity.NewPasswords(nil)
	d := &fixture{T: t, memory: newMemory(), exercised: map[string]bool{}}
	d.Server = &Server{
		Base:       base,
		Projects:   d.memory,
		Clients:    d.memory,
		Users:      d.memory,
		Tokens:     d.memory,
		Consents:   d.memory,
		Audit:      d.memory,
		Passwords:  passwords,
		Revoker:    d.memory,
		Privileged: func(u *identity.User) bool { return u.Claims["role"] == "admin" && !u.Disabled },
		Session:    signedIn,
		Events:     func(_ context.Context, e audit.Event) { d.events = append(d.events, e) },
	}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	return d
}

// signedIn takes the cookie `who` for a session.
func signedIn(r *http.Request) (Caller, error) {
	who, err := r.Cookie("who")
	switch {
	case err != nil || who.Value == "":
		return Caller{}, ErrNoSession
	case who.Value == "broken":
		return Caller{}, errors.New("the store is gone")
	case who.Value != "root":
		return Caller{Actor: "user:" + who.Value}, ErrNotAdmin
	}
	return Caller{Actor: "user:root", Abilities: []string{apitoken.Admin}}, nil
}

// token makes an API token and returns its secret.
func (d *fixture) token(slug string, abilities ...string) string {
	d.Helper()
	t, secret, err := apitoken.New("test", slug, abilities, 0, time.Now())
	if err != nil {
		d.Fatal(err)
	}
	d.tokens[t.ID] = t
	return secret
}

// answer is what came back.
type answer struct {
	*testing.T
	status int
	header http.Header
	body   string
}

// call sends a request with an API token, unless header says otherwise ("Name: value"), and holds
// the exchange against the document.
func (d *fixture) call(token, method, path, body string, header ...string) answer {
	d.Helper()
	r := httptest.NewRequest(method, "https://auth.example.org/auth"+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	a := answer{d.T, w.Code, w.Header(), strings.TrimSpace(w.Body.String())}
	d.inspect(r, body, a)
	return a
}

// inspect asks what must hold of every answer.
func (d *fixture) inspect(r *http.Request, sent string, a answer) {
	d.Helper()
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" ||
		a.header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
		d.Errorf("%s %s: headers %v", r.Method, r.URL, a.header)
	}
	for _, secret := range d.secrets {
		if strings.Contains(a.body, secret) || strings.Contains(fmt.Sprintf("%+v", d.events), secret) {
			d.Errorf("%s %s shows a secret", r.Method, r.URL)
		}
	}
	found, status := d.routes().Match(httptest.NewRecorder(), r, d.Base.Path)
	ours := slices.ContainsFunc(operatorRoutes, func(o endpoint.Route[operation]) bool { return o.Path == found.Path })
	if status != 0 || found.Method != r.Method || ours { // the document is for the public
		return
	}
	id := conforms(d.T, r.Method, found.Path, []byte(sent), a.status, a.header, []byte(a.body))
	if a.status < 300 {
		d.exercised[id] = true
	}
}

// is checks the status and returns the members of the body.
func (a answer) is(status int) map[string]any {
	a.Helper()
	if a.status != status {
		a.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	members := map[string]any{}
	if a.body != "" {
		if err := json.Unmarshal([]byte(a.body), &members); err != nil {
			a.Fatalf("%v: %s", err, a.body)
		}
	}
	return members
}

// refused checks the status, the word and a part of the text.
func (a answer) refused(status int, word, text string) {
	a.Helper()
	members := a.is(status)
	if members["error"] != word || !strings.Contains(fmt.Sprint(members["error_description"]), text) {
		a.Errorf("%s, want %s and %q", a.body, word, text)
	}
}

// everySetting is a change with a value for every setting of a client with a secret.
const everySetting = `{"client_uri":"https://app.example","redirect_uris":["https://app.example/cb"],
	"post_logout_redirect_uris":["https://app.example/bye"],"backchannel_logout_uri":"https://app.example/out",
	"grant_types":["authorization_code","device_code","token-exchange"],"response_modes":["form_post"],
	"token_exchange":["web","caddyauth"],"introspection":["api","https://api.example"],
	"resources":["https://api.example"],"token_endpoint_auth_method":"client_secret_post","jwks":null,"jwks_uri":null,
	"id_token_signed_response_alg":"ES256","pkce":"optional","require_pushed_authorization_requests":true,
	"dpop_bound_access_tokens":true,"consent":"always","preset":null,
	"tls_client_certificate_bound_access_tokens":true,"tls_client_auth_subject_dn":null,"tls_client_auth_san_dns":null,
	"tls_client_auth_san_uri":null,"tls_client_auth_san_ip":null,"tls_client_auth_san_email":null}`

func TestEveryOperationDoesWhatTheDocumentSays(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	d.call("", "GET", "/api/openapi.json", "").is(200)

	p := d.call(admin, "POST", "/api/projects",
		`{"slug":"acme","name":"Acme","audiences":["web","api"],"revoke_all_on_logout":true,"refresh_window":60}`).
		is(201)
	path := "/api/projects/" + p["id"].(string)
	d.call(admin, "GET", "/api/projects", "").is(200)
	d.call(admin, "GET", path, "").is(200)
	d.call(admin, "PATCH", path, `{"name":"Acme, Inc.","active":true,"refresh_window":null}`).is(200)
	d.call(admin, "PATCH", path+"/settings/jwt-ttl", `{"jwt_access_ttl":300,"jwt_refresh_ttl":86400}`).is(200)
	d.call(admin, "GET", path+"/settings/jwt-ttl", "").is(200)
	d.call(admin, "PATCH", path+"/settings/lifetimes", `{"authorization_code":30,"id_token":600}`).is(200)
	d.call(admin, "GET", path+"/settings/lifetimes", "").is(200)

	c := d.call(admin, "POST", "/api/clients",
		`{"id":"reports","project":"acme","scopes":["read"],"audience":["api"],"claims":{"tier":"gold"},`+
			`"refresh_reuse_interval":10}`).
		is(201)
	d.secrets = append(d.secrets, c["client_secret"].(string))
	d.call(admin, "GET", "/api/clients", "").is(200)
	d.call(admin, "GET", "/api/clients/reports", "").is(200)
	d.call(admin, "PATCH", "/api/clients/reports",
		`{"access_token_format":"opaque","refresh_rotation":false,"claims":null}`).
		is(200)
	d.call(admin, "PATCH", "/api/clients/reports/settings/token-ttl", `{"jwt_access_ttl":120}`).is(200)
	d.call(admin, "GET", "/api/clients/reports/settings/token-ttl", "").is(200)
	d.call(admin, "PATCH", "/api/clients/reports/settings/lifetimes", `{"device_code":120}`).is(200)
	d.call(admin, "GET", "/api/clients/reports/settings/lifetimes", "").is(200)
	again := d.call(admin, "POST", "/api/clients/reports/secret", "").is(200)
	if again["client_secret"] == c["client_secret"] {
		t.Error("the secret is the same")
	}
	second := d.call(admin, "POST", "/api/clients/reports/secrets", `{"expires_in":3600}`).is(201)
	d.secrets = append(d.secrets, again["client_secret"].(string), second["client_secret"].(string))
	d.call(admin, "DELETE", "/api/clients/reports/secrets?number=1", "").is(204)
	d.call(admin, "PATCH", "/api/clients/reports", everySetting).is(200)

	u := d.call(admin, "POST", "/api/users",
		`{"project":"acme","name":"alice","password":"correct horse","claims":{"role":"admin"}}`).
		is(201)
	user := "/api/users/" + u["id"].(string)
	d.secrets = append(d.secrets, "correct horse", "battery staple")
	d.call(admin, "GET", "/api/users", "").is(200)
	d.call(admin, "GET", user, "").is(200)
	d.call(admin, "PATCH", user, `{"disabled":false,"claims":{"role":"editor"}}`).is(200)
	d.call(admin, "PUT", user+"/password", `{"password":"battery staple"}`).is(204)

	d.consents = []consent.Consent{{ID: u["id"].(string), Project: "acme", UserID: u["id"].(string), Since: time.Now()}}
	d.call(admin, "GET", "/api/consents", "").is(200)
	d.call(admin, "DELETE", "/api/consents/"+u["id"].(string), "").is(204)

	token := d.call(admin, "POST", "/api/tokens",
		`{"name":"ci","abilities":["create","read"],"project":"acme","expires_in":3600}`).
		is(201)
	d.secrets = append(d.secrets, token["token"].(string))
	d.call(admin, "GET", "/api/tokens", "").is(200)
	d.call(admin, "GET", "/api/tokens/"+token["id"].(string), "").is(200)
	d.call(admin, "DELETE", "/api/tokens/"+token["id"].(string), "").is(204)

	d.call(admin, "DELETE", user, "").is(204)
	d.call(admin, "DELETE", "/api/clients/reports", "").is(204)
	d.call(admin, "DELETE", path, "").is(204)
	d.call(admin, "GET", "/api/audit", "").is(200)

	for _, operations := range described().Paths {
		for _, o := range operations {
			if !d.exercised[o.OperationID] {
				t.Errorf("%s was not exercised", o.OperationID)
			}
		}
	}
}

func TestDocumentNamesThisServer(t *testing.T) {
	d := newFixture(t)
	var served document
	if err := json.Unmarshal([]byte(d.call("", "GET", "/api/openapi.json", "").body), &served); err != nil {
		t.Fatal(err)
	}
	if len(served.Servers) != 1 || served.Servers[0].URL != "https://auth.example.org/auth" {
		t.Errorf("%+v", served.Servers)
	}
}

func TestWhoeverHasNoGoodCredentialIsToldSo(t *testing.T) {
	d := newFixture(t)
	expired, old, err := apitoken.New("old", "", []string{apitoken.Admin}, time.Minute,
		time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	d.tokens[expired.ID] = expired
	revoked := d.token("", apitoken.Admin)
	for id, token := range d.tokens {
		if token.Hash == secrets.Hash(revoked) {
			token.Revoked = time.Now()
			d.tokens[id] = token
		}
	}
	for _, r := range routes {
		if r.Handler.ability == "" {
			continue
		}
		path := strings.ReplaceAll(r.Path, "{id}", "default")
		a := d.call("", r.Method, path, "")
		a.refused(401, "no_credential", "API token")
		if a.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%v", a.header)
		}
		for _, credential := range []string{old, revoked, "x", "caat_" + strings.Repeat("A", 43), revoked + " x"} {
			a := d.call(credential, r.Method, path, "")
			a.refused(401, "invalid_token", "unknown, expired or revoked")
			if a.header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
				t.Errorf("%v", a.header)
			}
		}
	}
	d.call("", "GET", "/api/projects", "", "Authorization: Basic eDp5").refused(401, "invalid_token", "")
	if len(d.entries) != 0 {
		t.Errorf("nobody filled the audit trail: %+v", d.entries)
	}
}

func TestTwoCredentialsAreRefused(t *testing.T) {
	d := newFixture(t)
	r := httptest.NewRequest("GET", "https://auth.example.org/auth/api/projects", nil)
	token := "Bearer " + d.token("", apitoken.Admin)
	r.Header["Authorization"] = []string{token, token}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestEveryRouteAsksForItsAbility(t *testing.T) {
	d := newFixture(t)
	for _, r := range routes {
		if r.Handler.ability == "" {
			continue
		}
		path := strings.ReplaceAll(r.Path, "{id}", "none")
		for _, ability := range apitoken.Abilities() {
			a := d.call(d.token("", ability), r.Method, path, "")
			switch {
			case ability == r.Handler.ability || ability == apitoken.Admin:
				if a.status == 401 || a.status == 403 {
					t.Errorf("%s %s with %s: %s", r.Method, path, ability, a.body)
				}
			default:
				a.refused(403, "insufficient_ability", r.Handler.ability)
				if a.header.Get("WWW-Authenticate") != `Bearer error="insufficient_scope"` {
					t.Errorf("%v", a.header)
				}
			}
		}
	}
}

func TestAdministratorsSessionIsAsGoodAsAToken(t *testing.T) {
	d := newFixture(t)
	d.call("", "GET", "/api/projects", "", "Cookie: who=root").is(200)
	d.call("", "POST", "/api/projects", `{"slug":"acme"}`, "Cookie: who=root", "Sec-Fetch-Site: same-origin").is(201)
	d.call("", "GET", "/api/projects", "", "Cookie: who=alice").
		refused(403, "insufficient_ability", "not an administrator")
	d.call("", "GET", "/api/projects", "", "Cookie: who=broken").refused(503, "store_unavailable", "")
	d.call("x", "GET", "/api/projects", "", "Cookie: who=root").refused(401, "invalid_token", "")
	if d.entries[0].Actor != "user:root" {
		t.Errorf("%+v", d.entries)
	}
}

func TestOtherSitesDoNothingWithASession(t *testing.T) {
	for _, header := range []string{
		"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Sec-Fetch-Site: Same-Origin", "Sec-Fetch-Site: new",
		"Origin: https://evil.example", "Origin: null", "Origin: https://evil.auth.example.org",
	} {
		t.Run(header, func(t *testing.T) {
			d := newFixture(t)
			d.call("", "POST", "/api/projects", `{"slug":"acme"}`, "Cookie: who=root", header).
				refused(403, "cross_origin", "another site")
			d.call("", "DELETE", "/api/projects/default", "", "Cookie: who=root", header).
				refused(403, "cross_origin", "another site")
			for _, path := range []string{
				"/api/projects", "/api/projects/default", "/api/users", "/api/clients", "/api/tokens", "/api/audit",
			} {
				d.call("", "GET", path, "", "Cookie: who=root", header).refused(403, "cross_origin", "another site")
			}
			if a := d.call("", "HEAD", "/api/projects", "", "Cookie: who=root", header); a.status != 403 {
				t.Errorf("HEAD: status %d", a.status)
			}
		})
	}
	d := newFixture(t)
	d.call("", "GET", "/api/projects", "", "Cookie: who=root", "Sec-Fetch-Site: none").is(200)
	d.call("", "GET", "/api/projects", "", "Cookie: who=root", "Origin: https://auth.example.org").is(200)
	d.call(d.token("", apitoken.Create), "POST", "/api/projects", `{"slug":"acme"}`, "Sec-Fetch-Site: cross-site").
		is(201)
	d.call(d.token("", apitoken.Read), "GET", "/api/projects", "", "Origin: https://evil.example").is(200)
}

func TestTokenOfOneProjectSeesNoOther(t *testing.T) {
	d := newFixture(t)
	admin, bound := d.token("", apitoken.Admin), d.token("acme", apitoken.Admin)
	d.call(admin, "POST", "/api/projects", `{"slug":"acme"}`).is(201)
	d.call(admin, "POST", "/api/clients", `{"id":"c"}`).is(201)
	u := d.call(admin, "POST", "/api/users", `{"name":"alice"}`).is(201)
	everything := d.call(admin, "POST", "/api/tokens", `{"name":"t","abilities":["read"]}`).is(201)
	for _, path := range []string{
		"/api/projects/default", "/api/projects/default/settings/jwt-ttl", "/api/clients/c",
		"/api/clients/c/settings/token-ttl", "/api/users/" + u["id"].(string),
		"/api/tokens/" + everything["id"].(string), "/api/users?project=default", "/api/clients?project=default",
		"/api/audit?project=default", "/api/tokens?project=default",
	} {
		d.call(bound, "GET", path, "").refused(404, "not_found", "there is no such")
	}
	for _, c := range []struct{ path, body string }{
		{"/api/clients", `{"project":"default"}`}, {"/api/users", `{"project":"default","name":"bob"}`},
		{"/api/tokens", `{"name":"t","abilities":["admin"],"project":"default"}`},
	} {
		t.Run(c.path, func(t *testing.T) {
			d.call(bound, "POST", c.path, c.body).
				refused(422, "invalid_value", `project: "default" not found`)
		})
	}
	d.call(bound, "POST", "/api/projects", `{"slug":"mine"}`).refused(403, "insufficient_ability", "one project")
	d.call(bound, "DELETE", "/api/users/"+u["id"].(string), "").refused(404, "not_found", "there is no such user")
	if got := d.call(bound, "POST", "/api/users", `{"name":"alice"}`).is(201); got["project"] != "acme" {
		t.Errorf("%v", got)
	}
	got := d.call(bound, "POST", "/api/tokens", `{"name":"t","abilities":["admin"]}`).is(201)
	if got["project"] != "acme" {
		t.Errorf("a token for %v", got["project"])
	}
	for _, c := range []struct {
		path string
		want int
	}{{"/api/projects", 1}, {"/api/users", 1}, {"/api/clients", 0}, {"/api/tokens", 1}} {
		t.Run(c.path, func(t *testing.T) {
			if items := d.call(bound, "GET", c.path, "").is(200)["items"].([]any); c.path != "/api/tokens" &&
				len(items) != c.want {
				t.Errorf("%s: %v", c.path, items)
			}
		})
	}
}

// TestTokenOfOneProjectCannotTellWhatOthersHave sends each call twice, about something that another
// project has and about something that nobody has: the answers must be the same.
func TestTokenOfOneProjectCannotTellWhatOthersHave(t *testing.T) {
	d := newFixture(t)
	admin, bound := d.token("", apitoken.Admin), d.token("acme", apitoken.Admin)
	d.call(admin, "POST", "/api/projects", `{"slug":"acme"}`).is(201)
	p := d.call(admin, "POST", "/api/projects", `{"slug":"elsewhere"}`).is(201)
	d.call(admin, "POST", "/api/clients", `{"id":"taken","project":"elsewhere"}`).is(201)
	u := d.call(admin, "POST", "/api/users", `{"name":"alice","project":"elsewhere"}`).is(201)
	token := d.call(admin, "POST", "/api/tokens", `{"name":"t","abilities":["read"],"project":"elsewhere"}`).is(201)
	for _, c := range []struct{ name, method, path, body, elsewhere string }{
		{"project by slug", "GET", "/api/projects/ID", "", "elsewhere"},
		{"project by id", "GET", "/api/projects/ID", "", p["id"].(string)},
		{"project, change", "PATCH", "/api/projects/ID", `{"name":"x"}`, "elsewhere"},
		{"project, bad change", "PATCH", "/api/projects/ID", `{"name":7}`, "elsewhere"},
		{"project, removal", "DELETE", "/api/projects/ID", "", "elsewhere"},
		{"settings", "GET", "/api/projects/ID/settings/jwt-ttl", "", "elsewhere"},
		{"settings, change", "PATCH", "/api/projects/ID/settings/jwt-ttl", `{"jwt_access_ttl":600}`, p["id"].(string)},
		{"client", "GET", "/api/clients/ID", "", "taken"},
		{"client, change", "PATCH", "/api/clients/ID", `{"name":"x"}`, "taken"},
		{"client, removal", "DELETE", "/api/clients/ID", "", "taken"},
		{"client's secret", "POST", "/api/clients/ID/secret", "", "taken"},
		{"client's settings", "GET", "/api/clients/ID/settings/token-ttl", "", "taken"},
		{"client's settings, change", "PATCH", "/api/clients/ID/settings/token-ttl", `{"jwt_access_ttl":600}`, "taken"},
		{"user", "GET", "/api/users/ID", "", u["id"].(string)},
		{"user, change", "PATCH", "/api/users/ID", `{"disabled":true}`, u["id"].(string)},
		{"user, removal", "DELETE", "/api/users/ID", "", u["id"].(string)},
		{"user's password", "PUT", "/api/users/ID/password", `{"password":"long enough it is"}`, u["id"].(string)},
		{"API token", "GET", "/api/tokens/ID", "", token["id"].(string)},
		{"API token, removal", "DELETE", "/api/tokens/ID", "", token["id"].(string)},
		{"list of projects", "GET", "/api/projects?project=ID", "", "elsewhere"},
		{"list of clients", "GET", "/api/clients?project=ID", "", "elsewhere"},
		{"list of users", "GET", "/api/users?project=ID", "", "elsewhere"},
		{"user by name", "GET", "/api/users?project=ID&name=alice", "", "elsewhere"},
		{"list of API tokens", "GET", "/api/tokens?project=ID", "", "elsewhere"},
		{"audit trail", "GET", "/api/audit?project=ID", "", "elsewhere"},
		{"audit trail of a target", "GET", "/api/audit?target=ID", "", u["id"].(string)},
		{"new client", "POST", "/api/clients", `{"project":"ID"}`, "elsewhere"},
		{"new user", "POST", "/api/users", `{"project":"ID","name":"bob"}`, "elsewhere"},
		{"new API token", "POST", "/api/tokens", `{"project":"ID","name":"t","abilities":["read"]}`, "elsewhere"},
		{"new project", "POST", "/api/projects", `{"slug":"ID"}`, "elsewhere"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ask := func(id string) (int, string) {
				a := d.call(bound, c.method, strings.ReplaceAll(c.path, "ID", id), strings.ReplaceAll(c.body, "ID", id))
				return a.status, strings.ReplaceAll(a.body, id, "ID") + fmt.Sprint(a.header)
			}
			there, thereBody := ask(c.elsewhere)
			nowhere, nowhereBody := ask("nobody-has-this")
			if there != nowhere || thereBody != nowhereBody {
				t.Errorf("what another project has: %d %s\nwhat nobody has: %d %s", there, thereBody, nowhere,
					nowhereBody)
			}
			if c.name != "audit trail of a target" && there < 400 {
				t.Errorf("status %d", there)
			}
		})
	}
	if items := d.call(bound, "GET", "/api/audit", "").is(200)["items"].([]any); strings.Contains(fmt.Sprint(items),
		"alice") || strings.Contains(fmt.Sprint(items), "taken") {
		t.Errorf("the audit trail: %v", items)
	}
}

func TestMethodsThatAnAddressDoesNotAnswer(t *testing.T) {
	d := newFixture(t)
	a := d.call("", "PUT", "/api/projects/x", "")
	a.refused(405, "method_not_allowed", "PUT")
	if a.header.Get("Allow") != "DELETE, GET, HEAD, PATCH" {
		t.Errorf("%v", a.header)
	}
	d.call("", "OPTIONS", "/api/projects", "").refused(405, "method_not_allowed", "OPTIONS")
	if a := d.call(d.token("", apitoken.Read), "HEAD", "/api/projects", ""); a.status != 200 {
		t.Errorf("HEAD: %d", a.status)
	}
}

func TestAddressesOfOthers(t *testing.T) {
	d := newFixture(t)
	for _, path := range []string{
		"/api", "/api/", "/api/acme/auth/login", "/api/projects/auth/login", "/api/projects/", "/api/projects/a/b",
		"/api/users/x/password/y", "/login", "/api/projects/x/settings/token-ttl", "/api/clients/x/settings/jwt-ttl",
		"/api/openapi.json/x",
	} {
		if d.Handles("/auth" + path) {
			t.Errorf("%s is handled", path)
		}
		d.call("", "GET", path, "").refused(404, "not_found", "")
	}
	if d.Handles("/api/projects") || !d.Handles("/auth/api/projects") {
		t.Error("the mount point is not heeded")
	}
}

// TestACallerWhoWentAwayIsNoError: what fails because of it has a word of its own and no error.
func TestACallerWhoWentAwayIsNoError(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	d.memory.err = errors.New("sql: secret details")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "https://auth.example.org/auth/api/projects", nil)
	r.Header.Set("Authorization", "Bearer "+admin)
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if last := d.events[len(d.events)-1]; last.Err != nil || last.Result != "canceled" ||
		w.Code != endpoint.StatusClientGone {
		t.Errorf("%+v, status %d", last, w.Code)
	}
}

func TestStoreThatCannotBeAskedIs503(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	d.memory.err = errors.New("sql: secret details")
	for _, r := range routes {
		if r.Handler.ability == "" {
			continue
		}
		a := d.call(admin, r.Method, strings.ReplaceAll(r.Path, "{id}", "x"), "")
		a.refused(503, "store_unavailable", "")
		if a.header.Get("Retry-After") != "5" || strings.Contains(a.body, "details") {
			t.Errorf("%v %s", a.header, a.body)
		}
		if last := d.events[len(d.events)-1]; last.Err == nil || last.Status != 503 ||
			last.Result != "store_unavailable" {
			t.Errorf("%+v", last)
		}
	}
}

func TestServersThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		want  string
		spoil func(*Server)
	}{
		{"not an http or https URL", func(s *Server) { s.Base = &url.URL{Scheme: "ftp", Host: "h"} }},
		{"trailing slash", func(s *Server) { s.Base = &url.URL{Scheme: "https", Host: "h", Path: "/"} }},
		{"are required", func(s *Server) { s.Revoker = nil }},
		{"access_token minimum", func(s *Server) { s.Limits.MinAccess = time.Second }},
		{"access_token: 1s", func(s *Server) { s.Lifetimes.Access = time.Second }},
	} {
		t.Run(c.want, func(t *testing.T) {
			s := newFixture(t).Server
			c.spoil(s)
			if err := s.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
