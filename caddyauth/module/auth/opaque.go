package auth

import (
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/config"
)

// provisionOpaque wires what reads opaque tokens: our own, and those of issuers that are asked by
// introspection.
func (a *App) provisionOpaque() error {
	a.verification.opaque = buildOpaque(a)
	for _, trusted := range a.server.Trust {
		if trusted.Introspection == nil {
			continue
		}
		foreign, err := introspectionOf(trusted)
		if err != nil {
			return err
		}
		foreign.CacheFor, foreign.Denied = introspectionCache(a.server), &a.store.denied
		a.verification.foreign = append(a.verification.foreign, foreign)
	}
	return nil
}

// introspectionCache is how long what was learnt of an opaque token is kept, in the packages' words:
// none is -1.
func introspectionCache(server *config.Server) time.Duration {
	if server.IntrospectionCache == 0 {
		return -1
	}
	return server.IntrospectionCache
}

// introspectionOf returns the introspection endpoint of a trusted issuer.
func introspectionOf(trusted config.TrustedIssuer) (*opaque.IntrospectionClient, error) {
	foreign := &opaque.IntrospectionClient{
		Issuer: token.Issuer{
			Name:             trusted.Issuer,
			MaxLifetime:      trusted.MaxLifetime,
			CertificateBound: true, // gates ask for the certificate
		},
		Endpoint:     trusted.Introspection.URL,
		ClientID:     trusted.Introspection.ClientID,
		ClientSecret: trusted.Introspection.ClientSecret,
	}
	if err := foreign.Validate(); err != nil {
		return nil, fmt.Errorf("trust %s: %w", trusted.Issuer, err)
	}
	return foreign, nil
}
