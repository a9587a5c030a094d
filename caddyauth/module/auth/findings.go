package auth

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/module/finding"
)

// httpApp returns Caddy's HTTP app; nil when the configuration has none.
func (a *App) httpApp() *caddyhttp.App {
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	return app.(*caddyhttp.App)
}

// Findings lists what is wrong with the place of gates in the routes, with the way to the login
// page, and with private files. A start logs the same. It writes nothing, and one finding may be in
// the list more than once.
func (a *App) Findings(ctx caddy.Context) []finding.Finding {
	found := a.findUnguarded()
	found = append(found, a.gates.Survey.Rewritten()...)
	found = append(found, a.gates.Survey.Beside()...)
	found = append(found, a.findOpenFiles(ctx)...)
	return append(found, a.gates.Survey.SignIn(buildSignIn(a))...)
}

// findUnguarded lists routes that reach an application without a gate.
func (a *App) findUnguarded() (found []finding.Finding) {
	for _, route := range a.gates.Survey.Unguarded() {
		found = append(found, finding.Finding{
			Severity: finding.Warning,
			Where:    route,
			Text:     "the route is behind neither a gate nor `jwt_auth off`: clients can forge identity headers there",
		})
	}
	return found
}

// warnRoutes logs what is wrong with the place of gates in the routes.
func (a *App) warnRoutes() {
	a.gates.Survey.Find()
	for _, g := range a.gates.Survey.Guards() {
		if g.ReportsOnly() {
			a.logger.Warn("a gate only reports: it refuses nothing and removes nothing;"+
				" use it for roll-outs, never to protect",
				zap.String("gate", g.Label()))
		}
	}
	for _, route := range a.gates.Survey.Unguarded() {
		a.logger.Warn("a route to an upstream is behind neither a gate nor `jwt_auth off`:"+
			" clients can forge identity headers on it",
			zap.String("route", route))
	}
	for _, f := range slices.Concat(a.gates.Survey.Rewritten(), a.gates.Survey.Beside()) {
		level := a.logger.Warn
		switch f.Severity {
		case finding.Note:
			continue
		case finding.Error:
			level = a.logger.Error
		}
		level(f.Text, zap.String("route", f.Where), zap.String("hint", f.Hint))
	}
}

// warnSignIn says at a start why browsers cannot sign in, as `check` does.
func (a *App) warnSignIn() {
	for _, f := range a.gates.Survey.SignIn(buildSignIn(a)) {
		a.logger.Warn("browsers cannot sign in as the configuration has it",
			zap.String("where", f.Where), zap.String("detail", f.Text), zap.String("hint", f.Hint))
	}
}
