package auth

import (
	"context"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/module/config"
)

// assertionIssuers are the trusted issuers whose identity assertions are accepted.
func assertionIssuers(server *config.Server) map[string]issuance.AssertionIssuer {
	issuers := map[string]issuance.AssertionIssuer{}
	for _, trusted := range server.Trust {
		if trusted.Assertions != nil {
			issuers[trusted.Issuer] = *trusted.Assertions
		}
	}
	return issuers
}

// buildAssertionGrant is what /token exchanges identity assertions with; nil where no issuer may make
// any.
func buildAssertionGrant(a *App) func(context.Context, issuance.AssertionGrant) (issuance.Issued, error) {
	if len(assertionIssuers(a.server)) == 0 {
		return nil
	}
	return a.issuing.AssertionGrant
}
