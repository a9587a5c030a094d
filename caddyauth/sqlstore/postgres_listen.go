package sqlstore

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// The listener asks at least every listenCheck whether its connection lives, and after losing it tries again after a pause which
// doubles up to listenPause.
const (
	listenCheck = 30 * time.Second
	listenPause = 10 * time.Second
)

// listen hears other nodes on a connection of its own until the returned function is called, which waits for its end.
func (s *postgresServer) listen() (unlisten func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		first := 100 * time.Millisecond
		for pause := first; ctx.Err() == nil; pause = min(2*pause, listenPause) {
			if s.hear(ctx) {
				pause = first
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause/2 + rand.N(pause)):
			}
		}
	}()
	return func() { cancel(); <-done }
}

// hear connects and passes on what it hears until the connection is lost; it reports whether there was one. The reason is not
// kept: whoever uses the store meets the same.
func (s *postgresServer) hear(ctx context.Context) bool {
	connecting, cancel := context.WithTimeout(ctx, s.patience)
	config := s.config.ConnConfig.Copy()
	meanPrimary(config) // a standby passes nothing on
	conn, err := pgx.ConnectConfig(connecting, config)
	cancel()
	if err != nil {
		return false
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		conn.Close(closing)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+wakeChannel); err != nil {
		return false
	}
	for ctx.Err() == nil {
		s.woken() // the first time because of what was missed, the others also at a check: a look too many does no harm
		if !s.heard(ctx, conn) {
			break
		}
	}
	return true
}

// heard waits for a message, and reports whether the connection lives.
func (s *postgresServer) heard(ctx context.Context, conn *pgx.Conn) bool {
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
