package manage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
)

// ended checks what was revoked since it was asked last.
func (d *fixture) ended(want ...string) {
	d.Helper()
	if !slices.Equal(d.revoked, want) {
		d.Errorf("revoked %q, want %q", d.revoked, want)
	}
	d.revoked = nil
}

func TestPausedAndDeletedThingsEndTheirSessions(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	d.call(admin, "POST", "/api/projects", `{"slug":"acme"}`).is(201)
	d.call(admin, "POST", "/api/clients", `{"id":"c","project":"acme"}`).is(201)
	user := "/api/users/" +
		d.call(admin, "POST", "/api/users", `{"name":"Alice","project":"acme","password":"correct horse"}`).
			is(201)["id"].(string)
	d.call(admin, "PATCH", user, `{"claims":{"a":1}}`).is(200)
	d.call(admin, "PATCH", "/api/clients/c", `{"name":"C"}`).is(200)
	d.call(admin, "PATCH", "/api/projects/acme", `{"active":true}`).is(200)
	d.ended()
	d.call(admin, "PUT", user+"/password", `{"password":"battery staple"}`).is(204)
	d.ended("user acme Alice password_changed")
	d.call(admin, "PATCH", "/api/projects/acme", `{"revoke_refresh_on_password_change":false}`).is(200)
	d.call(admin, "PUT", user+"/password", `{"password":"correct horse"}`).is(204)
	d.ended()
	d.call(admin, "PATCH", user, `{"disabled":true}`).is(200)
	d.ended("user acme Alice disabled")
	d.call(admin, "PATCH", "/api/clients/c", `{"active":false}`).is(200)
	d.ended("client acme c paused")
	d.call(admin, "PATCH", "/api/projects/acme", `{"active":false}`).is(200)
	d.ended("project acme paused")
	d.call(admin, "DELETE", user, "").is(204)
	d.call(admin, "DELETE", "/api/clients/c", "").is(204)
	d.call(admin, "DELETE", "/api/projects/acme", "").is(204)
	d.ended("user acme Alice deleted", "client acme c deleted", "project acme deleted")
	for _, path := range []string{user, "/api/clients/c", "/api/projects/acme"} {
		d.call(admin, "GET", path, "").refused(404, "not_found", "")
		d.call(admin, "DELETE", path, "").refused(404, "not_found", "")
	}
}

func TestSessionsThatCouldNotBeEndedAreEndedByTheSameRequest(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	user := "/api/users/" + d.call(admin, "POST", "/api/users", `{"name":"alice"}`).is(201)["id"].(string)
	d.call(admin, "POST", "/api/clients", `{"id":"c"}`).is(201)
	d.call(admin, "POST", "/api/projects", `{"slug":"acme"}`).is(201)
	calls := []struct{ method, path, body, ended string }{
		{"PATCH", user, `{"disabled":true}`, "user default alice disabled"},
		{"PUT", user + "/password", `{"password":"correct horse"}`, "user default alice password_changed"},
		{"PATCH", "/api/clients/c", `{"active":false}`, "client default c paused"},
		{"PATCH", "/api/projects/acme", `{"active":false}`, "project acme paused"},
		{"DELETE", user, "", "user default alice deleted"},
		{"DELETE", "/api/clients/c", "", "client default c deleted"},
		{"DELETE", "/api/projects/acme", "", "project acme deleted"},
	}
	for _, c := range calls {
		d.revokeErr = errors.New("no")
		a := d.call(admin, c.method, c.path, c.body)
		a.refused(503, "revocation_failed", "send the same request again")
		if a.header.Get("Retry-After") == "" {
			t.Error("without Retry-After")
		}
		d.revokeErr = nil
		if a := d.call(admin, c.method, c.path, c.body); a.status >= 300 {
			t.Errorf("%+v: %s", c, a.body)
		}
		d.ended(c.ended)
	}
}

func TestDefaultProjectIsNeitherPausedNorDeleted(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	d.call(admin, "DELETE", "/api/projects/default", "").refused(409, "default_project", "")
	d.call(admin, "PATCH", "/api/projects/default", `{"active":false}`).refused(409, "default_project", "")
	d.ended()
}

func TestNamesThatAreTaken(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	for _, c := range []struct{ path, body string }{
		{"/api/projects", `{"slug":"acme"}`}, {"/api/clients", `{"id":"c"}`}, {"/api/users", `{"name":"alice"}`},
	} {
		t.Run(c.path, func(t *testing.T) {
			d.call(admin, "POST", c.path, c.body).is(201)
			d.call(admin, "POST", c.path, strings.Replace(c.body, "alice", "ALICE", 1)).
				refused(409, "already_exists", "")
		})
	}
	for _, path := range []string{"/api/clients", "/api/users", "/api/tokens"} {
		d.call(admin, "POST", path, `{"project":"none","name":"x","abilities":["read"]}`).
			refused(422, "invalid_value", `project: "none" not found`)
	}
}

