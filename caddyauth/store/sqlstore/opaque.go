package sqlstore

import (
	"context"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
)

var _ opaque.Store = (*Store)(nil)

const opaqueColumns = `hash, claims, expires, issuer, id, family, project, subject, client, epoch`

// deniedOpaque is true of a row of opaque against which a denial stands: revocation.DenyList.Denied
// as a condition.
const deniedOpaque = `EXISTS (SELECT 1 FROM denial WHERE
	denial.kind = 'token' AND denial.scope = opaque.issuer AND denial.id = opaque.id AND opaque.id <> ''
	OR denial.kind = 'family' AND denial.scope = '' AND denial.id = opaque.family AND opaque.family <> ''
	OR denial.kind = 'user' AND denial.scope = opaque.project AND denial.id = opaque.subject
		AND denial.epoch > opaque.epoch
	OR denial.kind = 'client' AND denial.scope = opaque.project AND denial.id = opaque.client
		AND denial.epoch > opaque.epoch
	OR denial.kind = 'project' AND denial.scope = opaque.project AND denial.id = '' AND denial.epoch > opaque.epoch)`

// AddOpaque stores a new opaque token; see opaque.Store.
func (s *Store) AddOpaque(ctx context.Context, r opaque.Reference) error {
	return s.writeOne(ctx, func(t tx) error {
		_, err := t.exec(`INSERT INTO opaque (`+opaqueColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			r.Hash, string(r.Claims), millis(r.Expiry), r.Subject.Issuer, r.Subject.TokenID, r.Subject.Family,
			r.Subject.Project, r.Subject.Subject, r.Subject.ClientID, r.Subject.Epoch)
		return err
	})
}

// FindOpaque returns the opaque token of that hash; see opaque.Store.
func (s *Store) FindOpaque(ctx context.Context, hash string) (opaque.Reference, bool, error) {
	db, err := s.database()
	if err != nil {
		return opaque.Reference{}, false, err
	}
	var r opaque.Reference
	var claims string
	var expires, denied int64
	found, err := one(ctx, db,
		`SELECT `+opaqueColumns+`, CASE WHEN `+deniedOpaque+` THEN 1 ELSE 0 END FROM opaque WHERE hash = $1`,
		[]any{hash}, &r.Hash, &claims, &expires, &r.Subject.Issuer, &r.Subject.TokenID, &r.Subject.Family,
		&r.Subject.Project,
		&r.Subject.Subject, &r.Subject.ClientID, &r.Subject.Epoch, &denied)
	if err == nil && !found {
		err = opaque.ErrNotFound
	}
	if err != nil {
		return opaque.Reference{}, false, err
	}
	r.Claims, r.Expiry = []byte(claims), instant(expires)
	return r, denied != 0, nil
}

// DeleteOpaque deletes at most n opaque tokens that expired before a time; see opaque.Store.
func (s *Store) DeleteOpaque(ctx context.Context, before time.Time, n int) (int, error) {
	db, err := s.database()
	if err != nil {
		return 0, err
	}
	var deleted int64
	err = db.writeOne(ctx, func(t tx) (err error) {
		// A locked row is being deleted by another node.
		deleted, err = t.exec(`WITH over AS MATERIALIZED (SELECT hash FROM opaque WHERE expires < $1 `+
			`ORDER BY expires LIMIT $2`+db.skipLocked()+`)
			DELETE FROM opaque WHERE hash IN (SELECT hash FROM over)`, millis(before), n)
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(deleted), nil
}
