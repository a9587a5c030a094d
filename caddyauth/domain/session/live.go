package session

import (
	"context"
	"errors"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

// Lives reports whether the grant was neither ended nor has come to its end, by its row alone.
func (g Grant) Lives(now time.Time) bool { return g.Revoked.IsZero() && now.Before(g.IdleEnds) }

// Live returns the grant of a refresh token that clientID could use at now, and uses nothing. The
// error is a *Refusal unless it is the store's.
func (s *Service) Live(ctx context.Context, token, clientID string, now time.Time) (Grant, error) {
	p, err := s.Present(ctx, token)
	if err != nil {
		return Grant{}, err
	}
	if verdict := p.Likely(clientID, now); !verdict.Honoured() {
		return Grant{}, &Refusal{Verdict: verdict, Grant: p.Grant}
	}
	over, err := s.overtaken(ctx, p.Grant, now)
	if err == nil && over {
		err = &Refusal{Verdict: Ended, Grant: p.Grant}
	}
	return p.Grant, err
}

// LiveOf returns the chosen grants that live at now, at most f.Limit of them. The error is the store's.
func (s *Service) LiveOf(ctx context.Context, f Filter, now time.Time) ([]Grant, error) {
	f.LiveAt = now
	grants, err := s.Store.ListGrants(ctx, f)
	if err != nil {
		return nil, err
	}
	var live []Grant
	for _, g := range grants {
		over, err := s.overtaken(ctx, g, now)
		if err != nil {
			return nil, err
		}
		if !over && now.Before(g.Ends) {
			live = append(live, g)
		}
	}
	return live, nil
}

// overtaken reports whether the grant was ended by what does not stand in its row yet: a revocation
// of its owner that was being carried out while it began, or the end of the session that it was
// given under.
func (s *Service) overtaken(ctx context.Context, g Grant, now time.Time) (bool, error) {
	if s.DenyList != nil && s.DenyList.Denied(revocation.Subject{
		Family:   g.ID,
		Project:  g.Project,
		Subject:  g.Subject,
		ClientID: g.ClientID,
		Epoch:    g.Epoch,
	}) != "" {
		return true, nil
	}
	if g.Parent == "" {
		return false, nil
	}
	parent, err := s.Store.FindGrant(ctx, g.Parent)
	if errors.Is(err, ErrNoGrant) {
		return true, nil
	}
	return !parent.Lives(now), err
}
