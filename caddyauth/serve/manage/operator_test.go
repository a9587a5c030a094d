package manage

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// orders is an Operator that notes what is ordered.
type orders struct {
	grants []session.Grant
	asked  []session.Filter
	done   []string
	mints  []Mint
	err    error
}

func (o *orders) ListSessions(_ context.Context, f session.Filter) ([]session.Grant, error) {
	o.asked = append(o.asked, f)
	var found []session.Grant
	for _, g := range o.grants {
		if g.ID > f.After && (f.ID == "" || f.ID == g.ID) {
			found = append(found, g)
		}
	}
	return found[:min(len(found), f.Limit)], o.err
}

func (o *orders) EndSession(_ context.Context, id, reason string) error {
	o.done = append(o.done, "end "+id+" "+reason)
	return o.err
}

func (o *orders) EndSessions(_ context.Context, order revocation.Revocation) (int, error) {
	o.done = append(o.done,
		strings.Join([]string{"all", string(order.Kind), order.Project, order.ID, order.Reason}, " "))
	return 3, o.err
}

func (o *orders) MintToken(_ context.Context, m Mint, _ time.Time) (string, string, error) {
	o.mints = append(o.mints, m)
	return "the-token", "the-id", o.err
}

func (o *orders) Keys(context.Context) ([]Key, error) {
	return []Key{{ID: "k1", Algorithm: "ES256", State: "active", Created: time.Unix(1, 0)}}, nil
}

func (o *orders) RotateKeys(context.Context) error {
	o.done = append(o.done, "rotate")
	return o.err
}

func (o *orders) RevokeKey(_ context.Context, id string) error {
	o.done = append(o.done, "revoke "+id)
	return o.err
}

// newOperatorFixture is a server for an operator, who needs no token, with the user Alice.
func newOperatorFixture(t *testing.T, o Operator) *fixture {
	t.Helper()
	d := newFixture(t)
	d.Operator = o
	d.Session = func(*http.Request) (Caller, error) {
		return Caller{Actor: "command", Abilities: []string{apitoken.Admin}}, nil
	}
	d.byOperator("POST", "/api/users", `{"name":"Alice"}`).is(http.StatusCreated)
	return d
}

// callOperator sends a request as the operator, without holding it against the document of the public
// routes.
func (d *fixture) byOperator(method, path, body string) answer {
	d.Helper()
	return d.call("", method, path, body)
}

// TestOperatorsRoutesAreClosedToOthers: no ability opens them where there is no Operator.
func TestOperatorsRoutesAreClosedToOthers(t *testing.T) {
	d := newFixture(t)
	token := d.token("", apitoken.Admin)
	for _, r := range operatorRoutes {
		path := strings.Replace(r.Path, "{id}", "x", 1)
		if d.Handles("/auth" + path) {
			t.Errorf("%s is served", path)
		}
		d.call(token, r.Method, path, "").is(http.StatusNotFound)
	}
}

func TestOperatorSeesSessions(t *testing.T) {
	now := time.Now()
	o := &orders{}
	for _, id := range []string{"a", "b", "c"} {
		o.grants = append(o.grants, session.Grant{
			ID:       id,
			Seed:     []byte("the seed of a session"),
			Project:  "default",
			Subject:  "Alice",
			Device:   "Mozilla",
			ClientIP: "192.0.2.1",
			Created:  now, LastUsed: now, IdleEnds: now.Add(time.Hour), Ends: now.Add(time.Hour),
		})
	}
	d := newOperatorFixture(t, o)
	first := d.byOperator("GET", "/api/sessions?limit=2&user=alice&client=web", "")
	items := first.is(http.StatusOK)["items"].([]any)
	if got := items[0].(map[string]any); len(items) != 2 || got["device"] != "Mozilla" || got["active"] != true ||
		strings.Contains(first.body, "seed") {
		t.Errorf("%s", first.body)
	}
	if f := o.asked[0]; f.Subject != "Alice" || f.ClientID != "web" || f.LiveAt.IsZero() {
		t.Errorf("asked for %+v", f)
	}
	next := first.is(http.StatusOK)["next_cursor"].(string)
	if items := d.byOperator("GET", "/api/sessions?limit=2&ended=true&cursor="+
		next, "").is(http.StatusOK)["items"].([]any); len(
		items,
	) != 1 {
		t.Errorf("the second page has %d", len(items))
	}
	if f := o.asked[1]; f.After != "b" || !f.LiveAt.IsZero() {
		t.Errorf("asked for %+v", f)
	}
	d.byOperator("GET", "/api/sessions?ended=maybe", "").is(http.StatusUnprocessableEntity)
}

