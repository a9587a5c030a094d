package sqlstore

import (
	"context"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/replay"
)

var _ replay.Store = (*Store)(nil)

// UseOnce stores the use of an id, or returns replay.ErrUsed; see replay.Store. A use whose end has
// passed still counts until it is deleted.
func (s *Store) UseOnce(ctx context.Context, u replay.Use) error {
	var stored int64
	err := s.writeOne(ctx, func(t tx) (err error) {
		// PostgreSQL waits for a transaction that has inserted the same key, and then sees its row.
		stored, err = t.exec(`INSERT INTO replay (key, until) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`,
			u.Key(), millis(u.Until))
		return err
	})
	if err == nil && stored == 0 {
		err = replay.ErrUsed
	}
	return err
}

// DeleteUses deletes at most n uses whose end is before a time; see replay.Store.
func (s *Store) DeleteUses(ctx context.Context, before time.Time, n int) (int, error) {
	db, err := s.database()
	if err != nil {
		return 0, err
	}
	var deleted int64
	err = db.writeOne(ctx, func(t tx) (err error) {
		// A locked row is being deleted by another node.
		deleted, err = t.exec(`WITH over AS MATERIALIZED (SELECT key FROM replay WHERE until < $1 `+
			`ORDER BY until LIMIT $2`+db.skipLocked()+`)
			DELETE FROM replay WHERE key IN (SELECT key FROM over)`, millis(before), n)
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(deleted), nil
}
