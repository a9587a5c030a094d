package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/device"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

var _ device.Store = (*Store)(nil)

// A row of device is locked in front of the rows of grants, as one of code is.

const deviceColumns = `hash, user_code, client, project, scopes, audience, jkt, client_ip, created, expires,
	interval_ms, polled, state, subject, account, session, session_ends, auth_time, acr, amr, epoch, granted, until`

// AddDevice stores a new request; see device.Store.
func (s *Store) AddDevice(ctx context.Context, a device.Authorization) error {
	return s.writeOne(ctx, func(t tx) error {
		added, err := t.exec(`INSERT INTO device (`+deviceColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
			$11, $12, $13, '', '', '', 0, 0, '', '[]', 0, '', $10) ON CONFLICT (user_code) DO NOTHING`,
			a.Hash, a.UserCode, a.ClientID, a.Project, listText(a.Scopes), listText(a.Audience), a.JKT, a.ClientIP,
			millis(a.Created), millis(a.Expires), a.Interval.Milliseconds(), millis(a.Polled), string(a.State))
		if err == nil && added == 0 {
			err = device.ErrTaken
		}
		return err
	})
}

// FindDevice returns a request by its user code; see device.Store.
func (s *Store) FindDevice(ctx context.Context, userCode string, now time.Time) (device.Authorization, error) {
	db, err := s.database()
	if err != nil {
		return device.Authorization{}, err
	}
	return oneRow(ctx, db, scanDevice, device.ErrNotFound,
		`SELECT `+deviceColumns+` FROM device WHERE user_code = $1 AND expires > $2`, userCode, millis(now))
}

// decideDevice stores a decision. $1 the hash, $2 now, $3 the state, $4 to $10 the person and their
// session.
var decideDevice = `UPDATE device SET state = $3, subject = $4, account = $5, session = $6, auth_time = $7, acr = $8,
		amr = $9, epoch = counter.value, session_ends = coalesce((SELECT ends FROM grants WHERE grants.id = $6), 0)
	FROM counter WHERE counter.name = 'epoch' AND hash = $1 AND state = 'pending' AND expires > $2
		AND ($3 = 'denied' OR ` + ownersStand("device.project", "$4", "device.client", "$5") + `
			AND ` + notEndedSince("$10", "device.project", "$4", "") + `
			AND ($6 = '' OR EXISTS (SELECT 1 FROM grants WHERE grants.id = $6 AND ` + living + `$2)))`

// DecideDevice stores what a person has decided; see device.Store.
func (s *Store) DecideDevice(
	ctx context.Context,
	hash string,
	by device.Approval,
	approved bool,
	now time.Time,
) error {
	state := device.Denied
	if approved {
		state = device.Approved
	}
	return s.write(ctx, func(t tx) error {
		decided, err := t.exec(decideDevice, hash, millis(now), string(state), by.Subject, by.Account, by.Session,
			millis(by.AuthTime), by.ACR, listText(by.AMR), by.Epoch)
		if err == nil && decided > 0 && approved {
			return approveDevice(ctx, t, hash, now)
		}
		if err != nil || decided > 0 {
			return err
		}
		standing, err := oneRow(ctx, t, scanDevice, device.ErrNotFound,
			`SELECT `+deviceColumns+` FROM device WHERE hash = $1 AND expires > $2`, hash, millis(now))
		switch {
		case err != nil:
			return err
		case standing.State != device.Pending:
			return device.ErrDecided
		}
		return device.ErrOvertaken
	})
}

// approveDevice notes that a person has allowed the client of a device something.
func approveDevice(ctx context.Context, t tx, hash string, now time.Time) error {
	var client string
	_, err := one(ctx, t, `SELECT client FROM device WHERE hash = $1`, []any{hash}, &client)
	if err != nil {
		return err
	}
	return approve(t, client, now)
}

// PollDevice applies the rule of polling to the request as it stands; see device.Store.
func (s *Store) PollDevice(
	ctx context.Context,
	hash, clientID, jkt string,
	now time.Time,
) (device.Authorization, device.Verdict, error) {
	var after device.Authorization
	var verdict device.Verdict
	err := s.write(ctx, func(t tx) error {
		standing, err := lockDevice(ctx, t, hash)
		if errors.Is(err, device.ErrNotFound) {
			verdict = device.Unknown
			return nil
		}
		if err != nil {
			return err
		}
		after, verdict = standing.Poll(clientID, jkt, now)
		if after.Polled.Equal(standing.Polled) {
			return nil
		}
		_, err = t.exec(`UPDATE device SET polled = $1, interval_ms = $2 WHERE hash = $3`, millis(after.Polled),
			after.Interval.Milliseconds(), hash)
		return err
	})
	if err != nil {
		return device.Authorization{}, "", err
	}
	return after, verdict, nil
}

func lockDevice(ctx context.Context, t tx, hash string) (device.Authorization, error) {
	return oneRow(ctx, t, scanDevice, device.ErrNotFound,
		`UPDATE device SET hash = hash WHERE hash = $1 RETURNING `+deviceColumns, hash)
}

var redeemDevice = newRedemption("device", "state = 'used'", "state = 'approved'")

// RedeemDevice gives a device what it was allowed; see device.Store.
func (s *Store) RedeemDevice(
	ctx context.Context,
	r device.Redemption,
	now time.Time,
) (device.Verdict, []revocation.Denial, error) {
	redeemed, err := s.redeem(ctx, redeemDevice, r.Hash, r.Session, r.Grant, now)
	switch {
	case err != nil:
		return "", nil, err
	case redeemed:
		return device.Granted, nil, nil
	}
	return s.refuseDevice(ctx, r.Hash, now)
}

// refuseDevice names the reason why a request becomes nothing, and ends what a used one became.
func (s *Store) refuseDevice(
	ctx context.Context,
	hash string,
	now time.Time,
) (verdict device.Verdict, denials []revocation.Denial, err error) {
	err = s.write(ctx, func(t tx) error {
		verdict, denials = device.NotAllowed, nil
		if err := lockGrants(t); err != nil {
			return err
		}
		standing, err := lockDevice(ctx, t, hash)
		switch {
		case errors.Is(err, device.ErrNotFound):
			verdict = device.Unknown
			return nil
		case err != nil || standing.State != device.Used:
			return err
		}
		verdict = device.Replayed
		denials, err = endGrant(ctx, t, standing.Granted, "its device code was used twice", now)
		return err
	})
	if err != nil {
		return "", nil, err
	}
	return verdict, denials, nil
}

// DeleteDevices deletes at most n requests that are of no use since before a time; see device.Store.
func (s *Store) DeleteDevices(ctx context.Context, before time.Time, n int) (int, error) {
	return s.deleteBefore(ctx, "device", "until", before, n)
}

func scanDevice(row rows) (device.Authorization, error) {
	var a device.Authorization
	var scopes, audience, amr, state string
	var created, expires, interval, polled, sessionEnds, authTime, until int64
	err := row.Scan(&a.Hash, &a.UserCode, &a.ClientID, &a.Project, &scopes, &audience, &a.JKT, &a.ClientIP, &created,
		&expires, &interval, &polled, &state, &a.Subject, &a.Account, &a.Session, &sessionEnds, &authTime, &a.ACR, &amr,
		&a.Epoch, &a.Granted, &until)
	if err != nil {
		return device.Authorization{}, failure(err)
	}
	for _, l := range []struct {
		text string
		list *[]string
	}{{scopes, &a.Scopes}, {audience, &a.Audience}, {amr, &a.AMR}} {
		if *l.list, err = textList(l.text); err != nil {
			return device.Authorization{}, err
		}
	}
	a.Created, a.Expires, a.Polled = instant(created), instant(expires), instant(polled)
	a.Interval, a.State = time.Duration(interval)*time.Millisecond, device.State(state)
	a.SessionEnds, a.AuthTime = instant(sessionEnds), instant(authTime)
	return a, nil
}
