package replay

import (
	"context"
	"errors"
	"sync"
	"time"
)

// localUses bounds how many uses a Local remembers, in each of its two halves.
const localUses = 1 << 15

// Local is the memory of one node in front of the store: an id that was used here before is refused
// without asking the store. What it forgets, or another node has seen, the store still refuses. Of
// several uses at the same time here only one asks the store.
type Local struct {
	// Store remembers the uses of all nodes. Required.
	Store interface {
		UseOnce(ctx context.Context, u Use) error
	}

	mu              sync.Mutex
	recent, earlier map[string]struct{}
	turned          time.Time
}

// UseOnce is that of Store.
func (l *Local) UseOnce(ctx context.Context, u Use, now time.Time) error {
	key := u.Key()
	if !l.add(key, u.Until.Sub(now), now) {
		return ErrUsed
	}
	err := l.Store.UseOnce(ctx, u)
	if err != nil && !errors.Is(err, ErrUsed) {
		l.forget(key) // nobody has decided, and the caller may come again with the same id
	}
	return err
}

// add reports whether the key is new here. What is older than a use has to be remembered, or more
// than there is room for, is forgotten half by half.
func (l *Local) add(key string, remembered time.Duration, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recent == nil || len(l.recent) >= localUses || now.Sub(l.turned) > remembered {
		l.recent, l.earlier, l.turned = make(map[string]struct{}), l.recent, now
	}
	if _, used := l.earlier[key]; used {
		return false
	}
	if _, used := l.recent[key]; used {
		return false
	}
	l.recent[key] = struct{}{}
	return true
}

func (l *Local) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.recent, key)
	delete(l.earlier, key)
}
