package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

var _ session.Store = (*Store)(nil)

// Rows are locked in a fixed order, so that two transactions cannot deadlock: the counter of
// epochs, then grants (more than one only behind that counter), then the counter of denials.

const grantColumns = `id, seed, project, subject, client, audience, scopes, kind, device, client_ip, generation,
	repeats, epoch, created, rotated, last_used, idle_ends, ends, access_until, idle, reuse, fixed, revoked,
	revoked_for, parent, auth_time, acr, amr, jkt, offline, claims_request, x5t, sign_in`

// grantValues are the placeholders of grantColumns, from $1 on; the next one is $34.
var grantValues = parameters(grantColumns)

var insertGrant = `INSERT INTO grants (` + grantColumns + `) VALUES (` + grantValues + `)`

// living is true of a row of grants that can still be used at a time, which follows.
const living = `revoked = 0 AND idle_ends > `

// parentLives is true of a row of grants unless the session that it was granted under is over. $4
// now.
const parentLives = `(grants.parent = '' OR EXISTS (SELECT 1 FROM grants AS sso
	WHERE sso.id = grants.parent AND sso.revoked = 0 AND sso.idle_ends > $4))`

// overtaken is true of a row of grants whose user, client or project was revoked after its owner
// was checked.
const overtaken = `EXISTS (SELECT 1 FROM denial WHERE denial.epoch > grants.epoch AND denial.scope = grants.project
	AND (denial.kind = 'user' AND denial.id = grants.subject
		OR denial.kind = 'client' AND denial.id = grants.client
		OR denial.kind = 'project' AND denial.id = ''))`

// rotate is session.Grant.Use in one statement, for a use that is honoured. Its expressions all see
// the row as it is after the transaction that had it locked: the second of two uses sees the result
// of the first.
//
// $1 id, $2 client, $3 generation, $4 now, $5 until when the new access token lives, $6 the latest
// plausible rotation: a later one was written by a clock that was ahead.
const rotate = `UPDATE grants SET
		generation = CASE WHEN ` + isCurrent + ` THEN generation + 1 - fixed ELSE generation END,
		repeats = CASE WHEN ` + isCurrent + ` THEN 0 ELSE repeats + 1 END,
		rotated = CASE WHEN ` + isCurrent + ` AND fixed = 0 THEN $4 ELSE rotated END,
		last_used = CASE WHEN ` + isCurrent + ` THEN $4 ELSE last_used END,
		idle_ends = CASE WHEN ` + isCurrent +
	` THEN CASE WHEN $4 + idle < ends THEN $4 + idle ELSE ends END ELSE idle_ends END,
		access_until = CASE WHEN access_until < $5 THEN $5 ELSE access_until END
	WHERE id = $1 AND client = $2 AND revoked = 0 AND idle_ends > $4 AND ends > $4
		AND (` + isCurrent +
	` OR generation = $3 + 1 AND reuse > 0 AND rotated + reuse > $4 AND rotated <= $6) AND NOT ` + overtaken +
	` AND ` + parentLives + `
	RETURNING (SELECT value FROM counter WHERE name = 'epoch'), ` + grantColumns

const isCurrent = `generation = $3`

// Epoch returns the current epoch.
func (s *Store) Epoch(ctx context.Context) (int64, error) {
	db, err := s.database()
	if err != nil {
		return 0, err
	}
	return epoch(ctx, db)
}

func epoch(ctx context.Context, q querier) (number int64, err error) {
	_, err = one(ctx, q, `SELECT value FROM counter WHERE name = 'epoch'`, nil, &number)
	return number, err
}

// AddGrant stores a new grant; see session.Store.
func (s *Store) AddGrant(ctx context.Context, g session.Grant) error {
	row, err := writeGrant(g)
	if err != nil {
		return err
	}
	return s.write(ctx, func(t tx) error {
		if err := holdParent(t, g); err != nil {
			return err
		}
		if _, err := t.exec(insertGrant, row...); err != nil {
			return err
		}
		var id string
		late, err := one(ctx, t, `SELECT id FROM grants WHERE id = $1 AND `+overtaken, []any{g.ID}, &id)
		if err == nil && late {
			return session.ErrOvertaken
		}
		return err
	})
}

// holdParent keeps the session that a grant is given under from ending until the transaction has:
// whoever ends it then finds the grant.
func holdParent(t tx, g session.Grant) error {
	if g.Parent == "" {
		return nil
	}
	held, err := t.exec(`UPDATE grants SET seed = seed WHERE id = $1 AND `+living+`$2`, g.Parent, millis(g.Created))
	if err == nil && held == 0 {
		err = session.ErrOvertaken
	}
	return err
}