func TestOperatorEndsSessions(t *testing.T) {
	o := &orders{grants: []session.Grant{{ID: "a", Project: "default", Subject: "Alice"}}}
	d := newOperatorFixture(t, o)
	d.byOperator("POST", "/api/clients", `{"id":"web"}`).is(http.StatusCreated)
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"DELETE", "/api/sessions/a", "", 204, "end a operator"},
		{"DELETE", "/api/sessions/z", "", 404, ""},
		{"POST", "/api/sessions/revoke", `{"user":"alice"}`, 200, "all user default Alice operator"},
		{"POST", "/api/sessions/revoke", `{"client":"web"}`, 200, "all client default web operator"},
		{"POST", "/api/sessions/revoke", `{"project":"default"}`, 200, "all project default  operator"},
		{"POST", "/api/sessions/revoke", `{"user":"nobody"}`, 404, ""},
		{"POST", "/api/sessions/revoke", `{"client":"none"}`, 404, ""},
		{"POST", "/api/sessions/revoke", `{"project":"none"}`, 404, ""},
		{"POST", "/api/sessions/revoke", `{}`, 422, ""},
		{"POST", "/api/sessions/revoke", `{"user":"alice","client":"web"}`, 422, ""},
		{"POST", "/api/sessions/revoke", `{"users":"alice"}`, 422, ""},
	} {
		o.done = nil
		d.byOperator(c.method, c.path, c.body).is(c.status)
		if got := strings.Join(o.done, ", "); got != c.want {
			t.Errorf("%s %s %s: ordered %q, want %q", c.method, c.path, c.body, got, c.want)
		}
		if e := d.entries[len(d.entries)-1]; e.Actor != "command" || e.Action != "session.revoke" ||
			(e.Result == "success") != (c.want != "") {
			t.Errorf("%s %s %s: the audit trail says %+v", c.method, c.path, c.body, e)
		}
	}
}

func TestOperatorMints(t *testing.T) {
	o := &orders{}
	d := newOperatorFixture(t, o)
	got := d.byOperator("POST", "/api/mint", `{"user":"alice","audience":["web"],"expires_in":120}`).
		is(http.StatusCreated)
	if got["access_token"] != "the-token" || got["token_id"] != "the-id" || got["user"] != "Alice" ||
		got["expires_in"] != 120.0 {
		t.Errorf("%v", got)
	}
	if m := o.mints[0]; m.User.Name != "Alice" || !slices.Equal(m.Audience, []string{"web"}) ||
		m.Lifetime != 2*time.Minute {
		t.Errorf("minted %+v", m)
	}
	e := d.entries[len(d.entries)-1]
	if e.Action != "token.mint" || e.Actor != "command" || e.TargetName != "Alice" ||
		!strings.Contains(e.Detail, "the-id") || strings.Contains(e.Detail, "the-token") {
		t.Errorf("the audit trail says %+v", e)
	}
	d.byOperator("POST", "/api/mint", `{"user":"alice"}`).is(http.StatusCreated)
	if m := o.mints[1]; m.Lifetime != defaultMint || !slices.Equal(m.Audience, []string{"api"}) {
		t.Errorf("minted %+v", m)
	}
	for _, c := range []struct {
		body   string
		status int
	}{
		{`{"user":"nobody"}`, 404}, {`{"user":"alice","project":"none"}`, 404}, {`{}`, 422},
		{`{"user":"alice","audience":[]}`, 422}, {`{"user":"alice","audience":["other"]}`, 422},
		{`{"user":"alice","expires_in":59}`, 422}, {`{"user":"alice","expires_in":3601}`, 422},
	} {
		t.Run(c.body, func(t *testing.T) {
			d.byOperator("POST", "/api/mint", c.body).is(c.status)
		})
	}
	o.err = ErrMayNotIssue
	d.byOperator("POST", "/api/mint", `{"user":"alice"}`).is(http.StatusConflict)
}

