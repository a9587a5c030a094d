package auth

import (
	"context"
	"sync"
	"time"
)

// Counting sessions reads each one that lives. It is done at most once a minute, for whoever asks
// for metrics, and takes at most a hundredth of the time where it is slow.
const (
	countEvery   = time.Minute
	countShare   = 100
	countTimeout = 30 * time.Second
)

// liveSessions remembers how many sessions live.
type liveSessions struct {
	mu       sync.Mutex
	byKind   map[string]int
	next     time.Time // not counted again before
	counting bool
}

// sessionCounter is the store of the sessions.
type sessionCounter interface {
	CountGrants(ctx context.Context, now time.Time) (map[string]int, error)
}

// counts returns what was counted last, and has it counted anew in the background when it is time.
// Before the first count, and after one that failed, there is nothing: a number that is not known
// is not 0.
func (l *liveSessions) counts(store sessionCounter, now time.Time) map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.counting && !now.Before(l.next) {
		l.counting = true
		go l.count(store, now)
	}
	return l.byKind
}

func (l *liveSessions) count(store sessionCounter, now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	start := time.Now()
	byKind, err := store.CountGrants(ctx, now)
	if err != nil {
		byKind = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byKind, l.counting = byKind, false
	l.next = now.Add(max(countEvery, countShare*time.Since(start)))
}
