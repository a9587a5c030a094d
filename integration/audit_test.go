package integration

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTrailOfAPersonAtClients: what a person lets a client know, how they sign out of it, and what it is told
// are in the audit trail, each with the client.
func TestTrailOfAPersonAtClients(t *testing.T) {
	r := newReceiver(t)
	x := newEnding(t, "sqlite", r, toLoopback)
	admin := x.addAPIToken(t, "", []string{"admin"}, false)
	v := x.visitor(t)
	tokens := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
	x.refresh(t, tokens.Refresh, "")
	v.get(logoutAddress("id_token_hint", tokens.ID, "post_logout_redirect_uri", rpCallback))
	type entry struct {
		Actor  string `json:"actor"`
		Action string `json:"action"`
		Target string `json:"target_name"`
		Result string `json:"result"`
		Detail string `json:"detail"`
	}
	want := []entry{
		{"user:alice", "authorization", "rp", "success", "openid read"},
		{"user:alice", "login", "alice", "success", "web"},
		{"user:alice", "logout", "rp", "success", ""},
		{"server", "logout_notice", "rp", "success", "alice"},
	}
	eventually(t, 10*time.Second, func() string {
		var trail struct {
			Items []entry `json:"items"`
		}
		a := x.manage(t, "GET", "/api/audit?limit=100", admin, "")
		if err := json.Unmarshal([]byte(a.body), &trail); err != nil {
			return err.Error()
		}
		got := slices.DeleteFunc(trail.Items, func(e entry) bool {
			return e.Actor != "server" && e.Actor != "user:alice"
		})
		slices.SortFunc(got, func(a, b entry) int { return strings.Compare(a.Action, b.Action) })
		if !slices.Equal(got, want) {
			return a.body
		}
		return ""
	})
}