func TestOperatorMintsForClients(t *testing.T) {
	o := &orders{}
	d := newOperatorFixture(t, o)
	d.byOperator("POST", "/api/projects", `{"slug":"acme"}`).is(http.StatusCreated)
	d.byOperator("POST", "/api/users", `{"name":"Carol","project":"acme"}`).is(http.StatusCreated)
	d.byOperator("POST", "/api/clients", `{"id":"reports","project":"acme","audience":["mcp"]}`).is(http.StatusCreated)
	got := d.byOperator("POST", "/api/mint", `{"user":"carol","client":"reports"}`).is(http.StatusCreated)
	if m := o.mints[0]; m.ClientID != "reports" || m.User.Project != "acme" ||
		!slices.Equal(m.Audience, []string{"mcp"}) || got["client_id"] != "reports" {
		t.Errorf("minted %+v, %v", m, got)
	}
	if e := d.entries[len(d.entries)-1]; e.Action != "token.mint" || e.TargetName != "Carol" || e.Project != "acme" ||
		!strings.Contains(e.Detail, "reports") {
		t.Errorf("the audit trail says %+v", e)
	}
	d.byOperator("POST", "/api/mint", `{"user":"carol","client":"reports","audience":["api"]}`).is(http.StatusCreated)
	if m := o.mints[1]; !slices.Equal(m.Audience, []string{"api"}) {
		t.Errorf("minted %+v", m)
	}
	for _, c := range []struct {
		body   string
		status int
	}{
		{`{"user":"carol","client":"none"}`, 404}, {`{"user":"alice","client":"reports"}`, 404},
		{`{"user":"carol","project":"default","client":"reports"}`, 422}, {`{"user":"carol","client":7}`, 422},
	} {
		t.Run(c.body, func(t *testing.T) {
			d.byOperator("POST", "/api/mint", c.body).is(c.status)
		})
	}
	if len(o.mints) != 2 {
		t.Errorf("minted %+v", o.mints)
	}
}

func TestOperatorKeepsKeys(t *testing.T) {
	o := &orders{}
	d := newOperatorFixture(t, o)
	for range 2 {
		items := d.byOperator("GET", "/api/keys", "").is(http.StatusOK)["items"].([]any)
		if items[0].(map[string]any)["id"] != "k1" {
			t.Errorf("keys %v", items)
		}
	}
	d.byOperator("POST", "/api/keys/rotate", "").is(http.StatusOK)
	d.byOperator("DELETE", "/api/keys/k1", "").is(http.StatusNoContent)
	d.byOperator("DELETE", "/api/keys/k2", "").is(http.StatusNotFound)
	o.err = ErrKeysConfigured
	d.byOperator("POST", "/api/keys/rotate", "").is(http.StatusConflict)
	if got := strings.Join(o.done, ", "); got != "rotate, revoke k1, rotate" {
		t.Errorf("ordered %s", got)
	}
}

// TestUsersAreFoundByName finds them however the name is written, and in one project only.
func TestUsersAreFoundByName(t *testing.T) {
	d := newOperatorFixture(t, &orders{})
	for _, c := range []struct {
		query string
		want  int
	}{{"name=ALICE", 1}, {"name=alice&project=default", 1}, {"name=bob", 0}, {"name=a%00b", 0}} {
		t.Run(c.query, func(t *testing.T) {
			if items := d.call("", "GET", "/api/users?"+
				c.query, "").is(http.StatusOK)["items"].([]any); len(items) != c.want {
				t.Errorf("%s: %d users", c.query, len(items))
			}
		})
	}
}

// TestOperatorOfOneProjectCannotTellOtherSessions: were the operator's routes given to somebody who
// is for one project, the sessions of others would not be there.
func TestOperatorOfOneProjectCannotTellOtherSessions(t *testing.T) {
	o := &orders{
		grants: []session.Grant{
			{ID: "s1", Project: "default", Subject: "Alice"}, {ID: "s2", Project: "acme", Subject: "bob"},
		},
	}
	d := newOperatorFixture(t, o)
	d.Session = func(*http.Request) (Caller, error) {
		return Caller{Actor: "command", Abilities: []string{apitoken.Admin}, Project: "acme"}, nil
	}
	there := d.byOperator("DELETE", "/api/sessions/s1", "")
	nowhere := d.byOperator("DELETE", "/api/sessions/nobody-has-this", "")
	if there.status != http.StatusNotFound || there.status != nowhere.status || there.body != nowhere.body ||
		len(o.done) != 0 {
		t.Errorf("%d %s, and of none %d %s; done %q", there.status, there.body, nowhere.status, nowhere.body, o.done)
	}
	d.byOperator("DELETE", "/api/sessions/s2", "").is(http.StatusNoContent)
	for _, body := range []string{`{"project":"default"}`, `{"project":"default","user":"Alice"}`} {
		d.byOperator("POST", "/api/sessions/revoke", body).
			refused(http.StatusNotFound, "not_found", "there is no such project")
	}
	d.byOperator("POST", "/api/mint", `{"project":"default","user":"Alice"}`).
		refused(http.StatusNotFound, "not_found", "there is no such project")
	d.byOperator("GET", "/api/sessions?project=default", "").
		refused(http.StatusNotFound, "not_found", "there is no such project")
}
