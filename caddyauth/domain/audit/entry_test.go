package audit

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestEntriesNameAllParties: who did something, to what, and about whom.
func TestEntriesNameAllParties(t *testing.T) {
	for _, c := range []struct {
		name                string
		event               Event
		actor, what, detail string
	}{
		{"a sign-in", Event{Kind: Login, User: "alice", Audience: "web"}, "user:alice", "alice", "web"},
		{"a consent", Event{Kind: Consent, User: "alice", ClientID: "wiki", Target: "wiki", Detail: "openid"},
			"user:alice", "wiki", "openid"},
		{"a notice", Event{Kind: LogoutNotice, Actor: "server", User: "alice", ClientID: "wiki", Target: "wiki"},
			"server", "wiki", "alice"},
		{"a client's own", Event{Kind: Token, ClientID: "wiki"}, "client:wiki", "", ""},
		{"management", Event{Kind: Management, Actor: "command", Target: "id", TargetName: "bob"},
			"command", "bob", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.event.Entry(noon); got.Actor != c.actor || got.TargetName != c.what || got.Detail != c.detail {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestEntryIDsSortByTime(t *testing.T) {
	last := ""
	for i := range 100 {
		id := NewID(noon.Add(time.Duration(i) * time.Millisecond))
		if id <= last || len(id) != 28 {
			t.Fatalf("%q after %q", id, last)
		}
		last = id
	}
}
