package auth

import (
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/oauth"
)

// authorizationServer wires the endpoints that programs use: /token, /revoke and /introspect.
func (a *App) authorizationServer() *oauth.Server {
	return &oauth.Server{
		Base:       a.server.PublicURL,
		Sessions:   a.grants,
		FindClient: a.store.FindClient,
		Refresh:    a.issuing.Refresh,
		Verify:     a.verification.Verify,
		Revoked:    func(t *token.Token) error { return a.verification.Revoked(t, time.Now()) },
		ClientIP:   request.ClientIP,
		Events:     a.audit.report,
	}
}

// provisionOpaque wires the look-up of tokens that are references: our own, and those of issuers
// that are asked by introspection.
func (a *App) provisionOpaque() error {
	remember := a.server.IntrospectionCache
	if remember == 0 {
		remember = -1 // the packages' word for none
	}
	a.verification.opaque = &opaque.Tokens{
		Store:    a.store,
		Issuer:   token.Issuer{Name: a.server.Issuer, Own: true, MaxLifetime: a.server.MaxLifetime},
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
		a.verification.foreign = append(a.verification.foreign, foreign)
	}
	return nil
}

// openOpaque gives the opaque tokens what makes them.
func (a *App) openOpaque(secret *keyring.SecretRing) {
	a.verification.opaque.Secrets = secret.Derive(opaque.Label)
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
