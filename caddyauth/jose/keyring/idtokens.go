package keyring

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// IDTokenAlgorithms are those that ID tokens can be signed with, the default first: RS256 is the one
// that every relying party knows (OpenID Connect Core, section 15.1).
func IDTokenAlgorithms() []string { return []string{"RS256", "ES256", "EdDSA", "PS256"} }

// making are keys for ID tokens that are wanted. An RSA key takes a while, so it is made apart from
// the requests, and by one goroutine for all that wait for it.
type making struct {
	mu      sync.Mutex
	wanted  []string // algorithms
	pending map[string]chan struct{}
}

// Want has keys for ID tokens of these algorithms made at the next Update, where there are none.
func (k *Keeper) Want(algorithms ...string) {
	k.making.mu.Lock()
	defer k.making.mu.Unlock()
	for _, algorithm := range algorithms {
		if !slices.Contains(k.making.wanted, algorithm) {
			k.making.wanted = append(k.making.wanted, algorithm)
		}
	}
}

// IDTokenKey returns the key to sign an ID token of this lifetime with. Where there is none of the
// algorithm yet, one is made, and the caller waits for it, at most for as long as ctx lasts; see
// Want.
func (k *Keeper) IDTokenKey(ctx context.Context, algorithm string, lifetime time.Duration,
	now time.Time) (*Key, error) {
	key := k.Ring().IDToken(algorithm)
	if key == nil {
		if err := k.awaitKey(ctx, algorithm, now); err != nil {
			return nil, err
		}
		key = k.Ring().IDToken(algorithm)
	}
	switch {
	case key == nil:
		return nil, ErrCannotSign
	case key == k.Ring().Active():
		return k.SigningKey(ctx, lifetime, now)
	}

	// It has to verify for as long as the token lives, also after it has been replaced.
	rule := k.idTokenRule(algorithm)
	if lifetime > rule.Longest(k.view.Load().set) {
		err := k.change(ctx, now, func(set Set) (Step, error) { return rule.Cover(set, lifetime) })
		if err != nil {
			return nil, err
		}
		key = k.Ring().IDToken(algorithm)
	}
	return key, nil
}

// awaitKey waits until there is a key of the algorithm. One goroutine makes it, which goes on when
// those who wait for it have gone.
func (k *Keeper) awaitKey(ctx context.Context, algorithm string, now time.Time) error {
	if !slices.Contains(IDTokenAlgorithms(), algorithm) {
		return fmt.Errorf("algorithm %q: ID tokens are not signed with it", clip(algorithm))
	}
	k.Want(algorithm)
	k.making.mu.Lock()
	done, begun := k.making.pending[algorithm]
	if !begun {
		done = make(chan struct{})
		if k.making.pending == nil {
			k.making.pending = map[string]chan struct{}{}
		}
		k.making.pending[algorithm] = done
		go k.makeWanted(context.WithoutCancel(ctx), algorithm, now, done)
	}
	k.making.mu.Unlock()
	select {
	case <-done:
		if k.Ring().IDToken(algorithm) == nil {
			return ErrKeysUnavailable
		}
		return nil
	case <-ctx.Done():
		return ErrKeysUnavailable
	}
}

// makeWanted makes the key and tells those who wait. An error is found again by Run, which reports
// it.
func (k *Keeper) makeWanted(ctx context.Context, algorithm string, now time.Time, done chan struct{}) {
	_ = k.Update(ctx, now)
	k.making.mu.Lock()
	delete(k.making.pending, algorithm)
	k.making.mu.Unlock()
	close(done)
}

// idTokenRule is the rule for the ID-token keys of an algorithm.
func (k *Keeper) idTokenRule(algorithm string) Lifecycle {
	rule := k.Lifecycle
	rule.Purpose, rule.Algorithm = IDTokens, algorithm
	if k.IDTokens > 0 {
		rule.Access = k.IDTokens
	}
	return rule
}

// makeSpares makes the keys that are wanted and not in the set. The store may have got them from
// another node meanwhile; then they are dropped.
func (k *Keeper) makeSpares(now time.Time) (map[string]*Record, error) {
	k.making.mu.Lock()
	wanted := slices.Clone(k.making.wanted)
	k.making.mu.Unlock()
	var spares map[string]*Record
	for _, algorithm := range wanted {
		rule := k.idTokenRule(algorithm)
		if !k.isMissing(&rule) {
			continue
		}
		rec, err := rule.generate(now)
		if err != nil {
			return nil, fmt.Errorf("generating the key for ID tokens: %w", err)
		}
		if spares == nil {
			spares = map[string]*Record{}
		}
		spares[algorithm] = &rec
	}
	return spares, nil
}

// isMissing reports whether a key has to be made. The active key signs ID tokens of its algorithm,
// unless the next one has another.
func (k *Keeper) isMissing(rule *Lifecycle) bool {
	view := k.view.Load()
	if rule.inState(view.set, Active) != nil {
		return false
	}
	active := view.ring.Active()
	if active == nil || active.Algorithm() != rule.Algorithm {
		return true
	}
	return k.Configured == nil && k.Lifecycle.algorithm() != rule.Algorithm
}

// eachRule makes one step of what each rule says: that for access tokens, and those of all ID-token
// keys in the set and among spares.
func (k *Keeper) eachRule(set Set, spares map[string]*Record,
	plan func(*Lifecycle) (Step, error)) (Step, error) {
	var rules []Lifecycle
	if k.Configured == nil {
		rules = append(rules, k.Lifecycle)
	}
	for _, algorithm := range IDTokenAlgorithms() {
		rule := k.idTokenRule(algorithm)
		if rule.spare = spares[algorithm]; rule.spare != nil || slices.ContainsFunc(set.Records, rule.governs) {
			rules = append(rules, rule)
		}
	}
	all := Step{From: set.Version}
	for i := range rules {
		step, err := plan(&rules[i])
		if err != nil {
			return Step{}, err
		}
		all.Remove = append(all.Remove, step.Remove...)
		all.Put = append(all.Put, step.Put...)
	}
	return all, nil
}

// has reports whether there is a key of the purpose.
func (s Set) has(purpose Purpose) bool {
	return slices.ContainsFunc(s.Records, func(r Record) bool { return r.Purpose == purpose })
}
