package sqlstore

import (
	"context"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
)

// AddPushed stores a pushed request; see authorization.Store.
func (s *Store) AddPushed(ctx context.Context, p authorization.Pushed) error {
	return s.writeOne(ctx, func(t tx) error {
		_, err := t.exec(`INSERT INTO pushed_request (hash, client, parameters, expires, used_by)
			VALUES ($1, $2, $3, $4, '')`, p.Hash, p.ClientID, p.Parameters.Encode(), millis(p.Expires))
		return err
	})
}

// FindPushed returns a pushed request; see authorization.Store.
func (s *Store) FindPushed(ctx context.Context, hash string) (authorization.Pushed, error) {
	db, err := s.database()
	if err != nil {
		return authorization.Pushed{}, err
	}
	var p authorization.Pushed
	var parameters string
	var expires int64
	found, err := one(ctx, db,
		`SELECT hash, client, parameters, expires, used_by FROM pushed_request WHERE hash = $1`, []any{hash},
		&p.Hash, &p.ClientID, &parameters, &expires, &p.Used)
	if err == nil && !found {
		err = authorization.ErrNoPushed
	}
	if err != nil {
		return authorization.Pushed{}, err
	}
	p.Expires = instant(expires)
	p.Parameters, err = authorization.ParseParameters(parameters)
	return p, err
}

// DeletePushed deletes at most n pushed requests that expired before a time; see authorization.Store.
func (s *Store) DeletePushed(ctx context.Context, before time.Time, n int) (int, error) {
	return s.deleteBefore(ctx, "pushed_request", "expires", before, n)
}

// deleteBefore deletes at most n rows of a table with a hash whose time was before another one.
func (s *Store) deleteBefore(ctx context.Context, table, column string, before time.Time, n int) (int, error) {
	db, err := s.database()
	if err != nil {
		return 0, err
	}
	var deleted int64
	err = db.writeOne(ctx, func(t tx) (err error) {
		// A locked row is being used, or deleted by another node.
		deleted, err = t.exec(`WITH over AS MATERIALIZED (SELECT hash FROM `+table+` WHERE `+column+` < $1 `+
			`ORDER BY `+column+` LIMIT $2`+db.skipLocked()+`)
			DELETE FROM `+table+` WHERE hash IN (SELECT hash FROM over)`, millis(before), n)
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(deleted), nil
}
