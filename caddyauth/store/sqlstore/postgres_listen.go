package sqlstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// The listener checks its connection at least every listenCheck. After losing it, it tries again
// after a pause that doubles up to listenPause.
const (
	listenCheck = 30 * time.Second
	listenPause = 5 * time.Second
	listenFirst = 100 * time.Millisecond
)

// nextPause is the pause after this one. It starts again from the shortest only if the connection
// has listened: otherwise a connection that cannot listen would be opened many times a second.
func nextPause(pause time.Duration, listened bool) time.Duration {
	if listened {
		return listenFirst
	}
	return min(2*pause, listenPause)
}

// listen receives messages of other nodes on a connection of its own until the returned function is
// called, which waits until it has ended. The first connection is given; each marks the store as
// used.
func (s *postgresServer) listen(conn *pgx.Conn, alone bool) (unlisten func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause := listenFirst; ctx.Err() == nil; {
			if conn == nil {
				conn, _ = s.markedConn(ctx, alone) // whoever uses the store meets the same error
			}
			listened := conn != nil && s.forwardMessages(ctx, conn)
			conn = nil
			if listened {
				pause = listenFirst
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause/2 + rand.N(pause)):
			}
			pause = nextPause(pause, listened)
		}
	}()
	return func() { cancel(); <-done }
}

// markedConn makes a connection that holds the mark of who uses the store, for as long as it lives:
// an advisory lock of the session, which the server drops with the connection however that ends. It
// is shared, unless nobody else may use the store.
func (s *postgresServer) markedConn(ctx context.Context, alone bool) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.acquireTimeout)
	defer cancel()
	config := s.config.ConnConfig.Copy()
	preferPrimary(config) // a standby passes nothing on
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, serverFailure(err)
	}
	lock, refused := "pg_try_advisory_lock_shared", errBeingReplaced
	if alone {
		lock, refused = "pg_try_advisory_lock", ErrInUse
	}
	var marked bool
	err = conn.QueryRow(ctx,
		`SELECT `+lock+`($1::int, oid::int) FROM pg_catalog.pg_namespace WHERE nspname = current_schema()`,
		pgx.QueryExecModeExec, useLock).Scan(&marked)
	if err == nil && marked {
		return conn, nil
	}
	hangUp(conn)
	if err == nil {
		return nil, refused
	}
	return nil, serverFailure(err)
}

// errBeingReplaced keeps a server from reading data that an import is replacing.
var errBeingReplaced = fmt.Errorf("%w: an import is going on; start when it is done", ErrUnavailable)

// forwardMessages calls woken for every message until the connection is lost, and reports whether
// it listened. The reason is not kept: callers of the store get the same error.
func (s *postgresServer) forwardMessages(ctx context.Context, conn *pgx.Conn) (listened bool) {
	defer hangUp(conn)
	if _, err := conn.Exec(ctx, "LISTEN "+wakeChannel); err != nil {
		return false
	}
	for ctx.Err() == nil {
		s.woken() // first for messages that were missed, later also after a check: one poll too many is harmless
		if !s.waitForMessage(ctx, conn) {
			break
		}
	}
	return true
}

// waitForMessage waits for a message, and reports whether the connection still works.
func (s *postgresServer) waitForMessage(ctx context.Context, conn *pgx.Conn) bool {
	waiting, cancel := context.WithTimeout(ctx, listenCheck)
	defer cancel()
	if _, err := conn.WaitForNotification(waiting); err == nil {
		return true
	}
	if conn.IsClosed() || ctx.Err() != nil {
		return false
	}
	pinging, cancel := context.WithTimeout(ctx, s.statementTimeout)
	defer cancel()
	return conn.Ping(pinging) == nil
}
