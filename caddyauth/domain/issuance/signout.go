package issuance

import (
	"context"
	"errors"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// signOutTimeout bounds how long a sign-out goes on for a client that has gone.
const signOutTimeout = 10 * time.Second

// SignOut ends the sessions of a browser's tokens, for everybody who holds a copy, and reports whether
// there was one to end. Tokens that are not of one of our sessions are ignored. Of a session at an
// application on another host the sign-in ends that it was begun under, with the sessions at all
// applications. Where the project has revoke_all_on_logout, all sessions of the person end.
//
// It goes on when ctx is canceled: a person who closes the window after signing out is signed out.
func (s *Service) SignOut(ctx context.Context, accesses, refreshes []string, now time.Time) (ended bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), signOutTimeout)
	defer cancel()
	for _, access := range accesses {
		one, err := s.signOut(ctx, access, "", now)
		if err != nil {
			return ended, err
		}
		ended = ended || one
	}
	for _, refresh := range refreshes {
		one, err := s.signOut(ctx, "", refresh, now)
		if err != nil {
			return ended, err
		}
		ended = ended || one
	}
	return ended, nil
}

// signOut is SignOut for either of two tokens; the other one is empty.
func (s *Service) signOut(ctx context.Context, access, refresh string, now time.Time) (ended bool, err error) {
	if all, err := s.endAll(ctx, access, refresh, now); all || err != nil {
		return all, err
	}
	if t, err := s.Verify(ctx, access); access != "" && err == nil && isSession(t) {
		if t.Session != "" {
			return s.endSignIn(ctx, t, now)
		}
		good := t.CheckTime(now, 0) == nil && s.Revoked(t, now) == nil
		return good, s.Sessions.RevokeToken(ctx, t.Issuer(), t.ID, t.Expiry.Time(), now)
	}
	if refresh == "" {
		return false, nil
	}
	g, err := s.Sessions.Find(ctx, refresh)
	if _, refused := errors.AsType[*session.Refusal](err); refused || err == nil && !clients.IsBuiltIn(g.ClientID) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return s.endNewest(ctx, g, now)
}

// endSignIn ends the session of an access token, or the newest sign-in that it stands under.
func (s *Service) endSignIn(ctx context.Context, t *token.Token, now time.Time) (ended bool, err error) {
	g, err := s.Store.FindGrant(ctx, t.Session)
	if errors.Is(err, session.ErrNoGrant) {
		g = session.Grant{ID: t.Session}
	} else if err != nil {
		return false, err
	}
	return s.endNewest(ctx, g, now)
}

// maxLevels is how many grants stand above each other: that of an application, the sign-in that it was
// begun under, and the newest sign-in of the browser, which took that over; and one, in case another
// takes over that meanwhile.
const maxLevels = 4

// endNewest ends the newest sign-in that a grant stands under, with all that does; the grant itself
// where it stands under none. It reports whether any of them was alive.
func (s *Service) endNewest(ctx context.Context, g session.Grant, now time.Time) (ended bool, err error) {
	ended = g.Lives(now)
	for range maxLevels {
		if g.Parent == "" {
			break
		}
		above, err := s.Store.FindGrant(ctx, g.Parent)
		if errors.Is(err, session.ErrNoGrant) {
			break
		}
		if err != nil {
			return false, err
		}
		g, ended = above, ended || above.Lives(now)
	}
	return ended, s.Sessions.RevokeFamily(ctx, g.ID, "logout", now)
}

// endAll ends all sessions of the person whose living session it is, where the project has
// revoke_all_on_logout. An access token that has expired still says which session it is.
func (s *Service) endAll(ctx context.Context, access, refresh string, now time.Time) (all bool, err error) {
	g, err := s.living(ctx, access, refresh, now)
	if err != nil {
		return false, nil // what the store could not say it cannot do either: ending the one session tells
	}
	p, err := s.Store.FindProject(ctx, g.Project)
	if errors.Is(err, project.ErrNoProject) || err == nil && !p.RevocationOptions.Over(s.Revocation).OnLogout() {
		return false, nil
	}
	if err == nil {
		_, err = s.Sessions.RevokeAll(ctx, revocation.Revocation{
			Kind:    revocation.UserKind,
			Project: g.Project,
			ID:      g.Subject,
			Reason:  "logout",
		}, now)
	}
	return err == nil, err
}

// isSession reports whether an access token is of one of our sessions. What a client got for it in
// exchange names the session, too.
func isSession(t *token.Token) bool { return t.Own() && clients.IsBuiltIn(t.ClientID) }

// errNotLiving says that a token is of no living session that began with a sign-in.
var errNotLiving = errors.New("no living session")

// living returns the living session of the access token, or else of the refresh token.
func (s *Service) living(ctx context.Context, access, refresh string, now time.Time) (session.Grant, error) {
	g, err := s.Sessions.Find(ctx, refresh)
	if t, bad := s.Verify(ctx, access); access != "" && bad == nil && isSession(t) {
		g, err = s.Store.FindGrant(ctx, t.Session)
		if t.Session == "" && t.CheckTime(now, 0) == nil && s.Revoked(t, now) == nil {
			g, err = session.Grant{
				Project:  t.Project,
				Subject:  t.Subject,
				ClientID: t.ClientID,
				IdleEnds: t.Expiry.Time(),
			}, nil
		}
	}
	if err == nil && (!clients.IsBuiltIn(g.ClientID) || !g.Lives(now)) {
		err = errNotLiving
	}
	return g, err
}

// CurrentSession returns the living session of either of a browser's tokens, which began with a
// sign-in; an empty grant if there is none. An error is the store's.
func (s *Service) CurrentSession(ctx context.Context, access, refresh string, now time.Time) (session.Grant, error) {
	g, err := s.living(ctx, access, refresh, now)
	_, refused := errors.AsType[*session.Refusal](err)
	if refused || errors.Is(err, errNotLiving) || errors.Is(err, session.ErrNoGrant) {
		return session.Grant{}, nil
	}
	return g, err
}

// SessionOwner returns the user whose live session a refresh token belongs to; "" if there is
// no such session.
func (s *Service) SessionOwner(ctx context.Context, refresh string, now time.Time) string {
	g, err := s.living(ctx, "", refresh, now)
	if err != nil {
		return ""
	}
	return g.Subject
}