func TestProjectShowsItsEffectiveLifetimes(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	a := d.call(admin, "GET", "/api/projects/default", "")
	if !strings.Contains(a.body,
		`"lifetimes":{"access_ttl":900,"refresh_ttl":2592000,"refresh_absolute_ttl":31536000}`) {
		t.Error(a.body)
	}
	d.Lifetimes.Refresh = project.None
	a = d.call(admin, "GET", "/api/projects/default", "")
	if !strings.Contains(a.body, `"lifetimes":{"access_ttl":900,"refresh_ttl":null,"refresh_absolute_ttl":null}`) {
		t.Error(a.body)
	}
}

func TestClientSecretIsShownOnceAndKeptAsAHash(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	secret := d.call(admin, "POST", "/api/clients", `{"id":"c"}`).is(201)["client_secret"].(string)
	if c := d.clients["c"]; !c.Authentic(secret, time.Now()) || c.Secrets[0].Hash == secret {
		t.Errorf("%+v", d.clients["c"])
	}
	d.secrets = append(d.secrets, secret)
	renewed := d.call(admin, "POST", "/api/clients/c/secret", "").is(200)["client_secret"].(string)
	if d.clients["c"].Authentic(secret, time.Now()) || !d.clients["c"].Authentic(renewed, time.Now()) {
		t.Errorf("%+v", d.clients["c"])
	}
	d.secrets = append(d.secrets, renewed)
	d.call(admin, "GET", "/api/clients/c", "")
	d.call(admin, "PATCH", "/api/clients/c", `{"name":"x"}`)
	d.call(admin, "GET", "/api/clients", "")
	if public := d.call(admin, "POST", "/api/clients", `{"id":"p","public":true}`).is(201); public["public"] != true ||
		public["client_secret"] != nil {
		t.Errorf("%v", public)
	}
	d.call(admin, "POST", "/api/clients/p/secret", "").refused(409, "public_client", "")
}

func TestClientsThatAreRefused(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	for _, c := range []struct{ body, want string }{
		{`{"id":"a/b"}`, `id: "a/b" is not`},
		{`{"access_token_format":"paseto"}`, `access_token_format: "paseto" is neither`},
		{`{"refresh_reuse_interval":-1}`, "refresh_reuse_interval: -1 is below the limit of 0 seconds"},
		{`{"refresh_reuse_interval":61}`, "refresh_reuse_interval: 61 is above the limit of 60 seconds"},
		{`{"scopes":["a b"]}`, `scopes: "a b" is not a word`},
		{`{"audience":["billing"]}`, `audience: "billing" is not one of`},
		{`{"claims":{"project":"acme"}}`, `claims: "project" is reserved`},
		{`{"claims":[]}`, "claims: it must be an object"},
		{`{"client_secret":"mine"}`, `"client_secret": unknown field`},
		{`{"refresh_rotation":0}`, "refresh_rotation: it must be true, false or null"},
	} {
		t.Run(c.body, func(t *testing.T) {
			d.call(admin, "POST", "/api/clients", c.body).refused(422, "invalid_value", c.want)
		})
	}
}

func TestPasswordsAreHashedAndNeverShown(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	d.secrets = []string{"cafe\u0301 CANARY", "short", "argon2id"}
	id := d.call(admin, "POST", "/api/users", `{"name":"alice","password":"cafe\u0301 CANARY"}`).is(201)["id"].(string)
	u := d.users[id]
	if ok, err := d.Passwords.Check(t.Context(), &u, "caf\u00e9 CANARY"); !ok || err != nil ||
		identity.ValidateHash(u.PasswordHash) != nil {
		t.Errorf("%+v, %v", u, err)
	}
	d.call(admin, "GET", "/api/users/"+id, "")
	for _, password := range []string{"short", strings.Repeat("x", 1025), `a\u0000bcdefgh`} {
		body := `{"password":"` + password + `"}`
		d.call(admin, "PUT", "/api/users/"+id+"/password", body).refused(422, "invalid_value", "password: ")
		d.call(admin, "POST", "/api/users", `{"name":"bob",`+body[1:]).refused(422, "invalid_value", "password: ")
	}
	d.call(admin, "PUT", "/api/users/"+id+"/password", `{}`).refused(422, "invalid_value", "password: it is required")
	if got := d.users[id]; got.PasswordHash != u.PasswordHash || len(d.users) != 1 {
		t.Error("a refused password was stored")
	}
	d.ended()
}

