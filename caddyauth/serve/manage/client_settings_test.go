package manage

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

const keySet = `{"keys":[{"kty":"EC","crv":"P-256","x":"x","y":"y"}]}`

// contains checks what an answer holds.
func (a answer) contains(status int, parts ...string) {
	a.Helper()
	a.is(status)
	for _, part := range parts {
		if !strings.Contains(a.body, part) {
			a.Errorf("%s\nwant %s", a.body, part)
		}
	}
}

func TestSettingsOfAClientAreShownInForceAndChanged(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	d.call(admin, "POST", "/api/clients", `{"id":"c"}`).contains(201,
		`"grant_types":["authorization_code","refresh_token"],"token_exchange":[],`+
			`"introspection":[],"identity_assertions":[],"response_modes":["query","form_post"]`,
		`"token_endpoint_auth_methods":["client_secret_basic","client_secret_post"],"token_endpoint_auth_method":null`,
		`"id_token_signed_response_alg":"RS256","pkce":"required"`, `"consent":"once","preset":null,"source":null`)
	d.call(admin, "PATCH", "/api/clients/c", everySetting).contains(200,
		`"redirect_uris":["https://app.example/cb"],"post_logout_redirect_uris":["https://app.example/bye"]`,
		`"grant_types":["authorization_code","`+clients.GrantDevice+`","`+clients.GrantExchange+`"]`,
		`"token_endpoint_auth_methods":["client_secret_post"]`, `"pkce":"optional"`, `"consent":"always"`,
		`"require_pushed_authorization_requests":true,"dpop_bound_access_tokens":true`,
		`"token_exchange":["web","caddyauth"],"introspection":["api","https://api.example"]`)
	d.call(admin, "PATCH", "/api/clients/c",
		`{"identity_assertions":[{"issuer":"https://chat.example","scopes":["r"]}]}`).contains(200,
		`"identity_assertions":[{"issuer":"https://chat.example","client_id":"c","scopes":["r"],"resources":[]}]`)
	for _, bad := range []string{
		`null`, `{}`, `[{}]`, `["https://chat.example"]`, `[{"issuer":"https://chat.example","scope":"r"}]`,
		`[{"issuer":"http://chat.example"}]`, `[null]`, `[{"issuer":null}]`, `[{"ISSUER":"https://chat.example"}]`,
		`[{"issuer":"https://chat.example","Scopes":["root"]}]`, `[{"issuer":"https://chat.example","scopes":"r"}]`,
	} {
		d.call(admin, "PATCH", "/api/clients/c", `{"identity_assertions":`+bad+`}`).
			refused(422, "invalid_value", "identity_assertion")
	}
	d.call(admin, "PATCH", "/api/clients/c", `{"identity_assertions":[{"client_id":"c"}]}`).
		refused(422, "invalid_value", "identity_assertions: issuer: it is required")
	d.call(admin, "PATCH", "/api/clients/c", `{"identity_assertions":[]}`).contains(200, `"identity_assertions":[]`)
	d.call(admin, "PATCH", "/api/clients/c", `{"name":"C"}`).contains(200, `"pkce":"optional"`)
	d.call(admin, "PATCH", "/api/clients/c",
		`{"consent":null,"pkce":"required","grant_types":[],"token_endpoint_auth_method":null,"client_uri":null}`).
		contains(200, `"consent":"once"`, `"pkce":"required"`, `"refresh_token"`, `"client_uri":""`)
}

func TestClientsWithKeysHaveNoSecret(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	a := d.call(admin, "POST", "/api/clients",
		`{"id":"k","token_endpoint_auth_method":"private_key_jwt","jwks":`+keySet+`}`)
	a.contains(201, `"public":false`, `"secrets":[]`, `"jwks":`+keySet)
	if strings.Contains(a.body, "client_secret\"") {
		t.Error(a.body)
	}
	d.call(admin, "POST", "/api/clients/k/secrets", `{}`).refused(409, "no_secret", "private_key_jwt")
	d.call(admin, "POST", "/api/clients/k/secret", "").refused(409, "no_secret", "private_key_jwt")
	d.call(admin, "POST", "/api/clients", `{"id":"s"}`).is(201)
	d.call(admin, "PATCH", "/api/clients/s",
		`{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://s.example/keys"}`).
		contains(200, `"secrets":[]`)
	d.call(admin, "POST", "/api/clients",
		`{"id":"t","token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"t.example"}`).
		contains(201, `"public":false`, `"secrets":[]`, `"tls_client_auth_san_dns":"t.example"`)
	d.call(admin, "PATCH", "/api/clients/t", `{"tls_client_auth_san_ip":"192.0.2.1"}`).
		refused(422, "invalid_value", "exactly one of tls_client_auth_subject_dn")
	d.call(admin, "PATCH", "/api/clients/t",
		`{"tls_client_auth_san_dns":null,"tls_client_auth_subject_dn":"CN=t"}`).
		contains(200, `"tls_client_auth_subject_dn":"CN=t"`, `"tls_client_auth_san_dns":null`)
	d.call(admin, "POST", "/api/clients/t/secret", "").refused(409, "no_secret", "tls_client_auth")
	d.call(admin, "POST", "/api/clients", `{"id":"n","token_endpoint_auth_method":"none"}`).
		contains(201, `"public":true`, `"secrets":[]`)
}

