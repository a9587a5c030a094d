package issuance

import (
	"context"
	"errors"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/device"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// DeviceGrant is the kind of the grants that devices are given.
const DeviceGrant = "device"

// DeviceStore is what polling needs of a store: verbs of device.Store.
type DeviceStore interface {
	PollDevice(ctx context.Context, hash, clientID, jkt string, now time.Time) (device.Authorization, device.Verdict,
		error)
	RedeemDevice(ctx context.Context, r device.Redemption, now time.Time) (device.Verdict, []revocation.Denial, error)
}

// DeviceRefusal is the error for a device that is given nothing, or nothing yet.
type DeviceRefusal struct {
	// Verdict is why.
	Verdict device.Verdict

	// Authorization is the request, when it is known. The device must not be told whose it is.
	Authorization device.Authorization
}

// Error names the verdict.
func (r *DeviceRefusal) Error() string { return "device refused: " + string(r.Verdict) }

// DevicePoll is a device that asks for its tokens.
type DevicePoll struct {
	// Code is the device code.
	Code string

	// ClientID is the client that has authenticated.
	ClientID string

	// JKT is the thumbprint of the key that the client has proved to have. Default: none.
	JKT string

	// X5T is the thumbprint of the TLS client certificate that the token is bound to. Default: none.
	X5T string

	// Now is the time of the poll.
	Now time.Time
}

// PollDevice gives a device its tokens, once a person has allowed it. Everything is made before the
// request is used up, in the step that stores the grant. The error is a *DeviceRefusal, or the
// store's, or that of making the access token.
func (s *Service) PollDevice(ctx context.Context, d DevicePoll) (Issued, error) {
	d.Now = d.Now.UTC().Truncate(time.Millisecond) // as sessions count
	a, verdict, err := s.Devices.PollDevice(ctx, secrets.Hash(d.Code), d.ClientID, d.JKT, d.Now)
	switch {
	case err != nil:
		return Issued{}, err
	case verdict == device.Granted:
		return s.grantDevice(ctx, d, a)
	case verdict == device.Replayed:
		return Issued{}, s.redeemDevice(ctx, a, session.Grant{}, d.Now) // which ends what it became
	}
	return Issued{}, &DeviceRefusal{Verdict: verdict, Authorization: a}
}

// grantDevice makes the tokens of a request that a person has allowed, then uses it up.
func (s *Service) grantDevice(ctx context.Context, d DevicePoll, a device.Authorization) (Issued, error) {
	p, err := s.Store.FindParties(ctx, a.Project, a.ClientID, a.Account)
	if err != nil {
		return Issued{}, err
	}
	begun, terms, err := s.codeGrant(CodeExchange{JKT: d.JKT, X5T: d.X5T, Now: d.Now}, codeOf(a), p)
	if _, refused := errors.AsType[*session.Refusal](err); refused {
		return Issued{}, &DeviceRefusal{Verdict: device.NotAllowed, Authorization: a}
	}
	if err != nil {
		return Issued{}, err
	}
	begun.Grant.Kind = DeviceGrant
	r := accessRequest{
		grant:    begun.Grant,
		audience: begun.Grant.Audience,
		scopes:   begun.Grant.Scopes,
		epoch:    begun.Grant.Epoch,
		now:      begun.Now,
		until:    begun.AccessUntil,
	}
	raw, err := s.mint(ctx, r, terms)
	if err != nil {
		return Issued{}, err
	}

	// Only now is the request used up.
	if err := s.redeemDevice(ctx, a, begun.Grant, d.Now); err != nil {
		return Issued{}, err
	}
	if raw, err = s.settle(ctx, raw, r); err != nil {
		return Issued{}, err
	}
	return s.issuedFor(raw, begun, terms, p), nil
}

// redeemDevice uses a request up. What the store denied holds on this node at once.
func (s *Service) redeemDevice(ctx context.Context, a device.Authorization, g session.Grant, now time.Time) error {
	verdict, denials, err := s.Devices.RedeemDevice(ctx,
		device.Redemption{Hash: a.Hash, Session: a.Session, Grant: g}, now)
	switch {
	case err != nil:
		return err
	case verdict == device.Granted:
		return nil
	}
	if s.Sessions.DenyList != nil {
		s.Sessions.DenyList.Add(denials...)
	}
	return &DeviceRefusal{Verdict: verdict, Authorization: a}
}

// codeOf is a request that was allowed as the code that a browser would have brought.
func codeOf(a device.Authorization) authorization.Code {
	return authorization.Code{
		ClientID:    a.ClientID,
		Project:     a.Project,
		Subject:     a.Subject,
		Account:     a.Account,
		Scopes:      a.Scopes,
		Audience:    a.Audience,
		JKT:         a.JKT,
		Session:     a.Session,
		SessionEnds: a.SessionEnds,
		AuthTime:    a.AuthTime,
		ACR:         a.ACR,
		AMR:         a.AMR,
		ClientIP:    a.ClientIP,
		Epoch:       a.Epoch,
	}
}
