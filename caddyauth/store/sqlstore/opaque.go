package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

var _ opaque.Store = (*Store)(nil)

const opaqueColumns = `hash, claims, expires, issuer, id, family, project, subject, client, epoch`

// deniedOpaque is true of a row of opaque against which a denial stands: revocation.DenyList.Denied
// as a condition.
var deniedOpaque = deniedAs("opaque.issuer", "opaque.id", "opaque.family", "opaque.project", "opaque.subject",
	"opaque.client", "opaque.epoch")

// deniedAs is true if a denial stands against the token that the words describe, which are columns
// or placeholders.
func deniedAs(issuer, id, family, slug, subject, client, epoch string) string {
	return strings.NewReplacer("@issuer", issuer, "@id", id, "@family", family, "@slug", slug, "@subject", subject,
		"@client", client, "@epoch", epoch).Replace(`EXISTS (SELECT 1 FROM denial WHERE
	denial.kind = 'token' AND denial.scope = @issuer AND denial.id = @id AND @id <> ''
	OR denial.kind = 'family' AND denial.scope = '' AND denial.id = @family AND @family <> ''
	OR denial.kind = 'user' AND denial.scope = @slug AND denial.id = @subject AND denial.epoch > @epoch
	OR denial.kind = 'client' AND denial.scope = @slug AND denial.id = @client AND denial.epoch > @epoch
	OR denial.kind = 'project' AND denial.scope = @slug AND denial.id = '' AND denial.epoch > @epoch)`)
}

var isDenied = `SELECT CASE WHEN ` + deniedAs("$1", "$2", "$3", "$4", "$5", "$6", "$7") + ` THEN 1 ELSE 0 END`

// IsDenied reports whether a token of this server is denied; see issuance.Store.
func (s *Store) IsDenied(ctx context.Context, b revocation.Subject) (bool, error) {
	db, err := s.database()
	if err != nil {
		return false, err
	}
	var denied int64
	_, err = one(ctx, db, isDenied,
		[]any{b.Issuer, b.TokenID, b.Family, b.Project, b.Subject, b.ClientID, b.Epoch}, &denied)
	return denied != 0, err
}

var addOpaque = `INSERT INTO opaque (` + opaqueColumns + `) VALUES (` + parameters(opaqueColumns) + `)`

// AddOpaque stores a new opaque token; see opaque.Store.
func (s *Store) AddOpaque(ctx context.Context, r opaque.Reference) error {
	return s.writeOne(ctx, func(t tx) error {
		_, err := t.exec(addOpaque, opaqueRow(r)...)
		return err
	})
}

// opaqueRow are the values of opaqueColumns.
func opaqueRow(r opaque.Reference) []any {
	return []any{
		r.Hash, string(r.Claims), millis(r.Expiry), r.Subject.Issuer, r.Subject.TokenID, r.Subject.Family,
		r.Subject.Project, r.Subject.Subject, r.Subject.ClientID, r.Subject.Epoch,
	}
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
