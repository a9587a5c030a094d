package auth

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// openSessions gives the sessions what makes their refresh tokens, and clients what makes their
// opaque tokens.
func (a *App) openSessions(secret *keyring.SecretRing) {
	a.grants.Tokens = session.Tokens{}
	for _, key := range secret.Derive(session.TokenLabel) {
		a.grants.Tokens.Secrets = append(a.grants.Tokens.Secrets, session.Secret(key))
	}
	a.openOpaque(secret)
}

// renewHash brings the hash of a user who has just signed in to the kind that new hashes have. What
// keeps it from that does not keep them from signing in: the next time does it.
func (a *App) renewHash(ctx context.Context, user *identity.User, password string) {
	hash, err := a.passwords.Renew(ctx, user, password)
	if err == nil && hash != "" {
		err = a.store.RenewHash(ctx, user.ID, user.PasswordHash, hash)
	}
	if err != nil && !errors.Is(err, identity.ErrBusy) && ctx.Err() == nil {
		a.logger.Warn("a password hash could not be renewed",
			zap.String("user_id", user.Name), zap.String("project", user.Project), zap.Error(err))
	}
}

// alert tells the operator of refresh tokens that should not exist.
func (a *App) alert(_ context.Context, verdict session.Verdict, g session.Grant) {
	text := "a used refresh token was presented again: the session was ended, its token may have been stolen"
	if verdict == session.Future {
		text = "a refresh token from the future was presented: the database has lost commits"
	}
	refreshAlerts.WithLabelValues(string(verdict)).Inc()
	a.logger.Warn(text,
		zap.String("session", g.ID), zap.String("user_id", g.Subject),
		zap.String("project", g.Project), zap.String("client_id", g.ClientID))
}
