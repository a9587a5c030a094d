package auth

import (
	"context"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

func buildCharge(a *App) *charge {
	return &charge{
		ctx:     a.ctx,
		logger:  a.logger,
		runs:    func() bool { return isActive(a) },
		open:    a.open,
		take:    a.takeDeclared,
		started: make(chan struct{}),
	}
}

func buildDeclaration(server *config.Server) sqlstore.Declaration {
	return sqlstore.Declaration{
		Revocation: server.Revocation,
		Projects:   server.Projects,
		Clients:    server.Clients,
		Users:      server.Users,
	}
}

func buildJanitor(a *App) janitor {
	return janitor{
		ctx:          a.ctx,
		store:        a.store,
		verification: a.verification,
		retention:    a.server.AuditRetention,
		forget:       forgetting(a.server),
		logger:       a.logger,
	}
}

func buildVerification(a *App) *Verification {
	return &Verification{
		denied:    &a.store.denied,
		stale:     a.store.watch.Stale,
		staleness: a.server.RevocationStaleness + pollGrace,
		ready:     a.charge.ready,
		ctx:       a.ctx,
	}
}

func buildOpaque(a *App) *opaque.Tokens {
	return &opaque.Tokens{
		IsDenied: a.store.isDenied,
		Issuer:   token.Issuer{Name: a.server.Issuer, Own: true, MaxLifetime: a.server.MaxLifetime},
		Denied:   &a.store.denied,
		CacheFor: introspectionCache(a.server),
	}
}

func buildGrants(a *App) *session.Service {
	return &session.Service{
		Store:        a.store,
		DenyList:     &a.store.denied,
		BoundUnknown: a.store.unknown.enter,
		Alert:        a.audit.alert,
	}
}

// buildIssuance wires what decides about tokens and makes them.
func buildIssuance(a *App) *issuance.Service {
	return &issuance.Service{
		Issuer:       a.server.Issuer,
		Lifetimes:    a.server.Lifetimes,
		Limits:       a.server.Limits,
		TokenOptions: a.server.TokenOptions,
		Revocation:   a.server.Revocation,
		Store:        a.store,
		Codes:        a.store,
		Devices:      a.store,
		Sessions:     a.grants,
		GrantCache:   &issuance.GrantCache{Store: a.store},
		SigningKey:   a.keys.Signing,
		IDTokenKey:   a.keys.IDToken,
		Assertions:   buildAssertions(a),
		Scopes:       a.server.Scopes,
		Announced:    func(claim string) bool { return a.verification.Announced(claim) },
		Opaque:       func(c token.Claims) (string, error) { return a.verification.opaque.Issue(c) },
		Verify: func(ctx context.Context, raw string) (*token.Token, error) {
			return a.verification.Verify(ctx, raw)
		},
		Revoked: a.verification.Revoked,
		VerifyIDToken: func(ctx context.Context, raw string) (*token.Token, error) {
			return a.verification.idTokens.Verify(ctx, raw)
		},
		Observe: func(kind string) { issuedTotal.WithLabelValues(kind).Inc() },
	}
}

// buildAssertions wires whose identity assertions are accepted.
func buildAssertions(a *App) issuance.Assertions {
	return issuance.Assertions{
		Issuers: assertionIssuers(a.server),
		Verify: func(ctx context.Context, raw string) (*token.Token, error) {
			return a.verification.assertions.Verify(ctx, raw)
		},
		UseOnce: a.store.UseOnce,
	}
}

func buildKeys(a *App) *Keys {
	k := &Keys{
		ready:  a.charge.ready,
		issuer: a.server.Issuer,
		nudge:  func() { a.store.streams.Nudge() },
		logger: a.logger,
	}
	k.ring.Store(a.server.Ring)
	return k
}

// buildLifecycle is the rule by which the generated keys follow one another.
func buildLifecycle(a *App, secret *keyring.SecretRing) keyring.Lifecycle {
	return keyring.Lifecycle{
		Secret:    secret,
		Algorithm: a.server.Keys.Algorithm,
		Every:     a.server.Keys.Every,
		Announce:  a.server.Keys.Announce,
		Access:    a.server.AccessLifetime(),
	}
}

// buildKeeper wires what keeps the generated keys, which the secret seals.
func buildKeeper(a *App, secret *keyring.SecretRing) *keyring.Keeper {
	return &keyring.Keeper{
		Store:        a.store,
		Lifecycle:    buildLifecycle(a, secret),
		Configured:   a.server.Ring,
		IDTokens:     a.server.IDTokenLifetime(),
		Changed:      a.keys.adopt,
		Past:         a.store.steady.Past,
		StateChanged: a.keys.logState,
		Failing:      a.keys.logKeeper,
	}
}
