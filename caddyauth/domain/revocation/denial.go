package revocation

import (
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
)

// Kind is what a denial denies.
type Kind string

const (
	FamilyKind  Kind = "family"  // the access tokens of one grant
	TokenKind   Kind = "token"   // one token, by issuer and id
	UserKind    Kind = "user"    // the tokens of a subject of a project, up to an epoch
	ClientKind  Kind = "client"  // the tokens of a client of a project, up to an epoch
	ProjectKind Kind = "project" // the tokens of a project, up to an epoch
)

// Margin is how much longer than the last token it denies a denial stands.
const Margin = leeway.Margin

// Denial says that tokens are no longer valid although they have not expired.
type Denial struct {
	Kind Kind
	// Scope is the issuer of a token, and the project of a user, client or project. It is empty for
	// a family, whose id is unique by itself.
	Scope string
	// ID is the family, the id of the token (`jti`), the subject or the client id. It is empty for
	// a project.
	ID string
	// Epoch is that of a [Revocation]: tokens with a lower one are denied. It is 0 for families and
	// tokens.
	Epoch int64
	// Until is when the denial may be deleted.
	Until time.Time
}

// MaxDenials is how many denials Store.Denials returns at most.
const MaxDenials = 5000

// Cursor is a place in the sequence of denials. Zero is before the first.
type Cursor int64

// Subject is what a verified token says about itself, as far as it can be denied by it.
type Subject struct {
	Issuer, TokenID, Family    string
	Project, Subject, ClientID string
	// Epoch is the token's claim. A token without it has 0 and is denied by every revocation.
	Epoch int64
	// Foreign says that another server issued the token: its family, subject and so on mean
	// something else there, and it can only be denied by its id.
	Foreign bool
}
