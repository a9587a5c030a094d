package sqlstore

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"time"
)

// watched reports to Store.Observe what a database is asked for. It wraps the database for one call
// of a verb.
type watched struct {
	database
	observe func(verb string, took time.Duration, err error)
}

// query is reported when its rows are closed, so that the time of the answer counts, too.
func (w watched) query(ctx context.Context, text string, args ...any) (rows, error) {
	verb, start := verbOf(), time.Now()
	found, err := w.database.query(ctx, text, args...)
	if err != nil {
		w.observe(verb, time.Since(start), faultOf(err))
		return nil, err
	}
	return &watchedRows{rows: found, done: func(err error) { w.observe(verb, time.Since(start), faultOf(err)) }}, nil
}

func (w watched) write(ctx context.Context, verb func(tx) error) error {
	name, start := verbOf(), time.Now()
	err := w.database.write(ctx, verb)
	w.observe(name, time.Since(start), faultOf(err))
	return err
}

func (w watched) writeOne(ctx context.Context, verb func(tx) error) error {
	name, start := verbOf(), time.Now()
	err := w.database.writeOne(ctx, verb)
	w.observe(name, time.Since(start), faultOf(err))
	return err
}

func (w watched) ping(ctx context.Context) error {
	name, start := verbOf(), time.Now()
	err := w.database.ping(ctx)
	w.observe(name, time.Since(start), faultOf(err))
	return err
}

// watchedRows report when they are closed for the first time.
type watchedRows struct {
	rows
	done func(error)
}

func (r *watchedRows) Close() error {
	failed := r.rows.Err()
	err := r.rows.Close()
	if r.done != nil {
		r.done(errors.Join(failed, err))
		r.done = nil
	}
	return err
}

// faultOf returns err if the store failed. An answer of a verb (no such grant, a name that is
// taken) and a client that went away are not failures of the store.
func faultOf(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	err = failure(err)
	if errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || isError[failureText](err) {
		return err
	}
	return nil
}

// ownMethod is the prefix of the names of this package's exported verbs.
const ownMethod = "/sqlstore.(*Store)."

// verbOf returns the exported method of Store that was called, from the stack: otherwise each of
// sixty verbs would have to pass its name down. It takes about a microsecond.
func verbOf() string {
	var callers [16]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers[:])])
	verb := "other"
	for {
		frame, more := frames.Next()
		if !strings.Contains(frame.Function, "/sqlstore.") {
			return verb
		}
		if _, method, ok := strings.Cut(frame.Function, ownMethod); ok {
			if method, _, _ = strings.Cut(method, "."); method[0] >= 'A' && method[0] <= 'Z' {
				verb = method
			}
		}
		if !more {
			return verb
		}
	}
}
