package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

// The kinds of grants that begin at the login routes.
const (
	browserGrant = "browser"
	apiGrant     = "api"
)

// openSessions gives the sessions what makes their refresh tokens, and clients what makes their opaque tokens.
func (a *App) openSessions(secret *keyring.SecretRing) {
	a.grants.Tokens = session.Tokens{}
	for _, key := range secret.Derive(session.TokenLabel) {
		a.grants.Tokens.Secrets = append(a.grants.Tokens.Secrets, session.Secret(key))
	}
	a.openOpaque(secret)
}

// mayIssue is asked before anything is issued: the owner must still exist and be active, and so must client and project.
func (a *App) mayIssue(ctx context.Context, g session.Grant) (bool, error) {
	t, err := a.tenancy(ctx, g.Project, g.ClientID)
	if err != nil || !t.active() {
		return false, err
	}
	user, err := a.owner(ctx, g)
	if errors.Is(err, identity.ErrNoUser) {
		return false, nil
	}
	return err == nil && !user.Disabled && user.Name == g.Subject, err
}

// renewHash brings the hash of a user who has just signed in to the kind that new hashes have. What keeps it from that does not keep them
// from signing in: the next time does it.
func (a *App) renewHash(ctx context.Context, user *identity.User, password string) {
	hash, err := a.passwords.Renew(ctx, user, password)
	if err == nil && hash != "" {
		err = a.store.RenewHash(ctx, user.ID, user.PasswordHash, hash)
	}
	if err != nil && !errors.Is(err, identity.ErrBusy) && ctx.Err() == nil {
		a.logger.Warn("a password hash could not be renewed", zap.String("user_id", user.Name), zap.String("project", user.Project), zap.Error(err))
	}
}

// owner returns the user a grant belongs to.
func (a *App) owner(ctx context.Context, g session.Grant) (*identity.User, error) {
	name, err := identity.CanonicalName(g.Subject)
	if err != nil {
		return nil, identity.ErrNoUser
	}
	return a.store.FindUser(ctx, g.Project, name)
}

// alert tells the operator of refresh tokens that should not exist.
func (a *App) alert(_ context.Context, verdict session.Verdict, g session.Grant) {
	text := "a used refresh token was presented again: the session was ended, its token may have been stolen"
	if verdict == session.Future {
		text = "a refresh token from the future was presented: the database has lost commits"
	}
	refreshAlerts.WithLabelValues(string(verdict)).Inc()
	a.logger.Warn(text, zap.String("session", g.ID), zap.String("user_id", g.Subject), zap.String("project", g.Project), zap.String("client_id", g.ClientID))
}

// issue begins a session for a person who has proved who they are.
func (a *App) issue(ctx context.Context, req login.IssueRequest) (login.Issued, error) {
	kind, reuse := apiGrant, time.Duration(0)
	if req.Kind == login.KindLogin {
		kind, reuse = browserGrant, project.DefaultBrowserReuse
	}
	t, err := a.tenancy(ctx, req.Project, firstPartyClient)
	if err != nil {
		return login.Issued{}, err
	}
	if words := t.project.Audiences; len(words) > 0 && !slices.Contains(words, req.Audience) {
		return login.Issued{}, fmt.Errorf("project %q, audience %q: %w", req.Project, req.Audience, login.ErrAudience)
	}
	lifetimes := t.lifetimes
	if lifetimes.Refresh == 0 {
		return a.issueOnce(ctx, req, lifetimes.Access)
	}
	begun, err := a.grants.Begin(ctx, session.GrantRequest{
		Project: req.Project, Subject: req.User.Name, ClientID: firstPartyClient, Kind: kind, Audience: []string{req.Audience},
		Device: req.Device, ClientIP: req.ClientIP, Idle: lifetimes.Refresh, Absolute: lifetimes.RefreshAbsolute,
		Reuse: t.tokens.Reuse(reuse), Fixed: t.tokens.RefreshRotation == project.Off, Epoch: req.Epoch,
	}, req.Now)
	if err != nil {
		return login.Issued{}, err
	}
	raw, err := a.accessTo(ctx, begun)
	if err != nil {
		return login.Issued{}, err
	}
	return issued(begun, raw, req.Now), nil
}

// issueOnce issues an access token and nothing to renew it with.
func (a *App) issueOnce(ctx context.Context, req login.IssueRequest, lifetime time.Duration) (login.Issued, error) {
	grant := session.Grant{Project: req.Project, Subject: req.User.Name, ClientID: firstPartyClient, Audience: []string{req.Audience}}
	raw, err := a.issueAccess(ctx, grant, nil, req.Epoch, req.Now, req.Now.Add(lifetime))
	return login.Issued{AccessToken: raw, ExpiresIn: lifetime}, err
}

