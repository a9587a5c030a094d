package revocation

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

// Watch keeps a deny list up to date with the store, so that what one node revokes holds on all
// nodes within a second.
type Watch struct {
	// Denials is the method of Store. Required.
	Denials func(ctx context.Context, after Cursor) ([]Denial, Cursor, error)
	// List is kept up to date. Required.
	List *DenyList
	// Every is how often the store is asked. Default: 500ms.
	Every time.Duration
	// Wake makes the Watch ask at once. Nothing depends on it. It should hold one message, so that
	// many cause one question. Default: nothing wakes it.
	Wake <-chan struct{}
	// Observe is told how each question went. Default: nothing is told.
	Observe func(err error)
	// Past returns a time that is surely past at now; denials that expired before it are removed.
	// Default: now itself.
	Past func(now time.Time) time.Time

	mu     sync.Mutex // one question at a time
	cursor Cursor
	missed int // looks in a row
	swept  time.Time
	fresh  atomic.Pointer[time.Time]
}

// Run asks at once and then repeatedly until ctx ends. The interval is counted from one question to
// the next, so a question that was not answered in time is asked again at once.
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

// Poll asks once: the first time for all denials, for at most 5 seconds, later for new ones, for
// half a second. After several questions in a row that were not answered it waits longer, because a
// link may be slow and the answer long. Run calls it; a start-up that wants to begin with a
// complete list calls it before.
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
		if n < MaxDenials {
			w.read(asked)
			return nil
		}
	}
}

// look reads the next denials.
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

// read notes that the list has everything that was denied when the question was asked, and removes
// what expired.
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
// answered question was asked. Before the first answer it is the longest duration.
func (w *Watch) Stale(now time.Time) time.Duration {
	fresh := w.fresh.Load()
	if fresh == nil {
		return math.MaxInt64
	}
	return max(now.Sub(*fresh), 0)
}
