package auth

import (
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// RefuseOwnPath refuses a question of another proxy about a request that is for the gateway itself; nil
// if it is not. Whoever sees the detail sets the proxy up, or tells who does.
func (g *Gates) RefuseOwnPath(r *http.Request) *token.Refusal {
	below := g.Applications.OwnPath(r)
	if below == "" {
		return nil
	}
	return &token.Refusal{
		Reason: gate.OwnPath,
		Detail: "the proxy must pass what is below " + below + " to the site with auth_server, and not ask about it",
	}
}

// RefusePermit says why another proxy may not pass a request on that no gate has refused; nil if it may.
// admitted says that a gate lets it pass, and inURL what Credentials.InURL said of it before the site.
func RefusePermit(admitted, inURL bool) *token.Refusal {
	switch {
	case !admitted:
		return &token.Refusal{Reason: gate.NoGate, Detail: "no gate of the site is for this request"}
	case inURL:
		return &token.Refusal{
			Reason: gate.CredentialInURL,
			Detail: "the query has a credential, and the proxy would pass it on",
		}
	}
	return nil
}
