package audit

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"
)

// DefaultRetention is how long entries of the audit trail are kept unless the configuration says
// otherwise.
const DefaultRetention = 365 * 24 * time.Hour

// Entry is one line of the audit trail: who did or tried what, to whom, when, from where, and how
// it ended. It holds no secret.
type Entry struct {
	// ID orders entries by time; NewID makes it.
	ID string

	// At is when it happened.
	At time.Time

	// Actor is who: "api_token:<id>", "user:<name>", "command", "configuration", "server".
	Actor string

	// Action is what: "user.create", "project.settings", "client.delete", "login".
	Action string

	// Target is the id of what it was done to, TargetName what people call it.
	Target, TargetName string

	// Project is the slug of the project it concerns; empty for the server's own matters.
	Project string

	// ClientIP is from where; empty for the server itself.
	ClientIP string

	// Result is "success" or the word of the refusal.
	Result string

	// Detail says more where there is more to say: the names of the fields that changed.
	Detail string
}

// NewID returns an id that sorts by time, to the millisecond.
func NewID(at time.Time) string {
	var b [8]byte
	rand.Read(b[:])
	return fmt.Sprintf("%012x%x", at.UnixMilli(), b)
}

// Filter selects entries of the audit trail. An empty field selects all.
type Filter struct {
	Project, Actor, Action, Target, Result string

	// Since and Until bound the time: since is in, until is out.
	Since, Until time.Time

	// Before is the id of the last entry of the page before: newest come first.
	Before string

	// Limit is how many entries to return at most. Required.
	Limit int
}

// Store keeps the audit trail. Every method is one atomic step.
type Store interface {
	// AddEntry stores an entry; an empty ID is filled.
	AddEntry(ctx context.Context, e Entry) error

	// ListEntries returns the entries that the filter selects, newest first.
	ListEntries(ctx context.Context, f Filter) ([]Entry, error)

	// DeleteEntries deletes at most n entries older than a time, oldest first, and returns how many
	// it deleted (janitor).
	DeleteEntries(ctx context.Context, before time.Time, n int) (int, error)
}
