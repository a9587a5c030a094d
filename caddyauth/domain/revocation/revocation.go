package revocation

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// LongestAccess is longer than any access token may live, for revocations that name no time.
const LongestAccess = 366 * 24 * time.Hour

// Revocation ends everything of a user, a client or a project: their grants, and by a new epoch
// every access token that was issued before. What is granted afterwards is valid.
type Revocation struct {
	// Kind is UserKind, ClientKind or ProjectKind.
	Kind    Kind
	Project string
	// ID is the subject or the client id, and empty for a project.
	ID     string
	Reason string
	// Until is when the last access token expires that was issued without a grant, so that no grant
	// records it. Default: a year from now, the longest an access token may live.
	Until time.Time
}

// Validate refuses a revocation that names nobody.
func (r Revocation) Validate() error {
	switch {
	case r.Project == "":
		return errors.New("revocation: the project is missing")
	case r.Kind == ProjectKind && r.ID == "":
		return nil
	case (r.Kind == UserKind || r.Kind == ClientKind) && r.ID != "":
		return nil
	}
	return fmt.Errorf("revocation: kind %q with id %q names no user, client or project", r.Kind, r.ID)
}

// Store is where denials are kept. Every method is one atomic and durable step: it is committed
// when it returns nil, and undone otherwise. Times are kept in milliseconds.
type Store interface {
	// Epoch returns the current epoch, 1 or more.
	Epoch(ctx context.Context) (int64, error)

	// RevokeAll takes the next epoch, writes the denial of the revocation and ends the standing
	// grants, and returns how many those were. A grant that is added at the same moment with an
	// older epoch is ended too, at its next use at the latest.
	RevokeAll(ctx context.Context, r Revocation, now time.Time) (n int, d Denial, err error)

	// RevokeToken denies one token by its issuer and id until it expires. The denial is written
	// even if now is past that, because the clock may be ahead and come back.
	RevokeToken(ctx context.Context, issuer, id string, until, now time.Time) (Denial, error)

	// Denials returns what was denied after the cursor, oldest first, and the cursor to go on from.
	// From zero on it is all that stands. No denial may be missed because it was committed late:
	// the cursor of a call is never beyond a denial that a later call would still find. A store
	// that was set back to an older state returns all of them again.
	//
	// It returns at most MaxDenials, the first after the cursor; a caller who gets that many asks
	// again.
	Denials(ctx context.Context, after Cursor) ([]Denial, Cursor, error)
}