func TestPresetOfAClient(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	d.call(admin, "POST", "/api/clients", `{"id":"b","preset":"fapi2","jwks":`+keySet+`}`).contains(201,
		`"preset":"fapi2"`, `"require_pushed_authorization_requests":true,"dpop_bound_access_tokens":true`,
		`"token_endpoint_auth_method":"private_key_jwt"`, `"refresh_rotation":false`)
	d.call(admin, "PATCH", "/api/clients/b", `{"dpop_bound_access_tokens":false}`).
		refused(422, "invalid_value", "preset fapi2: it needs dpop_bound_access_tokens")
	d.call(admin, "PATCH", "/api/clients/b/settings/lifetimes", `{"authorization_code":120}`).
		refused(422, "invalid_value", "preset fapi2: it needs an authorization_code lifetime of at most 60s")
	d.call(admin, "PATCH", "/api/clients/b", `{"preset":null,"dpop_bound_access_tokens":false}`).is(200)
}

func TestSettingsThatAreRefused(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	d.call(admin, "POST", "/api/clients", `{"id":"p","public":true}`).is(201)
	for _, c := range []struct{ body, want string }{
		{`{"redirect_uris":["javascript:alert(1)"]}`, "redirect_uri: "},
		{`{"redirect_uris":["http://app.example/"]}`, "redirect_uri: "},
		{`{"redirect_uris":"https://app.example/"}`, "redirect_uris: it must be a list"},
		{`{"post_logout_redirect_uris":["x"]}`, "post_logout_redirect_uri: "},
		{`{"backchannel_logout_uri":"http://app.example/"}`, "backchannel_logout_uri: "},
		{`{"client_uri":7}`, "client_uri: it must be a string"},
		{`{"grant_types":["password"]}`, "grant_types: "},
		{`{"grant_types":["client_credentials"]}`, "grant_types: client_credentials is for clients"},
		{`{"response_modes":["fragment"]}`, "response_modes: "},
		{`{"token_exchange":["*"]}`, "token_exchange: "},
		{`{"introspection":["a b"]}`, "introspection: "},
		{`{"introspection":["api"]}`, "introspection: it is for clients with a secret or a key"},
		{`{"resources":["x"]}`, "resource: "},
		{`{"token_endpoint_auth_method":"client_secret_post"}`, "it needs a secret"},
		{`{"token_endpoint_auth_method":"private_key_jwt"}`, "it needs either jwks or jwks_uri"},
		{`{"jwks":[]}`, "jwks: it must be an object or null"},
		{`{"jwks":{"keys":[{"kty":"EC","d":"CANARY"}]}}`, "jwks: key 1 is a private key"},
		{`{"jwks_uri":"ftp://x"}`, "jwks_uri: "},
		{`{"id_token_signed_response_alg":"none"}`, "id_token_signed_response_alg: "},
		{`{"pkce":"optional"}`, "pkce: "},
		{`{"pkce":"off"}`, "pkce: "},
		{`{"pkce":null}`, "pkce: "},
		{`{"consent":"never"}`, "consent: "},
		{`{"preset":"standard"}`, "preset: "},
		{`{"source":"registration"}`, `"source": unknown field`},
		{`{"secrets":[]}`, `"secrets": unknown field`},
	} {
		t.Run(c.body, func(t *testing.T) {
			d.call(admin, "PATCH", "/api/clients/p", c.body).refused(422, "invalid_value", c.want)
		})
	}
	if got := d.clients["p"].Version; got != 1 {
		t.Errorf("version %d: a refused change was stored", got)
	}
}

