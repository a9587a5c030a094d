package stream

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const (
	// least time between two checks of all streams, however many revocations arrive
	lookInterval = 50 * time.Millisecond
	tick         = time.Second            // time between two checks of what is due, while there are streams
	patience     = 250 * time.Millisecond // time for a handler that was told to stop, before its connection is cut
	retry        = 5 * time.Second        // time before the store is asked again about a session
	storeTimeout = 5 * time.Second        // for one question to the store
)

// The reasons for which a stream is ended, beside those of Keys.
const (
	expired   = token.Expired
	revoked   = token.Revoked
	uncertain = gate.RevocationNotChecked
)

// Watcher ends streams whose credential no longer holds. One goroutine, which runs from the first
// stream on, looks at all of them. Fill the exported fields, then share it between all
// configurations that use the same store.
type Watcher struct {
	// Context ends the goroutine.
	Context context.Context
	// Denied reports whether the deny list has a token.
	Denied func(t *token.Token) bool
	// Changed returns a channel that is closed when something is added to the deny list.
	Changed func() <-chan struct{}
	// Stale returns how old the deny list is.
	Stale func(now time.Time) time.Duration
	// FindGrant returns the session with an ID; session.ErrNoGrant when there is none.
	FindGrant func(ctx context.Context, id string) (session.Grant, error)
	// Hold keeps the store open for one more stream, which may outlive the configuration that
	// admitted it. It returns false when the store is no longer in use.
	Hold func() bool
	// Release undoes one Hold.
	Release func()

	wake wakeup

	mu      sync.Mutex
	open    queue
	keys    []trackedKeys
	running bool
	asking  bool      // ask is under way
	sleeps  time.Time // until when run does not look by itself
}

// wakeup is a channel that holds one element, made when it is first used.
type wakeup struct {
	once sync.Once
	c    chan struct{}
}

func (w *wakeup) channel() chan struct{} {
	w.once.Do(func() { w.c = make(chan struct{}, 1) })
	return w.c
}

// add begins to watch a stream.
func (w *Watcher) add(s *stream, now time.Time) {
	w.mu.Lock()
	heap.Push(&w.open, s)
	// After the push: run finds what changes from here on.
	if why := w.refusal(s, now); why != "" {
		w.end(s, why, now)
	}
	first, soon := !w.running, s.due.Before(w.sleeps)
	w.running = true
	w.mu.Unlock()
	switch {
	case first:
		go w.run()
	case soon:
		w.Nudge()
	}
}

// remove stops watching a stream.
func (w *Watcher) remove(s *stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.index >= 0 {
		heap.Remove(&w.open, s.index)
	}
}

// Nudge has all streams looked at soon, for example because keys have changed.
func (w *Watcher) Nudge() {
	select {
	case w.wake.channel() <- struct{}{}:
	default:
	}
}

// run looks at the streams when something is revoked, when keys change, when a stream is due, and
// every second while there are any.
func (w *Watcher) run() {
	changed := w.Changed()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for all := true; ; {
		timer.Reset(w.look(time.Now(), all))
		all = false
		select {
		case <-w.Context.Done():
			return
		case <-w.wake.channel():
		case <-timer.C:
		case <-changed:
			time.Sleep(lookInterval)
			changed, all = w.Changed(), true // before the look, so that nothing is missed
		}
	}
}

// look ends the streams that no longer hold and returns for how long nothing else will be due. It
// checks all streams only when something was revoked, or may have been, and when keys have changed.
func (w *Watcher) look(now time.Time, all bool) time.Duration {
	w.mu.Lock()
	all = w.keysChanged() || all
	if stale := w.Stale(now); all || stale > tick {
		w.checkAll(now, stale)
	}
	cut, unknown := w.takeDue(now)
	wait := time.Hour
	if len(w.open) > 0 {
		wait = max(min(tick, w.open[0].due.Sub(now)), 0)
	}
	w.sleeps = now.Add(wait)
	w.mu.Unlock()

	// Cutting a connection and asking the store may take time, so both happen without the lock.
	for _, s := range cut {
		s.cut()
	}
	if len(unknown) > 0 {
		go w.ask(unknown)
	}
	return wait
}

