package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/consent"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

var _ consent.Store = (*Store)(nil)

// selectConsents reads consents with the names of the people.
const selectConsents = `SELECT consent.id, consent.project, consent.account, account.name, consent.client,
	consent.scopes, consent.resources, consent.since
	FROM consent JOIN account ON account.id = consent.account`

func scanConsent(row rows) (consent.Consent, error) {
	var c consent.Consent
	var scopes, resources string
	var since int64
	err := row.Scan(&c.ID, &c.Project, &c.UserID, &c.User, &c.ClientID, &scopes, &resources, &since)
	if err != nil {
		return consent.Consent{}, failure(err)
	}
	if c.Scopes, err = textList(scopes); err == nil {
		c.Resources, err = textList(resources)
	}
	c.Since = instant(since)
	return c, err
}

// FindConsent returns what a person has allowed a client; see consent.Store.
func (s *Store) FindConsent(ctx context.Context, userID, clientID string) (consent.Consent, error) {
	db, err := s.database()
	if err != nil {
		return consent.Consent{}, err
	}
	return oneRow(ctx, db, scanConsent, consent.ErrNotFound,
		selectConsents+` WHERE consent.account = $1 AND consent.client = $2`, userID, clientID)
}

// GiveConsent adds to what a person has allowed a client; see consent.Store. The row is made first,
// empty, and read by a statement that locks it: of two tabs none takes away what the other added.
func (s *Store) GiveConsent(ctx context.Context, c consent.Consent) error {
	return s.write(ctx, func(t tx) error {
		// First, because whoever forgets a client locks its registration before what people allowed it.
		if err := approve(t, c.ClientID, c.Since); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO consent (id, project, account, client, scopes, resources, since)
			SELECT $1, project, id, $2, '[]', '[]', 0 FROM account WHERE id = $3
			ON CONFLICT (account, client) DO NOTHING`, project.NewID(), c.ClientID, c.UserID)
		if err != nil {
			return err
		}
		var scopes, resources string
		found, err := one(ctx, t, `UPDATE consent SET since = since WHERE account = $1 AND client = $2
			RETURNING scopes, resources`, []any{c.UserID, c.ClientID}, &scopes, &resources)
		if err == nil && !found {
			err = consent.ErrNotFound
		}
		if err != nil {
			return err
		}
		var stands consent.Consent
		if stands.Scopes, err = textList(scopes); err != nil {
			return err
		}
		if stands.Resources, err = textList(resources); err != nil {
			return err
		}
		after := stands.With(c.Scopes, c.Resources, c.Since)
		_, err = t.exec(`UPDATE consent SET scopes = $1, resources = $2, since = $3 WHERE account = $4 AND client = $5`,
			listText(after.Scopes), listText(after.Resources), millis(c.Since), c.UserID, c.ClientID)
		return err
	})
}

// ListConsents returns the chosen consents; see consent.Store.
func (s *Store) ListConsents(ctx context.Context, f consent.Filter) ([]consent.Consent, error) {
	db, err := s.database()
	if err != nil {
		return nil, err
	}
	query, args := selectConsents+` WHERE consent.id > $1`, []any{f.After}
	for _, c := range []struct{ column, value string }{
		{"id", f.ID}, {"project", f.Project}, {"account", f.UserID}, {"client", f.ClientID},
	} {
		if c.value != "" {
			args = append(args, c.value)
			query += fmt.Sprintf(" AND consent.%s = $%d", c.column, len(args))
		}
	}
	args = append(args, f.Limit)
	return eachRow(ctx, db, scanConsent, query+fmt.Sprintf(" ORDER BY consent.id LIMIT $%d", len(args)), args...)
}

// WithdrawConsent removes a consent and ends what it had allowed; see consent.Store.
func (s *Store) WithdrawConsent(ctx context.Context, id string, now time.Time) ([]revocation.Denial, error) {
	var denials []revocation.Denial
	err := s.write(ctx, func(t tx) error {
		denials = nil
		if err := lockGrants(t); err != nil {
			return err
		}
		c, err := oneRow(ctx, t, scanConsent, consent.ErrNotFound, selectConsents+` WHERE consent.id = $1`, id)
		if err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM consent WHERE id = $1`, id); err != nil {
			return err
		}
		if err := forgetCodes(t, c.Project, c.User, c.ClientID); err != nil {
			return err
		}
		denials, err = endGrantsTo(ctx, t, c, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	return denials, nil
}

// endGrantsTo ends what a client was granted by a person.
func endGrantsTo(ctx context.Context, t tx, c consent.Consent, now time.Time) ([]revocation.Denial, error) {
	found, err := t.query(ctx, `UPDATE grants SET `+revoke+` WHERE project = $3 AND subject = $4 AND client = $5
		AND revoked = 0 RETURNING `+grantColumns, now.UnixMilli(), "consent withdrawn", c.Project, c.User, c.ClientID)
	if err != nil {
		return nil, failure(err)
	}
	grants, err := readGrants(found)
	if err != nil {
		return nil, err
	}
	for _, g := range grants {
		if err := addNotices(t, g, now); err != nil {
			return nil, err
		}
	}
	var denials []revocation.Denial
	for _, g := range grants {
		d, err := denyFamily(ctx, t, g, now)
		if err != nil {
			return nil, err
		}
		denials = append(denials, d)
	}
	return denials, nil
}

// forgetConsents removes what people have allowed a client that is being removed: another client
// that gets its id has not been allowed anything.
func forgetConsents(t tx, clientID string) error {
	_, err := t.exec(`DELETE FROM consent WHERE client = $1`, clientID)
	return err
}
