package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

const (
	rotationTimeout = 5 * time.Second // bounds one look at the store
	stepAttempts    = 20              // each lost to a step of another node
)

// rotation keeps the generated keys of a configuration in step with the store and with time: it takes the step that is due, unless
// another node has taken it, and puts a new ring in place whenever the store's keys have changed.
type rotation struct {
	store   keyring.Store
	cycle   keyring.Lifecycle
	ring    *atomic.Pointer[keyring.Ring] // where the ring is put
	changed func()                        // told of each new ring; may be nil
	past    func(time.Time) time.Time     // what is surely past at a time; nil: what the clock says
	logger  *zap.Logger

	view   atomic.Pointer[keyView]
	mu     sync.Mutex // one look at the store at a time
	failed string     // what the last look met, so that it is logged once
}

// keyView is what this node knows. It does not change.
type keyView struct {
	set      keyring.Set
	ring     *keyring.Ring
	unopened error         // of keys that are missing in the ring
	longest  time.Duration // that the active key may sign
	ends     time.Time     // when the first retiring key is over; zero when none retires
}

// open reads the keys, making the first one if there is none yet. Several nodes that start at once end up with the same key.
func (r *rotation) open(ctx context.Context, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	set, err := r.store.KeySet(ctx)
	if err != nil {
		return fmt.Errorf("reading keys from the store: %w", err)
	}
	if len(set.Records) == 0 {
		if set, err = r.first(ctx, now); err != nil {
			return err
		}
	}
	r.adopt(set, now)
	return r.view.Load().unopened
}

func (r *rotation) first(ctx context.Context, now time.Time) (keyring.Set, error) {
	rec, err := r.cycle.First(now)
	if err != nil {
		return keyring.Set{}, fmt.Errorf("generating the signing key: %w", err)
	}
	if _, err := r.store.AddFirstKey(ctx, rec); err != nil {
		return keyring.Set{}, fmt.Errorf("storing the signing key: %w", err)
	}
	set, err := r.store.KeySet(ctx)
	if err != nil {
		return keyring.Set{}, fmt.Errorf("reading keys from the store: %w", err)
	}
	r.log(keyring.Set{}, set)
	return set, nil
}

// follow tends the keys after each turn of the store's watch, until ctx ends.
func (r *rotation) follow(ctx context.Context, turn func() <-chan struct{}) {
	for {
		next := turn() // before looking: what happens meanwhile is seen at the next turn
		err := r.tend(ctx, time.Now())
		if ctx.Err() != nil {
			return
		}
		r.report(err)
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
	}
}

// report logs what tending met, once for as long as it goes on.
func (r *rotation) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == r.failed {
		return
	}
	r.failed = text
	if err != nil {
		r.logger.Warn("the signing keys cannot be tended; those that are known stay in use", zap.Error(err))
		return
	}
	r.logger.Info("the signing keys are tended again")
}

// tend brings the ring up to date and takes the step that is due.
func (r *rotation) tend(ctx context.Context, now time.Time) error {
	err := r.change(ctx, now, func(set keyring.Set, now time.Time) (keyring.Step, error) {
		return r.cycle.Due(set, now, r.surelyPast(now))
	})
	if err != nil {
		return err
	}
	return r.view.Load().unopened
}

// change takes the step that plan makes of what stands. Where another node is faster, plan is asked again.
func (r *rotation) change(ctx context.Context, now time.Time, plan func(keyring.Set, time.Time) (keyring.Step, error)) error {
	ctx, cancel := context.WithTimeout(ctx, rotationTimeout)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	for range stepAttempts {
		if err := r.refresh(ctx, now); err != nil {
			return fmt.Errorf("reading keys from the store: %w", err)
		}
		step, err := plan(r.view.Load().set, now)
		if err != nil || step.Empty() {
			return err
		}
		set, taken, err := r.store.AdvanceKeys(ctx, step, now)
		if err != nil {
			return fmt.Errorf("changing the keys: %w", err)
		}
		r.adopt(set, now)
		if taken {
			return nil
		}
	}
	return errors.New("changing the keys: other nodes kept changing them")
}

// refresh reads the keys if they have changed. A key whose time is over goes even when the store cannot be asked.
func (r *rotation) refresh(ctx context.Context, now time.Time) error {
	view := r.view.Load()
	if !view.ends.IsZero() && !r.surelyPast(now).Before(view.ends) {
		r.adopt(view.set, now)
	}
	version, err := r.store.KeyVersion(ctx)
	if err != nil || version == view.set.Version {
		return err
	}
	set, err := r.store.KeySet(ctx)
	if err == nil {
		r.adopt(set, now)
	}
	return err
}

func (r *rotation) surelyPast(now time.Time) time.Time {
	if r.past == nil {
		return now
	}
	return r.past(now)
}

// adopt puts the ring of a set in place.
func (r *rotation) adopt(set keyring.Set, now time.Time) {
	var old keyView
	if view := r.view.Load(); view != nil {
		old = *view
	}
	past := r.surelyPast(now)
	ring, unopened := r.cycle.Ring(set, past, old.ring)
	r.view.Store(&keyView{set: set, ring: ring, unopened: unopened, longest: set.Longest(), ends: set.EndsAfter(past)})
	r.ring.Store(ring)
	if r.changed != nil {
		r.changed()
	}
	if old.ring != nil {
		r.log(old.set, set)
	}
}

// log tells what has become of each key since the last look.
func (r *rotation) log(old, set keyring.Set) {
	for _, rec := range set.Records {
		if was := old.Find(rec.ID); was == nil || was.State != rec.State {
			r.logger.Info("signing key", zap.String("kid", rec.ID), zap.String("algorithm", rec.Algorithm), zap.String("state", string(rec.State)))
		}
	}
	for _, was := range old.Records {
		if set.Find(was.ID) == nil {
			r.logger.Info("signing key", zap.String("kid", was.ID), zap.String("algorithm", was.Algorithm), zap.String("state", "gone"))
		}
	}
}

// signingKey returns the key for a token of this lifetime. One that is longer than all before is first written beside the key, which
// then verifies for as much longer.
func (r *rotation) signingKey(ctx context.Context, lifetime time.Duration, now time.Time) (*keyring.Key, error) {
	view := r.view.Load()
	if lifetime > view.longest {
		err := r.change(ctx, now, func(set keyring.Set, _ time.Time) (keyring.Step, error) { return r.cycle.Cover(set, lifetime) })
		if err != nil {
			return nil, err
		}
		view = r.view.Load()
	}
	if key := view.ring.Active(); key != nil {
		return key, nil
	}
	return nil, keyring.ErrCannotSign
}

// infos lists the keys that this node knows; one that it cannot open is there, too.
func (r *rotation) infos() []keyInfo {
	set := r.view.Load().set
	infos := make([]keyInfo, len(set.Records))
	for i, rec := range set.Records {
		infos[i] = keyInfo{ID: rec.ID, Algorithm: rec.Algorithm, State: string(rec.State), Created: rec.Created, Since: rec.Since, Until: rec.Until}
	}
	return infos
}
