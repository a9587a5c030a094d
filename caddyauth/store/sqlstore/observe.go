package sqlstore

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
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
	w.observe(name, time.Since(start), writeFault(err))
	return err
}

func (w watched) writeOne(ctx context.Context, verb func(tx) error) error {
	name, start := verbOf(), time.Now()
	err := w.database.writeOne(ctx, verb)
	w.observe(name, time.Since(start), writeFault(err))
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

// faultOf returns an error of the database; a client that went away is not its failure.
func faultOf(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return failure(err)
}

// writeFault returns the error of a transaction if the store failed. The answer of a verb (a name that is
// taken, a device that is decided) ends the transaction with an error, too, and is no failure. Within a
// transaction errors of the database are converted where they are met.
func writeFault(err error) error {
	if isError[*sqlite.Error](err) {
		return failure(err)
	}
	if errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || isError[failureText](err) {
		return err
	}
	return nil
}

// ownMethod is the prefix of the names of this package's exported verbs.
const ownMethod = "/sqlstore.(*Store)."

// verbs are the answers of verbOf. There are as many as ways to a statement, some hundreds.
var verbs = struct {
	sync.RWMutex
	of map[callers]string
}{of: make(map[callers]string)}

// callers are the innermost ones of a function of this package.
type callers [8]uintptr

// maxVerbs is how many answers are kept. They are forgotten together.
const maxVerbs = 4000

// verbOf returns the exported method of Store that was called, from the stack: otherwise each of
// sixty verbs would have to pass its name down. Finding the names of functions takes six times as
// long as finding the functions, so the answers are kept.
func verbOf() string {
	var from callers
	runtime.Callers(3, from[:])
	verbs.RLock()
	verb, known := verbs.of[from]
	verbs.RUnlock()
	if known {
		return verb
	}
	verb = from.verb()

	verbs.Lock()
	defer verbs.Unlock()
	if len(verbs.of) >= maxVerbs {
		clear(verbs.of)
	}
	verbs.of[from] = verb
	return verb
}

// verb is the outermost exported method of Store among the callers, in front of the first function
// of another package.
func (c *callers) verb() string {
	verb := "other"
	frames := runtime.CallersFrames(c[:])
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
