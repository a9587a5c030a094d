package auth

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/oauth"
)

// authorizationServer wires the endpoints that programs use: /token, /revoke and /introspect.
func (a *App) authorizationServer() *oauth.Server {
	return &oauth.Server{
		Base:       a.base,
		Sessions:   a.grants,
		FindClient: a.store.FindClient,
		Refresh:    a.issuing.Refresh,
		Verify:     a.verify,
		Revoked:    func(t *token.Token) error { return a.revoked(t, time.Now()) },
		ClientIP:   request.ClientIP,
		Observe:    a.observeOAuth,
	}
}

// provisionOpaque wires the look-up of tokens that are references: our own, and those of issuers that are asked by introspection.
func (a *App) provisionOpaque() error {
	remember := a.server.IntrospectionCache
	if remember == 0 {
		remember = -1 // the rooms' word for none
	}
	a.opaque = &opaque.Tokens{
		Store:    a.store,
		Issuer:   token.Issuer{Name: a.issuer, Own: true, MaxLifetime: a.server.MaxLifetime},
		Denied:   &a.store.denied,
		CacheFor: remember,
	}
	for _, trusted := range a.server.Trust {
		if trusted.Introspection == nil {
			continue
		}
		foreign, err := introspectionOf(trusted)
		if err != nil {
			return err
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

// introspectionOf returns the introspection endpoint of a trusted issuer.
func introspectionOf(trusted config.TrustedIssuer) (*opaque.IntrospectionClient, error) {
	foreign := &opaque.IntrospectionClient{
		Issuer:       token.Issuer{Name: trusted.Issuer, MaxLifetime: trusted.MaxLifetime},
		Endpoint:     trusted.Introspection.URL,
		ClientID:     trusted.Introspection.ClientID,
		ClientSecret: trusted.Introspection.ClientSecret,
	}
	if err := foreign.Validate(); err != nil {
		return nil, fmt.Errorf("trust %s: %w", trusted.Issuer, err)
	}
	return foreign, nil
}

// reader reads an access token, without regard to its time and revocation.
type reader = func(ctx context.Context, raw string) (*token.Token, error)

// readBy gives the app its reader: JWTs go to jwt, references to our own store.
func (a *App) readBy(jwt reader) {
	a.verify = a.readsOwn(jwt)
}

// verifierFor is the reader of a gate: what is neither a JWT nor a reference of ours goes to the
// introspection endpoints of the issuers that the gate accepts. No other issuer is told of it.
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

// askForeign asks issuers that have an endpoint. That one does not know a token says little while
// another cannot be asked.
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
func (a *App) readsOwn(jwt reader) reader {
	return func(ctx context.Context, raw string) (*token.Token, error) {
		if !opaque.IsOwn(raw) {
			return jwt(ctx, raw)
		}
		if err := a.ready(ctx); err != nil { // the secret comes with the store
			starting := &token.Refusal{Reason: token.KeysUnavailable, Detail: "the server is starting"}
			return nil, fmt.Errorf("%w: %w", starting, err)
		}
		return a.opaque.Verify(ctx, raw)
	}
}

// observeOAuth counts and logs a request to the token endpoints.
func (a *App) observeOAuth(_ context.Context, e oauth.Event) {
	loginsTotal.WithLabelValues(e.Kind, e.Result).Inc()
	fields := []zap.Field{
		zap.String("kind", e.Kind), zap.String("result", e.Result), zap.String("verdict", string(e.Verdict)),
		zap.String("client_id", e.ClientID),
		zap.String("project", e.Project), zap.String("user_id", e.Subject), zap.String("client_ip", e.ClientIP),
	}
	if e.Err != nil {
		a.audit.all.Error("token request failed", append(fields, zap.Error(e.Err))...)
		return
	}
	a.audit.all.Info("token request", fields...)
}
