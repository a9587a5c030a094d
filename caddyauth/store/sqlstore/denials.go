package sqlstore

import (
	"context"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// nextNumber takes the next number of a counter. It is never below the time in milliseconds: a
// database that was restored from a backup continues above the numbers that it had given out, if
// there was less than one per millisecond. The counter is locked until the transaction ends, so
// numbers are committed in order, and a reader that has seen one has seen all lower ones.
func nextNumber(ctx context.Context, t tx, counter string, now time.Time) (number int64, err error) {
	_, err = one(ctx, t, `UPDATE counter SET value = CASE WHEN value >= $1 THEN value + 1 ELSE $1 END
		WHERE name = $2 RETURNING value`, []any{now.UnixMilli(), counter}, &number)
	return number, err
}

// putDenial keeps the later end and the higher epoch of two denials of the same thing, and gives
// the row a new place in the sequence. $1 kind, $2 scope, $3 id, $4 epoch, $5 until, $6 number.
const putDenial = `INSERT INTO denial (kind, scope, id, epoch, until, number) VALUES ($1, $2, $3, $4, $5, $6)
	ON CONFLICT (kind, scope, id) DO UPDATE SET
		epoch = CASE WHEN denial.epoch < excluded.epoch THEN excluded.epoch ELSE denial.epoch END,
		until = CASE WHEN denial.until < excluded.until THEN excluded.until ELSE denial.until END,
		number = excluded.number`

// deny writes a denial; every denial is written here. It must be the last statement of a
// transaction, because the counter of denials stays locked.
func deny(ctx context.Context, t tx, d revocation.Denial, now time.Time) (revocation.Denial, error) {
	t.wake()
	number, err := nextNumber(ctx, t, "denial", now)
	if err == nil {
		_, err = t.exec(putDenial, string(d.Kind), d.Scope, d.ID, d.Epoch, millis(d.Until), number)
	}
	if err != nil {
		return revocation.Denial{}, err
	}
	return d, nil
}

// renewTokens denies the access tokens that a user or client already has, because their claims are
// out of date. The grants stay valid: their next use issues a token with the current claims. Only a
// grant that is being added at the same time ends with its first use.
func renewTokens(ctx context.Context, t tx, kind revocation.Kind, slug, id string, now time.Time) error {
	epoch, err := nextNumber(ctx, t, "epoch", now)
	if err != nil {
		return err
	}
	if err := keepGrants(t, kind, slug, id, epoch); err != nil {
		return err
	}
	_, err = deny(ctx, t,
		revocation.Denial{
			Kind:  kind,
			Scope: slug,
			ID:    id,
			Epoch: epoch,
			Until: now.Add(revocation.LongestAccess + revocation.Margin),
		}, now)
	return err
}

// keepGrants lets the grants of a user or client outlive the revocation with this epoch, but for
// those that an earlier revocation has ended.
func keepGrants(t tx, kind revocation.Kind, slug, id string, epoch int64) error {
	_, err := t.exec(`UPDATE grants SET epoch = $1 WHERE revoked = $2 AND `+owned[kind]+` AND NOT `+overtaken, epoch,
		0, slug, id)
	return err
}

// denyFamily denies the access tokens of a grant that was ended, and ends the streams that last as
// long as the grant, whose access tokens may have expired. It does so even if now is later than all
// of them: the clock may be ahead and be corrected.
func denyFamily(ctx context.Context, t tx, g session.Grant, now time.Time) (revocation.Denial, error) {
	d := revocation.Denial{Kind: revocation.FamilyKind, ID: g.ID, Until: g.AccessUntil.Add(revocation.Margin)}
	if ended := g.IdleEnds.Add(revocation.Margin); ended.After(d.Until) {
		d.Until = ended
	}
	return deny(ctx, t, d, now)
}

// RevokeToken denies one token; see session.Store.
func (s *Store) RevokeToken(ctx context.Context, issuer, id string, until, now time.Time) (revocation.Denial, error) {
	d := revocation.Denial{Kind: revocation.TokenKind, Scope: issuer, ID: id, Until: until.Add(revocation.Margin)}
	err := s.write(ctx, func(t tx) error {
		_, err := deny(ctx, t, d, now)
		return err
	})
	if err != nil {
		return revocation.Denial{}, err
	}
	return d, nil
}

// denialsAfter is the newest number, and the denials after a cursor. $1 the cursor, $2 how many. It
// needs no overlap for late commits: because the counter is locked, all lower numbers are committed
// before a higher one is visible. It is one statement, because a poll has only half a second.
const denialsAfter = `SELECT counter.value, coalesce(denial.number, 0), coalesce(denial.kind, ''),
	coalesce(denial.scope, ''),
		coalesce(denial.id, ''), coalesce(denial.epoch, 0), coalesce(denial.until, 0)
	FROM counter LEFT JOIN denial ON denial.number > $1 WHERE counter.name = 'denial' ORDER BY denial.number LIMIT $2`

// Denials returns what was denied after the cursor; see session.Store. It uses a connection of its
// own.
func (s *Store) Denials(ctx context.Context, after revocation.Cursor) ([]revocation.Denial, revocation.Cursor, error) {
	db, err := s.database()
	if err != nil {
		return nil, after, err
	}
	denials, last, newest, err := lookAfter(ctx, db.apart(), after)
	if err == nil && newest < after { // the database was set back to an older state
		denials, last, _, err = lookAfter(ctx, db.apart(), 0)
	}
	if err != nil {
		return nil, after, err
	}
	return denials, last, nil
}

func lookAfter(ctx context.Context, q querier,
	after revocation.Cursor) (denials []revocation.Denial, last, newest revocation.Cursor, err error) {
	rows, err := q.query(ctx, denialsAfter, int64(after), revocation.MaxDenials)
	if err != nil {
		return nil, 0, 0, failure(err)
	}
	defer rows.Close()
	last = after
	for rows.Next() {
		var d revocation.Denial
		var number revocation.Cursor
		var kind string
		var until int64
		if err := rows.Scan(&newest, &number, &kind, &d.Scope, &d.ID, &d.Epoch, &until); err != nil {
			return nil, 0, 0, failure(err)
		}
		if number == 0 { // nothing new
			break
		}
		last, d.Kind, d.Until = number, revocation.Kind(kind), instant(until)
		denials = append(denials, d)
	}
	return denials, last, newest, failure(rows.Err())
}

// DeleteOver deletes what has expired; see session.Store.
func (s *Store) DeleteOver(ctx context.Context, now time.Time, n int) (int, error) {
	if n <= 0 {
		return 0, nil
	}
	var deleted int64
	err := s.write(ctx, func(t tx) error {
		// The lock in front of many grants; see grants.go.
		if _, err := t.exec(`UPDATE counter SET value = value WHERE name = 'epoch'`); err != nil {
			return err
		}
		over, err := expiredRevocations(ctx, t, now, n)
		if err != nil {
			return err
		}
		for _, d := range over {
			if err := complete(t, d, now); err != nil {
				return err
			}
		}
		deleted, err = deleteOver(t, now, int64(n), int64(len(over)))
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(deleted), nil
}

// deleteOver deletes grants that have expired together with all access tokens made from them,
// because until then the family may have to be denied; and not before the sign-in has ended that
// their client wants to be told of. It also deletes expired denials; those of
// revocations only once they are completed.
func deleteOver(t tx, now time.Time, n, orders int64) (int64, error) {
	grants, err := t.exec(`DELETE FROM grants WHERE idle_ends <= $1 AND access_until <= $1 AND id IN (
		SELECT id FROM grants WHERE idle_ends <= $1 AND access_until <= $1 AND NOT `+isToldOfEnd+`
		ORDER BY idle_ends, id LIMIT $2)`,
		now.UnixMilli(), n-orders)
	if err != nil {
		return 0, err
	}
	fulfilled, err := t.exec(`DELETE FROM denial WHERE until <= $1 AND number IN (SELECT number FROM denial
		WHERE until <= $1 AND epoch > 0 ORDER BY until, number LIMIT $2)`, now.UnixMilli(), orders)
	if err != nil {
		return 0, err
	}
	others, err := t.exec(`DELETE FROM denial WHERE until <= $1 AND number IN (SELECT number FROM denial
		WHERE until <= $1 AND epoch = 0 ORDER BY until, number LIMIT $2)`, now.UnixMilli(), n-grants-fulfilled)
	return grants + fulfilled + others, err
}

// expiredRevocations returns the first n denials of revocations that are to be deleted.
func expiredRevocations(ctx context.Context, t tx, now time.Time, n int) ([]revocation.Denial, error) {
	rows, err := t.query(ctx, `SELECT kind, scope, id, epoch FROM denial WHERE until <= $1 AND epoch > 0
		ORDER BY until, number LIMIT $2`, now.UnixMilli(), n)
	if err != nil {
		return nil, failure(err)
	}
	defer rows.Close()
	var over []revocation.Denial
	for rows.Next() {
		var d revocation.Denial
		var kind string
		if err := rows.Scan(&kind, &d.Scope, &d.ID, &d.Epoch); err != nil {
			return nil, failure(err)
		}
		d.Kind = revocation.Kind(kind)
		over = append(over, d)
	}
	return over, failure(rows.Err())
}

// isDenied is revocation.DenyList.Denied as a question. $1 the token's issuer, $2 its id, $3 its
// family, $4 its project, $5 its subject, $6 its client, $7 its epoch.
const isDenied = `SELECT CASE WHEN EXISTS (SELECT 1 FROM denial WHERE
	denial.kind = 'token' AND denial.scope = $1 AND denial.id = $2 AND $2 <> ''
	OR denial.kind = 'family' AND denial.scope = '' AND denial.id = $3 AND $3 <> ''
	OR denial.kind = 'user' AND denial.scope = $4 AND denial.id = $5 AND denial.epoch > $7
	OR denial.kind = 'client' AND denial.scope = $4 AND denial.id = $6 AND denial.epoch > $7
	OR denial.kind = 'project' AND denial.scope = $4 AND denial.id = '' AND denial.epoch > $7) THEN 1 ELSE 0 END`

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

// complete ends the grants that a revocation missed because they were being added at the same time.
// Until now the denial kept them from being used.
func complete(t tx, d revocation.Denial, now time.Time) error {
	const reason = "revoked before it began"
	ended, err := t.exec(`UPDATE grants SET `+revoke+` WHERE revoked = 0 AND `+owned[d.Kind]+` AND epoch < $5`,
		now.UnixMilli(), reason, d.Scope, d.ID, d.Epoch)
	if err != nil || ended == 0 {
		return err
	}
	return addNoticesOfAll(t, d.Kind, d.Scope, d.ID, reason, now)
}
