package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// groupLimit bounds a commit, and with it how long its first transaction waits for the others.
const groupLimit = 256

// gatherTime bounds how long a group waits for more. A commit takes about as long, and the transactions
// that come meanwhile would wait for that.
const gatherTime = 5 * time.Millisecond

// writer is the only goroutine that writes. Durable commits are slow (a disk flush) and SQLite
// takes one at a time, so it puts every transaction that waits while one commit runs into the next.
type writer struct {
	db    *sql.DB
	jobs  chan *job // unbuffered: every job that was received is answered
	quit  chan struct{}
	done  chan struct{}
	limit int
	woken func() // called after a commit that wakes

	tx    *sqliteTx // nil: to be connected
	group []*job    // reused
}

// job is one transaction: verb is its content, err its verdict once answered is closed.
type job struct {
	ctx      context.Context
	verb     func(tx) error
	single   bool // verb calls the database once; see Store.writeOne
	wakes    bool
	err      error
	answered chan struct{}
}

func startWriter(db *sql.DB, woken func()) *writer {
	w := &writer{
		db:    db,
		jobs:  make(chan *job),
		quit:  make(chan struct{}),
		done:  make(chan struct{}),
		limit: groupLimit,
		woken: woken,
	}
	go w.run()
	return w
}

// do runs verb and returns after the commit it was part of.
func (w *writer) do(ctx context.Context, verb func(tx) error) error {
	return w.wait(&job{ctx: ctx, verb: verb, answered: make(chan struct{})})
}

// doOne is do for a verb that calls the database once.
func (w *writer) doOne(ctx context.Context, verb func(tx) error) error {
	return w.wait(&job{ctx: ctx, verb: verb, single: true, answered: make(chan struct{})})
}

func (w *writer) wait(j *job) error {
	select {
	case w.jobs <- j:
		<-j.answered
		return j.err
	case <-j.ctx.Done():
		return j.ctx.Err()
	case <-w.quit:
		return errClosed
	}
}

// close waits for the transactions that have begun and closes the connection. It may be called
// once.
func (w *writer) close() error {
	close(w.quit)
	<-w.done
	w.disconnect()
	return w.db.Close()
}

func (w *writer) run() {
	defer close(w.done)
	for {
		select {
		case <-w.quit:
			return
		case j := <-w.jobs:
			w.gather(j)
			w.commit()
		}
	}
}

// gather collects the waiting transactions. It yields first, so that the callers that the last
// commit has just answered can send their next one, and again for as long as that brings another
// one: otherwise a busy processor would make many small groups, each with a commit of its own.
func (w *writer) gather(first *job) {
	w.group = append(w.group[:0], first)
	for begun := time.Now(); len(w.group) < w.limit; {
		runtime.Gosched()
		before := len(w.group)
		w.takeWaiting()
		if len(w.group) == before || time.Since(begun) >= gatherTime {
			return
		}
	}
}

// takeWaiting adds what waits now to the group.
func (w *writer) takeWaiting() {
	for len(w.group) < w.limit {
		select {
		case j := <-w.jobs:
			w.group = append(w.group, j)
		default:
			return
		}
	}
}

// commit runs the group. Results, refusals too, are returned only after the commit: a refusal may
// depend on what another transaction of the group wrote, which is undone if the commit fails.
func (w *writer) commit() {
	err := w.transact()
	broken := err != nil
	for _, j := range w.group {
		if err != nil {
			j.err = err
		}
		broken = broken || errors.Is(j.err, ErrUnavailable)
	}
	if broken {
		w.disconnect() // undoes what is open; a fresh connection is how a full disk or a read-only file is got over
	}
	for i, j := range w.group {
		if j.wakes && j.err == nil {
			w.woken()
		}
		close(j.answered)
		w.group[i] = nil
	}
}

// transact returns an error if nothing of the group was committed.
func (w *writer) transact() error {
	if err := w.connect(); err != nil {
		return err
	}
	if _, err := w.tx.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, j := range w.group {
		if err := w.attempt(j); err != nil {
			return err
		}
	}
	_, err := w.tx.exec("COMMIT")
	return err
}

// attempt runs one job, so that it can be undone alone. It returns an error when the whole
// transaction is lost, for example because SQLite rolled it back on a full disk.
func (w *writer) attempt(j *job) error {
	if j.err = j.ctx.Err(); j.err != nil {
		return nil
	}
	w.tx.wakes = false
	if !j.single {
		return w.attemptUndoable(j)
	}
	j.err = j.verb(w.tx)
	j.wakes = w.tx.wakes
	if j.err != nil {
		return w.checkStanding(j.err)
	}
	return nil
}

// checkStanding returns an error if the transaction is lost. SQLite rolls back a statement that failed,
// and after some errors the whole transaction: then another one can begin.
func (w *writer) checkStanding(met error) error {
	if _, err := w.tx.exec("BEGIN"); err == nil {
		return lost(met, errUndone)
	}
	return nil
}

