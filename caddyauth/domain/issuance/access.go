package issuance

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// accessRequest is an access token that is wanted.
type accessRequest struct {
	grant      session.Grant // without an ID: no session
	audience   []string      // a part of the grant's; nil: all of it
	scopes     []string
	actor      map[string]any // who acts for the subject (RFC 8693, section 4.1); nil: nobody
	epoch      int64
	now, until time.Time
	jkt, x5t   string // of the key and the certificate that the token is bound to; default: those of the grant
}

// mint makes an access token on these terms, in the format of its client.
func (s *Service) mint(ctx context.Context, r accessRequest, terms Terms) (string, error) {
	claims := s.claimsOf(r, terms)
	if terms.isOpaque() {
		raw, err := s.Opaque(claims)
		if err != nil {
			return "", fmt.Errorf("making the opaque access token: %w", err)
		}
		s.observe("opaque_access_token")
		return raw, nil
	}
	key, err := s.SigningKey(ctx, r.until.Sub(r.now), r.now)
	if err != nil {
		return "", err
	}
	raw, err := token.Mint(key, "at+jwt", claims)
	if err != nil {
		return "", fmt.Errorf("minting the access token: %w", err)
	}
	s.observe("access_token")
	return raw, nil
}

func (s *Service) claimsOf(r accessRequest, terms Terms) token.Claims {
	return token.Claims{
		Issuer:   s.Issuer,
		Subject:  r.grant.Subject,
		Audience: r.audienceOfToken(),
		IssuedAt: r.now,
		Expiry:   r.until,
		ID:       rand.Text(),
		ClientID: r.grant.ClientID,
		Project:  r.grant.Project,
		Session:  r.grant.ID,
		Scopes:   r.scopes,
		Extra:    terms.Claims,
		Protocol: protocolClaims(r),
	}
}

func (r accessRequest) audienceOfToken() []string {
	if r.audience != nil {
		return r.audience
	}
	return r.grant.Audience
}

// protocolClaims are the claims that no configuration may set: the epoch, what the token is bound to
// (RFC 9449, section 6.1; RFC 8705, section 3.1), and how and when the person signed in (RFC 9068,
// section 2.2.1).
func protocolClaims(r accessRequest) map[string]any {
	claims := map[string]any{"epoch": r.epoch}
	if cnf := token.Confirmation(cmp.Or(r.jkt, r.grant.JKT), cmp.Or(r.x5t, r.grant.X5T)); cnf != nil {
		claims["cnf"] = cnf
	}
	if r.actor != nil {
		claims["act"] = r.actor
	}
	if r.grant.AuthTime.IsZero() {
		return claims
	}
	claims["auth_time"] = r.grant.AuthTime.Unix()
	if r.grant.ACR != "" {
		claims["acr"] = r.grant.ACR
	}
	if len(r.grant.AMR) > 0 {
		claims["amr"] = r.grant.AMR
	}
	return claims
}

// renewAttempts is how often an access token is made anew because claims were changed at the same
// moment.
const renewAttempts = 2

// settle returns an access token that was made for a session, or another one where claims were
// changed meanwhile: the token would be denied with those from before. The other one has the epoch
// that the change has written into the grant.
func (s *Service) settle(ctx context.Context, raw string, r accessRequest) (string, error) {
	for range renewAttempts {
		if r.grant.ID == "" || !s.denies(r) {
			return raw, nil
		}
		standing, err := s.Store.FindGrant(ctx, r.grant.ID)
		if err != nil || !standing.Revoked.IsZero() || standing.Epoch <= r.epoch {
			return raw, nil // the session has ended, and the token with it
		}
		r.grant, r.epoch = standing, standing.Epoch
		if raw, err = s.mintAnew(ctx, r); err != nil {
			return "", err
		}
	}
	return raw, nil
}

// mintAnew reads the terms again and makes an access token on them.
func (s *Service) mintAnew(ctx context.Context, r accessRequest) (string, error) {
	terms, err := s.Terms(ctx, r.grant)
	if err != nil {
		return "", err
	}
	return s.mint(ctx, r, terms)
}

// denies reports whether an access token that was made so is known to be denied.
func (s *Service) denies(r accessRequest) bool {
	list := s.Sessions.DenyList
	return list != nil && list.Denied(s.revocable(r.grant, r.epoch)) != ""
}

// revocable is what a revocation could have ended of a grant whose tokens have the epoch.
func (s *Service) revocable(g session.Grant, epoch int64) revocation.Subject {
	return revocation.Subject{
		Issuer:   s.Issuer,
		Family:   g.ID,
		Project:  g.Project,
		Subject:  g.Subject,
		ClientID: g.ClientID,
		Epoch:    epoch,
	}
}

// Again makes another access token for a session, without using its refresh token. The error is a
// *session.Refusal when the session has ended.
func (s *Service) Again(ctx context.Context, refresh string, lifetime time.Duration, now time.Time) (string, error) {
	p, err := s.Sessions.Present(ctx, refresh)
	if err != nil {
		return "", err
	}
	if !p.Grant.Revoked.IsZero() {
		return "", &session.Refusal{Verdict: session.Ended, Grant: p.Grant}
	}
	r := accessRequest{grant: p.Grant, scopes: p.Grant.Scopes, epoch: p.Grant.Epoch, now: now, until: now.Add(lifetime)}
	raw, err := s.mintAnew(ctx, r)
	if err != nil {
		return "", err
	}
	return s.settle(ctx, raw, r)
}

// Mint makes an access token without a session, for an operator: for grant's Project, Subject,
// ClientID and Audience. The error is a *session.Refusal (NotAllowed) when nothing may be issued to
// them.
func (s *Service) Mint(ctx context.Context, g session.Grant, lifetime time.Duration, now time.Time) (string, error) {
	name, err := identity.CanonicalName(g.Subject)
	if err != nil {
		return "", notAllowed(g)
	}
	p, err := s.Store.FindParties(ctx, g.Project, g.ClientID, name)
	if err != nil {
		return "", err
	}
	terms, err := s.termsOf(p, g)
	if err != nil {
		return "", err
	}
	return s.mint(ctx, accessRequest{grant: g, epoch: p.Epoch, now: now, until: now.Add(lifetime)}, terms)
}
