package keyring

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	keeperTimeout  = 5 * time.Second // of one look at the store
	keeperAttempts = 20              // to take a step; each one lost to another node
)

// Keeper keeps generated keys in step with the store and with time: it takes the step that is due,
// unless another node has taken it, and makes a new ring whenever the store's keys have changed.
// Call Open first. It may be used by many goroutines.
type Keeper struct {
	// Store keeps the keys. Required.
	Store Store

	// Lifecycle is the rule by which they follow one another. Its Secret is required. Keys for ID
	// tokens follow it, too, each with the algorithm of its own.
	Lifecycle Lifecycle

	// Configured are keys of the configuration, which sign access tokens and are not changed here.
	// Default: generated ones do.
	Configured *Ring

	// IDTokens is the usual lifetime of an ID token. Default: as long as an access token.
	IDTokens time.Duration

	// Changed is told of each new ring. Default: nobody is told.
	Changed func(*Ring)

	// Past returns a time that is surely past at now; retiring keys that ended before it are
	// removed. Default: now itself.
	Past func(now time.Time) time.Time

	// StateChanged is told of each key that has another state than before, [Gone] included.
	// Default: nobody is told.
	StateChanged func(id, algorithm string, state State)

	// Failing is told why Run cannot keep the keys in step, once for each reason, and nil when it
	// can again. Default: nobody is told.
	Failing func(error)

	view atomic.Pointer[keyView]
	mu   sync.Mutex // one look at the store at a time

	making making // keys for ID tokens that are wanted and made
}

// keyView is what this node knows. It does not change.
type keyView struct {
	set      Set
	ring     *Ring
	unopened error         // of keys that are missing in the ring
	longest  time.Duration // lifetime of an access token that the active key may sign
	ends     time.Time     // when the first retiring key is gone; zero when none retires
}

// Info is what may be shown of a key.
type Info struct {
	ID        string
	Algorithm string
	Purpose   Purpose
	State     State
	Created   time.Time // zero when unknown
	Since     time.Time // when the state began; zero for configured keys
	Until     time.Time // when an announced key signs, and when a retiring one is gone
}

// Open reads the keys, and makes the first one if there is none and none are configured. Several nodes that start at
// once
// end up with the same key.
func (k *Keeper) Open(ctx context.Context, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	set, err := k.Store.KeySet(ctx)
	if err != nil {
		return fmt.Errorf("reading keys from the store: %w", err)
	}
	if k.Configured == nil && !set.has(AccessTokens) {
		if set, err = k.makeFirst(ctx, now); err != nil {
			return err
		}
	}
	k.adopt(set, now)
	return k.view.Load().unopened
}

func (k *Keeper) makeFirst(ctx context.Context, now time.Time) (Set, error) {
	rec, err := k.Lifecycle.First(now)
	if err != nil {
		return Set{}, fmt.Errorf("generating the signing key: %w", err)
	}
	if _, err := k.Store.AddFirstKey(ctx, rec); err != nil {
		return Set{}, fmt.Errorf("storing the signing key: %w", err)
	}
	set, err := k.Store.KeySet(ctx)
	if err != nil {
		return Set{}, fmt.Errorf("reading keys from the store: %w", err)
	}
	k.reportStates(Set{}, set)
	return set, nil
}

