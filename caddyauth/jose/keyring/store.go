package keyring

import (
	"context"
	"time"
)

// Record is a generated key as the store keeps it. Sealed is the private key or
// secret, encrypted by [SecretRing.Seal]; the rest is plain, and the id and the
// algorithm are bound to it.
type Record struct {
	ID        string
	Algorithm string
	Created   time.Time // UTC, whole seconds
	Sealed    []byte

	// Purpose is what the key signs.
	Purpose Purpose

	// State is where the key stands in its life, Since when that began.
	State State
	Since time.Time
	// Until is when the next state is due: of an announced key when it begins to
	// sign, of a retiring one when it is gone. An active key has none.
	Until time.Time
	// Longest is the longest lifetime of a token that the key has signed or may
	// sign; it grows while the key is active, and says for how long it verifies
	// afterwards.
	Longest time.Duration
}

// Purpose is which tokens a generated key signs. The keys of each purpose follow one another by
// themselves.
type Purpose string

// The purposes of a generated key. Those for ID tokens are apart from the others, because OpenID
// Connect requires RS256 of them, whatever signs the access tokens; of each algorithm one signs.
const (
	AccessTokens Purpose = "" // and whatever else has no key of its own
	IDTokens     Purpose = "id_token"
)

// Set is what the store holds of generated keys.
type Set struct {
	// Version is another number after each change.
	Version int64
	Records []Record // oldest first
}

// Step is a change of the set, made of one version of it.
type Step struct {
	From   int64    // the version that the step was made of
	Remove []string // ids, first
	Put    []Record // added or changed, in this order
}

// Empty reports whether the step changes nothing.
func (s Step) Empty() bool { return len(s.Remove) == 0 && len(s.Put) == 0 }

// Store is what the keyring needs of a store.
type Store interface {
	// KeySet returns what stands; no keys are not an error.
	KeySet(ctx context.Context) (Set, error)

	// KeyVersion returns the version alone, which is cheap enough to be asked for
	// all the time. It is 0 for a store that has never been written to.
	KeyVersion(ctx context.Context) (int64, error)

	// AddFirstKey stores rec as the active key if and only if there is no key of
	// its purpose yet, in one atomic step, and returns the records that stand
	// afterwards, oldest first. Of several nodes that start at once one wins, and all get the
	// winner's record.
	AddFirstKey(ctx context.Context, rec Record) ([]Record, error)

	// AdvanceKeys takes the step if and only if the set still has the version it
	// was made of, in one atomic step with a new version, and returns what stands
	// afterwards and whether the step was taken. Of several nodes that take a
	// step from one version one does. Of a key that stands, Put changes State,
	// Since, Until and Longest.
	AdvanceKeys(ctx context.Context, step Step, now time.Time) (Set, bool, error)

	// SetMetaOnce stores value under name if nothing stands there yet, in one
	// atomic step, and returns what stands afterwards.
	SetMetaOnce(ctx context.Context, name, value string) (string, error)
}