// FindGrant returns a grant or session.ErrNoGrant.
func (s *Store) FindGrant(ctx context.Context, id string) (session.Grant, error) {
	db, err := s.database()
	if err != nil {
		return session.Grant{}, err
	}
	return findGrant(ctx, db, id)
}

func findGrant(ctx context.Context, q querier, id string) (session.Grant, error) {
	var row grantRow
	found, err := one(ctx, q, `SELECT `+grantColumns+` FROM grants WHERE id = $1`, []any{id}, row.into()...)
	if err == nil && !found {
		err = session.ErrNoGrant
	}
	if err != nil {
		return session.Grant{}, err
	}
	return row.grant()
}

// RotateGrant decides one use of a refresh token; see session.Store. A use that is honoured takes
// one statement; a refusal is decided again in a transaction that locks the row.
func (s *Store) RotateGrant(ctx context.Context, r session.Rotation, now time.Time) (session.Rotated, error) {
	var done session.Rotated
	var row grantRow
	honoured := false
	err := s.writeOne(ctx, func(t tx) (err error) {
		args := []any{
			r.ID, r.ClientID, r.Generation, now.UnixMilli(), millis(r.AccessUntil),
			now.Add(session.MaxSkew).UnixMilli(),
		}
		honoured, err = one(ctx, t, rotate, args, append([]any{&done.Epoch}, row.into()...)...)
		return err
	})
	if err == nil && honoured {
		done.Grant, err = row.grant()
		done.Verdict = honouredAs(done.Grant)
		return done, err
	}
	if err == nil {
		err = s.write(ctx, func(t tx) (err error) {
			done, err = refuseRotation(ctx, t, r, now)
			return err
		})
	}
	if err != nil {
		return session.Rotated{}, err
	}
	return done, nil
}

// honouredAs derives the verdict from the grant as the statement has left it.
func honouredAs(g session.Grant) session.Verdict {
	switch {
	case g.Repeats > 0:
		return session.Repeated
	case g.Fixed:
		return session.Kept
	}
	return session.Advanced
}

// refuseRotation names the reason for refusing, and ends the family on reuse.
func refuseRotation(ctx context.Context, t tx, r session.Rotation, now time.Time) (done session.Rotated, err error) {
	if err := lockGrants(t); err != nil {
		return done, err
	}
	var row grantRow
	found, err := one(ctx, t, `UPDATE grants SET seed = seed WHERE id = $1 RETURNING `+grantColumns, []any{r.ID},
		row.into()...)
	if err != nil {
		return done, err
	}
	if !found {
		return session.Rotated{Verdict: session.Unknown}, nil
	}
	g, err := row.grant()
	if err != nil {
		return done, err
	}
	if done.Epoch, err = epoch(ctx, t); err != nil {
		return done, err
	}
	after, verdict := g.Use(r, now)
	switch {
	case verdict.Honoured():
		done.Grant, done.Verdict = g, session.Ended // by a revocation that the grant itself does not record
		return done, nil
	case verdict != session.Reused:
		done.Grant, done.Verdict = g, verdict
		return done, nil
	}
	done.Grant, done.Verdict = after, verdict
	_, err = t.exec(`UPDATE grants SET `+revoke+` WHERE id = $3`, now.UnixMilli(), after.RevokedFor, g.ID)
	if err != nil {
		return done, err
	}
	done.Denials, err = denyFamilies(ctx, t, after, now)
	return done, err
}

// lockGrants is the lock in front of more than one grant.
func lockGrants(t tx) error {
	_, err := t.exec(grantsLock)
	return err
}

const grantsLock = `UPDATE counter SET value = value WHERE name = 'epoch'`