// attemptUndoable runs a job inside a savepoint.
func (w *writer) attemptUndoable(j *job) error {
	if _, err := w.tx.exec("SAVEPOINT job"); err != nil {
		return err
	}
	if j.err = j.verb(w.tx); j.err != nil {
		if _, err := w.tx.exec("ROLLBACK TO job"); err != nil {
			return lost(j.err, err)
		}
	}
	j.wakes = w.tx.wakes
	_, err := w.tx.exec("RELEASE job")
	return err
}

var errUndone = fmt.Errorf("%w: SQLite rolled back the transaction", ErrUnavailable)

// lost returns why a transaction was lost: the error of the verb if it came from the database, or
// else the later one.
func lost(met, then error) error {
	if errors.Is(met, ErrUnavailable) {
		return met
	}
	return then
}

func (w *writer) connect() error {
	if w.tx != nil {
		return nil
	}
	conn, err := w.db.Conn(context.Background())
	if err != nil {
		return failure(err)
	}
	w.tx = &sqliteTx{conn: conn}
	return nil
}

func (w *writer) disconnect() {
	if w.tx != nil {
		w.tx.discard()
		w.tx = nil
	}
}

// sqliteTx is a transaction on the writer's connection, and keeps that connection's prepared
// statements. Statements run without the caller's context: interrupting one would make SQLite roll
// back all transactions of the group.
type sqliteTx struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	wakes    bool
}

// wake makes the commit send a message to the readers of Store.Wake.
func (t *sqliteTx) wake() { t.wakes = true }

// query runs a query inside the transaction; it does not stop when ctx ends.
func (t *sqliteTx) query(_ context.Context, text string, args ...any) (rows, error) {
	stmt, err := t.prepare(text)
	if err != nil {
		return nil, err
	}
	found, err := stmt.QueryContext(context.Background(), args...)
	if err != nil {
		return nil, err // not a nil *sql.Rows in an interface
	}
	return found, nil
}

// each runs a statement once for each list of arguments, up to the first error.
func (t *sqliteTx) each(text string, lists ...[]any) ([]int64, error) {
	changed := make([]int64, len(lists))
	err := t.together(len(lists), func() (err error) {
		for i, args := range lists {
			if changed[i], err = t.exec(text, args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// together runs n statements so that all of them are undone if one fails.
func (t *sqliteTx) together(n int, run func() error) error {
	if n < 2 {
		return run()
	}
	if _, err := t.exec("SAVEPOINT statements"); err != nil {
		return err
	}
	if err := run(); err != nil {
		if _, then := t.exec("ROLLBACK TO statements"); then != nil {
			return lost(err, then)
		}
		_, then := t.exec("RELEASE statements")
		return errors.Join(err, then)
	}
	_, err := t.exec("RELEASE statements")
	return err
}

// all runs statements up to the first error.
func (t *sqliteTx) all(statements ...statement) ([]int64, error) {
	changed := make([]int64, len(statements))
	err := t.together(len(statements), func() error { return t.run(statements, changed) })
	if err != nil {
		return nil, err
	}
	return changed, nil
}

func (t *sqliteTx) run(statements []statement, changed []int64) error {
	for i, s := range statements {
		run := t.exec
		if strings.HasPrefix(s.text, "SELECT ") {
			run = t.count
		}
		var err error
		if changed[i], err = run(s.text, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// count returns how many rows a query finds.
func (t *sqliteTx) count(text string, args ...any) (n int64, err error) {
	found, err := t.query(context.Background(), text, args...)
	if err != nil {
		return 0, failure(err)
	}
	defer found.Close()
	for found.Next() {
		n++
	}
	return n, failure(errors.Join(found.Err(), found.Close()))
}

// exec runs a statement inside the transaction and returns the number of rows it changed.
func (t *sqliteTx) exec(query string, args ...any) (int64, error) {
	stmt, err := t.prepare(query)
	if err != nil {
		return 0, failure(err)
	}
	result, err := stmt.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, failure(err)
	}
	n, err := result.RowsAffected()
	return n, failure(err)
}

// script runs several statements without arguments.
func (t *sqliteTx) script(text string) error {
	_, err := t.conn.ExecContext(context.Background(), text)
	return failure(err)
}

// prepare keeps every statement: their texts are few.
func (t *sqliteTx) prepare(query string) (*sql.Stmt, error) {
	if stmt := t.prepared[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := t.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	if t.prepared == nil {
		t.prepared = make(map[string]*sql.Stmt)
	}
	t.prepared[query] = stmt
	return stmt, nil
}

// discard closes the connection itself instead of handing it back to the pool. Errors mean that it
// is closed already.
func (t *sqliteTx) discard() {
	for _, stmt := range t.prepared {
		stmt.Close()
	}
	t.conn.Raw(func(any) error { return driver.ErrBadConn })
	t.conn.Close()
}
