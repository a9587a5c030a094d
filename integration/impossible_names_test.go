package integration

import (
	"net/http"
	"strings"
	"testing"
)

// TestNamesThatCannotBeAreNoOutage: PostgreSQL takes neither a NUL nor what is not UTF-8 as text.
// Whoever names such a client or project is told that there is none, and not that the
// database is down.
func TestNamesThatCannotBeAreNoOutage(t *testing.T) {
	x := newRegistering(t, "postgres", "", "")
	const form = "Content-Type: application/x-www-form-urlencoded"
	for _, c := range []struct{ method, target, line, body string }{
		{"GET", "/register/BAD", "Authorization: Bearer cart_x", ""},
		{"GET", "/authorize?client_id=BAD", "", ""},
		{"GET", "/consent?client_id=BAD", "", ""},
		{"GET", "/logout?client_id=BAD", "", ""},
		{"GET", "/authorize?client_id=rp&request_uri=urn:ietf:params:oauth:request_uri:BAD", "", ""},
		{"POST", "/token", form, "grant_type=authorization_code&client_id=BAD"},
		{"POST", "/token", form, "grant_type=refresh_token&client_id=spa&refresh_token=BAD"},
		{"POST", "/token", form, "grant_type=authorization_code&client_id=spa&code_verifier=x&code=BAD"},
		{"POST", "/par", form, "client_id=BAD"},
		{"POST", "/device_authorization", form, "client_id=BAD"},
		{"POST", "/revoke", form, "client_id=spa&token=BAD"},
		{"POST", "/introspect", form, "client_id=rp&client_secret=" + rpSecret + "&token=BAD"},
		{"POST", "/api/BAD/auth/login", "Content-Type: application/json", `{"username":"alice","password":"x"}`},
		{"POST", "/api/default/auth/login", "Content-Type: application/json", `{"username":"a\u0000","password":"x"}`},
	} {
		for _, bad := range []string{"%00", "rp%00", "%ff", "rp%C3"} {
			named := strings.NewReplacer("BAD", bad)
			t.Run(c.method+" "+named.Replace(c.target+" "+c.body), func(t *testing.T) {
				a := x.ask(t, "auth", call{
					method: c.method, target: named.Replace(c.target), body: named.Replace(c.body),
					lines: append([]string{"Accept: application/json"}, strings.Split(c.line, "\n")...),
				})
				if a.status >= http.StatusInternalServerError || a.status == 0 {
					t.Errorf("%d %s", a.status, a.body)
				}
			})
		}
	}
}
