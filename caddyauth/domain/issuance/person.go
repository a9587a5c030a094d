package issuance

import (
	"context"
	"errors"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/openid"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// accessClaims are the claims of the user that an access token of the client carries: all of them
// for browsers and the server's own login routes, and otherwise those that a gate asks for or that
// the client's configuration names. What a client may know of a person it learns from ID token and
// /userinfo.
func (s *Service) accessClaims(user map[string]any, c clients.Client) map[string]any {
	if clients.IsBuiltIn(c.ID) {
		return mergeClaims(user, c.Claims)
	}
	carried := make(map[string]any, len(user))
	for name, value := range user {
		_, named := c.Claims[name]
		if named || s.Announced != nil && s.Announced(name) {
			carried[name] = value
		}
	}
	return mergeClaims(carried, c.Claims)
}

// learns are the claims that the client asks for by the parameter `claims` and may learn: single
// ones of the scopes that it may have.
func (s *Service) learns(c clients.Client, g session.Grant, member string) []string {
	requested := openid.Requested(g.ClaimsRequest, member)
	if len(requested) == 0 {
		return nil
	}
	may := s.Scopes.Claims(c.Scopes...)
	return slices.DeleteFunc(requested, func(name string) bool { return !slices.Contains(may, name) })
}

// personOf is what is known of a user.
func personOf(u *identity.User) openid.Person {
	return openid.Person{Name: u.Name, Changed: u.Changed, Claims: u.Claims}
}

// UserInfo returns the claims of /userinfo for an access token that was verified: those of the scopes
// of the token, and those that the authorization asked for, as far as the client may still have them.
// The error is ErrScope when the token lacks the scope openid, a *session.Refusal when the grant has
// ended or nothing may be issued any more, or the store's.
func (s *Service) UserInfo(ctx context.Context, t *token.Token) (map[string]any, error) {
	if !slices.Contains(t.Scopes, openid.OpenID) {
		return nil, ErrScope
	}
	g := session.Grant{Project: t.Project, Subject: t.Subject, ClientID: t.ClientID}
	if t.Session != "" {
		standing, err := s.Store.FindGrant(ctx, t.Session)
		switch {
		case errors.Is(err, session.ErrNoGrant) || err == nil && !standing.Revoked.IsZero():
			return nil, &session.Refusal{Verdict: session.Ended, Grant: standing}
		case err != nil:
			return nil, err
		}
		g = standing
	}
	p, err := s.partiesOf(ctx, g)
	if err != nil {
		return nil, err
	}
	names := append(s.Scopes.Claims(p.Client.KeepsScopes(t.Scopes)...), s.learns(p.Client, g, openid.InUserInfo)...)
	told := personOf(p.User).Tell(names)
	told["sub"] = p.User.Name
	return told, nil
}

// partiesOf reads whom a grant is for. The error is a *session.Refusal (NotAllowed) when nothing may
// be issued to them.
func (s *Service) partiesOf(ctx context.Context, g session.Grant) (Parties, error) {
	p, _, err := s.allowed(ctx, g)
	return p, err
}