// checkAll asks of every stream what a gate asks of every request; the caller holds the lock.
func (w *Watcher) checkAll(now time.Time, stale time.Duration) {
	for _, s := range w.open {
		if s.ended.Load() != nil {
			continue
		}
		if why := w.refusal(s, now); why != "" {
			s.end(why, now)
		} else if stale > s.policy.Staleness {
			s.end(uncertain, now)
		}
	}
	heap.Init(&w.open)
}

// refusal returns why a request with the stream's token would be refused because of a revocation;
// the caller holds the lock.
func (w *Watcher) refusal(s *stream, now time.Time) token.Reason {
	if w.Denied(s.token) {
		return revoked
	}
	return w.keyRefusal(s, now)
}

// takeDue handles the streams that are due. It returns those to cut, and those whose session the
// store must be asked about; the caller holds the lock.
func (w *Watcher) takeDue(now time.Time) (cut, unknown []*stream) {
	for len(w.open) > 0 && !now.Before(w.open[0].due) {
		switch s := w.open[0]; {
		case s.ended.Load() != nil:
			heap.Pop(&w.open)
			cut = append(cut, s)
		case !s.session:
			w.end(s, expired, now)
		case !s.unknownSince.IsZero() && now.Sub(s.unknownSince) > s.policy.Staleness:
			w.end(s, uncertain, now)
		default:
			if !w.asking {
				unknown = append(unknown, s)
			}
			if s.unknownSince.IsZero() {
				s.unknownSince = now
			}
			s.due = now.Add(retry)
			heap.Fix(&w.open, s.index)
		}
	}
	w.asking = w.asking || len(unknown) > 0
	return cut, unknown
}

// ask asks the store how long the sessions of some streams live. A stream's session is asked about
// when its access token expires, and then at the time that the answer tells, which is the end of
// the session unless it was used meanwhile.
func (w *Watcher) ask(unknown []*stream) {
	known := make(map[string]time.Time)
	for _, s := range unknown {
		if _, asked := known[s.token.Session]; asked {
			continue
		}
		until, err := w.sessionEnds(s.token.Session)
		if err != nil {
			break // the others are asked about at the next retry
		}
		known[s.token.Session] = until
	}

	now := time.Now()
	w.mu.Lock()
	for _, s := range unknown {
		until, asked := known[s.token.Session]
		switch {
		case !asked || s.index < 0 || s.ended.Load() != nil:
		case now.Before(until):
			s.due, s.unknownSince = until, time.Time{}
			heap.Fix(&w.open, s.index)
		default:
			w.end(s, expired, now)
		}
	}
	w.asking = false
	w.mu.Unlock()
	w.Nudge()
}

// sessionEnds returns when a session ends unless it is used before; zero when it has ended.
func (w *Watcher) sessionEnds(id string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(w.Context, storeTimeout)
	defer cancel()
	g, err := w.FindGrant(ctx, id)
	switch {
	case errors.Is(err, session.ErrNoGrant), err == nil && !g.Revoked.IsZero():
		return time.Time{}, nil
	case err == nil && g.Ends.Before(g.IdleEnds):
		return g.Ends, nil
	}
	return g.IdleEnds, err
}

// end ends one stream of the queue; the caller holds the lock.
func (w *Watcher) end(s *stream, why token.Reason, now time.Time) {
	s.end(why, now)
	heap.Fix(&w.open, s.index)
}

// queue is a heap with the stream that is due first in front.
type queue []*stream

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	s := x.(*stream)
	s.index = len(*q)
	*q = append(*q, s)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	s.index = -1
	return s
}
