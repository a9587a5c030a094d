package sqlstore

import (
	"context"
	"time"

	"github.com/caddyauth/gateway/caddyauth/keyring"
)

var _ keyring.Store = (*Store)(nil)

// Keys returns all records, oldest first; none is not an error.
func (s *Store) Keys(ctx context.Context) ([]keyring.Record, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	return keys(ctx, db)
}

// AddFirstKey stores rec if and only if there is no key yet, and returns what stands afterwards, oldest first.
func (s *Store) AddFirstKey(ctx context.Context, rec keyring.Record) ([]keyring.Record, error) {
	var standing []keyring.Record
	err := s.write(ctx, func(t tx) (err error) {
		// Holding this row makes everybody else who wants to be first wait until the end of the transaction.
		if _, err := t.exec(`UPDATE meta SET value = value WHERE name = 'schema'`); err != nil {
			return err
		}
		if standing, err = keys(ctx, t); err != nil || len(standing) > 0 {
			return err
		}
		if _, err := t.exec(`INSERT INTO key (id, algorithm, created, sealed) VALUES ($1, $2, $3, $4)`,
			rec.ID, rec.Algorithm, rec.Created.UnixMilli(), rec.Sealed); err != nil {
			return err
		}
		standing, err = keys(ctx, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return standing, nil
}

// SetMetaOnce stores value under name if nothing stands there, and returns what stands afterwards. The name "schema" is
// taken: it holds the schema version.
func (s *Store) SetMetaOnce(ctx context.Context, name, value string) (string, error) {
	var standing string
	err := s.writeOne(ctx, func(t tx) error {
		// An update which changes nothing returns what stands, also what another transaction has only just written.
		_, err := one(ctx, t, `INSERT INTO meta (name, value) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET value = meta.value RETURNING value`, []any{name, value}, &standing)
		return err
	})
	if err != nil {
		return "", err
	}
	return standing, nil
}

func keys(ctx context.Context, q querier) ([]keyring.Record, error) {
	rows, err := q.query(ctx, `SELECT id, algorithm, created, sealed FROM key ORDER BY created, id`)
	if err != nil {
		return nil, failure(err)
	}
	defer rows.Close()
	var records []keyring.Record
	for rows.Next() {
		var rec keyring.Record
		var created int64
		if err := rows.Scan(&rec.ID, &rec.Algorithm, &created, &rec.Sealed); err != nil {
			return nil, failure(err)
		}
		rec.Created = time.UnixMilli(created).UTC()
		records = append(records, rec)
	}
	return records, failure(rows.Err())
}
