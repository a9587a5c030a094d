package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresTables lists the tables of a PostgreSQL database in the schema where new ones would be
// created.
const postgresTables = `SELECT tablename AS name FROM pg_catalog.pg_tables WHERE schemaname = current_schema()`

// migrationLock is the advisory lock of whoever migrates; locks are per database. The number is
// "cauth" in ASCII.
const migrationLock = 0x6361757468

// useLock is the first half of the advisory lock of whoever uses a store for writing; the second
// half is the schema that it lies in. The number is "auth" in ASCII.
const useLock = 0x61757468

// A migration may wait for another node's, and rewrite tables.
const migrationTimeout = 10 * time.Minute

// grace is how much longer than its own time limit a server may take to report that the limit was
// reached.
const grace = 2 * time.Second

// postgresDatabase is an open PostgreSQL database. It uses pgx directly, because database/sql
// cannot send several statements in one round trip and cannot listen.
type postgresDatabase struct {
	server    *postgresServer
	pool      *pgxpool.Pool
	readOnly  bool
	closed    atomic.Bool
	apartLine *line  // nil: opened for reading only
	unlisten  func() // ends the listener and waits for it; nil without a listener
}

func (s *postgresServer) connections() int { return int(s.config.MaxConns) }

// openForWriting connects, migrates if necessary, and starts to listen.
func (s *postgresServer) openForWriting(ctx context.Context, alone bool) (database, error) {
	db, err := s.connect(ctx, false)
	if err != nil {
		return nil, err
	}
	version, err := recognise(ctx, db, postgresTables)
	switch {
	case err != nil:
	case version < len(migrationNames()):
		err = db.migrate(ctx)
	default:
		err = checkNames(ctx, db)
	}
	var ear *pgx.Conn
	if err == nil {
		ear, err = s.markedConn(ctx, alone)
	}
	if err != nil {
		return nil, s.named(errors.Join(err, db.close()))
	}
	db.apartLine = s.line()
	db.unlisten = s.listen(ear, alone)
	return db, nil
}

// openForReading connects with read-only transactions. A database without tables is an empty store.
func (s *postgresServer) openForReading(ctx context.Context) (database, error) {
	db, err := s.connect(ctx, true)
	if err != nil {
		return nil, err
	}
	version, err := recognise(ctx, db, postgresTables)
	if err == nil {
		err = readable(version)
	}
	if err == nil && version > 0 {
		return db, nil
	}
	if err := errors.Join(err, db.close()); err != nil {
		return nil, s.named(err)
	}
	return openEmpty(ctx)
}

// connect makes the pool, which opens connections on demand.
func (s *postgresServer) connect(ctx context.Context, readOnly bool) (*postgresDatabase, error) {
	config := s.config.Copy()
	if !readOnly {
		preferPrimary(config.ConnConfig)
	}
	settings := s.settings(readOnly)
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, settings)
		return err
	}
	// The pool must not end with ctx, which belongs to the call that opens the store.
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	if err != nil {
		return nil, s.named(serverFailure(err))
	}
	return &postgresDatabase{server: s, pool: pool, readOnly: readOnly}, nil
}

// preferPrimary chooses, of several servers, the one that takes writes, unless target_session_attrs
// is set. A single server is always used: its own error is more precise.
func preferPrimary(conn *pgx.ConnConfig) {
	if hosts, _ := places(conn); len(hosts) > 1 && conn.ValidateConnect == nil {
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
}

// settings are the statements that every connection runs first, in one round trip. Sent as
// statements and not as parameters of the connection, they pass through a pooler. Races are decided
// by one statement or behind a row lock, for which read committed is the right isolation: each
// statement sees what was committed before it. A commit returns when it is durable.
func (s *postgresServer) settings(readOnly bool) string {
	limit := strconv.FormatInt(s.statementTimeout.Milliseconds(), 10)
	text := `SET statement_timeout = ` + limit + `;
		SET idle_in_transaction_session_timeout = ` + limit + `;
		SET default_transaction_isolation = 'read committed';
		SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`
	if readOnly {
		text += `; SET default_transaction_read_only = on`
	}
	return text
}

// migrate brings the schema up to date behind an advisory lock: of several nodes one migrates, and
// the others find nothing left to do.
func (p *postgresDatabase) migrate(ctx context.Context) error {
	limit := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, migrationTimeout)
	}
	err, _ := p.transact(ctx, limit, false, func(t tx) error {
		if err := t.script(fmt.Sprintf(`SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '%ds'; SELECT `+
			`pg_advisory_xact_lock(%d)`,
			int(migrationTimeout.Seconds()), migrationLock)); err != nil {
			return err
		}
		return migrate(t, postgresTables)
	})
	return err
}

func (s *postgresServer) title() string { return s.name }

