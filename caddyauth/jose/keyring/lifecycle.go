package keyring

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
)

// State is where a generated key stands in its life. A key whose life is over
// is gone: it is not in the store any more.
type State string

// The states of a generated key, in their order.
const (
	Announced State = "announced" // published and verifying, so that everybody knows it when it begins to sign
	Active    State = "active"    // signs; one key at a time
	Retiring  State = "retiring"  // verifies what it has signed
)

// States that no record has.
const (
	Gone      State = "gone"      // removed from the store
	Verifying State = "verifying" // configured, and only verifies
)

// RetireMargin is how much longer than the last token it can have signed a
// retiring key verifies.
const RetireMargin = leeway.Margin

// Lifecycle is the rule by which generated keys follow one another. It keeps no state: from a set
// and a time it computes the step that is due, which [Store.AdvanceKeys] applies on one node only.
//
// A key is announced, signs after Announce, and retires when the next one does;
// then it verifies until the last token it signed has expired. It is safe for
// concurrent use.
type Lifecycle struct {
	// Secret seals and opens the keys. Required.
	Secret *SecretRing
	// Purpose is which of the set's keys the rule is for: those for access tokens, or those for ID
	// tokens that have its Algorithm. Default: access tokens.
	Purpose Purpose
	// Algorithm is that of the keys made from now on. Default: ES256.
	Algorithm string
	// Every is how long a key signs. Default: 0, until an operator rotates.
	Every time.Duration
	// Announce is how long a key is published before it signs.
	Announce time.Duration
	// Access is the usual lifetime of the tokens to be signed; see [Lifecycle.Cover].
	Access time.Duration

	// spare is a key that was made beforehand, because that takes long. It is used first.
	spare *Record
}

// algorithm is that of the keys made from now on.
func (l *Lifecycle) algorithm() string { return cmp.Or(l.Algorithm, "ES256") }

// governs reports whether the rule is for the key.
func (l *Lifecycle) governs(rec Record) bool {
	return rec.Purpose == l.Purpose && (l.Purpose == AccessTokens || rec.Algorithm == l.Algorithm)
}

// inState returns a copy of the key in this state, nil when there is none.
func (l *Lifecycle) inState(set Set, state State) *Record {
	for _, rec := range set.Records {
		if rec.State == state && l.governs(rec) {
			return &rec
		}
	}
	return nil
}

// Longest returns the longest lifetime of a token that the active key may sign.
func (l *Lifecycle) Longest(set Set) time.Duration {
	if active := l.inState(set, Active); active != nil {
		return active.Longest
	}
	return 0
}

// First makes the first active key.
func (l *Lifecycle) First(now time.Time) (Record, error) {
	rec, err := l.generate(now)
	if err != nil {
		return Record{}, err
	}
	return l.activate(rec, now), nil
}

// Due returns the step that is due at now; an empty one when there is none. A set without an active
// key, as after the loss of the database, gets one. Expired keys are removed by past, which is
// surely past even if the clock is wrong: a removed key would not come back once the clock is
// right.
func (l *Lifecycle) Due(set Set, now, past time.Time) (Step, error) {
	step := Step{From: set.Version}
	for _, rec := range set.Records {
		if rec.expired(past) && l.governs(rec) {
			step.Remove = append(step.Remove, rec.ID)
		}
	}
	active, next := l.inState(set, Active), l.inState(set, Announced)
	switch {
	case active == nil || next != nil && !now.Before(next.Until):
		return l.succeed(step, active, next, now)
	case next == nil && l.Every > 0 && !now.Before(active.Since.Add(l.Every-l.Announce)):
		return l.announce(step, now)
	}
	return step, nil
}

// Rotate returns the step that announces a successor of the active key now,
// whatever Every says. It is empty when one is announced already.
func (l *Lifecycle) Rotate(set Set, now time.Time) (Step, error) {
	step := Step{From: set.Version}
	if l.inState(set, Announced) != nil {
		return step, nil
	}
	return l.announce(step, now)
}

