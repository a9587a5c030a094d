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
	// probeTimeout bounds one probe: it may have to open a connection first, over a slow link.
	probeTimeout = 2 * time.Second
	// probeInterval is the time between two probes of a database that hangs.
	probeInterval = 250 * time.Millisecond
)

// timeout is an ErrUnavailable after a wait.
type timeout struct {
	error
	cut bool // the server has ended the statement: something hangs, and not the server
}

func (t timeout) Unwrap() error { return t.error }

var errSilent = timeout{error: fmt.Errorf("%w: the server did not answer in time", ErrUnavailable)}

// guard is a database whose callers do not queue up while it hangs: frozen, behind a network that
// drops packets, or with a lock that another process holds. After the first time-out, or after a
// probe that a slow call has caused, calls are refused at once, including those that wait for a
// connection, until a probe succeeds. A locked row makes one call time out and refuses no other.
// Only the monotonic clock is used.
type guard struct {
	database
	begun    time.Time
	answered atomic.Int64 // when the database has answered last, in nanoseconds after begun
	life     context.Context
	end      context.CancelFunc
	probes   sync.WaitGroup

	mu      sync.Mutex
	refusal error           // what calls are refused with; nil: they are let through
	waiting context.Context // ends with refusal as its cause when that is set
	refuse  context.CancelCauseFunc
	probing bool
	probed  time.Time
}

func newGuard(db database) *guard {
	g := &guard{database: db, begun: time.Now()}
	g.life, g.end = context.WithCancel(context.Background())
	g.waiting, g.refuse = context.WithCancelCause(context.Background())
	return g
}

// query ends when its rows are closed, because that is where the answer is awaited.
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

// ping ends with ctx, unlike calls that change something.
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
	g.probes.Wait()
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
// is found to hang, so that it no longer waits for a connection. leave ends the call and returns
// the error to show.
func (g *guard) enter(ctx context.Context) (inner context.Context, leave func(error) error, err error) {
	g.mu.Lock()
	hangs, waiting := g.refusal, g.waiting
	g.mu.Unlock()
	if hangs != nil {
		return nil, nil, hangs
	}
	begun := g.now()
	late := time.AfterFunc(slow, func() { g.startProbing(nil) })
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
		g.noteResult(begun, err)
		return err
	}, nil
}

func (g *guard) now() int64 { return int64(time.Since(g.begun)) }

// noteResult evaluates the result of a call. A time-out alone proves little while other calls were
// answered.
func (g *guard) noteResult(begun int64, err error) {
	met, late := errors.AsType[timeout](err)
	switch {
	case late && !met.cut && g.answered.Load() < begun:
		g.startProbing(err)
	case late:
		g.startProbing(nil)
	case err == nil || !errors.Is(err, ErrUnavailable) && !ended(err):
		g.answered.Store(g.now())
	}
}

func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// startProbing probes the database in the background, unless that is running or has just run. With
// an error, calls are refused at once.
func (g *guard) startProbing(met error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.life.Err() != nil {
		return
	}
	if met != nil {
		g.startRefusing(met)
	}
	if g.probing || g.refusal == nil && time.Since(g.probed) < slow {
		return
	}
	g.probing = true
	g.probes.Go(g.keepProbing)
}

// startRefusing refuses all calls. The caller holds the lock.
func (g *guard) startRefusing(met error) {
	if g.refusal != nil {
		return
	}
	g.refusal = met
	g.refuse(met)
	g.database.dropConnections()
}

// keepProbing probes until the database answers. An error is an answer, too.
func (g *guard) keepProbing() {
	for {
		ctx, cancel := context.WithTimeout(g.life, probeTimeout)
		err := g.database.probe(ctx)
		cancel()
		if !g.probeAgain(err) {
			return
		}
		select {
		case <-time.After(probeInterval):
		case <-g.life.Done():
		}
	}
}

// probeAgain takes the result of a probe and reports whether another one must follow.
func (g *guard) probeAgain(err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if errors.Is(err, context.DeadlineExceeded) {
		err = errSilent
	}
	if g.life.Err() == nil && isError[timeout](err) {
		g.startRefusing(err)
		return true
	}
	g.probing, g.probed = false, time.Now()
	if g.refusal != nil && g.life.Err() == nil {
		g.refusal = nil
		g.waiting, g.refuse = context.WithCancelCause(context.Background())
	}
	g.answered.Store(g.now())
	return false
}
