package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// slow is how long a call may take before it is checked whether the database hangs.
	slow = time.Second
	// lookPatience is how long that look may take: a connection may have to be made for it, over a
	// slow link.
	lookPatience = 2 * time.Second
	// lookPause is the time between two looks at a database that hangs.
	lookPause = 250 * time.Millisecond
)

// timeout is an ErrUnavailable after a wait.
type timeout struct {
	error
	cut bool // the server has ended the statement: something hangs, and not the server
}

func (t timeout) Unwrap() error { return t.error }

var errSilent = timeout{error: fmt.Errorf("%w: the server did not answer in time", ErrUnavailable)}

// guard is a database whose callers do not queue up while it hangs: frozen, behind a network that
// drops packets, or with a lock that another process holds. From the first time-out on, or from a
// look that a slow call has caused, calls are refused at once, those that wait for a connection
// too, until one look has succeeded. One locked row makes one call time out and refuses no other.
// Only the monotonic clock is asked.
type guard struct {
	database
	begun    time.Time
	answered atomic.Int64 // when the database has answered last, in nanoseconds after begun
	life     context.Context
	end      context.CancelFunc
	looks    sync.WaitGroup

	mu      sync.Mutex
	hangs   error           // what calls are refused with; nil: they are not
	waiting context.Context // ends with hangs as its cause when that is set
	refuse  context.CancelCauseFunc
	looking bool
	looked  time.Time
}

func newGuard(db database) *guard {
	g := &guard{database: db, begun: time.Now()}
	g.life, g.end = context.WithCancel(context.Background())
	g.waiting, g.refuse = context.WithCancelCause(context.Background())
	return g
}

// query ends when its rows are closed, for that is where the answer is waited for.
func (g *guard) query(ctx context.Context, text string, args ...any) (rows, error) {
	if !g.database.readsHang() {
		return g.database.query(ctx, text, args...)
	}
	ctx, leave, err := g.enter(ctx)
	if err != nil {
		return nil, err
	}
	found, err := g.database.query(ctx, text, args...)
	if err != nil {
		return nil, leave(err)
	}
	return &guardedRows{rows: found, leave: leave}, nil
}

type guardedRows struct {
	rows
	leave func(error) error // nil: it was called
}

func (r *guardedRows) Close() error {
	err := r.rows.Close()
	if r.leave != nil {
		err = r.leave(err)
		r.leave = nil
	}
	return err
}

func (g *guard) write(ctx context.Context, verb func(tx) error) error {
	return g.call(ctx, func(ctx context.Context) error { return g.database.write(ctx, verb) })
}

func (g *guard) writeOne(ctx context.Context, verb func(tx) error) error {
	return g.call(ctx, func(ctx context.Context) error { return g.database.writeOne(ctx, verb) })
}

// ping ends with ctx, unlike what changes something.
func (g *guard) ping(ctx context.Context) error {
	return g.call(ctx, func(ctx context.Context) error {
		answer := make(chan error, 1)
		go func() { answer <- g.database.ping(ctx) }()
		select {
		case err := <-answer:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func (g *guard) close() error {
	g.mu.Lock()
	g.end()
	g.mu.Unlock()
	g.looks.Wait()
	return g.database.close()
}

// call runs one call unless the database hangs.
func (g *guard) call(ctx context.Context, run func(context.Context) error) error {
	ctx, leave, err := g.enter(ctx)
	if err != nil {
		return err
	}
	return leave(run(ctx))
}

// enter begins a call, and refuses it while the database hangs. Its context ends when the database
// is found to hang: then it waits for a connection no longer. leave ends the call and returns the
// error to show.
func (g *guard) enter(ctx context.Context) (inner context.Context, leave func(error) error, err error) {
	g.mu.Lock()
	hangs, waiting := g.hangs, g.waiting
	g.mu.Unlock()
	if hangs != nil {
		return nil, nil, hangs
	}
	begun := g.now()
	late := time.AfterFunc(slow, func() { g.doubt(nil) })
	inner, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(waiting, func() { cancel(context.Cause(waiting)) })
	return inner, func(err error) error {
		late.Stop()
		stop()
		cause := context.Cause(inner)
		cancel(nil)
		if errors.Is(err, context.Canceled) && errors.Is(cause, ErrUnavailable) {
			return cause
		}
		g.learn(begun, err)
		return err
	}, nil
}

func (g *guard) now() int64 { return int64(time.Since(g.begun)) }

// learn looks at the result of a call. A time-out alone says little while others were answered
// meanwhile.
func (g *guard) learn(begun int64, err error) {
	met, late := errors.AsType[timeout](err)
	switch {
	case late && !met.cut && g.answered.Load() < begun:
		g.doubt(err)
	case late:
		g.doubt(nil)
	case err == nil || !errors.Is(err, ErrUnavailable) && !ended(err):
		g.answered.Store(g.now())
	}
}

func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// doubt starts a check of the database, unless one is running or has just run. With an error,
// calls are refused at once.
func (g *guard) doubt(met error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.life.Err() != nil {
		return
	}
	if met != nil {
		g.open(met)
	}
	if g.looking || g.hangs == nil && time.Since(g.looked) < slow {
		return
	}
	g.looking = true
	g.looks.Go(g.watch)
}

// open refuses calls from now on. The caller holds the lock.
func (g *guard) open(met error) {
	if g.hangs != nil {
		return
	}
	g.hangs = met
	g.refuse(met)
	g.database.distrust()
}

// watch looks until the database answers. Whatever answers does not hang, an error too.
func (g *guard) watch() {
	for {
		ctx, cancel := context.WithTimeout(g.life, lookPatience)
		err := g.database.look(ctx)
		cancel()
		if !g.looksAgain(err) {
			return
		}
		select {
		case <-time.After(lookPause):
		case <-g.life.Done():
		}
	}
}

// looksAgain takes the result of a look and reports whether another one must follow.
func (g *guard) looksAgain(err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if errors.Is(err, context.DeadlineExceeded) {
		err = errSilent
	}
	if g.life.Err() == nil && isError[timeout](err) {
		g.open(err)
		return true
	}
	g.looking, g.looked = false, time.Now()
	if g.hangs != nil && g.life.Err() == nil {
		g.hangs = nil
		g.waiting, g.refuse = context.WithCancelCause(context.Background())
	}
	g.answered.Store(g.now())
	return false
}
