package sqlstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/backchannel"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

var _ backchannel.Store = (*Store)(nil)

// wantsNotices is true of a row of client that has a backchannel_logout_uri. Inside a value of the
// JSON object the quotes are escaped. At worst a notice is written that nobody is then told of.
const wantsNotices = `client.settings LIKE '%"backchannel_logout_uri":"%'`

// isToldOfEnd is true of a row of grants of a sign-in that lives, if its client is to be told of the
// end of that. $1 now.
const isToldOfEnd = `EXISTS (SELECT 1 FROM grants AS sso JOIN client ON client.id = grants.client
	WHERE sso.id = CASE WHEN grants.parent = '' THEN grants.sign_in ELSE grants.parent END
		AND sso.revoked = 0 AND sso.idle_ends > $1 AND ` + wantsNotices + `)`

// noticesOf writes the notices of grants. The words say which: @ended are the ids of those that have
// ended. Clients that were granted something under one of them are told too, even if their own grant
// was over before, and if it goes on (offline_access): they may still keep the person signed in. A
// client that has a notice of the same session already gets no second one. $1 now, $2 when the
// notices expire.
func noticesOf(ended string) string {
	return strings.ReplaceAll(`INSERT INTO logout_notice (client, session, project, subject, attempts, due, expires)
		SELECT told.client, coalesce(nullif(told.parent, ''), nullif(told.sign_in, ''), told.id), told.project,
			told.subject, 0, $1, $2
		FROM grants AS told JOIN client ON client.id = told.client AND `+wantsNotices+`
		WHERE told.id IN (@ended) OR told.parent <> '' AND told.parent IN (@ended)
			OR told.sign_in <> '' AND told.sign_in IN (@ended)
		ON CONFLICT (client, session) DO NOTHING`, "@ended", ended)
}

var (
	noticesOfGrant = noticesOf(`$3`)

	// $3 project, $4 id, $5 the reason. What a statement has just ended has its time and its reason.
	noticesOfAll = func() map[revocation.Kind]string {
		all := map[revocation.Kind]string{}
		for kind, which := range owned {
			all[kind] = noticesOf(`SELECT id FROM grants WHERE revoked = $1 AND revoked_for = $5 AND ` + which)
		}
		return all
	}()
)

// addNotices writes the notices of one grant that was ended.
func addNotices(t tx, g session.Grant, now time.Time) error {
	_, err := t.exec(noticesOfGrant, millis(now), millis(now.Add(backchannel.Lifetime)), g.ID)
	return err
}

// addNoticesOfAll writes the notices of the grants that a revocation has just ended.
func addNoticesOfAll(t tx, kind revocation.Kind, slug, id, reason string, now time.Time) error {
	_, err := t.exec(noticesOfAll[kind], millis(now), millis(now.Add(backchannel.Lifetime)), slug, id, reason)
	return err
}

// notTo is true of a row of logout_notice unless it is for one of n clients, whose ids are the
// placeholders from the number first on.
func notTo(n, first int) string {
	if n == 0 {
		return "1 = 1"
	}
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("$%d", first+i)
	}
	return "client NOT IN (" + strings.Join(ids, ", ") + ")"
}

// takeNotices counts an attempt of what is due, and puts it off. $1 now, $2 how many, $3 until when,
// $4 and so on the clients to leave out.
func takeNotices(skipLocked string, except int) string {
	return `WITH taken AS MATERIALIZED (SELECT client, session FROM logout_notice WHERE due <= $1
			AND ` + notTo(except, 4) + ` ORDER BY due, client, session LIMIT $2` + skipLocked + `)
		UPDATE logout_notice SET attempts = attempts + 1, due = $3
		WHERE due <= $1 AND (client, session) IN (SELECT client, session FROM taken)
		RETURNING client, session, project, subject, attempts, expires,
			coalesce((SELECT settings FROM client WHERE client.id = logout_notice.client), '')`
}

// TakeNotices takes what is due; see backchannel.Store. It writes only when something is due: it is
// asked every second.
func (s *Store) TakeNotices(ctx context.Context, now time.Time, n int, except []string) (
	[]backchannel.Notice, error,
) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	var ids []any
	for _, id := range except {
		ids = append(ids, id)
	}
	var due int
	found, err := one(ctx, db, `SELECT 1 FROM logout_notice WHERE due <= $1 AND `+notTo(len(ids), 2)+` LIMIT 1`,
		append([]any{millis(now)}, ids...), &due)
	if err != nil || !found {
		return nil, err
	}
	var taken []backchannel.Notice
	err = s.write(ctx, func(t tx) (err error) {
		args := append([]any{millis(now), n, millis(now.Add(backchannel.Lease))}, ids...)
		rows, err := t.query(ctx, takeNotices(db.skipLocked(), len(ids)), args...)
		if err != nil {
			return failure(err)
		}
		taken, err = readNotices(rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

func readNotices(found rows) ([]backchannel.Notice, error) {
	defer found.Close()
	var all []backchannel.Notice
	for found.Next() {
		var n backchannel.Notice
		var expires int64
		var text string
		err := found.Scan(&n.ClientID, &n.Session, &n.Project, &n.Subject, &n.Attempts, &expires, &text)
		if err != nil {
			return nil, failure(err)
		}
		var c clients.Client
		if c.Settings, err = textSettings(text); err != nil {
			return nil, err
		}
		n.URI, n.Algorithm, n.Expires = c.BackchannelLogoutURI, c.SignsIDTokenWith(), instant(expires)
		all = append(all, n)
	}
	return all, failure(found.Err())
}

// KeepNotice gives a notice back; see backchannel.Store.
func (s *Store) KeepNotice(ctx context.Context, n backchannel.Notice, at time.Time) error {
	return s.writeOne(ctx, func(t tx) error {
		_, err := t.exec(`UPDATE logout_notice SET due = $1 WHERE client = $2 AND session = $3 AND attempts = $4`,
			millis(at), n.ClientID, n.Session, n.Attempts)
		return err
	})
}

// DropNotice removes a notice; see backchannel.Store.
func (s *Store) DropNotice(ctx context.Context, n backchannel.Notice) error {
	return s.writeOne(ctx, func(t tx) error {
		_, err := t.exec(`DELETE FROM logout_notice WHERE client = $1 AND session = $2 AND attempts = $3`,
			n.ClientID, n.Session, n.Attempts)
		return err
	})
}
