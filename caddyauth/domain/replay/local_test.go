package replay

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shared is a store that two nodes have, without the uses that it should not be asked about.
type shared struct {
	mu    sync.Mutex
	used  map[string]bool
	asked int
	fail  error
}

func (s *shared) UseOnce(_ context.Context, u Use) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	switch {
	case s.fail != nil:
		return s.fail
	case s.used[u.Key()]:
		return ErrUsed
	}
	s.used[u.Key()] = true
	return nil
}

func TestLocalRefusesWithoutTheStore(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	store := &shared{used: map[string]bool{}}
	here, there := &Local{Store: store}, &Local{Store: store}
	use := Use{Purpose: DPoP, Issuer: "key", ID: "one", Until: now.Add(time.Minute)}
	for _, step := range []struct {
		name  string
		node  *Local
		want  error
		asked int // how often the store has been asked afterwards
	}{
		{"first", here, nil, 1},
		{"again here", here, ErrUsed, 1},
		{"on another node", there, ErrUsed, 2},
		{"there again", there, ErrUsed, 2},
	} {
		t.Run(step.name, func(t *testing.T) {
			if err := step.node.UseOnce(
				t.Context(),
				use,
				now,
			); !errors.Is(err, step.want) ||
				store.asked != step.asked {
				t.Errorf("%v, the store was asked %d times", err, store.asked)
			}
		})
	}
}

func TestLocalForgetsWhatNobodyDecided(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	store := &shared{used: map[string]bool{}, fail: errors.New("down")}
	node := &Local{Store: store}
	use := Use{Purpose: DPoP, Issuer: "key", ID: "one", Until: now.Add(time.Minute)}
	if err := node.UseOnce(t.Context(), use, now); !errors.Is(err, store.fail) {
		t.Errorf("while the store is down: %v", err)
	}
	store.fail = nil
	if err := node.UseOnce(t.Context(), use, now); err != nil {
		t.Errorf("when it is up again: %v", err)
	}
}

func TestLocalIsBounded(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	store := &shared{used: map[string]bool{}}
	node := &Local{Store: store}
	for i := range 3 * localUses {
		use := Use{Purpose: DPoP, Issuer: "key", ID: strconv.Itoa(i), Until: now.Add(time.Minute)}
		if err := node.UseOnce(t.Context(), use, now); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(node.recent) + len(node.earlier); n > 2*localUses {
		t.Errorf("%d uses are remembered", n)
	}
	first := Use{Purpose: DPoP, Issuer: "key", ID: "0", Until: now.Add(time.Minute)}
	if err := node.UseOnce(t.Context(), first, now); !errors.Is(err, ErrUsed) {
		t.Errorf("what was forgotten here: %v", err)
	}
}

func TestLocalLetsOneOfManyPass(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	node := &Local{Store: &shared{used: map[string]bool{}}}
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			use := Use{Purpose: DPoP, Issuer: "key", ID: "one", Until: now.Add(time.Minute)}
			if node.UseOnce(context.Background(), use, now) == nil {
				passed.Add(1)
			}
		})
	}
	all.Wait()
	if passed.Load() != 1 {
		t.Errorf("%d passed", passed.Load())
	}
}
