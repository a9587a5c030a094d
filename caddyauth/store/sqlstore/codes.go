package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
)

var (
	_ authorization.Store = (*Store)(nil)
	_ issuance.CodeStore  = (*Store)(nil)
)

// A row of code is locked in front of the rows of grants. Whoever ends what a code bought takes the
// lock in front of many grants before that.

const codeColumns = `hash, client, project, subject, account, redirect_uri, redirect_sent, challenge, nonce, scopes,
	audience, claims, jkt, session, auth_time, acr, amr, device, client_ip, created, expires, epoch, used, granted,
	until`

// addCode stores a code under the conditions of authorization.Store. That the client was revoked once
// says nothing about an authorization that begins now: the epoch is that of the person's session. $1
// to $21 codeColumns as far as created and expires, $22 the epoch.
var addCode = `INSERT INTO code (` + codeColumns + `)
	SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
		counter.value, 0, '', $21
	FROM counter WHERE counter.name = 'epoch' AND ` + ownersStand("$3", "$4", "$2", "$5") + `
		AND ` + notEndedSince("$22", "$3", "$4", "") + `
		AND ($14 = '' OR EXISTS (SELECT 1 FROM grants WHERE grants.id = $14 AND ` + living + `$20))`

// AddCode stores a new code; see authorization.Store.
func (s *Store) AddCode(ctx context.Context, c authorization.Code, pushed string) error {
	row := writeCode(c)
	add := func(t tx) error {
		added, err := t.exec(addCode, row...)
		if err == nil && added == 0 {
			err = authorization.ErrOvertaken
		}
		return err
	}
	if pushed == "" {
		return s.writeOne(ctx, add)
	}
	return s.write(ctx, func(t tx) error {
		if err := add(t); err != nil {
			return err
		}
		completed, err := t.exec(
			`UPDATE pushed_request SET used_by = $1 WHERE hash = $2 AND used_by = '' AND client = $3
			AND expires > $4`,
			c.Hash,
			pushed,
			c.ClientID,
			millis(c.Created),
		)
		if err == nil && completed == 0 {
			err = authorization.ErrPushedUsed
		}
		return err
	})
}

// codeParties reads a code with those it was issued for, and the end of the session. $1 the hash.
var codeParties = `SELECT coalesce(sso.ends, 0), counter.value, ` +
	qualified("project", projectColumns) + `, ` + qualified("client", clientColumns) + `, ` +
	qualified("account", userColumns) + `, ` + qualified("code", codeColumns) + `
	FROM code
	JOIN counter ON counter.name = 'epoch'
	LEFT JOIN project ON project.slug = code.project
	LEFT JOIN client ON client.id = code.client
	LEFT JOIN account ON account.project = project.slug AND account.canonical = code.account
	LEFT JOIN grants AS sso ON sso.id = code.session
	WHERE code.hash = $1`

// FindCode returns a code with those it was issued for; see issuance.CodeStore.
func (s *Store) FindCode(ctx context.Context, hash string) (authorization.Code, issuance.Parties, error) {
	db, err := s.database()
	if err != nil {
		return authorization.Code{}, issuance.Parties{}, err
	}
	var row codeRow
	var parties partiesScan
	var ends int64
	targets := append([]any{&ends}, append(parties.into(), row.into()...)...)
	found, err := one(ctx, db, codeParties, []any{hash}, targets...)
	if err == nil && !found {
		err = issuance.ErrNoCode
	}
	if err != nil {
		return authorization.Code{}, issuance.Parties{}, err
	}
	c, err := row.code()
	if err != nil {
		return authorization.Code{}, issuance.Parties{}, err
	}
	c.SessionEnds = instant(ends)
	p, err := parties.parties(c.ClientID)
	return c, p, err
}

var redeemCode = newRedemption("code", "used = $2", "used = 0 AND expires > $2")

// RedeemCode exchanges a code; see authorization.Store. What is honoured takes one round trip; a
// refusal is decided anew in a transaction which holds the row.
func (s *Store) RedeemCode(
	ctx context.Context,
	r authorization.Redemption,
	now time.Time,
) (authorization.Outcome, error) {
	redeemed, err := s.redeem(ctx, redeemCode, r.Hash, r.Session, r.Grant, now)
	if err != nil {
		return authorization.Outcome{}, err
	}
	if redeemed {
		return authorization.Outcome{Verdict: authorization.Redeemed}, nil
	}
	return s.ReplayCode(ctx, r.Hash, now)
}

