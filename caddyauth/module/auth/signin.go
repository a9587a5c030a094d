package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
)

// findParties reads who signs in at the server's own login routes.
func (a *App) findParties(ctx context.Context, slug, name string) (issuance.Parties, error) {
	return a.store.FindParties(ctx, slug, clients.FirstParty, name)
}

func (a *App) endSession(ctx context.Context, access, refresh string) error {
	return a.issuing.SignOut(ctx, access, refresh, time.Now())
}

func (a *App) sessionOwner(ctx context.Context, refresh string) string {
	return a.issuing.SessionOwner(ctx, refresh, time.Now())
}

// homeIsTarget refuses a home that no sign-in may lead to.
func (a *App) homeIsTarget() error {
	switch {
	case a.server.Home == "":
		return nil
	case a.server.PublicURL == nil:
		return fmt.Errorf("home: the issuer %q is not a URL, so `public_url` must say where people sign in",
			a.server.Issuer)
	case !a.login.LeadsTo(a.server.Home):
		return fmt.Errorf("home: %q is not an address that a sign-in may lead to: its origin must be the public "+
			"URL's or in `return_to`,"+
			" and it must not be a page for signing in or out", a.server.Home)
	}
	return nil
}

// signedIn returns whose living session a cookie is, and since when its token stands.
func (a *App) signedIn(ctx context.Context, raw string) (string, time.Time, error) {
	t, err := a.verification.Session(ctx, raw)
	if err != nil {
		return "", time.Time{}, err
	}
	return t.Subject, t.IssuedAt.Time(), nil
}

// secureCookie says whether cookies are sent over https alone: not on http loopback.
func (a *App) secureCookie() bool {
	return a.server.PublicURL == nil || a.server.PublicURL.Scheme == "https"
}
