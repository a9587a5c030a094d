package issuance

import (
	"context"
	"errors"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// older returns the sign-ins of the same person that the browser has tokens of, whether they live or
// not, and ends those of others, as signing out does. They end before the new one begins: where the
// store cannot end them, nobody signs in.
func (s *Service) older(ctx context.Context, in SignIn, begun session.Grant) ([]string, error) {
	var own, seen []string
	same := func(project, subject string) bool { return project == begun.Project && subject == begun.Subject }
	for _, raw := range in.OlderAccess {
		t, err := s.Verify(ctx, raw)
		if err != nil || !t.Own() || t.ClientID != clients.FirstParty {
			continue
		}
		switch seen = append(seen, t.Session); {
		case !same(t.Project, t.Subject) && t.Session == "":
			err = s.Sessions.RevokeToken(ctx, t.Issuer(), t.ID, t.Expiry.Time(), in.Now)
		case !same(t.Project, t.Subject):
			_, err = s.endSignIn(ctx, t, in.Now)
		case t.Session != "":
			own = append(own, t.Session)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, raw := range in.OlderRefresh {
		if r, ok := session.ReadToken(raw); !ok || slices.Contains(seen, r.Family) {
			continue
		}
		g, err := s.Sessions.Find(ctx, raw)
		_, refused := errors.AsType[*session.Refusal](err)
		switch {
		case refused:
			continue
		case err != nil:
		case g.ClientID != clients.FirstParty:
		case same(g.Project, g.Subject):
			own = append(own, g.ID)
		default:
			_, err = s.endNewest(ctx, g, in.Now)
		}
		if err != nil {
			return nil, err
		}
	}
	return own, nil
}
