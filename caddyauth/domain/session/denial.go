package session

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

// Denial says that tokens are no longer good although they have not expired.
type Denial struct {
	Kind Kind
	// Scope is the issuer of a token, and the project of a user, client or project. It is empty for
	// a family, whose id is unique by itself.
	Scope string
	// ID is the family, the id of the token (`jti`), the subject or the client id. It is empty for
	// a project.
	ID string
	// Epoch is that of an order: tokens with a lower one are denied. It is 0 for families and
	// tokens.
	Epoch int64
	// Until is when the denial may be forgotten.
	Until time.Time
}

// MostDenials is how many denials one look at the store returns at most.
const MostDenials = 5000

// Cursor is a place in the sequence of denials. Zero is before the first.
type Cursor int64
