package explain

import (
	"cmp"
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/survey"
)

// askedHeader is a response header that says that the request came by an `auth_verdict`.
const askedHeader = "Caddyauth-Explain-Asked"

// stubVerdict stands in for `auth_verdict`: the gates of its site are asked about the very request, as
// if another proxy had.
func stubVerdict() map[string]any {
	return map[string]any{
		"handler":  "headers",
		"response": map[string]any{"set": map[string]any{askedHeader: []any{"yes"}}},
	}
}

// judgeAsked decides about a request as `auth_verdict` does for another proxy: without a handler that
// answers, it is the proxy's application that does. own refuses a path of the gateway's.
func (e *explanation) judgeAsked(answer *recording, own *token.Refusal, inURL bool) {
	switch {
	case own != nil:
		e.refused, e.decisions = own, nil // no gate is asked
	case answer.status != 0: // a gate has refused it
	default:
		if e.refused = auth.RefusePermit(e.isAdmitted(), inURL); e.refused == nil {
			answer.header.Set(survey.StandInHeader, "behind the other proxy")
		}
	}
}

// ownPath refuses a path of the gateway's. A proxy asks with the port of the public URL or of the
// application, and the URL of the command has that of the site.
func (e *explanation) ownPath(r *http.Request) *token.Refusal {
	without := r.Clone(r.Context())
	without.Host = issuance.HostOf(r.Host)
	return cmp.Or(e.app.Gates().RefuseOwnPath(r), e.app.Gates().RefuseOwnPath(without))
}

// isAdmitted reports whether a gate lets the request pass.
func (e *explanation) isAdmitted() bool {
	for _, d := range e.decisions {
		if d.Gate.Gate() != nil && !d.Gate.ReportsOnly() && d.Err == nil {
			return true
		}
	}
	return false
}
