package session

import (
	"context"
	"errors"
	"time"
)

// Grant is the right of one client to get access tokens for one subject again and again: a browser
// session, a device, an OAuth authorization. It is also called a family, after its refresh tokens.
// Times are UTC in whole milliseconds; a zero time means never.
type Grant struct {
	// ID names the family: url-safe random text, the `sid` of its access tokens.
	ID string
	// Seed is random and goes into the MAC of the refresh tokens, so that the server's secret alone
	// makes none.
	Seed []byte

	Project, Subject, ClientID string
	Audience, Scopes           []string

	// Kind is how the grant began: "browser", "api", "code", "device" and the like. It is for
	// listings.
	Kind string
	// Device and ClientIP are what was seen when the grant began. They are for listings.
	Device, ClientIP string

	// Generation is that of the refresh token which is current. The first is 0.
	Generation int64
	// Repeats counts how often the current refresh token was given out again inside the reuse
	// interval.
	Repeats int64
	// Epoch is the server's epoch that was current before the owner was checked. Orders with a
	// higher one end the grant.
	Epoch int64

	Created time.Time
	// Rotated is when the current generation was made, and where the reuse interval begins.
	Rotated time.Time
	// LastUsed is when a refresh token was last honoured.
	LastUsed time.Time
	// IdleEnds is when the grant ends unless a refresh token is used before; never after Ends.
	IdleEnds time.Time
	// Ends is when it ends in any case.
	Ends time.Time
	// AccessUntil is when the last access token made from it expires: so long a denial must stand.
	AccessUntil time.Time

	// Idle is how far from now a use moves IdleEnds.
	Idle time.Duration
	// Reuse is how long after a rotation the token before still gets the same successor. Zero: not
	// at all.
	Reuse time.Duration
	// Fixed means that the refresh token stays the same and is not used up (refresh_rotation off).
	Fixed bool

	// Revoked is when the grant was ended by an order or by reuse, RevokedFor the reason in a word
	// or two.
	Revoked    time.Time
	RevokedFor string
}

// Rotation is one use of a refresh token whose MAC was found right.
type Rotation struct {
	ID         string
	Generation int64
	// ClientID is who presents it.
	ClientID string
	// AccessUntil is when the access token made after this use would expire.
	AccessUntil time.Time
}

// Rotated is what came of a Rotation.
type Rotated struct {
	Verdict Verdict
	// Grant is the family afterwards; empty when the verdict is Unknown.
	Grant Grant
	// Epoch is the one current when the rotation was decided. The access token made now carries it.
	Epoch int64
	// Denial was written together with the verdict Reused; otherwise it is empty.
	Denial Denial
}

// Order ends everything of a user, a client or a project: their grants, and by a new epoch every
// access token that was made before. What is granted afterwards is good.
type Order struct {
	// Kind is UserKind, ClientKind or ProjectKind.
	Kind    Kind
	Project string
	// ID is the subject or the client id, and empty for a project.
	ID     string
	Reason string
	// Until is when the last access token expires that was made without a grant, so that no
	// AccessUntil tells of it. Default: a year from now, the longest an access token may live.
	Until time.Time
}

// Filter chooses grants to list. An empty field chooses all.
type Filter struct {
	Project, Subject, ClientID, Kind string
	// ID chooses one grant.
	ID string
	// LiveAt leaves out grants which are revoked or past their time then. Zero: they are listed
	// too.
	LiveAt time.Time
	// After is the ID of the last grant of the page before; grants come in the order of their IDs.
	After string
	// Limit is the most grants returned. Default: 100.
	Limit int
}

// ErrNoGrant is returned for a family that does not exist, or no longer.
var ErrNoGrant = errors.New("no such grant")

// ErrOvertaken is returned by AddGrant when an order against the owner, its client or its project
// is newer than the epoch of the grant: whoever checked the owner did so before the order.
var ErrOvertaken = errors.New("the owner was revoked meanwhile")

// Store is what sessions need of a store. Every method is one atomic and durable step: it is
// committed when it returns nil, and undone otherwise. Times are kept in milliseconds. Of callers
// that race, each gets a verdict, and none an error for having lost.
type Store interface {
	// Epoch returns the current epoch, 1 or more.
	Epoch(ctx context.Context) (int64, error)

	// AddGrant stores a new grant. It returns ErrOvertaken when a denial of its user, client or
	// project has an epoch over g.Epoch.
	AddGrant(ctx context.Context, g Grant) error

	// FindGrant returns the grant, revoked and expired ones too, or ErrNoGrant.
	FindGrant(ctx context.Context, id string) (Grant, error)

	// RotateGrant applies Grant.Use to the grant as it stands, and in the same step tells the
	// epoch. A denial of its user, client or project with an epoch over the grant's counts as its
	// revocation. With the verdict Reused the family is revoked and denied; with every other
	// refusal nothing changes.
	RotateGrant(ctx context.Context, r Rotation, now time.Time) (Rotated, error)

	// RevokeGrant ends a grant and returns its denial, which is for its access tokens and for
	// streams, which live as long as the grant. The denial is written even when now is past its
	// end, because the clock may be ahead and come back. A grant which does not exist or has been
	// ended already is no error and gives an empty denial.
	RevokeGrant(ctx context.Context, id, reason string, now time.Time) (Denial, error)

	// RevokeAll takes the next epoch, writes the order's denial and ends the standing grants, and
	// returns how many those were. A grant which is added at the same moment with an older epoch is
	// ended as well, at its next use at the latest.
	RevokeAll(ctx context.Context, o Order, now time.Time) (n int, d Denial, err error)

	// RevokeToken denies one token by its issuer and id until it expires, like RevokeGrant whatever
	// now says.
	RevokeToken(ctx context.Context, issuer, id string, until, now time.Time) (Denial, error)

	// ListGrants returns the chosen grants in the order of their IDs, without their seeds.
	ListGrants(ctx context.Context, f Filter) ([]Grant, error)

	// Denials returns what was denied after the cursor, oldest first, and the cursor to go on from;
	// from zero on it is all that stands. No denial may be missed because it was committed late:
	// the cursor of a call is never beyond one that a later call would still find. A store which
	// was set back to an older state returns all again.
	//
	// It returns MostDenials at most, the first after the cursor; who gets so many asks again.
	Denials(ctx context.Context, after Cursor) ([]Denial, Cursor, error)

	// DeleteOver deletes at most n rows which mean nothing any more at now, and returns how many it
	// deleted. Before it forgets the denial of an order it makes sure that no grant is left which
	// the order should have ended.
	DeleteOver(ctx context.Context, now time.Time, n int) (int, error)
}