func TestUserWithoutAPasswordHasNone(t *testing.T) {
	d := newFixture(t)
	u := d.call(d.token("", apitoken.Create), "POST", "/api/users", `{"name":"alice"}`).is(201)
	if u["has_password"] != false || u["password_changed_at"] != nil || u["project"] != "default" {
		t.Errorf("%v", u)
	}
}

func TestUsersThatAreRefused(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	for _, c := range []struct{ body, want string }{
		{`{}`, "name: it is required"}, {`{"name":"a b"}`, `name: "a b" is not a valid account name`},
		{`{"name":"a","claims":{"Sub":"root"}}`, `claims: "Sub" is reserved`},
		{`{"name":"a","claims":{"r":1,"R":2}}`, "differ only by case"},
		{`{"name":"a","disabled":"no"}`, "disabled: it must be true or false"},
		{`{"name":"a","password_hash":"$2a$"}`, `"password_hash": unknown field`},
		{`{"name":"a","project":7}`, "project: it must be a string"},
	} {
		t.Run(c.body, func(t *testing.T) {
			d.call(admin, "POST", "/api/users", c.body).refused(422, "invalid_value", c.want)
		})
	}
	id := d.call(admin, "POST", "/api/users", `{"name":"a"}`).is(201)["id"].(string)
	d.call(admin, "PATCH", "/api/users/"+id, `{"name":"b"}`).
		refused(422, "invalid_value", `"name": unknown field`)
}

func TestBigNumbersInClaimsKeepTheirDigits(t *testing.T) {
	d := newFixture(t)
	a := d.call(d.token("", apitoken.Create), "POST", "/api/users",
		`{"name":"alice","claims":{"n":12345678901234567890}}`)
	if a.is(201); !strings.Contains(a.body, `"n":12345678901234567890`) {
		t.Error(a.body)
	}
}

func TestDeclaredUserIsReadOnly(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	id := project.NewID()
	d.users[id] = identity.User{
		ID:       id,
		Project:  "default",
		Name:     "alice",
		Declared: true,
		Version:  1,
		Created:  time.Now(),
	}
	d.call(admin, "PATCH", "/api/users/"+id, `{"disabled":true}`).refused(409, "declared", "Caddyfile")
	d.call(admin, "PUT", "/api/users/"+id+"/password", `{"password":"correct horse"}`).
		refused(409, "declared", "Caddyfile")
	d.call(admin, "DELETE", "/api/users/"+id, "").refused(409, "declared", "Caddyfile")
	d.ended()
}

func TestNobodyMakesThemselvesAnAdministrator(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	root := d.call(admin, "POST", "/api/users", `{"name":"root","claims":{"role":"admin"},"disabled":true}`).
		is(201)["id"].(string)
	plain := d.call(admin, "POST", "/api/users", `{"name":"alice"}`).is(201)["id"].(string)
	for _, token := range []string{
		d.token("", apitoken.Create, apitoken.Update, apitoken.Delete), d.token("default", apitoken.Admin),
	} {
		for _, c := range []struct{ method, path, body string }{
			{"POST", "/api/users", `{"name":"eve","claims":{"role":"admin"}}`},
			{"POST", "/api/users", `{"name":"eve","claims":{"role":"admin"},"disabled":true}`},
			{"PATCH", "/api/users/" + plain, `{"claims":{"role":"admin"}}`},
			{"PATCH", "/api/users/" + root, `{"disabled":false}`},
			{"PUT", "/api/users/" + root + "/password", `{"password":"correct horse"}`},
			{"DELETE", "/api/users/" + root, ""},
		} {
			d.call(token, c.method, c.path, c.body).refused(403, "insufficient_ability", "may administer")
		}
		d.call(token, "PUT", "/api/users/"+plain+"/password", `{"password":"correct horse"}`).is(204)
	}
	d.call(admin, "PATCH", "/api/users/"+root, `{"disabled":false}`).is(200)
}

