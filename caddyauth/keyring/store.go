package keyring

import (
	"context"
	"time"
)

// Record is a generated key as the store keeps it. Sealed is the private key or
// secret, encrypted by [SecretRing.Seal]; the rest is plain and is bound to it.
type Record struct {
	ID        string
	Algorithm string
	Created   time.Time // UTC, whole seconds
	Sealed    []byte
}

// Store is what the keyring needs of a store.
type Store interface {
	// Keys returns all records, oldest first; none is not an error.
	Keys(ctx context.Context) ([]Record, error)

	// AddFirstKey stores rec if and only if there is no key yet, in one atomic
	// step, and returns what stands afterwards, oldest first. Of several nodes
	// that start at once one wins, and all get the winner's record.
	AddFirstKey(ctx context.Context, rec Record) ([]Record, error)

	// SetMetaOnce stores value under name if nothing stands there yet, in one
	// atomic step, and returns what stands afterwards.
	SetMetaOnce(ctx context.Context, name, value string) (string, error)
}