func (s *postgresServer) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store %s: %w", s.name, err)
}

func (p *postgresDatabase) writable() bool { return !p.readOnly }

func (p *postgresDatabase) apart() querier {
	if p.apartLine == nil {
		return p
	}
	return p.apartLine
}

func (p *postgresDatabase) clock() string {
	return "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
}

func (p *postgresDatabase) holding() string { return " FOR SHARE" }

func (p *postgresDatabase) skipLocked() string { return " FOR UPDATE SKIP LOCKED" }

// ping asks whether the server takes writes: one that is no longer the primary still answers.
func (p *postgresDatabase) ping(ctx context.Context) error {
	var standby string
	if _, err := one(ctx, p, `SELECT current_setting('transaction_read_only')`, nil, &standby); err != nil {
		return err
	}
	if standby == "on" && !p.readOnly {
		p.pool.Reset() // the next connection may find the new primary
		return errStandby
	}
	return nil
}

// probeText needs what calls need: the lock of each table that they write to, and the counter that
// every revocation increments. It changes nothing.
var probeText = func() string {
	var b strings.Builder
	b.WriteString("WITH ")
	for _, table := range exportedTables {
		if !madeByMigrations[table.name] {
			b.WriteString("lock_" + table.name + " AS (DELETE FROM " + table.name + " WHERE false), ")
		}
	}
	b.WriteString(`denials AS MATERIALIZED (SELECT name FROM counter WHERE name = 'denial' FOR UPDATE)
		SELECT count(*) FROM denials`)
	return b.String()
}()

// probe uses a connection outside of the pool: the pool may be busy without hanging, or contain
// connections that hang.
func (p *postgresDatabase) probe(ctx context.Context) error {
	var rows int64
	_, err := one(ctx, p.apartLine, probeText, nil, &rows)
	return err
}

func (p *postgresDatabase) readsHang() bool { return true }

// dropConnections closes every connection once it is not in use.
func (p *postgresDatabase) dropConnections() { p.pool.Reset() }

// close refuses callers that wait for a connection, and waits for those that have one.
func (p *postgresDatabase) close() error {
	p.closed.Store(true)
	if p.unlisten != nil {
		p.unlisten()
		p.apartLine.close()
	}
	p.pool.Close()
	return nil
}

// query runs one reading statement in one round trip.
func (p *postgresDatabase) query(ctx context.Context, text string, args ...any) (rows, error) {
	conn, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	bounded, cancel := p.bounded(ctx)
	found, err := conn.Query(bounded, text, args...)
	end := func(err error) { cancel(); p.release(conn, err) }
	if err != nil {
		end(err)
		return nil, serverFailure(err)
	}
	return &postgresRows{Rows: found, end: end}, nil
}

// bounded returns the context of one statement or transaction. It does not end with ctx: pgx would
// close the connection, and many cancelled requests would become many new connections.
func (p *postgresDatabase) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), p.server.statementTimeout+grace)
}

// acquireTimeout is how long a call waits for a connection while all are in use. It is shorter than
// opening one may take, so that waiting callers do not pile up.
const acquireTimeout = 2 * time.Second

var errBusy = timeout{
	error: fmt.Errorf("%w: all connections to the server are in use (pool_max_conns)", ErrUnavailable),
}

// acquire waits for a free connection or a new one, within bounds.
func (p *postgresDatabase) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	patience, busy := p.server.acquireTimeout, false
	if s := p.pool.Stat(); s.AcquiredConns() >= s.MaxConns() {
		patience, busy = min(patience, acquireTimeout), true
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := p.pool.Acquire(bounded)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case p.closed.Load():
		return nil, errClosed
	case busy && errors.Is(err, context.DeadlineExceeded):
		return nil, errBusy
	}
	return nil, serverFailure(err)
}

// release hands a connection back. After an error that indicates a restart or a failover, all
// others are dropped as well.
func (p *postgresDatabase) release(conn *pgxpool.Conn, err error) {
	conn.Release()
	if err != nil && serverLost(err) {
		p.pool.Reset()
	}
}

// postgresRows gives the connection back when it is closed.
type postgresRows struct {
	pgx.Rows
	end func(err error) // nil: it was
}

func (r *postgresRows) Scan(into ...any) error { return serverFailure(r.Rows.Scan(into...)) }

func (r *postgresRows) Columns() ([]string, error) {
	fields := r.Rows.FieldDescriptions()
	names := make([]string, len(fields))
	for i, field := range fields {
		names[i] = field.Name
	}
	return names, nil
}

func (r *postgresRows) Err() error { return serverFailure(r.Rows.Err()) }

func (r *postgresRows) Close() error {
	r.Rows.Close()
	err := r.Rows.Err()
	if r.end != nil {
		r.end(err)
		r.end = nil
	}
	return serverFailure(err)
}