// RevokeGrant ends a grant; see session.Store.
func (s *Store) RevokeGrant(ctx context.Context, id, reason string, now time.Time) ([]revocation.Denial, error) {
	var denials []revocation.Denial
	err := s.write(ctx, func(t tx) error {
		denials = nil
		if err := lockGrants(t); err != nil {
			return err
		}
		var err error
		denials, err = endGrant(ctx, t, id, reason, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	return denials, nil
}

// endGrant ends a grant that lives, with what was granted under it. The grants are locked
// (lockGrants).
func endGrant(ctx context.Context, t tx, id, reason string, now time.Time) ([]revocation.Denial, error) {
	var row grantRow
	ended, err := one(ctx, t, `UPDATE grants SET `+revoke+` WHERE id = $3 AND revoked = 0 RETURNING `+grantColumns,
		[]any{now.UnixMilli(), reason, id}, row.into()...)
	if err != nil || !ended {
		return nil, err
	}
	g, err := row.grant()
	if err != nil {
		return nil, err
	}
	g.RevokedFor = reason
	return denyFamilies(ctx, t, g, now)
}

// denyFamilies denies a grant that was ended, and ends and denies what was granted under it, at every
// level: older sign-ins of the browser stand under the newest. It writes the notices for their clients,
// unless the client itself ended its grant. The grants are locked (lockGrants).
func denyFamilies(ctx context.Context, t tx, g session.Grant, now time.Time) ([]revocation.Denial, error) {
	var denials []revocation.Denial
	all := []session.Grant{g}
	for i := 0; i < len(all); i++ {
		ended := all[i]
		if i == 0 || ended.Kind == issuance.BrowserGrant { // an older sign-in has grants of its own under it
			children, err := endChildren(ctx, t, ended, now)
			if err != nil {
				return nil, err
			}
			all = append(all, children...)
			if ended.RevokedFor != session.RevokedByClient {
				if err := addNotices(t, ended, now); err != nil {
					return nil, err
				}
			}
		}
		d, err := denyFamily(ctx, t, ended, now)
		if err != nil {
			return nil, err
		}
		denials = append(denials, d)
	}
	return denials, nil
}

// endChildren ends what was granted under a grant, and returns it.
func endChildren(ctx context.Context, t tx, parent session.Grant, now time.Time) ([]session.Grant, error) {
	rows, err := t.query(ctx, `UPDATE grants SET `+revoke+` WHERE parent = $3 AND parent <> '' AND revoked = 0
		RETURNING `+grantColumns, now.UnixMilli(), parent.RevokedFor, parent.ID)
	if err != nil {
		return nil, failure(err)
	}
	return readGrants(rows)
}

// revoke is the SET clause with which every statement but rotate ends a grant. $1 now, $2 reason.
const revoke = `revoked = $1, revoked_for = $2, idle_ends = CASE WHEN idle_ends < $1 THEN idle_ends ELSE $1 END`

// owned selects the grants of a user, client or project. $3 project, $4 id.
var owned = map[revocation.Kind]string{
	revocation.UserKind:    `project = $3 AND subject = $4`,
	revocation.ClientKind:  `project = $3 AND client = $4`,
	revocation.ProjectKind: `project = $3 AND $4 = ''`,
}

// RevokeAll carries out a revocation; see session.Store.
func (s *Store) RevokeAll(ctx context.Context, o revocation.Revocation,
	now time.Time) (n int, d revocation.Denial, err error) {
	which, known := owned[o.Kind]
	if !known {
		return 0, revocation.Denial{}, fmt.Errorf("revocation: kind %q names no user, client or project", o.Kind)
	}
	err = s.write(ctx, func(t tx) (err error) {
		d = revocation.Denial{Kind: o.Kind, Scope: o.Project, ID: o.ID, Until: o.Until}
		if d.Epoch, err = nextNumber(ctx, t, "epoch", now); err != nil {
			return err
		}
		args := []any{now.UnixMilli(), o.Reason, o.Project, o.ID}
		ended, err := t.exec(`UPDATE grants SET `+revoke+` WHERE revoked = 0 AND `+which, args...)
		if err != nil {
			return err
		}
		var until int64
		if _, err := one(ctx, t, `SELECT coalesce(max(access_until), 0) FROM grants
			WHERE revoked = $1 AND revoked_for = $2 AND `+which, args, &until); err != nil {
			return err
		}
		if err := addNoticesOfAll(t, o.Kind, o.Project, o.ID, o.Reason, now); err != nil {
			return err
		}
		n = int(ended)
		if last := instant(until); last.After(d.Until) {
			d.Until = last
		}
		d.Until = d.Until.Add(revocation.Margin)
		d, err = deny(ctx, t, d, now)
		return err
	})
	if err != nil {
		return 0, revocation.Denial{}, err
	}
	return n, d, nil
}

// CountGrants returns how many grants live, by kind. It reads one entry of an index and one row for
// each of them.
func (s *Store) CountGrants(ctx context.Context, now time.Time) (map[string]int, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	rows, err := db.query(ctx,
		`SELECT kind, count(*) FROM grants WHERE idle_ends > $1 AND ends > $1 AND revoked = 0 GROUP BY kind`,
		now.UnixMilli())
	if err != nil {
		return nil, failure(err)
	}
	defer rows.Close()
	counts := make(map[string]int)
	for rows.Next() {
		var kind string
		var n int
		if err := rows.Scan(&kind, &n); err != nil {
			return nil, failure(err)
		}
		counts[kind] = n
	}
	return counts, failure(errors.Join(rows.Err(), rows.Close()))
}

// ListGrants returns the chosen grants in the order of their ids; see session.Store.
func (s *Store) ListGrants(ctx context.Context, f session.Filter) ([]session.Grant, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	query, args := filterQuery(f)
	rows, err := db.query(ctx, query, args...)
	if err != nil {
		return nil, failure(err)
	}
	return readGrants(rows)
}

// readGrants reads all rows, without the seeds.
func readGrants(found rows) ([]session.Grant, error) {
	defer found.Close()
	var grants []session.Grant
	for found.Next() {
		var row grantRow
		if err := found.Scan(row.into()...); err != nil {
			return nil, failure(err)
		}
		g, err := row.grant()
		if err != nil {
			return nil, err
		}
		g.Seed = nil
		grants = append(grants, g)
	}
	return grants, failure(found.Err())
}

const defaultPage = 100

// filterQuery writes the query of a filter with only the conditions that are set, so that an index
// can be used.
func filterQuery(f session.Filter) (query string, args []any) {
	query = `SELECT ` + grantColumns + ` FROM grants WHERE id > $1`
	args = []any{f.After}
	where := func(condition string, value any) {
		args = append(args, value)
		query += fmt.Sprintf(" AND "+condition, len(args))
	}
	for _, c := range []struct{ column, value string }{
		{"id", f.ID}, {"project", f.Project}, {"subject", f.Subject}, {"client", f.ClientID}, {"kind", f.Kind},
	} {
		if c.value != "" {
			where(c.column+" = $%d", c.value)
		}
	}
	if f.SignIn != "" {
		where("(id = $%[1]d OR parent = $%[1]d AND parent <> '' OR sign_in = $%[1]d AND sign_in <> '')", f.SignIn)
	}
	if !f.LiveAt.IsZero() {
		where("revoked = 0 AND idle_ends > $%d", f.LiveAt.UnixMilli())
	}
	limit := f.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	args = append(args, limit)
	return query + fmt.Sprintf(" ORDER BY id LIMIT $%d", len(args)), args
}

// grantRow is a row of grants on its way to a session.Grant.
type grantRow struct {
	session.Grant
	audience, scopes, amr                                                         string
	created, rotated, lastUsed, idleEnds, ends, accessUntil, idle, reuse, revoked int64
	fixed, authTime, offline                                                      int64
}

// into are the targets of grantColumns.
func (r *grantRow) into() []any {
	return []any{
		&r.ID, &r.Seed, &r.Project, &r.Subject, &r.ClientID, &r.audience, &r.scopes, &r.Kind, &r.Device, &r.ClientIP,
		&r.Generation, &r.Repeats, &r.Epoch, &r.created, &r.rotated, &r.lastUsed, &r.idleEnds, &r.ends, &r.accessUntil,
		&r.idle, &r.reuse, &r.fixed, &r.revoked, &r.RevokedFor,
		&r.Parent, &r.authTime, &r.ACR, &r.amr, &r.JKT, &r.offline, &r.ClaimsRequest, &r.X5T,
		&r.SignIn,
	}
}

func (r *grantRow) grant() (session.Grant, error) {
	g := r.Grant
	if json.Unmarshal([]byte(r.audience), &g.Audience) != nil || json.Unmarshal([]byte(r.scopes), &g.Scopes) != nil ||
		json.Unmarshal([]byte(r.amr), &g.AMR) != nil {
		return session.Grant{}, errors.New("a grant in the store has a damaged list")
	}
	g.Created, g.Rotated, g.LastUsed = instant(r.created), instant(r.rotated), instant(r.lastUsed)
	g.IdleEnds, g.Ends, g.AccessUntil = instant(r.idleEnds), instant(r.ends), instant(r.accessUntil)
	g.Idle, g.Reuse = time.Duration(r.idle)*time.Millisecond, time.Duration(r.reuse)*time.Millisecond
	g.Fixed, g.Revoked = r.fixed != 0, instant(r.revoked)
	g.AuthTime, g.Offline = instant(r.authTime), r.offline != 0
	return g, nil
}

// writeGrant are the values of grantColumns.
func writeGrant(g session.Grant) ([]any, error) {
	audience, err := json.Marshal(g.Audience)
	if err != nil {
		return nil, err
	}
	scopes, err := json.Marshal(g.Scopes)
	if err != nil {
		return nil, err
	}
	amr, err := json.Marshal(g.AMR)
	if err != nil {
		return nil, err
	}
	return []any{
		g.ID, g.Seed, g.Project, g.Subject, g.ClientID, string(audience), string(scopes), g.Kind, g.Device, g.ClientIP,
		g.Generation, g.Repeats, g.Epoch, millis(g.Created), millis(g.Rotated), millis(g.LastUsed), millis(g.IdleEnds),
		millis(g.Ends), millis(g.AccessUntil), g.Idle.Milliseconds(), g.Reuse.Milliseconds(), switchOf(g.Fixed),
		millis(g.Revoked), g.RevokedFor, g.Parent, millis(g.AuthTime), g.ACR, string(amr), g.JKT, switchOf(g.Offline),
		g.ClaimsRequest, g.X5T, g.SignIn,
	}, nil
}

// millis is a time as it is stored.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// instant is the inverse of millis.
func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
