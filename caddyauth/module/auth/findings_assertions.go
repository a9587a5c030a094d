package auth

import (
	"fmt"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
)

// findAssertions lists declared clients that have the grant jwt-bearer and no issuer whose assertions
// they may present, and those that may present assertions and lack the grant. Clients of the store
// are not looked at.
func (r report) findAssertions() (found []finding.Finding) {
	issuers := assertionIssuers(r.server)
	for _, c := range r.server.Clients {
		has, listed := c.AllowsGrant(clients.GrantJWTBearer), isListed(issuers, c.ID)
		f := finding.Finding{Severity: finding.Warning, Where: fmt.Sprintf("client %q", c.ID)}
		switch {
		case has && !listed:
			f.Text = "it has the grant jwt-bearer, and no `assertions` of a trusted issuer names it, so it gets no " +
				"token that way"
			f.Hint = "write it into `trust { assertions { clients } }`, or take the grant away"
		case listed && !has:
			f.Text = "`assertions` of a trusted issuer name it, and it lacks the grant jwt-bearer, so it gets no " +
				"token that way"
			f.Hint = "add jwt-bearer to its `grant_types`, or take it out of `assertions`"
		default:
			continue
		}
		found = append(found, f)
	}
	return found
}

func isListed(issuers map[string]issuance.AssertionIssuer, id string) bool {
	for _, issuer := range issuers {
		if slices.Contains(issuer.Clients, id) {
			return true
		}
	}
	return false
}
