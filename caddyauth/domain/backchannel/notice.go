package backchannel

import (
	"context"
	"time"
)

const (
	// Lifetime is how long a notice is tried before it is forgotten.
	Lifetime = time.Hour

	// Lease is how long a node has for one attempt. After that any node may try again: the one that had
	// the notice has died.
	Lease = 30 * time.Second
)

// waits are the times between attempts; the last one repeats.
var waits = []time.Duration{
	time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute,
}

// Notice tells a client that a sign-in has ended. There is at most one of a client and a sign-in.
type Notice struct {
	// ClientID is whom it is for, URI where it goes: the address that the client has now, empty if the
	// client is gone or wants no notices any more.
	ClientID, URI string

	// Algorithm signs the logout token, as it signs the client's ID tokens.
	Algorithm string

	// Project and Subject are whose sign-in it was.
	Project, Subject string

	// Session is the `sid` of the client's ID tokens.
	Session string

	// Attempts is how many attempts were begun, the one of whoever has taken the notice included. It
	// proves to the store who has it.
	Attempts int

	// Expires is when it is forgotten.
	Expires time.Time
}

// Next returns when a notice is tried again after an attempt that failed at now; false if it is to be
// forgotten.
func (n Notice) Next(now time.Time) (time.Time, bool) {
	i := min(max(n.Attempts, 1), len(waits)) - 1
	next := now.Add(waits[i])
	return next, next.Before(n.Expires)
}

// Store keeps the notices. Whoever ends a grant writes them (session.Store). Every method is one
// atomic step; times are kept in milliseconds.
type Store interface {
	// TakeNotices takes at most n notices that are due at now, the earliest first, and counts the
	// attempt; none of the clients of except, which holds their ids. Nobody else gets them before
	// now+Lease. Those that have expired are returned too.
	TakeNotices(ctx context.Context, now time.Time, n int, except []string) ([]Notice, error)

	// KeepNotice gives a notice back, to be tried at a time. If another attempt has begun meanwhile,
	// nothing changes.
	KeepNotice(ctx context.Context, n Notice, at time.Time) error

	// DropNotice removes a notice. If another attempt has begun meanwhile, nothing changes.
	DropNotice(ctx context.Context, n Notice) error
}
