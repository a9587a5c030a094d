package manage

import (
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/consent"
)

// Who administers one project sees and withdraws what its people have allowed, and of the others
// learns nothing.
func TestConsentsOfAProject(t *testing.T) {
	f := newFixture(t)
	admin := f.token("", apitoken.Admin)
	f.call(admin, "POST", "/api/projects", `{"slug":"acme"}`).is(201)
	consentOf := map[string]string{
		"acme":    "00000000-0000-4000-8000-000000000001",
		"default": "00000000-0000-4000-8000-000000000002",
	}
	for _, project := range []string{"acme", "default"} {
		user := f.call(admin, "POST", "/api/users", `{"name":"alice","project":"`+project+`"}`).is(201)
		f.consents = append(f.consents, consent.Consent{
			ID:       consentOf[project],
			Project:  project,
			UserID:   user["id"].(string),
			User:     "alice",
			ClientID: "wiki",
			Scopes:   []string{"email"},
			Since:    time.Unix(1, 0),
		})
	}
	owner := f.token("acme", apitoken.Read, apitoken.Delete)
	rows := []struct {
		name, token, query string
		want               []string
	}{
		{"all", admin, "", []string{"acme", "default"}},
		{"of a project", admin, "?project=acme", []string{"acme"}},
		{"of a person", admin, "?user=ALICE", []string{"default"}},
		{"of a client", admin, "?client=other", nil},
		{"one's own project", owner, "", []string{"acme"}},
		{"one's own person", owner, "?user=alice", []string{"acme"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			for _, item := range f.call(row.token, "GET", "/api/consents"+row.query, "").is(200)["items"].([]any) {
				got = append(got, item.(map[string]any)["project"].(string))
			}
			if len(got) != len(row.want) || len(got) > 0 && got[0] != row.want[0] {
				t.Errorf("lists %q, want %q", got, row.want)
			}
		})
	}
	f.call(owner, "GET", "/api/consents?user=nobody", "").refused(404, "not_found", "")
	f.call(owner, "GET", "/api/consents?project=default", "").refused(404, "not_found", "")
	f.call(owner, "DELETE", "/api/consents/"+consentOf["default"], "").
		refused(404, "not_found", "there is no such consent")
	f.call(f.token("acme", apitoken.Read), "DELETE", "/api/consents/"+consentOf["acme"], "").
		refused(403, "insufficient_ability", "")
	f.call(owner, "DELETE", "/api/consents/"+consentOf["acme"], "").is(204)
	f.call(owner, "DELETE", "/api/consents/"+consentOf["acme"], "").refused(404, "not_found", "")
	if len(f.consents) != 1 {
		t.Errorf("%d are left, want 1", len(f.consents))
	}
	last := f.entries[len(f.entries)-2]
	if last.Action != "consent.withdraw" || last.TargetName != "alice" || last.Detail != "client wiki" {
		t.Errorf("the audit trail says %+v", last)
	}
}
