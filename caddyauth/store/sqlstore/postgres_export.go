package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// noTimeouts removes the time limits of a transaction that reads or writes whole tables.
const noTimeouts = `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0`

// loadLockTimeout is how long to wait for other nodes' transactions before the tables are taken.
const loadLockTimeout = `SET LOCAL lock_timeout = '10s'`

// snapshot reads the database in one transaction, which sees the state at its first statement.
func (p *postgresDatabase) snapshot(ctx context.Context, look func(querier) error) error {
	conn, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; `+noTimeouts); err != nil {
		p.release(conn, err)
		return serverFailure(err)
	}
	err = look(postgresSnapshot{conn.Conn()})
	conn.Exec(context.WithoutCancel(ctx), "ROLLBACK") // when this fails, the pool drops the connection
	conn.Release()
	return err
}

// postgresSnapshot reads in the transaction of a connection; a query ends with its caller's
// context.
type postgresSnapshot struct{ conn *pgx.Conn }

func (s postgresSnapshot) query(ctx context.Context, text string, args ...any) (rows, error) {
	found, err := s.conn.Query(ctx, text, args...)
	if err != nil {
		return nil, serverFailure(err)
	}
	return &postgresRows{Rows: found}, nil
}

// load locks all tables: servers wait.
func (p *postgresDatabase) load(ctx context.Context, verb func(tx) error) error {
	if p.readOnly {
		return errReadOnly
	}
	names := make([]string, len(exportedTables))
	for i, table := range exportedTables {
		names[i] = table.name
	}
	unbounded := func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithCancel(ctx) }
	err, _ := p.transact(ctx, unbounded, false, func(t tx) error {
		lock := fmt.Sprintf(`LOCK TABLE %s IN ACCESS EXCLUSIVE MODE`, strings.Join(names, ", "))
		if err := t.script(strings.Join([]string{noTimeouts, loadLockTimeout, lock}, "; ")); err != nil {
			return err
		}
		t.wake()
		return verb(t)
	})
	return err
}
