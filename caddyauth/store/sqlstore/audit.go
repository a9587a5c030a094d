package sqlstore

import (
	"context"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
)

var _ audit.Store = (*Store)(nil)

// lastEntry sorts after the id of every entry.
const lastEntry = "g"

func scanEntry(row rows) (audit.Entry, error) {
	var e audit.Entry
	var at int64
	err := row.Scan(&e.ID, &at, &e.Actor, &e.Action, &e.Target, &e.TargetName, &e.Project, &e.ClientIP, &e.Result,
		&e.Detail)
	e.At = instant(at)
	return e, failure(err)
}

// auditColumns are the columns of entryRow.
const auditColumns = `id, at, actor, action, target, target_name, project, client_ip, result, detail`

// entryRow generates a missing id.
func entryRow(e audit.Entry) []any {
	if e.ID == "" {
		e.ID = audit.NewID(e.At)
	}
	return []any{
		e.ID, millis(e.At), e.Actor, e.Action, e.Target, e.TargetName, e.Project, e.ClientIP, e.Result, e.Detail,
	}
}

// AddEntry stores an entry of the audit trail; see audit.Store.
func (s *Store) AddEntry(ctx context.Context, e audit.Entry) error {
	return s.writeOne(ctx, func(t tx) error { return insertEntry(t, e) })
}

func insertEntry(t tx, e audit.Entry) error {
	_, err := t.exec(`INSERT INTO audit (`+auditColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		entryRow(e)...)
	return err
}

// ListEntries returns entries of the audit trail, newest first; see audit.Store.
func (s *Store) ListEntries(ctx context.Context, f audit.Filter) ([]audit.Entry, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	before := f.Before
	if before == "" {
		before = lastEntry
	}
	return eachRow(ctx, db, scanEntry,
		`SELECT id, at, actor, action, target, target_name, project, client_ip, result, detail
		FROM audit WHERE id < $1 AND (project = $2 OR $2 = '') AND (actor = $3 OR $3 = '') AND (action = $4 OR $4 = '')
		AND (target = $5 OR $5 = '') AND (result = $6 OR $6 = '') AND (at >= $7 OR $7 = 0) AND (at < $8 OR $8 = 0)
		ORDER BY id DESC LIMIT $9`,
		before, f.Project, f.Actor, f.Action, f.Target, f.Result, millis(f.Since), millis(f.Until), f.Limit)
}

// DeleteEntries deletes at most n entries older than a time; see audit.Store.
func (s *Store) DeleteEntries(ctx context.Context, before time.Time, n int) (int, error) {
	var deleted int64
	err := s.write(ctx, func(t tx) (err error) {
		deleted, err = t.exec(`DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)`,
			millis(before), n)
		return err
	})
	return int(deleted), err
}
