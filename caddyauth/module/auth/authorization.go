package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/oauth"
)

// authorizationServer wires the endpoints that programs use: /token, /revoke and /introspect.
func (a *App) authorizationServer() *oauth.Server {
	return &oauth.Server{
		Base: a.base, Sessions: a.grants, FindClient: a.store.FindClient, Issue: a.issueAccess, Verify: a.verify,
		Revoked:  func(t *token.Token) error { return a.revoked(t, time.Now()) },
		ClientIP: request.ClientIP, Observe: a.observeOAuth,
	}
}

// provisionOpaque wires the look-up of tokens that are references: our own, and those of issuers that are asked by introspection.
func (a *App) provisionOpaque(r resolver) error {
	remember := time.Minute
	if a.IntrospectionCache != nil {
		remember = time.Duration(*a.IntrospectionCache)
	}
	if remember == 0 {
		remember = -1 // the rooms' word for none
	}
	a.opaque = &opaque.Tokens{
		Store: a.store, Issuer: token.Issuer{Name: a.issuer, Own: true, MaxLifetime: a.ownMaxLifetime()}, Denied: &a.store.denied, CacheFor: remember,
	}
	for i := range a.Trust {
		foreign, err := a.Trust[i].foreign(r)
		if err != nil {
			return err
		}
		if foreign == nil {
			continue
		}
		foreign.CacheFor, foreign.Denied = remember, &a.store.denied
		a.foreign = append(a.foreign, foreign)
		a.release = append(a.release, func() error { foreign.Close(); return nil })
	}
	return nil
}

// openOpaque gives the opaque tokens what makes them.
func (a *App) openOpaque(secret *keyring.SecretRing) {
	a.opaque.Secrets = secret.Derive(opaque.Label)
}

// foreign returns the introspection endpoint of a trusted issuer; nil when it has none.
func (t *Trust) foreign(r resolver) (*opaque.IntrospectionClient, error) {
	if t.Introspection == nil {
		return nil, nil
	}
	name, err := r.text("trust", t.Issuer)
	if err != nil {
		return nil, err
	}
	endpoint, err := r.text("introspection", t.Introspection.URL)
	if err != nil {
		return nil, err
	}
	id, err := r.text("introspection", t.Introspection.ClientID)
	if err != nil {
		return nil, err
	}
	secret, err := r.text("introspection", t.Introspection.ClientSecret)
	if err != nil {
		return nil, err
	}
	foreign := &opaque.IntrospectionClient{
		Issuer: token.Issuer{Name: name, MaxLifetime: t.durations()[0].effective()}, Endpoint: endpoint, ClientID: id, ClientSecret: secret,
	}
	if err := foreign.Validate(); err != nil {
		return nil, fmt.Errorf("trust %s: %w", name, err)
	}
	return foreign, nil
}

// readBy gives the app its reader: JWTs go to jwt, references to our own store.
func (a *App) readBy(jwt func(context.Context, string) (*token.Token, error)) {
	a.verify = a.readsOwn(jwt)
}

// verifierFor is the reader of a gate: what is neither a JWT nor a reference of ours goes to the introspection endpoints of the issuers that
// the gate accepts. No other issuer is told of it.
func (a *App) verifierFor(g *gate.Gate) func(context.Context, string) (*token.Token, error) {
	var accepted []*opaque.IntrospectionClient
	for _, foreign := range a.foreign {
		if _, ok := g.Issuers[foreign.Issuer.Name]; ok {
			accepted = append(accepted, foreign)
		}
	}
	if len(accepted) == 0 {
		return a.verify
	}
	return func(ctx context.Context, raw string) (*token.Token, error) {
		if opaque.IsOwn(raw) || strings.Count(raw, ".") == 2 {
			return a.verify(ctx, raw)
		}
		return askForeign(ctx, accepted, raw)
	}
}

// askForeign asks issuers that have an endpoint. That one does not know a token says little while another cannot be asked.
func askForeign(ctx context.Context, issuers []*opaque.IntrospectionClient, raw string) (*token.Token, error) {
	var refusal error
	for _, foreign := range issuers {
		t, err := foreign.Verify(ctx, raw)
		if err == nil {
			return t, nil
		}
		if refusal == nil || gate.ReasonOf(err) == token.KeysUnavailable {
			refusal = err
		}
	}
	return nil, refusal
}