// Revoke returns the step after which the key of this id, for which the rule is, is gone. If it was
// the active one, the announced key signs at once, or a new one, which other servers may not know
// yet. It returns [ErrUnknownKey] when there is no such key.
func (l *Lifecycle) Revoke(set Set, id string, now time.Time) (Step, error) {
	rec := set.Find(id)
	if rec == nil || !l.governs(*rec) {
		return Step{}, fmt.Errorf("key %q: %w", clip(id), ErrUnknownKey)
	}
	step := Step{From: set.Version, Remove: []string{id}}
	if rec.State != Active {
		return step, nil
	}
	return l.succeed(step, nil, l.inState(set, Announced), now)
}

// Cover returns the step after which the active key may sign tokens of this lifetime: the store
// must record how long they need the key before the first of them is signed. It is empty when the
// lifetime is covered.
func (l *Lifecycle) Cover(set Set, lifetime time.Duration) (Step, error) {
	step := Step{From: set.Version}
	active := l.inState(set, Active)
	if active == nil {
		return Step{}, errors.New("keys: none is active")
	}
	if active.Longest < lifetime {
		active.Longest = (lifetime + time.Minute - 1).Truncate(time.Minute)
		step.Put = append(step.Put, *active)
	}
	return step, nil
}

// announce adds a key that will sign when it has been published long enough.
func (l *Lifecycle) announce(step Step, now time.Time) (Step, error) {
	rec, err := l.generate(now)
	if err != nil {
		return Step{}, err
	}
	rec.State, rec.Since = Announced, truncateMillis(now)
	rec.Until = rec.Since.Add(l.Announce)
	step.Put = append(step.Put, rec)
	return step, nil
}

// succeed retires the active key, if there is one, and makes next sign, or a
// new key where there is none. The retiring one comes first: there are never
// two active ones.
func (l *Lifecycle) succeed(step Step, active, next *Record, now time.Time) (Step, error) {
	if next == nil {
		rec, err := l.generate(now)
		if err != nil {
			return Step{}, err
		}
		next = &rec
	}
	if active != nil {
		active.State, active.Since = Retiring, truncateMillis(now)
		active.Until = active.Since.Add(max(active.Longest, l.Access) + RetireMargin)
		step.Put = append(step.Put, *active)
	}
	step.Put = append(step.Put, l.activate(*next, now))
	return step, nil
}

func (l *Lifecycle) activate(rec Record, now time.Time) Record {
	rec.State, rec.Since, rec.Until = Active, truncateMillis(now), time.Time{}
	rec.Longest = max(rec.Longest, l.Access)
	return rec
}

func (l *Lifecycle) generate(now time.Time) (Record, error) {
	if rec := l.spare; rec != nil {
		l.spare = nil
		return *rec, nil
	}
	key, err := Generate(l.Algorithm, now)
	if err != nil {
		return Record{}, err
	}
	rec, err := l.Secret.Seal(key)
	rec.Purpose = l.Purpose
	return rec, err
}

// Find returns a copy of the key of this id, nil when there is none.
func (s Set) Find(id string) *Record {
	for _, rec := range s.Records {
		if rec.ID == id {
			return &rec
		}
	}
	return nil
}

// expired reports whether no token that the key signed can still be valid.
func (r Record) expired(now time.Time) bool { return r.State == Retiring && !now.Before(r.Until) }

// EndsAfter returns when the first of the keys that retire at now expires; zero if none retires.
func (s Set) EndsAfter(now time.Time) time.Time {
	var first time.Time
	for _, rec := range s.Records {
		if rec.State == Retiring && !rec.expired(now) && (first.IsZero() || rec.Until.Before(first)) {
			first = rec.Until
		}
	}
	return first
}

// truncateMillis returns the time as the store keeps it: UTC, in milliseconds.
func truncateMillis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
