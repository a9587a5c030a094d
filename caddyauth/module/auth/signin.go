package auth

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

// checkHome refuses a home that no sign-in may lead to.
func checkHome(server *config.Server, pages *login.Server) error {
	switch {
	case server.Home == "":
		return nil
	case server.PublicURL == nil:
		return fmt.Errorf("home: the issuer %q is not a URL, so `public_url` must say where people sign in",
			server.Issuer)
	case !pages.LeadsTo(server.Home):
		return fmt.Errorf("home: %q is not an address that a sign-in may lead to: its origin must be the public "+
			"URL's or in `return_to`,"+
			" and it must not be a page for signing in or out", server.Home)
	}
	return nil
}

// secureCookie says whether cookies are sent over https alone: not on http loopback.
func secureCookie(server *config.Server) bool {
	return server.PublicURL == nil || server.PublicURL.Scheme == "https"
}

// hashes keeps password hashes up to date.
type hashes struct {
	passwords *identity.Passwords
	store     *pooledStore
	logger    *zap.Logger
}

// renew brings the hash of a user who has just signed in to the kind that new hashes have. What
// keeps it from that does not keep them from signing in: the next time does it.
func (h hashes) renew(ctx context.Context, user *identity.User, password string) {
	hash, err := h.passwords.Renew(ctx, user, password)
	if err == nil && hash != "" {
		err = h.store.RenewHash(ctx, user.ID, user.PasswordHash, hash)
	}
	if err != nil && !errors.Is(err, identity.ErrBusy) && ctx.Err() == nil {
		h.logger.Warn("a password hash could not be renewed",
			zap.String("user_id", user.Name), zap.String("project", user.Project), zap.Error(err))
	}
}
