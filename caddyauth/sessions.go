package caddyauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/gate"
	"github.com/caddyauth/gateway/caddyauth/identity"
	"github.com/caddyauth/gateway/caddyauth/keyring"
	"github.com/caddyauth/gateway/caddyauth/login"
	"github.com/caddyauth/gateway/caddyauth/session"
	"github.com/caddyauth/gateway/caddyauth/token"
)

// The kinds of grants that begin at the login routes.
const (
	browserGrant = "browser"
	apiGrant     = "api"
)

// openSessions wires the session room; secret makes its refresh tokens.
func (a *App) openSessions(secret *keyring.SecretRing) {
	var tokens session.Tokens
	for _, key := range secret.Derive(session.TokenLabel) {
		tokens.Secrets = append(tokens.Secrets, session.Secret(key))
	}
	a.grants = &session.Service{
		Store: a.store, Tokens: tokens, DenyList: &a.store.denied, MayIssue: a.mayIssue, AccessLifetime: a.accessLifetime, Alert: a.alert,
	}
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
	a.logger.Warn(text, zap.String("session", g.ID), zap.String("user_id", g.Subject), zap.String("project", g.Project), zap.String("client_id", g.ClientID))
}

// issue begins a session for a person who has proved who they are.
func (a *App) issue(ctx context.Context, req login.IssueRequest) (login.Issued, error) {
	kind := apiGrant
	if req.Kind == login.KindLogin {
		kind = browserGrant
	}
	t, err := a.tenancy(ctx, req.Project, firstPartyClient)
	if err != nil {
		return login.Issued{}, err
	}
	lifetimes := t.lifetimes
	if lifetimes.Refresh == 0 {
		return a.issueOnce(ctx, req, lifetimes.Access)
	}
	begun, err := a.grants.Begin(ctx, session.Opening{
		Project: req.Project, Subject: req.User.Name, ClientID: firstPartyClient, Kind: kind, Audience: []string{req.Audience},
		Device: req.Device, ClientIP: req.ClientIP, Idle: lifetimes.Refresh, Absolute: lifetimes.RefreshAbsolute,
		Reuse: a.Lifetimes.reuse(kind), Epoch: req.Epoch,
	}, req.Now)
	if err != nil {
		return login.Issued{}, err
	}
	return a.issued(ctx, begun, req.Now)
}

// issueOnce issues an access token and nothing to renew it with.
func (a *App) issueOnce(ctx context.Context, req login.IssueRequest, lifetime time.Duration) (login.Issued, error) {
	once := session.Issued{Epoch: req.Epoch, AccessUntil: req.Now.Add(lifetime), Grant: session.Grant{
		Project: req.Project, Subject: req.User.Name, ClientID: firstPartyClient, Audience: []string{req.Audience},
	}}
	raw, err := a.mint(ctx, req.User, once, req.Now)
	if err != nil {
		return login.Issued{}, err
	}
	issuedTotal.WithLabelValues("access_token").Inc()
	return login.Issued{AccessToken: raw, ExpiresIn: lifetime}, nil
}

// issued mints the access token that goes with a grant's refresh token.
func (a *App) issued(ctx context.Context, i session.Issued, now time.Time) (login.Issued, error) {
	user, err := a.owner(ctx, i.Grant)
	if err != nil {
		return login.Issued{}, err
	}
	raw, err := a.mint(ctx, user, i, now)
	if err != nil {
		return login.Issued{}, err
	}
	issuedTotal.WithLabelValues("access_token").Inc()
	issuedTotal.WithLabelValues("refresh_token").Inc()
	return login.Issued{
		AccessToken: raw, ExpiresIn: i.AccessUntil.Sub(now).Round(time.Second), RefreshToken: i.RefreshToken,
		RefreshExpiresIn: i.Grant.IdleEnds.Sub(now).Round(time.Second),
	}, nil
}

func (a *App) mint(ctx context.Context, user *identity.User, i session.Issued, now time.Time) (string, error) {
	ring, err := a.ownRing(ctx)
	if err != nil {
		return "", err
	}
	if ring.Active() == nil {
		return "", keyring.ErrCannotSign
	}
	g := i.Grant
	raw, err := token.Mint(ring.Active(), "at+jwt", token.Claims{
		Issuer: a.issuer, Subject: g.Subject, Audience: g.Audience, IssuedAt: now, Expiry: i.AccessUntil, ID: rand.Text(), ClientID: g.ClientID,
		Project: g.Project, Session: g.ID, Scopes: g.Scopes, Extra: user.Claims, Protocol: map[string]any{"epoch": i.Epoch},
	})
	if err != nil {
		return "", fmt.Errorf("minting the access token: %w", err)
	}
	return raw, nil
}

// bearerKey is what a token remembers its side of the deny list under.
var bearerKey = new(int)

// revoked asks the deny list, which is in memory, and how old it may be.
func (a *App) revoked(t *token.Token, now time.Time) error {
	if kind := a.store.denied.Denied(*t.Memo(bearerKey, bearerOf).(*session.Bearer)); kind != "" {
		return &token.Refusal{Reason: token.Revoked, Detail: "revoked with its " + string(kind)}
	}
	if a.store.watch.Stale(now) > a.staleness {
		return &token.Refusal{Reason: gate.RevocationNotChecked, Detail: "the store has not been reached for longer than revocation_staleness"}
	}
	return nil
}

func bearerOf(t *token.Token) any {
	b := &session.Bearer{
		Issuer: t.Issuer, TokenID: t.ID, Family: t.Session, Project: t.Project, Subject: t.Subject, ClientID: t.ClientID, Foreign: !t.Own(),
	}
	if epoch, ok := t.Claim("epoch"); ok {
		digits, _ := epoch.(token.Number)
		b.Epoch, _ = strconv.ParseInt(string(digits), 10, 64)
	}
	return b
}

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

// endSession ends the session of either cookie, for everybody who holds a copy. What is no session of ours is none to end.
func (a *App) endSession(ctx context.Context, access, refresh string) error {
	now := time.Now()
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
