package replay

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// ErrUsed says that the id was used before.
var ErrUsed = errors.New("the id was used before")

// The purposes. An id that was used for one may be used for another.
const (
	// ClientAssertion is for client authentication (RFC 7523, section 2.2).
	ClientAssertion = "client_assertion"

	// AuthorizationGrant is for assertions that are exchanged for a token (RFC 7523, section 2.1).
	AuthorizationGrant = "authorization_grant"

	// DPoP is for proofs of possession (RFC 9449, section 4.3).
	DPoP = "dpop"
)

// Use is the use of an id that its issuer gives only once.
type Use struct {
	// Purpose is one of the purposes of this package. Required.
	Purpose string

	// Issuer is who made the id: a client id, an issuer, or the thumbprint of a key. Ids of different
	// issuers never collide. Required.
	Issuer string

	// ID is the claim `jti`. It may have any length. Required.
	ID string

	// Until is when whatever carries the id is refused for its age, on every node: its own end and
	// the leeway that it is given. The use is remembered for at least as long. Required.
	Until time.Time
}

// Key is the base64url SHA-256 of the purpose, the issuer and the id, under which the use is
// stored. Each part goes in behind its length, so that no two uses are alike.
func (u Use) Key() string {
	h := sha256.New()
	var length [8]byte
	for _, part := range []string{u.Purpose, u.Issuer, u.ID} {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// Store remembers uses. Every method is one atomic step; times are kept in milliseconds.
type Store interface {
	// UseOnce stores the use, or returns ErrUsed if there was one with the same purpose, issuer and
	// id. Of several at the same time, on any nodes, exactly one succeeds. Any other error means that
	// the store cannot say: the caller refuses.
	UseOnce(ctx context.Context, u Use) error

	// DeleteUses deletes at most n uses whose Until is before a time, oldest first, and returns how
	// many it deleted.
	DeleteUses(ctx context.Context, before time.Time, n int) (int, error)
}
