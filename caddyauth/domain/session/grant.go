package session

import (
	"context"
	"errors"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
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
	// Epoch is the server's epoch that was current before the owner was checked. Revocations with a
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

	// Parent is the session that the grant was given under. It ends with it, in the same step.
	// Empty: the grant is a sign-in itself, or it outlives the one it was given under (Offline).
	Parent string
	// SignIn is the session that an Offline grant was given under. ID tokens name it, and the client is
	// told of its end. Empty: the grant is not offline, or older than this field.
	SignIn string
	// Offline says that the person let the client have tokens while they are not signed in (the
	// scope offline_access).
	Offline bool
	// AuthTime is when the person proved who they are, ACR and AMR how (OpenID Connect Core, section
	// 2). Zero and empty: no person did, or a release did not note it.
	AuthTime time.Time
	ACR      string
	AMR      []string
	// JKT is the thumbprint of the key that the client proves possession of (RFC 9449, section 6.1).
	// Empty: no key.
	JKT string
	// X5T is the thumbprint of the TLS client certificate that the client has (RFC 8705, section 3.1).
	// Empty: no certificate.
	X5T string
	// ClaimsRequest is the parameter `claims` as it was accepted (OpenID Connect Core, section 5.5),
	// a JSON object. Empty: none was sent.
	ClaimsRequest string

	// Revoked is when the grant was ended by a revocation or by reuse, RevokedFor the reason in a
	// word or two.
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
	// Denials were written together with the verdict Reused: of the family, and of what was granted
	// under it.
	Denials []revocation.Denial
}

// Filter chooses grants to list. An empty field chooses all.
type Filter struct {
	Project, Subject, ClientID, Kind string
	// ID chooses one grant.
	ID string
	// SignIn chooses what was granted under a sign-in, Offline grants too, and the grant that is one.
	SignIn string
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

// ErrOvertaken is returned by AddGrant when a revocation of the owner, its client or its project
// is newer than the epoch of the grant: whoever checked the owner did so before the revocation.
var ErrOvertaken = errors.New("the owner was revoked meanwhile")

// Store keeps sessions and what ends them. Every method is one atomic and durable step: it is
// committed when it returns nil, and undone otherwise. Times are kept in milliseconds. Of callers
// that race, each gets a verdict, and none an error for having lost.
type Store interface {
	revocation.Store

	// AddGrant stores a new grant. It returns ErrOvertaken when a denial of its user, client or
	// project has an epoch over g.Epoch, and when its parent is over at g.Created.
	AddGrant(ctx context.Context, g Grant) error

	// FindGrant returns the grant, revoked and expired ones too, or ErrNoGrant.
	FindGrant(ctx context.Context, id string) (Grant, error)

	// RotateGrant applies Grant.Use to the grant as it stands, and reads the epoch in the same
	// step. A denial of its user, client or project with an epoch over the grant's counts as its
	// revocation, and so does a parent that is over. With the verdict Reused the family is revoked
	// and denied, with what was granted under it; with every other refusal nothing changes.
	RotateGrant(ctx context.Context, r Rotation, now time.Time) (Rotated, error)

	// RevokeGrant ends a grant with what was granted under it, and returns a denial of each, the
	// grant's own first. A denial is for the access tokens and for streams, which live as long as
	// the grant. It is written even when now is past its end, because the clock may be ahead and
	// come back. A grant that does not exist or has been ended already is no error and gives none.
	//
	// Whatever ends grants also writes, in the same step, the notices of the clients that want to be
	// told (backchannel.Notice): of those grants, and of all that were given under them, Offline ones
	// too, which do not end. Only for the reason RevokedByClient there is none.
	RevokeGrant(ctx context.Context, id, reason string, now time.Time) ([]revocation.Denial, error)

	// ListGrants returns the chosen grants in the order of their IDs, without their seeds.
	ListGrants(ctx context.Context, f Filter) ([]Grant, error)

	// DeleteOver deletes at most n grants and denials that expired before now, and returns how many
	// it deleted. Before it deletes the denial of a revocation it makes sure that no grant is left
	// which the revocation should have ended.
	DeleteOver(ctx context.Context, now time.Time, n int) (int, error)
}