func TestAPITokenIsShownOnceAndEndsWhenItIsRevoked(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	made := d.call(admin, "POST", "/api/tokens", `{"name":"ci","abilities":["read"],"expires_in":60}`).is(201)
	secret, id := made["token"].(string), made["id"].(string)
	if d.tokens[id].Hash != secrets.Hash(secret) || made["project"] != nil || made["expires_at"] == nil {
		t.Errorf("%+v", d.tokens[id])
	}
	d.secrets = append(d.secrets, secret)
	d.call(secret, "GET", "/api/projects", "").is(200)
	d.call(secret, "GET", "/api/tokens", "").refused(403, "insufficient_ability", "admin")
	if used := d.call(admin, "GET", "/api/tokens/"+id, "").is(200); used["last_used_at"] == nil ||
		used["revoked_at"] != nil {
		t.Errorf("%v", used)
	}
	d.call(admin, "DELETE", "/api/tokens/"+id, "").is(204)
	d.call(secret, "GET", "/api/projects", "").refused(401, "invalid_token", "")
	if gone := d.call(admin, "GET", "/api/tokens/"+id, "").is(200); gone["revoked_at"] == nil {
		t.Errorf("%v", gone)
	}
	for _, c := range []struct{ body, want string }{
		{`{"abilities":["read"]}`, "name: it is required"}, {`{"name":"x"}`, "abilities: required"},
		{`{"name":"x","abilities":["root"]}`, `abilities: "root" is unknown`},
		{`{"name":"x","abilities":["read"],"expires_in":59}`, "expires_in: 59 is below"},
		{`{"name":"x","abilities":["read"],"expires_in":315360001}`, "expires_in: 315360001 is above"},
		{`{"name":"x","abilities":["read"],"project":1}`, "project: it must be a string"},
		{`{"name":"x","abilities":["read"],"project":""}`, "project: it is required"},
	} {
		t.Run(c.body, func(t *testing.T) {
			d.call(admin, "POST", "/api/tokens", c.body).refused(422, "invalid_value", c.want)
		})
	}
}

func TestListsComeInPages(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	for i := range 7 {
		d.call(admin, "POST", "/api/projects", fmt.Sprintf(`{"slug":"p%d"}`, i)).is(201)
		d.call(admin, "POST", "/api/users", fmt.Sprintf(`{"name":"User%d"}`, i)).is(201)
		d.call(admin, "POST", "/api/clients", fmt.Sprintf(`{"id":"c%d"}`, i)).is(201)
		d.call(admin, "POST", "/api/tokens", `{"name":"t","abilities":["read"]}`).is(201)
	}
	for _, c := range []struct {
		path string
		want int
	}{{"/api/projects", 8}, {"/api/users", 7}, {"/api/clients", 7}, {"/api/tokens", 8}, {"/api/audit", 28}} {
		t.Run(c.path, func(t *testing.T) {
			seen, pages, cursor := map[string]bool{}, 0, ""
			for {
				page := d.call(admin, "GET", c.path+"?limit=3&cursor="+cursor, "").is(200)
				pages++
				for _, item := range page["items"].([]any) {
					seen[item.(map[string]any)["id"].(string)] = true
				}
				next, more := page["next_cursor"].(string)
				if !more {
					break
				}
				cursor = next
			}
			if len(seen) != c.want || pages != (c.want+2)/3 {
				t.Errorf("%s: %d elements on %d pages, want %d", c.path, len(seen), pages, c.want)
			}
		})
	}
	if empty := d.call(admin, "GET", "/api/users?project=p1", ""); empty.body != `{"items":[],"next_cursor":null}` {
		t.Error(empty.body)
	}
}

func TestAuditTrailSaysWhoDidWhatFromWhere(t *testing.T) {
	d := newFixture(t)
	admin, reader := d.token("", apitoken.Admin), d.token("", apitoken.Read)
	start := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	id := d.call(admin, "POST", "/api/users", `{"name":"Alice","password":"correct horse"}`).is(201)["id"].(string)
	d.call(admin, "GET", "/api/users/"+id, "").is(200)
	d.call(reader, "DELETE", "/api/users/"+id, "").is(403)
	d.call(admin, "PATCH", "/api/users/"+id, `{"disabled":1}`).is(422)
	d.call("", "DELETE", "/api/users/"+id, "").is(401)
	items := d.call(admin, "GET", "/api/audit?since="+start, "").is(200)["items"].([]any)
	var got []string
	for _, item := range items {
		e := item.(map[string]any)
		if !strings.HasPrefix(e["actor"].(string), "api_token:") || e["client_ip"] != "192.0.2.1" {
			t.Errorf("%v", e)
		}
		got = append(got, fmt.Sprint(e["action"], " ", e["target_name"], " ", e["result"], " ", e["detail"]))
	}
	slices.Sort(got)
	want := []string{
		"user.create Alice success name password", "user.delete  insufficient_ability ",
		"user.update Alice invalid_value ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, c := range []struct {
		query string
		want  int
	}{
		{"action=user.create", 1}, {"result=success", 1}, {"target=" + id, 2}, {"project=default", 2},
		{"until=" + start, 0}, {"actor=x", 0},
	} {
		t.Run(c.query, func(t *testing.T) {
			if items := d.call(admin, "GET", "/api/audit?"+c.query, "").is(200)["items"].([]any); len(items) != c.want {
				t.Errorf("%s: %d, want %d", c.query, len(items), c.want)
			}
		})
	}
	if len(d.events) != 12 {
		t.Errorf("%d events of 12 calls", len(d.events))
	}
}
