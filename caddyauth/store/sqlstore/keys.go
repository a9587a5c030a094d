package sqlstore

import (
	"context"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
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

// KeyVersion returns the version of the set of keys.
func (s *Store) KeyVersion(ctx context.Context) (int64, error) {
	db, err := s.database()
	if err != nil {
		return 0, err
	}
	return keyVersion(ctx, db)
}

// KeySet returns the keys with their version. The version is read first: should the keys be newer,
// the next look at the version shows it, and a step made of them is refused.
func (s *Store) KeySet(ctx context.Context) (keyring.Set, error) {
	db, err := s.database()
	if err != nil {
		return keyring.Set{}, err
	}
	return keySet(ctx, db)
}

func keySet(ctx context.Context, q querier) (set keyring.Set, err error) {
	if set.Version, err = keyVersion(ctx, q); err == nil {
		set.Records, err = keys(ctx, q)
	}
	if err != nil {
		return keyring.Set{}, err
	}
	return set, nil
}

func keyVersion(ctx context.Context, q querier) (version int64, err error) {
	_, err = one(ctx, q, `SELECT value FROM counter WHERE name = 'keys'`, nil, &version)
	return version, err
}

// AddFirstKey stores rec as the active key if and only if there is no key of its purpose yet, and
// returns all keys afterwards, oldest first.
func (s *Store) AddFirstKey(ctx context.Context, rec keyring.Record) ([]keyring.Record, error) {
	rec.State, rec.Until = keyring.Active, time.Time{}
	if rec.Since.IsZero() {
		rec.Since = rec.Created
	}
	var standing []keyring.Record
	err := s.write(ctx, func(t tx) (err error) {
		// The lock of this row makes other nodes that want to be first wait until the transaction ends.
		if _, err := t.exec(`UPDATE counter SET value = value WHERE name = 'keys'`); err != nil {
			return err
		}
		ofPurpose := func(r keyring.Record) bool { return r.Purpose == rec.Purpose }
		if standing, err = keys(ctx, t); err != nil || slices.ContainsFunc(standing, ofPurpose) {
			return err
		}
		t.wake()
		if _, err := nextNumber(ctx, t, "keys", rec.Since); err != nil {
			return err
		}
		if err := putKeys(t, rec); err != nil {
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

// AdvanceKeys takes the step if the set still has the version it was made of; see keyring.Store.
// The version is always above the time in milliseconds, so that a restored database never gets a
// version that a node has seen before.
func (s *Store) AdvanceKeys(ctx context.Context, step keyring.Step,
	now time.Time) (set keyring.Set, taken bool, err error) {
	err = s.write(ctx, func(t tx) (err error) {
		var version int64
		taken, err = one(ctx, t, `UPDATE counter SET value = CASE WHEN value >= $1 THEN value + 1 ELSE $1 END
			WHERE name = 'keys' AND value = $2 RETURNING value`, []any{now.UnixMilli(), step.From}, &version)
		if err == nil && taken {
			t.wake()
			err = takeStep(t, step)
		}
		if err != nil {
			return err
		}
		set, err = keySet(ctx, t)
		return err
	})
	if err != nil {
		return keyring.Set{}, false, err
	}
	return set, taken, nil
}

func takeStep(t tx, step keyring.Step) error {
	removals := make([][]any, len(step.Remove))
	for i, id := range step.Remove {
		removals[i] = []any{id}
	}
	if _, err := t.each(`DELETE FROM key WHERE id = $1`, removals...); err != nil {
		return err
	}
	return putKeys(t, step.Put...)
}

func putKeys(t tx, records ...keyring.Record) error {
	puts := make([][]any, len(records))
	for i, rec := range records {
		puts[i] = []any{
			rec.ID, rec.Algorithm, rec.Created.UnixMilli(), rec.Sealed, string(rec.State), millis(rec.Since),
			millis(rec.Until), rec.Longest.Milliseconds(), string(rec.Purpose),
		}
	}
	_, err := t.each(`INSERT INTO key (id, algorithm, created, sealed, state, since, until, longest, purpose)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, since = excluded.since, until = excluded.until,
			longest = excluded.longest`, puts...)
	return err
}

// SetMetaOnce stores value under name if there is none, and returns the value that is stored
// afterwards. The name "schema" is taken: it holds the schema version.
func (s *Store) SetMetaOnce(ctx context.Context, name, value string) (string, error) {
	var standing string
	err := s.writeOne(ctx, func(t tx) error {
		// An update that changes nothing returns the stored value, even one that another transaction has
		// just written.
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
	rows, err := q.query(ctx,
		`SELECT id, algorithm, created, sealed, state, since, until, longest, purpose FROM key ORDER BY created, id`)
	if err != nil {
		return nil, failure(err)
	}
	defer rows.Close()
	var records []keyring.Record
	for rows.Next() {
		var rec keyring.Record
		var created, since, until, longest int64
		err := rows.Scan(
			&rec.ID,
			&rec.Algorithm,
			&created,
			&rec.Sealed,
			&rec.State,
			&since,
			&until,
			&longest,
			&rec.Purpose,
		)
		if err != nil {
			return nil, failure(err)
		}
		rec.Created, rec.Since, rec.Until = time.UnixMilli(created).UTC(), instant(since), instant(until)
		rec.Longest = time.Duration(longest) * time.Millisecond
		records = append(records, rec)
	}
	return records, failure(rows.Err())
}
