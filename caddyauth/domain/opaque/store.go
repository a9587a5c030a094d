package opaque

import (
	"context"
	"errors"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

// ErrNotFound says that the store has no opaque token of that hash.
var ErrNotFound = errors.New("no such opaque token")

// Reference is an opaque access token as the store keeps it. The token cannot be recovered from it.
type Reference struct {
	// Hash is [Hash] of the token.
	Hash string

	// Claims are the token's claims, a JSON object.
	Claims []byte

	// Expiry is the claim `exp`.
	Expiry time.Time

	// Subject are the claims by which the token can be denied. Foreign is false.
	Subject revocation.Subject
}

// Store keeps opaque access tokens. Every method is one atomic step; times are kept in
// milliseconds.
type Store interface {
	// AddOpaque stores a new token.
	AddOpaque(ctx context.Context, r Reference) error

	// FindOpaque returns the token of that hash, an expired one too, or ErrNotFound. denied says
	// that the token is denied, so that a caller need not wait until the deny list of its node is
	// up to date.
	FindOpaque(ctx context.Context, hash string) (r Reference, denied bool, err error)

	// DeleteOpaque deletes at most n tokens that expired before a time, oldest first, and returns
	// how many it deleted.
	DeleteOpaque(ctx context.Context, before time.Time, n int) (int, error)
}
