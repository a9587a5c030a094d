package session

import (
	"context"
	"errors"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

// RevokedByClient is the reason of a grant that its own client ended, which needs no notice of it.
const RevokedByClient = "revoked by its client"

// Revoke ends the grant of a refresh token (RFC 7009 section 2.1). Any genuine token of the family
// does, an older one too. A token that is not ours is no error, because nothing is left to revoke.
// The only *Refusal is OtherClient: the token was not issued to clientID, and nothing changed.
func (s *Service) Revoke(ctx context.Context, token, clientID, reason string, now time.Time) error {
	_, g, err := s.read(ctx, token)
	if _, refused := errors.AsType[*Refusal](err); refused {
		return nil
	}
	if err != nil {
		return err
	}
	if g.ClientID != clientID {
		return &Refusal{Verdict: OtherClient, Grant: g}
	}
	return s.RevokeFamily(ctx, g.ID, reason, now)
}

// RevokeFamily ends the grant and what was granted under it, and denies their access tokens. A grant that does not
// exist or has
// ended is no error.
func (s *Service) RevokeFamily(ctx context.Context, id, reason string, now time.Time) error {
	denials, err := s.Store.RevokeGrant(ctx, id, reason, truncateMillis(now))
	if err == nil {
		s.deny(denials...)
	}
	return err
}

// RevokeAll carries out a revocation and returns how many grants it ended.
func (s *Service) RevokeAll(ctx context.Context, r revocation.Revocation, now time.Time) (int, error) {
	if err := r.Validate(); err != nil {
		return 0, err
	}
	now = truncateMillis(now)
	if r.Until.IsZero() {
		r.Until = now.Add(revocation.LongestAccess)
	}
	n, d, err := s.Store.RevokeAll(ctx, r, now)
	if err == nil {
		s.deny(d)
	}
	return n, err
}

// RevokeToken denies one token until it expires.
func (s *Service) RevokeToken(ctx context.Context, issuer, id string, until, now time.Time) error {
	if id == "" {
		return errors.New("a token without jti cannot be revoked by itself")
	}
	d, err := s.Store.RevokeToken(ctx, issuer, id, until, truncateMillis(now))
	if err == nil {
		s.deny(d)
	}
	return err
}
