package sqlstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// attempts is how often a transaction is tried that the server undoes in favour of another; the
// pauses between tries grow to a tenth of a second.
const attempts = 6

// wakeChannel is what every node listens on; a message has no content.
const wakeChannel = "caddyauth_wake"

const notify = `SELECT pg_notify('` + wakeChannel + `', '')`

var errSecondStatement = errors.New("a verb of one statement has sent a second one")

func (p *postgresDatabase) write(ctx context.Context, verb func(tx) error) error {
	return p.retryTransaction(ctx, false, verb)
}

func (p *postgresDatabase) writeOne(ctx context.Context, verb func(tx) error) error {
	return p.retryTransaction(ctx, true, verb)
}

// retryTransaction runs a transaction until the server commits it, refuses it permanently, or all
// attempts are used up.
func (p *postgresDatabase) retryTransaction(ctx context.Context, single bool, verb func(tx) error) error {
	if p.readOnly {
		return errReadOnly
	}
	for attempt := 1; ; attempt++ {
		err, again := p.transact(ctx, p.bounded, single, verb)
		if !again || attempt == attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(3 * time.Millisecond << attempt)):
		}
	}
}

// limited makes the context of a transaction from that of its caller.
type limited func(ctx context.Context) (context.Context, context.CancelFunc)

// transact runs verb once. Waiting for a connection ends with ctx, the transaction with what limit
// makes of it. again reports that nothing was done and that a second try may succeed.
func (p *postgresDatabase) transact(ctx context.Context, limit limited, single bool,
	verb func(tx) error) (err error, again bool) {
	conn, err := p.acquire(ctx)
	if err != nil {
		return err, false
	}
	bounded, cancel := limit(ctx)
	defer cancel()
	t := &postgresTx{ctx: bounded, conn: conn.Conn(), single: single}
	err = t.run(verb)
	p.release(conn, t.met)
	if t.met != nil && ctx.Err() != nil && bounded.Err() != nil {
		err = ctx.Err() // only a migration is bounded by its caller
	}
	return err, t.met != nil && retryable(t.met)
}

// postgresTx is a transaction. BEGIN goes out with the first statement, and waking with the commit;
// a verb of one statement is a transaction without either.
type postgresTx struct {
	ctx    context.Context
	conn   *pgx.Conn
	single bool
	begun  bool
	wakes  bool
	met    error // the first error of the database: then nothing may be kept
}

func (t *postgresTx) run(verb func(tx) error) error {
	err := verb(t)
	if err == nil && t.met == nil {
		return t.commit()
	}
	if t.begun && !t.single {
		t.conn.Exec(t.ctx, "ROLLBACK") // when this fails, the pool sees an open transaction and drops the connection
	}
	if err == nil {
		err = serverFailure(t.met)
	}
	return err
}

// commit returns an error when nothing was kept, or when the answer got lost.
func (t *postgresTx) commit() error {
	if t.single || !t.begun && !t.wakes {
		return nil
	}
	batch := &pgx.Batch{}
	if t.wakes {
		batch.Queue(notify)
	}
	if t.begun {
		batch.Queue("COMMIT")
	}
	results := t.conn.SendBatch(t.ctx, batch)
	for range batch.Len() {
		if _, err := results.Exec(); err != nil {
			return t.fail(errors.Join(err, results.Close()))
		}
	}
	return t.fail(results.Close())
}

// fail keeps the first error and returns the text of this one that may be shown.
func (t *postgresTx) fail(err error) error {
	if t.met == nil {
		t.met = err
	}
	return serverFailure(err)
}

func (t *postgresTx) wake() { t.wakes = true }

// send sends statements, after those that the transaction must begin with. All are sent together,
// and without BEGIN they are one transaction.
func (t *postgresTx) send(statements ...statement) (pgx.BatchResults, error) {
	if t.met != nil {
		return nil, serverFailure(t.met)
	}
	if t.single && t.begun {
		return nil, errSecondStatement
	}
	batch := &pgx.Batch{}
	switch {
	case t.single && t.wakes:
		batch.Queue(notify)
	case !t.single && !t.begun:
		batch.Queue("BEGIN")
	}
	t.begun = true
	before := batch.Len()
	for _, s := range statements {
		batch.Queue(s.text, s.args...)
	}
	results := t.conn.SendBatch(t.ctx, batch)
	for range before {
		if _, err := results.Exec(); err != nil {
			return nil, t.fail(errors.Join(err, results.Close()))
		}
	}
	return results, nil
}

// query runs a query inside the transaction; it does not stop when ctx ends.
func (t *postgresTx) query(_ context.Context, text string, args ...any) (rows, error) {
	results, err := t.send(statement{text, args})
	if err != nil {
		return nil, err
	}
	found, err := results.Query()
	if err != nil {
		return nil, t.fail(errors.Join(err, results.Close()))
	}
	return &postgresRows{Rows: found, end: func(err error) { t.fail(errors.Join(err, results.Close())) }}, nil
}

func (t *postgresTx) exec(text string, args ...any) (int64, error) {
	changed, err := t.all(statement{text, args})
	if err != nil {
		return 0, err
	}
	return changed[0], nil
}

func (t *postgresTx) each(text string, lists ...[]any) ([]int64, error) {
	statements := make([]statement, len(lists))
	for i, args := range lists {
		statements[i] = statement{text, args}
	}
	return t.all(statements...)
}

func (t *postgresTx) all(statements ...statement) ([]int64, error) {
	if len(statements) == 0 {
		return nil, nil
	}
	results, err := t.send(statements...)
	if err != nil {
		return nil, err
	}
	changed := make([]int64, len(statements))
	for i := range changed {
		tag, err := results.Exec()
		if err != nil {
			return nil, t.fail(errors.Join(err, results.Close()))
		}
		changed[i] = tag.RowsAffected()
	}
	return changed, t.fail(results.Close())
}

// script sends BEGIN separately, because statements without arguments cannot be sent together with
// others.
func (t *postgresTx) script(text string) error {
	if t.met != nil {
		return serverFailure(t.met)
	}
	if !t.begun {
		text = "BEGIN; " + text
	}
	t.begun = true
	_, err := t.conn.Exec(t.ctx, text)
	return t.fail(err)
}
