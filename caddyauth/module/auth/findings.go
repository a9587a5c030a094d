package auth

import (
	"github.com/caddyserver/caddy/v2"

	remark "github.com/caddyauth/gateway/caddyauth/module/finding"
)

// The words by which this package makes findings.
type finding = remark.Finding

const (
	severe = remark.Error
	warned = remark.Warning
	noted  = remark.Note
)

// Findings lists what is wrong with the place of gates in the routes, with the way to the login
// page, and with private files. A start logs the same. It writes nothing, and one finding may be in
// the list more than once.
func (a *App) Findings(ctx caddy.Context) []finding {
	var found []finding
	for _, find := range []func(*App, caddy.Context) []finding{
		(*App).findUnguarded,
		(*App).findRewritten,
		(*App).findBeside,
		(*App).findOpenFiles,
		(*App).findSignIn,
	} {
		found = append(found, find(a, ctx)...)
	}
	return found
}

// findUnguarded lists routes that reach an application without a gate.
func (a *App) findUnguarded(caddy.Context) (found []finding) {
	for _, route := range a.unguarded() {
		found = append(found, finding{
			Severity: warned,
			Where:    route,
			Text:     "the route is behind neither a gate nor `jwt_auth off`: clients can forge identity headers there",
		})
	}
	return found
}
