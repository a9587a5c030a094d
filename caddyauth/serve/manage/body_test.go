package manage

import (
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
)

func TestBodiesThatAreRefused(t *testing.T) {
	d := newFixture(t)
	token := d.token("", apitoken.Admin)
	for _, c := range []struct{ body, want string }{
		{``, "does not begin with a brace"},
		{`[]`, "does not begin with a brace"},
		{`null`, "does not begin with a brace"},
		{`{"slug":"a"`, "incomplete"},
		{`{"slug":"a",}`, "syntax error"},
		{`{"slug":"a"} {}`, "text after the object"},
		{`{"slug":"a","slug":"b"}`, "duplicate name"},
		{`{"slug":"a","x":{"y":1,"y":2}}`, "duplicate name"},
		{`{"slug":"a","x":[{"y":1,"y":2}]}`, "duplicate name"},
		{`{"slug":"a","\u0073lug":"b"}`, "duplicate name"},
		{"{\"slug\":\"\xff\"}", "not UTF-8"},
		{"\ufeff{}", "does not begin with a brace"},
		{strings.Repeat(`{"a":`, 20), "nested deeper"},
		{`{"a":` + strings.Repeat("[", 40000), "nested deeper"},
		{`{"slug":tru}`, "syntax error"},
	} {
		t.Run(c.want, func(t *testing.T) {
			a := d.call(token, "POST", "/api/projects", c.body, "Content-Type: application/json")
			a.refused(400, "invalid_request", c.want)
		})
	}
	for _, c := range []struct{ body, want string }{
		{`{}`, "slug: it is required"},
		{`{"slug":null}`, "slug: it must be a string"},
		{`{"Slug":"a"}`, "slug: it is required"},
		{`{"slug":"a","Name":"x"}`, `"Name": unknown field`},
		{`{"slug":"a","name":1}`, "name: it must be a string"},
		{`{"slug":"a","revoke_all_on_logout":"yes"}`, "revoke_all_on_logout: it must be true, false or null"},
		{`{"slug":"a","audiences":"web"}`, "audiences: it must be a list of strings"},
		{`{"slug":"a","audiences":[1]}`, "audiences: it must be a list of strings"},
		{`{"slug":"a","audiences":["x"]}`, `audiences: "x" is not one of ["web" "api" "a2a" "mcp"]`},
		{`{"slug":"A B"}`, `slug: "A B" is not 1 to 63`},
		{`{"slug":"a","id":"1"}`, `"id": unknown field`},
		{`{"slug":"a","refresh_window":86401}`, "refresh_window: 86401 is above the limit of 86400 seconds"},
	} {
		t.Run(c.want, func(t *testing.T) {
			d.call(token, "POST", "/api/projects", c.body).refused(422, "invalid_value", c.want)
		})
	}
	if len(d.projects) != 1 {
		t.Errorf("%v", d.projects)
	}
}

func TestLargeBodiesAndOtherTypesAreRefused(t *testing.T) {
	d := newFixture(t)
	token := d.token("", apitoken.Admin)
	large := `{"slug":"` + strings.Repeat("a", 64<<10) + `"}`
	d.call(token, "POST", "/api/projects", large).refused(413, "too_large", "65536")
	for _, contentType := range []string{
		"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset", "text/json",
	} {
		d.call(token, "POST", "/api/projects", `{"slug":"a"}`, "Content-Type: "+contentType).
			refused(415, "unsupported_media_type", "application/json")
	}
	d.call(token, "POST", "/api/projects", `{"slug":"a"}`, "Content-Type: application/json; charset=utf-8").is(201)
	d.call(token, "PATCH", "/api/projects/a", `{"name":"A"}`, "Content-Type: application/merge-patch+json").is(200)
}

func TestQueriesThatAreRefused(t *testing.T) {
	d := newFixture(t)
	token := d.token("", apitoken.Admin)
	for _, c := range []struct{ query, want string }{
		{"limit=0", "limit"}, {"limit=201", "limit"}, {"limit=x", "limit"},
		{"limit=1&limit=2", "duplicate parameter \"limit\""}, {"cursor=%21", "cursor"},
		{"Limit=1", `"Limit": unknown parameter`},
		{"project=default", `"project": unknown parameter`},
	} {
		t.Run(c.query, func(t *testing.T) {
			d.call(token, "GET", "/api/projects?"+c.query, "").refused(422, "invalid_value", c.want)
		})
	}
	d.call(token, "GET", "/api/projects?%zz", "").refused(400, "invalid_request", "query")
	d.call(token, "GET", "/api/audit?since=yesterday", "").refused(422, "invalid_value", "since")
	d.call(token, "GET", "/api/users?project=none", "").refused(404, "not_found", "project")
}
