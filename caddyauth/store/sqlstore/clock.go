package sqlstore

import (
	"context"
	"time"
)

// KeepTime stores a time for later processes. It is the time that revocation.SteadyClock considers
// past, which may differ from the clock.
func (s *Store) KeepTime(ctx context.Context, past time.Time) error {
	return s.writeOne(ctx, func(t tx) error {
		_, err := t.exec(`INSERT INTO counter (name, value) VALUES ('past', $1)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, millis(past))
		return err
	})
}

// KeptTime returns the time that was stored last, or the zero time, and the clock of the database
// server. SQLite has no clock of its own, and server is the zero time.
func (s *Store) KeptTime(ctx context.Context) (kept, server time.Time, err error) {
	db, err := s.database()
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	var past, clock int64
	_, err = one(ctx, db, `SELECT coalesce((SELECT value FROM counter WHERE name = 'past'), 0), `+db.clock(), nil,
		&past, &clock)
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	return instant(past), instant(clock), nil
}
