package sqlstore

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"
)

// linesMade is how many connections may be opened at once: one attempt that hangs does not block
// the next.
const linesMade = 8

// line is a connection outside of the pool, for polling: a busy pool does not delay a poll. Its
// statements end with the context of the poll, unlike those of the pool. The connection is then
// replaced, because it may be the only thing that hangs.
type line struct {
	server *postgresServer
	ctx    context.Context // of the connections that are being made
	end    context.CancelFunc
	all    sync.WaitGroup

	idle   chan *pgx.Conn // the connection while it is not in use
	making chan struct{}  // holds one element for each connection that is being opened
	failed chan error     // why the last connection could not be opened
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

// take returns the connection, or a new one as soon as it is open.
func (l *line) take(ctx context.Context) (*pgx.Conn, error) {
	select {
	case conn := <-l.idle:
		return conn, nil
	default:
	}
	select {
	case <-l.failed: // of an earlier poll
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

// make opens a connection in the background, which may take longer than the poll that needs it.
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
	ctx, cancel := context.WithTimeout(l.ctx, l.server.acquireTimeout)
	defer cancel()
	config := l.server.config.ConnConfig.Copy()
	preferPrimary(config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, l.server.settings(false)); err != nil {
		return nil, errors.Join(err, hangUp(conn))
	}
	return conn, nil
}

// keep keeps the connection for the next poll.
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

// leave closes a connection without waiting for it.
func (l *line) leave(conn *pgx.Conn) { go func() { _ = hangUp(conn) }() }

func hangUp(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return conn.Close(ctx)
}

// close closes the connection, and those that are being opened.
func (l *line) close() {
	l.end()
	l.all.Wait()
	select {
	case conn := <-l.idle:
		_ = hangUp(conn)
	default:
	}
}
