package sqlstore

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"
)

// linesMade is how many connections may be in the making at once: one that hangs does not keep the
// next from being tried.
const linesMade = 8

// line is a connection apart from the pool, for looking after what is new: whatever keeps the pool
// busy, a look goes on. It ends with the context of the look, unlike the statements of others, and
// is then left behind for a new one: what hangs may be this connection alone.
type line struct {
	server *postgresServer
	ctx    context.Context // of the connections that are being made
	end    context.CancelFunc
	all    sync.WaitGroup

	idle   chan *pgx.Conn // the connection while nobody looks
	making chan struct{}  // a place in it for each that is being made
	failed chan error     // why the last could not be made
}

func (s *postgresServer) line() *line {
	l := &line{
		server: s,
		idle:   make(chan *pgx.Conn, 1),
		making: make(chan struct{}, linesMade),
		failed: make(chan error, 1),
	}
	l.ctx, l.end = context.WithCancel(context.Background())
	return l
}

// query runs one statement in one round trip.
func (l *line) query(ctx context.Context, text string, args ...any) (rows, error) {
	conn, err := l.take(ctx)
	if err != nil {
		return nil, serverFailure(err)
	}
	found, err := conn.Query(ctx, text, append([]any{pgx.QueryExecModeExec}, args...)...)
	if err != nil {
		l.leave(conn)
		return nil, serverFailure(err)
	}
	return &postgresRows{Rows: found, end: func(err error) {
		if err != nil {
			l.leave(conn)
			return
		}
		l.keep(conn)
	}}, nil
}

// take returns the connection, or a new one as soon as it is made.
func (l *line) take(ctx context.Context) (*pgx.Conn, error) {
	select {
	case conn := <-l.idle:
		return conn, nil
	default:
	}
	select {
	case <-l.failed: // of an earlier look
	default:
	}
	l.make()
	select {
	case conn := <-l.idle:
		return conn, nil
	case err := <-l.failed:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// make begins to make a connection, which may take longer than the look that wants it.
func (l *line) make() {
	select {
	case l.making <- struct{}{}:
	default:
		return
	}
	l.all.Go(func() {
		defer func() { <-l.making }()
		conn, err := l.connect()
		if err == nil {
			l.keep(conn)
			return
		}
		select {
		case l.failed <- err:
		default:
		}
	})
}

func (l *line) connect() (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, l.server.patience)
	defer cancel()
	config := l.server.config.ConnConfig.Copy()
	meanPrimary(config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, l.server.settings(false)); err != nil {
		return nil, errors.Join(err, hangUp(conn))
	}
	return conn, nil
}

// keep keeps the connection for the next look.
func (l *line) keep(conn *pgx.Conn) {
	if l.ctx.Err() == nil && !conn.IsClosed() {
		select {
		case l.idle <- conn:
			return
		default:
		}
	}
	l.leave(conn)
}

// leave ends a connection without waiting for it.
func (l *line) leave(conn *pgx.Conn) { go func() { _ = hangUp(conn) }() }

func hangUp(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return conn.Close(ctx)
}

// close ends the connection, and those that are being made.
func (l *line) close() {
	l.end()
	l.all.Wait()
	select {
	case conn := <-l.idle:
		_ = hangUp(conn)
	default:
	}
}