// Run calls Update at once and then after each turn, until ctx ends. turn returns a channel that is
// closed at the next turn.
func (k *Keeper) Run(ctx context.Context, turn func() <-chan struct{}) {
	failing := ""
	for {
		next := turn() // before the look: what happens meanwhile is seen at the next turn
		err := k.Update(ctx, time.Now())
		if ctx.Err() != nil {
			return
		}
		if text := errorText(err); text != failing {
			failing = text
			if k.Failing != nil {
				k.Failing(err)
			}
		}
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Update reads the keys if they have changed, and takes the steps that are due. It reports keys that
// cannot be opened.
func (k *Keeper) Update(ctx context.Context, now time.Time) error {
	spares, err := k.makeSpares(now)
	if err != nil {
		return err
	}
	err = k.change(ctx, now, func(set Set) (Step, error) {
		return k.eachRule(set, spares, func(l *Lifecycle) (Step, error) { return l.Due(set, now, k.past(now)) })
	})
	if err != nil {
		return err
	}
	return k.view.Load().unopened
}

// Refresh reads the keys if they have changed.
func (k *Keeper) Refresh(ctx context.Context, now time.Time) error {
	return k.change(ctx, now, func(Set) (Step, error) { return Step{}, nil })
}

// Rotate announces the next key of each purpose and algorithm now, unless one is announced already.
func (k *Keeper) Rotate(ctx context.Context, now time.Time) error {
	return k.change(ctx, now, func(set Set) (Step, error) {
		return k.eachRule(set, nil, func(l *Lifecycle) (Step, error) { return l.Rotate(set, now) })
	})
}

// Revoke removes a generated key at once, on this node before it returns; see Lifecycle.Revoke.
func (k *Keeper) Revoke(ctx context.Context, id string, now time.Time) error {
	return k.change(ctx, now, func(set Set) (Step, error) {
		rule := k.Lifecycle
		if rec := set.Find(id); rec != nil && rec.Purpose == IDTokens {
			rule = k.idTokenRule(rec.Algorithm)
		}
		return rule.Revoke(set, id, now)
	})
}

// change takes the step that plan returns for the current keys. If another node is faster, plan is
// called again.
func (k *Keeper) change(ctx context.Context, now time.Time, plan func(Set) (Step, error)) error {
	ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	k.mu.Lock()
	defer k.mu.Unlock()
	for range keeperAttempts {
		if err := k.read(ctx, now); err != nil {
			return fmt.Errorf("reading keys from the store: %w", err)
		}
		step, err := plan(k.view.Load().set)
		if err != nil || step.Empty() {
			return err
		}
		set, taken, err := k.Store.AdvanceKeys(ctx, step, now)
		if err != nil {
			return fmt.Errorf("changing the keys: %w", err)
		}
		k.adopt(set, now)
		if taken {
			return nil
		}
	}
	return errors.New("changing the keys: other nodes kept changing them")
}

// read reads the keys if they have changed. A retiring key that has ended is dropped even if the
// store cannot be reached.
func (k *Keeper) read(ctx context.Context, now time.Time) error {
	view := k.view.Load()
	if !view.ends.IsZero() && !k.past(now).Before(view.ends) {
		k.adopt(view.set, now)
	}
	version, err := k.Store.KeyVersion(ctx)
	if err != nil || version == view.set.Version {
		return err
	}
	set, err := k.Store.KeySet(ctx)
	if err == nil {
		k.adopt(set, now)
	}
	return err
}

func (k *Keeper) past(now time.Time) time.Time {
	if k.Past == nil {
		return now
	}
	return k.Past(now)
}

// adopt makes the ring of a set.
func (k *Keeper) adopt(set Set, now time.Time) {
	var old keyView
	if view := k.view.Load(); view != nil {
		old = *view
	}
	past := k.past(now)
	ring, unopened := k.Lifecycle.Secret.Ring(set, past, k.Configured, old.ring)
	k.view.Store(&keyView{
		set:      set,
		ring:     ring,
		unopened: unopened,
		longest:  k.Lifecycle.Longest(set),
		ends:     set.EndsAfter(past),
	})
	if k.Changed != nil {
		k.Changed(ring)
	}
	if old.ring != nil {
		k.reportStates(old.set, set)
	}
}

// reportStates tells what has become of each key.
func (k *Keeper) reportStates(old, set Set) {
	if k.StateChanged == nil {
		return
	}
	for _, rec := range set.Records {
		if was := old.Find(rec.ID); was == nil || was.State != rec.State {
			k.StateChanged(rec.ID, rec.Algorithm, rec.State)
		}
	}
	for _, was := range old.Records {
		if set.Find(was.ID) == nil {
			k.StateChanged(was.ID, was.Algorithm, Gone)
		}
	}
}

// SigningKey returns the key for a token of this lifetime. A lifetime that is longer than all
// before is first written beside the key, which then verifies for as much longer after it has been
// replaced.
func (k *Keeper) SigningKey(ctx context.Context, lifetime time.Duration, now time.Time) (*Key, error) {
	view := k.view.Load()
	if k.Configured == nil && lifetime > view.longest {
		err := k.change(ctx, now, func(set Set) (Step, error) { return k.Lifecycle.Cover(set, lifetime) })
		if err != nil {
			return nil, err
		}
		view = k.view.Load()
	}
	if key := view.ring.Active(); key != nil {
		return key, nil
	}
	return nil, ErrCannotSign
}

// Ring returns the keys in use; nil before Open, and for no Keeper.
func (k *Keeper) Ring() *Ring {
	if k == nil {
		return nil
	}
	if view := k.view.Load(); view != nil {
		return view.ring
	}
	return nil
}

// Retires returns when a retiring key is gone; zero for any other key.
func (k *Keeper) Retires(id string) time.Time {
	view := k.view.Load()
	if view == nil { // the keys are configured, and the store was not reached yet
		return time.Time{}
	}
	if rec := view.set.Find(id); rec != nil && rec.State == Retiring {
		return rec.Until
	}
	return time.Time{}
}

// Infos lists the keys that this node knows, those that it cannot open included.
func (k *Keeper) Infos() []Info {
	infos := k.Configured.Infos()
	for _, rec := range k.view.Load().set.Records {
		if k.Configured != nil && rec.Purpose != IDTokens {
			continue // it signed before there were keys in the configuration
		}
		infos = append(infos, Info{
			ID:        rec.ID,
			Algorithm: rec.Algorithm,
			Purpose:   rec.Purpose,
			State:     rec.State,
			Created:   rec.Created,
			Since:     rec.Since,
			Until:     rec.Until,
		})
	}
	return infos
}

// Infos lists the keys of a ring, which may be nil: the active one, and those that only verify.
func (r *Ring) Infos() []Info {
	var infos []Info
	for _, key := range r.Keys() {
		info := Info{
			ID:        key.ID(),
			Algorithm: key.Algorithm(),
			State:     Verifying,
			Created:   key.Created(),
		}
		if key == r.Active() {
			info.State = Active
		}
		infos = append(infos, info)
	}
	return infos
}