// TestTwoSecretsTakeTurns: the second one is made beside the first, which then ends.
func TestTwoSecretsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t)
		admin := d.token("", apitoken.Admin)
		first := d.call(admin, "POST", "/api/clients", `{"id":"c"}`).is(201)["client_secret"].(string)
		second := d.call(admin, "POST", "/api/clients/c/secrets", `{"others_expire_in":3600}`).
			is(201)["client_secret"].(string)
		authentic := func(when string, firstToo bool) {
			t.Helper()
			c := d.clients["c"]
			if c.Authentic(first, time.Now()) != firstToo || !c.Authentic(second, time.Now()) {
				t.Errorf("%s: %+v", when, c.Secrets)
			}
		}
		authentic("at once", true)
		d.call(admin, "POST", "/api/clients/c/secrets", `{}`).refused(409, "too_many_secrets", "remove one first")
		time.Sleep(time.Hour)
		authentic("after the end of the first", false)
		third := d.call(admin, "POST", "/api/clients/c/secrets", `{"expires_in":60}`).is(201)
		if n := len(third["secrets"].([]any)); n != 2 {
			t.Errorf("%d secrets: one that has ended made no room", n)
		}
		d.call(admin, "DELETE", "/api/clients/c/secrets?number=7", "").refused(404, "not_found", "")
		d.call(admin, "DELETE", "/api/clients/c/secrets?number=x", "").refused(422, "invalid_value", "number")
		d.call(admin, "DELETE", "/api/clients/c/secrets", "").refused(422, "invalid_value", "number")
		d.call(admin, "DELETE", "/api/clients/c/secrets?number=3", "").is(204)
		d.call(admin, "DELETE", "/api/clients/c/secrets?number=2", "").refused(409, "last_secret", "public")
		authentic("at the end", false)
	})
}

func TestSecretsOfClientsThatHaveNone(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	d.call(admin, "POST", "/api/clients", `{"id":"p","public":true}`).is(201)
	d.clients["declared"] = clients.Client{
		ID: "declared", Project: "default", Declared: true, Secrets: []clients.Secret{{Number: 1, Hash: "x"}},
	}
	for _, c := range []struct{ id, word string }{{"p", "public_client"}, {"declared", "declared"}} {
		d.call(admin, "POST", "/api/clients/"+c.id+"/secrets", `{}`).refused(409, c.word, "")
		d.call(admin, "DELETE", "/api/clients/"+c.id+"/secrets?number=1", "").refused(409, c.word, "")
	}
}

func TestAllLifetimesAreReadSetAndReset(t *testing.T) {
	d := newFixture(t)
	admin := d.token("", apitoken.Admin)
	d.call(admin, "POST", "/api/clients", `{"id":"c"}`).is(201)
	const project, client = "/api/projects/default/settings/lifetimes", "/api/clients/c/settings/lifetimes"
	for _, step := range []struct{ method, path, body, want string }{
		{
			"GET", project, "",
			`"id_token":null,"in_force":{"access_token":900,"refresh_token":2592000,"refresh_absolute":31536000,` +
				`"authorization_code":60,"device_code":300,"id_token":3600}`,
		},
		{
			"PATCH", project, `{"authorization_code":30,"id_token":600,"refresh_absolute":86400}`,
			`"authorization_code":30,"device_code":null,"id_token":600,` +
				`"in_force":{"access_token":900,"refresh_token":86400`,
		},
		{"GET", client, "", `"authorization_code":null,"device_code":null,"id_token":null`},
		{"GET", client, "", `"authorization_code":30,"device_code":300,"id_token":600}}`},
		{"PATCH", client, `{"id_token":120}`, `"authorization_code":30,"device_code":300,"id_token":120}}`},
		{"PATCH", client, `{"id_token":null}`, `"authorization_code":30,"device_code":300,"id_token":600}}`},
		{
			"PATCH", project, `{"id_token":0,"authorization_code":null}`,
			`"authorization_code":60,"device_code":300,"id_token":3600}`,
		},
	} {
		d.call(admin, step.method, step.path, step.body).contains(200, step.want)
	}
	for _, c := range []struct{ body, want string }{
		{`{"authorization_code":9}`, "authorization_code: 9 is below the limit of 10 seconds"},
		{`{"authorization_code":601}`, "authorization_code: 601 is above the limit of 600 seconds"},
		{`{"device_code":1801}`, "device_code: 1801 is above the limit of 1800 seconds"},
		{`{"id_token":86401}`, "id_token: 86401 is above the limit of 86400 seconds"},
		{`{"refresh_token":86401}`, "refresh_token: 86401 is above the limit of 86400 seconds"},
		{`{"access_token":1}`, "access_token: 1 is below the limit of 60 seconds"},
	} {
		d.call(admin, "PATCH", client, c.body).refused(422, "invalid_value", c.want)
	}
}
