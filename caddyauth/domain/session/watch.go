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
	sweepEvery  = time.Minute

	lookTimeout = 500 * time.Millisecond // of one look; what takes longer counts as missed
	pollTimeout = 5 * time.Second        // of a look at all there is, and after several that were missed
	fewMissed   = 3                      // looks in a row, after which the next may take longer
)

// Watch keeps a deny list up to date with the store, so that what one node revokes holds on all of
// them within a second.
type Watch struct {
	// Denials is the store's method of that name. Required.
	Denials func(ctx context.Context, after Cursor) ([]Denial, Cursor, error)
	// List is kept up to date. Required.
	List *DenyList
	// Every is how often the store is asked. Default: 500ms.
	Every time.Duration
	// Wake makes it ask at once; nothing depends on it. It should hold one message, so that many
	// make one question.
	Wake <-chan struct{}
	// Observe is told how each question went. It may be nil.
	Observe func(err error)
	// Past says what is surely past at now, and may be forgotten. Default: whatever the clock says
	// is.
	Past func(now time.Time) time.Time

	mu     sync.Mutex // one question at a time
	cursor Cursor
	missed int // looks in a row
	swept  time.Time
	fresh  atomic.Pointer[time.Time]
}

// Run asks at once and then again and again until ctx ends: as often as Every says, counted from
// one question to the next, so that one which was not answered in time is asked again at once.
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
		asked := time.Now()
		err := w.Poll(ctx)
		if ctx.Err() != nil {
			return
		}
		if w.Observe != nil {
			w.Observe(err)
		}
		timer.Reset(cmp.Or(max(w.Every, 0), DefaultPoll) - time.Since(asked))
	}
}

// Poll asks once: the first time for all that is denied, for 5 seconds at most, later for what is
// new, for half a second. What was missed several times in a row may take longer, for a link may be
// slow and the answer long. Run does it; a start-up that wants to begin with a full list does it
// before.
func (w *Watch) Poll(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		asked := time.Now()
		n, err := w.look(ctx)
		if err != nil {
			w.missed++
			return err
		}
		w.missed = 0
		if n < MostDenials {
			w.read(asked)
			return nil
		}
	}
}

// look takes in what is next.
func (w *Watch) look(ctx context.Context) (int, error) {
	limit := lookTimeout << max(0, min(w.missed-fewMissed, 4))
	if w.fresh.Load() == nil {
		limit = pollTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, min(limit, pollTimeout))
	defer cancel()
	denials, cursor, err := w.Denials(ctx, w.cursor)
	if err != nil {
		return 0, err
	}
	w.List.Add(denials...)
	w.cursor = cursor
	return len(denials), nil
}

// read notes that nothing is missing that was there when it was asked, and forgets what is over.
func (w *Watch) read(asked time.Time) {
	w.fresh.Store(&asked)
	if asked.Sub(w.swept) >= sweepEvery {
		w.List.Expire(w.past(asked))
		w.swept = asked
	}
}

func (w *Watch) past(now time.Time) time.Time {
	if w.Past == nil {
		return now
	}
	return w.Past(now)
}

// Stale returns for how long the list may have missed something at now: the time since the last
// question that was answered was asked. Before the first answer it is the longest duration there
// is.
func (w *Watch) Stale(now time.Time) time.Duration {
	fresh := w.fresh.Load()
	if fresh == nil {
		return math.MaxInt64
	}
	return max(now.Sub(*fresh), 0)
}