// ReplayCode names the reason why a code is not exchanged, and ends what a used one bought; see
// authorization.Store.
func (s *Store) ReplayCode(ctx context.Context, hash string, now time.Time) (authorization.Outcome, error) {
	var out authorization.Outcome
	err := s.write(ctx, func(t tx) (err error) {
		out, err = replayCode(ctx, t, hash, now)
		return err
	})
	if err != nil {
		return authorization.Outcome{}, err
	}
	return out, nil
}

func replayCode(ctx context.Context, t tx, hash string, now time.Time) (authorization.Outcome, error) {
	if err := lockGrants(t); err != nil {
		return authorization.Outcome{}, err
	}
	var granted string
	var used, expires int64
	found, err := one(ctx, t, `UPDATE code SET hash = hash WHERE hash = $1 RETURNING used, granted, expires`,
		[]any{hash}, &used, &granted, &expires)
	switch {
	case err != nil:
		return authorization.Outcome{}, err
	case !found:
		return authorization.Outcome{Verdict: authorization.Unknown}, nil
	case used == 0 && expires <= millis(now):
		return authorization.Outcome{Verdict: authorization.Expired}, nil
	case used == 0:
		return authorization.Outcome{Verdict: authorization.NotAllowed}, nil
	}
	out := authorization.Outcome{Verdict: authorization.Replayed}
	out.Denials, err = endGrant(ctx, t, granted, "its code was used twice", now)
	return out, err
}

// forgetCodes deletes the codes of a person for a client that were not used yet. It waits for those
// that are being used: what they buy is there afterwards.
func forgetCodes(t tx, slug, subject, clientID string) error {
	_, err := t.exec(`DELETE FROM code WHERE project = $1 AND subject = $2 AND client = $3 AND used = 0`,
		slug, subject, clientID)
	return err
}

// DeleteCodes deletes at most n codes that are of no use since before a time; see
// authorization.Store.
func (s *Store) DeleteCodes(ctx context.Context, before time.Time, n int) (int, error) {
	return s.deleteBefore(ctx, "code", "until", before, n)
}

// codeRow is a row of code on its way to an authorization.Code.
type codeRow struct {
	authorization.Code
	scopes, audience, amr                                        string
	redirectSent, authTime, created, expires, used, untilNotUsed int64
}

// into are the targets of codeColumns.
func (r *codeRow) into() []any {
	return []any{
		&r.Hash, &r.ClientID, &r.Project, &r.Subject, &r.Account, &r.RedirectURI, &r.redirectSent, &r.Challenge,
		&r.Nonce, &r.scopes, &r.audience, &r.ClaimsText, &r.JKT, &r.Session, &r.authTime, &r.ACR, &r.amr, &r.Device,
		&r.ClientIP, &r.created, &r.expires, &r.Epoch, &r.used, &r.Granted, &r.untilNotUsed,
	}
}

func (r *codeRow) code() (authorization.Code, error) {
	c := r.Code
	if json.Unmarshal([]byte(r.scopes), &c.Scopes) != nil || json.Unmarshal([]byte(r.audience), &c.Audience) != nil ||
		json.Unmarshal([]byte(r.amr), &c.AMR) != nil {
		return authorization.Code{}, errors.New("a code in the store has a damaged list")
	}
	c.RedirectSent = r.redirectSent != 0
	c.AuthTime, c.Created, c.Expires = instant(r.authTime), instant(r.created), instant(r.expires)
	c.Used = instant(r.used)
	return c, nil
}

// writeCode are the arguments of addCode.
func writeCode(c authorization.Code) []any {
	return []any{
		c.Hash,
		c.ClientID,
		c.Project,
		c.Subject,
		c.Account,
		c.RedirectURI,
		switchOf(c.RedirectSent),
		c.Challenge,
		c.Nonce,
		listText(c.Scopes),
		listText(c.Audience),
		c.ClaimsText,
		c.JKT,
		c.Session,
		millis(c.AuthTime),
		c.ACR,
		listText(c.AMR),
		c.Device,
		c.ClientIP,
		millis(c.Created),
		millis(c.Expires),
		c.Epoch,
	}
}
