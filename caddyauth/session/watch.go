package session

import (
	"cmp"
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// The defaults and limits of Watch.
const (
	DefaultPoll = 500 * time.Millisecond
	pollTimeout = 5 * time.Second
	sweepEvery  = time.Minute
)

// Watch keeps a deny list up to date with the store, so that what one node revokes holds on all of them within a second.
type Watch struct {
	// Denials is the store's method of that name. Required.
	Denials func(ctx context.Context, after Cursor) ([]Denial, Cursor, error)
	// List is kept up to date. Required.
	List *DenyList
	// Every is how often the store is asked. Default: 500ms.
	Every time.Duration
	// Wake makes it ask at once; nothing depends on it. It should hold one message, so that many make one question.
	Wake <-chan struct{}
	// Observe is told how each question went. It may be nil.
	Observe func(err error)
	// Past says what is surely past at now, and may be forgotten. Default: whatever the clock says is.
	Past func(now time.Time) time.Time

	mu     sync.Mutex // one question at a time
	cursor Cursor
	swept  time.Time
	fresh  atomic.Pointer[time.Time]
}

// Run asks at once and then again and again until ctx ends. A failed question is asked again with the next turn.
func (w *Watch) Run(ctx context.Context) {
	wake := w.Wake
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case _, open := <-wake:
			if !open {
				wake = nil
			}
		}
		err := w.Poll(ctx)
		if ctx.Err() != nil {
			return
		}
		if w.Observe != nil {
			w.Observe(err)
		}
		timer.Reset(cmp.Or(max(w.Every, 0), DefaultPoll))
	}
}

// Poll asks once, for 5 seconds at most: the first time for all that is denied, later for what is new. Run does it; a
// start-up that wants to begin with a full list does it before.
func (w *Watch) Poll(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	asked := time.Now()
	denials, cursor, err := w.Denials(ctx, w.cursor)
	if err != nil {
		return err
	}
	w.List.Add(denials...)
	w.cursor = cursor
	w.fresh.Store(&asked)
	if asked.Sub(w.swept) >= sweepEvery {
		w.List.Expire(w.past(asked))
		w.swept = asked
	}
	return nil
}

func (w *Watch) past(now time.Time) time.Time {
	if w.Past == nil {
		return now
	}
	return w.Past(now)
}

// Stale returns for how long the list may have missed something at now: the time since the last question that was answered
// was asked. Before the first answer it is the longest duration there is.
func (w *Watch) Stale(now time.Time) time.Duration {
	fresh := w.fresh.Load()
	if fresh == nil {
		return math.MaxInt64
	}
	return max(now.Sub(*fresh), 0)
}
