package manage

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// exact checks the whole body of an answer.
func (a answer) exact(status int, body string) {
	a.Helper()
	if a.status != status || a.body != body {
		a.Errorf("%d %s\nwant %d %s", a.status, a.body, status, body)
	}
}

const noneSet = `{"jwt_access_ttl":null,"jwt_refresh_ttl":null,"defaults":{"access_ttl":900,"refresh_ttl":2592000}}`

func TestProjectLifetimesAreReadSetAndReset(t *testing.T) {
	d := newFixture(t)
	token := d.token("", apitoken.Create)
	path := "/api/projects/" + d.projects["default"].ID + "/settings/jwt-ttl"
	for _, step := range []struct{ method, body, want string }{
		{"GET", "", noneSet},
		{"PATCH", `{"jwt_access_ttl":60}`, `{"jwt_access_ttl":60,"jwt_refresh_ttl":null}`},
		{"PATCH", `{"jwt_refresh_ttl":31536000}`, `{"jwt_access_ttl":60,"jwt_refresh_ttl":31536000}`},
		{"PATCH", `{}`, `{"jwt_access_ttl":60,"jwt_refresh_ttl":31536000}`},
		{
			"GET", "",
			`{"jwt_access_ttl":60,"jwt_refresh_ttl":31536000,"defaults":{"access_ttl":900,"refresh_ttl":2592000}}`,
		},
		{"PATCH", `{"jwt_access_ttl":null}`, `{"jwt_access_ttl":null,"jwt_refresh_ttl":31536000}`},
		{
			"PATCH", `{"jwt_refresh_ttl":0, "jwt_access_ttl":31536000}`,
			`{"jwt_access_ttl":31536000,"jwt_refresh_ttl":null}`,
		},
		{"PATCH", `{"jwt_access_ttl":0}`, `{"jwt_access_ttl":null,"jwt_refresh_ttl":null}`},
		{"GET", "", noneSet},
	} {
		d.call(token, step.method, path, step.body).exact(200, step.want)
	}
	if revoked := d.revoked; len(revoked) > 0 {
		t.Errorf("tokens that were issued before are touched: %v", revoked)
	}
}

func TestLifetimesOutsideTheLimitsAreRefused(t *testing.T) {
	d := newFixture(t)
	d.call(d.token("", apitoken.Create), "POST", "/api/clients", `{"id":"c"}`).is(201)
	d.Limits = project.Limits{MinAccess: 2 * time.Minute, MaxAccess: time.Hour}
	d.Lifetimes = project.Lifetimes{RefreshAbsolute: 24 * time.Hour}
	for _, path := range []string{"/api/projects/default/settings/jwt-ttl", "/api/clients/c/settings/token-ttl"} {
		for _, c := range []struct{ value, want string }{
			{"119", "jwt_access_ttl: 119 is below the limit of 120 seconds"},
			{"59", "jwt_access_ttl: 59 is below the limit of 120 seconds"},
			{"-1", "jwt_access_ttl: -1 is below the limit of 120 seconds"},
			{"3601", "jwt_access_ttl: 3601 is above the limit of 3600 seconds"},
			{"900.0", "jwt_access_ttl: it must be a whole number of seconds"},
			{"9e2", "jwt_access_ttl: it must be a whole number of seconds"},
			{"\"900\"", "jwt_access_ttl: it must be a whole number of seconds"},
			{"true", "jwt_access_ttl: it must be a whole number of seconds"},
			{"[900]", "jwt_access_ttl: it must be a whole number of seconds"},
			{"18446744073709552516", "jwt_access_ttl: 18446744073709552516 is above"},
			{"-18446744073709550716", "is below the limit of 120 seconds"},
			{"1" + strings.Repeat("0", 30), "jwt_access_ttl: 10000000000000000000... is above"},
		} {
			t.Run(c.value, func(t *testing.T) {
				d.call(d.token("", apitoken.Create), "PATCH", path, `{"jwt_access_ttl":`+c.value+`}`).
					refused(422, "invalid_value", c.want)
			})
		}
		d.call(d.token("", apitoken.Create), "PATCH", path, `{"jwt_refresh_ttl":86401}`).
			refused(422, "invalid_value", "jwt_refresh_ttl: 86401 is above the limit of 86400 seconds")
		d.call(d.token("", apitoken.Create), "PATCH", path, `{"jwt_refresh_ttl":59}`).
			refused(422, "invalid_value", "jwt_refresh_ttl: 59 is below the limit of 60 seconds")
		d.call(d.token("", apitoken.Create), "PATCH", path, `{"jwt_acess_ttl":900}`).
			refused(422, "invalid_value", `"jwt_acess_ttl": unknown field`)
	}
	if p := d.projects["default"]; p.Version != 1 {
		t.Errorf("a refused change was stored: %+v", p)
	}
}