// accessTo makes the access token that goes with a grant's refresh token.
func (a *App) accessTo(ctx context.Context, i session.Issued) (string, error) {
	return a.issueAccess(ctx, i.Grant, i.Grant.Scopes, i.Epoch, i.Now, i.AccessUntil)
}

// issued is what goes out with both tokens.
func issued(i session.Issued, raw string, now time.Time) login.Issued {
	issuedTotal.WithLabelValues("refresh_token").Inc()
	return login.Issued{
		AccessToken: raw, ExpiresIn: i.AccessUntil.Sub(now).Round(time.Second), RefreshToken: i.RefreshToken,
		RefreshExpiresIn: i.Grant.IdleEnds.Sub(now).Round(time.Second),
	}
}

// revoked asks the deny list, which is in memory, and how old it may be.
func (a *App) revoked(t *token.Token, now time.Time) error {
	if err := a.denied(t); err != nil || a.store.watch.Stale(now) <= a.staleness {
		return err
	}
	// A request may come a moment before Start has read the list for the first time.
	if a.ready(a.ctx) != nil || a.store.watch.Stale(now) > a.staleness {
		return &token.Refusal{Reason: gate.RevocationNotChecked, Detail: "the store has not been reached for longer than revocation_staleness"}
	}
	return a.denied(t)
}

// denied asks the deny list, unless nothing was added to it since it was asked about this very token.
func (a *App) denied(t *token.Token) error {
	version := a.store.denied.Version() // before the list is asked: what is added meanwhile is asked about next time
	if t.Stamp().Load() == version {
		return nil
	}
	if kind := a.store.denied.Denied(t.RevocationSubject()); kind != "" {
		return &token.Refusal{Reason: token.Revoked, Detail: "revoked with its " + string(kind)}
	}
	t.Stamp().Store(version)
	return nil
}

// pollGrace is how old the list may be while all is well: it is read every half second, and a reading may take a moment.
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

// sessionOwner says whose living session a refresh token is.
func (a *App) sessionOwner(ctx context.Context, refresh string) string {
	g, err := a.grants.Find(ctx, refresh)
	if err != nil || g.ClientID != firstPartyClient || !g.Revoked.IsZero() || !time.Now().Before(g.IdleEnds) {
		return ""
	}
	return g.Subject
}

// endSession ends the session of either cookie, for everybody who holds a copy. What is no session of ours is none to end.
func (a *App) endSession(ctx context.Context, access, refresh string) error {
	now := time.Now()
	if all, err := a.endAll(ctx, access, refresh, now); all || err != nil {
		return err
	}
	if t, err := a.verify(ctx, access); access != "" && err == nil && t.Own() {
		if t.Session != "" {
			return a.grants.RevokeFamily(ctx, t.Session, "logout", now)
		}
		return a.grants.RevokeToken(ctx, t.Issuer, t.ID, t.Expiry, now)
	}
	if refresh == "" {
		return nil
	}
	err := a.grants.Revoke(ctx, refresh, firstPartyClient, "logout", now)
	if _, refused := errors.AsType[*session.Refusal](err); refused {
		return nil
	}
	return err
}

// endAll ends all sessions of the person whose living session it is, where revoke_all_on_logout says so. An access token that has
// expired still says which session it is.
func (a *App) endAll(ctx context.Context, access, refresh string, now time.Time) (all bool, err error) {
	g, err := a.grants.Find(ctx, refresh)
	if t, bad := a.verify(ctx, access); access != "" && bad == nil && t.Own() {
		if g, err = a.store.FindGrant(ctx, t.Session); t.Session == "" && t.CheckTime(now, 0) == nil && a.revoked(t, now) == nil {
			g, err = session.Grant{Project: t.Project, Subject: t.Subject, ClientID: firstPartyClient, IdleEnds: t.Expiry}, nil
		}
	}
	if err != nil || g.ClientID != firstPartyClient || !g.Revoked.IsZero() || !now.Before(g.IdleEnds) {
		return false, nil // what the store could not say it cannot do either: ending the one session tells
	}
	p, err := a.store.FindProject(ctx, g.Project)
	if errors.Is(err, project.ErrNoProject) || err == nil && !p.RevocationOptions.Over(a.serverRevocation()).OnLogout() {
		return false, nil
	}
	if err == nil {
		_, err = a.grants.RevokeAll(ctx, revocation.Revocation{Kind: revocation.UserKind, Project: g.Project, ID: g.Subject, Reason: "logout"}, now)
	}
	return err == nil, err
}