// readsOwn makes the reader of JWTs, of whatever issuer, and of our own references.
func (a *App) readsOwn(jwt func(context.Context, string) (*token.Token, error)) func(context.Context, string) (*token.Token, error) {
	return func(ctx context.Context, raw string) (*token.Token, error) {
		if !opaque.IsOwn(raw) {
			return jwt(ctx, raw)
		}
		if err := a.ready(ctx); err != nil { // the secret comes with the store
			return nil, fmt.Errorf("%w: %w", &token.Refusal{Reason: token.KeysUnavailable, Detail: "the server is starting"}, err)
		}
		return a.opaque.Verify(ctx, raw)
	}
}

// issueAttempts is how often an access token is made anew because claims were changed at the same moment.
const issueAttempts = 3

// issueAccess makes an access token of a grant, in the format of its client. Where claims were changed since the grant was used, the token
// would be denied with those from before: it is made again, with the epoch that the change has written into the grant.
func (a *App) issueAccess(ctx context.Context, g session.Grant, scopes []string, epoch int64, now, until time.Time) (string, error) {
	for attempt := 1; ; attempt++ {
		raw, err := a.mintAccess(ctx, g, scopes, epoch, now, until)
		if err != nil || g.ID == "" || attempt == issueAttempts || !a.overtaken(g, epoch) {
			return raw, err
		}
		standing, err := a.store.FindGrant(ctx, g.ID)
		if err != nil || !standing.Revoked.IsZero() || standing.Epoch <= epoch {
			return raw, nil // it was the session that ended, and the token with it
		}
		epoch = standing.Epoch
	}
}

// overtaken reports whether an order is known by which an access token with this epoch is denied.
func (a *App) overtaken(g session.Grant, epoch int64) bool {
	return a.store.denied.Denied(revocation.Subject{
		Issuer: a.issuer, Family: g.ID, Project: g.Project, Subject: g.Subject, ClientID: g.ClientID, Epoch: epoch,
	}) != ""
}

func (a *App) mintAccess(ctx context.Context, g session.Grant, scopes []string, epoch int64, now, until time.Time) (string, error) {
	t, err := a.tenancy(ctx, g.Project, g.ClientID)
	if err != nil {
		return "", err
	}
	user, err := a.owner(ctx, g)
	if errors.Is(err, identity.ErrNoUser) {
		return "", fmt.Errorf("the owner of session %s is gone", g.ID)
	}
	if err != nil {
		return "", err
	}
	claims := token.Claims{
		Issuer: a.issuer, Subject: g.Subject, Audience: g.Audience, IssuedAt: now, Expiry: until, ID: rand.Text(), ClientID: g.ClientID,
		Project: g.Project, Session: g.ID, Scopes: scopes, Extra: extraClaims(user, t.client), Protocol: map[string]any{"epoch": epoch},
	}
	if t.tokens.AccessTokenFormat == project.Opaque {
		issuedTotal.WithLabelValues("opaque_access_token").Inc()
		return a.opaque.Issue(ctx, claims)
	}
	key, err := a.signingKey(ctx, claims.Expiry.Sub(claims.IssuedAt), claims.IssuedAt)
	if err != nil {
		return "", err
	}
	raw, err := token.Mint(key, "at+jwt", claims)
	if err != nil {
		return "", fmt.Errorf("minting the access token: %w", err)
	}
	issuedTotal.WithLabelValues("access_token").Inc()
	return raw, nil
}

// extraClaims are the user's claims, and the client's where the user has none of that name.
func extraClaims(user *identity.User, client project.Client) map[string]any {
	if len(client.Claims) == 0 {
		return user.Claims
	}
	claims := make(map[string]any, len(user.Claims)+len(client.Claims))
	for name, value := range client.Claims {
		claims[name] = value
	}
	for name, value := range user.Claims {
		claims[name] = value
	}
	return claims
}

// observeOAuth counts and logs a request to the token endpoints.
func (a *App) observeOAuth(_ context.Context, e oauth.Event) {
	loginsTotal.WithLabelValues(e.Kind, e.Result).Inc()
	fields := []zap.Field{
		zap.String("kind", e.Kind), zap.String("result", e.Result), zap.String("verdict", string(e.Verdict)), zap.String("client_id", e.ClientID),
		zap.String("project", e.Project), zap.String("user_id", e.Subject), zap.String("client_ip", e.ClientIP),
	}
	if e.Err != nil {
		a.audit.all.Error("token request failed", append(fields, zap.Error(e.Err))...)
		return
	}
	a.audit.all.Info("token request", fields...)
}