func TestLifetimesOfNobody(t *testing.T) {
	d := newFixture(t)
	token := d.token("", apitoken.Create)
	for _, path := range []string{
		"/api/projects/" + project.NewID() + "/settings/jwt-ttl", "/api/clients/none/settings/token-ttl",
	} {
		d.call(token, "GET", path, "").refused(404, "not_found", "no such")
		d.call(token, "PATCH", path, `{"jwt_access_ttl":1}`).refused(404, "not_found", "no such")
	}
	d.call(d.token("", apitoken.Read, apitoken.Update), "GET", "/api/projects/default/settings/jwt-ttl", "").
		refused(403, "insufficient_ability", "create")
}

func TestLifetimesOfWhatIsDeclaredChangeToo(t *testing.T) {
	d := newFixture(t)
	token := d.token("", apitoken.Admin)
	declared := project.Lifetimes{Access: 5 * time.Minute, Refresh: project.None}
	d.projects["acme"] = project.Project{
		ID:        "1",
		Slug:      "acme",
		Active:    true,
		Declared:  true,
		Lifetimes: declared,
		Version:   1,
		Created:   time.Now(),
	}
	d.clients["c"] = clients.Client{
		ID:       "c",
		Project:  "acme",
		Active:   true,
		Declared: true,
		Version:  1,
		Created:  time.Now(),
	}
	path := "/api/projects/acme/settings/jwt-ttl"
	d.call(token, "GET", path, "").exact(200,
		`{"jwt_access_ttl":300,"jwt_refresh_ttl":0,"defaults":{"access_ttl":900,"refresh_ttl":2592000}}`)
	d.call(token, "GET", "/api/clients/c/settings/token-ttl", "").
		exact(200, `{"jwt_access_ttl":null,"jwt_refresh_ttl":null,"defaults":{"access_ttl":300,"refresh_ttl":0}}`)
	d.call(token, "PATCH", path, `{"jwt_access_ttl":120,"jwt_refresh_ttl":3600}`).
		exact(200, `{"jwt_access_ttl":120,"jwt_refresh_ttl":3600}`)
	d.call(token, "PATCH", "/api/clients/c/settings/token-ttl", `{"jwt_access_ttl":90}`).
		exact(200, `{"jwt_access_ttl":90,"jwt_refresh_ttl":null}`)
	d.call(token, "GET", "/api/clients/c/settings/token-ttl", "").
		exact(200, `{"jwt_access_ttl":90,"jwt_refresh_ttl":null,"defaults":{"access_ttl":120,"refresh_ttl":3600}}`)
	d.call(token, "PATCH", path, `{"jwt_access_ttl":null,"jwt_refresh_ttl":null}`).
		exact(200, `{"jwt_access_ttl":300,"jwt_refresh_ttl":0}`)
	if p := d.projects["acme"]; p.Lifetimes != declared || p.Override != (project.Lifetimes{}) {
		t.Errorf("%+v", p)
	}
	for _, c := range []struct{ path, method string }{{"/api/projects/acme", "PATCH"}, {"/api/clients/c", "PATCH"}} {
		t.Run(c.path, func(t *testing.T) {
			d.call(token, c.method, c.path, `{"name":"x"}`).refused(409, "declared", "Caddyfile")
			d.call(token, "DELETE", c.path, "").refused(409, "declared", "Caddyfile")
		})
	}
	d.call(token, "POST", "/api/clients/c/secret", "").refused(409, "declared", "Caddyfile")
}

func TestOtherVersionIsNotOverwritten(t *testing.T) {
	d := newFixture(t)
	token := d.token("", apitoken.Admin)
	path := "/api/projects/default/settings/jwt-ttl"
	first := d.call(token, "GET", path, "").header.Get("ETag")
	if first != `"1"` {
		t.Fatalf("ETag %s", first)
	}
	second := d.call(token, "PATCH", path, `{"jwt_access_ttl":120}`, "If-Match: "+first)
	second.is(200)
	d.call(token, "PATCH", path, `{"jwt_access_ttl":180}`, "If-Match: "+first).
		refused(412, "version_mismatch", "version 2")
	for _, tag := range []string{`W/"2"`, `2`, `"3"`, `"1", "3"`} {
		d.call(token, "PATCH", path, `{"jwt_access_ttl":180}`, "If-Match: "+tag).
			refused(412, "version_mismatch", "version 2")
	}
	for i, tag := range []string{second.header.Get("ETag"), `"1", "3"`, "*"} {
		if got := d.call(token, "PATCH", path, fmt.Sprintf(`{"jwt_access_ttl":%d}`, 200+i), "If-Match: "+
			tag); got.status != 200 {
			t.Errorf("%s: %s", tag, got.body)
		}
	}
}

func TestTwoChangesAtOnceAreBothKept(t *testing.T) {
	d := newFixture(t)
	token := d.token("", apitoken.Create)
	path := "/api/projects/default/settings/jwt-ttl"
	other := func() { d.call(token, "PATCH", path, `{"jwt_refresh_ttl":7200}`).is(200) }
	d.meanwhile = other
	d.call(token, "PATCH", path, `{"jwt_access_ttl":120}`).exact(200, `{"jwt_access_ttl":120,"jwt_refresh_ttl":7200}`)
	d.meanwhile = other
	d.call(token, "PATCH", path, `{"jwt_access_ttl":180}`, `If-Match: "3"`).
		refused(412, "version_mismatch", "version 4")
}
