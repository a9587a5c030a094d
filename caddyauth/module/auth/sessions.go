package auth

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// issuance wires what decides about tokens and makes them.
func (a *App) issuance() *issuance.Service {
	return &issuance.Service{
		Issuer:       a.issuer,
		Lifetimes:    a.server.Lifetimes,
		Limits:       a.server.Limits,
		TokenOptions: a.server.TokenOptions,
		Revocation:   a.server.Revocation,
		Store:        a.store,
		Sessions:     a.grants,
		SigningKey:   a.signingKey,
		Opaque:       func(ctx context.Context, c token.Claims) (string, error) { return a.opaque.Issue(ctx, c) },
		Verify:       func(ctx context.Context, raw string) (*token.Token, error) { return a.verify(ctx, raw) },
		Revoked:      a.revoked,
		Observe:      func(kind string) { issuedTotal.WithLabelValues(kind).Inc() },
	}
}

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

// revoked asks the deny list, which is in memory, and how old it may be.
func (a *App) revoked(t *token.Token, now time.Time) error {
	if err := a.denied(t); err != nil || a.store.watch.Stale(now) <= a.staleness {
		return err
	}
	// A request may come a moment before Start has read the list for the first time.
	if a.ready(a.ctx) != nil || a.store.watch.Stale(now) > a.staleness {
		return &token.Refusal{
			Reason: gate.RevocationNotChecked,
			Detail: "the store has not been reached for longer than revocation_staleness",
		}
	}
	return a.denied(t)
}

// denied asks the deny list, unless nothing was added to it since it was asked about this very
// token.
func (a *App) denied(t *token.Token) error {
	version := a.store.denied.Version() // before the list is asked: what is added meanwhile is asked about next time
	if t.RevocationVersion().Load() == version {
		return nil
	}
	if kind := a.store.denied.Denied(t.RevocationSubject()); kind != "" {
		return &token.Refusal{Reason: token.Revoked, Detail: "revoked with its " + string(kind)}
	}
	t.RevocationVersion().Store(version)
	return nil
}

// pollGrace is how old the list may be while all is well: it is read every half second, and a
// reading may take a moment.
const pollGrace = 2 * time.Second

// session returns the token of a living session cookie.
func (a *App) session(ctx context.Context, raw string) (*token.Token, error) {
	t, err := a.verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	if !t.Own() || !t.HasAudience("web") {
		return nil, errors.New("the cookie is no session of this server")
	}
	now := time.Now()
	if err := t.CheckTime(now, 0); err != nil {
		return nil, err
	}
	return t, a.revoked(t, now)
}
