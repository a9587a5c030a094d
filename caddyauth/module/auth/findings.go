package auth

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/connections"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
	"github.com/caddyauth/gateway/caddyauth/module/survey"
	"github.com/caddyauth/gateway/caddyauth/module/version"
)

// httpApp returns Caddy's HTTP app; nil when the configuration has none.
func httpApp(ctx caddy.Context) *caddyhttp.App {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	return app.(*caddyhttp.App)
}

// Findings lists what is wrong with the place of gates in the routes, with the way to the login
// page, with the addresses of applications, with private files, and with clients that present
// assertions or certificates. A start logs the same. It writes nothing, and one finding may be in the
// list more than once.
func (a *App) Findings() []finding.Finding {
	r := buildReport(a)
	return slices.Concat(
		r.findUnguarded(),
		r.routes.Rewritten(),
		r.routes.Beside(),
		r.findOpenFiles(),
		r.routes.SignIn(r.signIn),
		r.apps.findings(),
		r.findAssertions(),
		r.findCertificates(),
	)
}

// report is what a start says of a configuration.
type report struct {
	routes *survey.Survey
	signIn survey.SignIn
	apps   *Launcher
	server *config.Server
	store  *pooledStore
	logger *zap.Logger
}

// log says which version has started, and warns of what Findings lists and of few open files.
func (r report) log() {
	b := version.Current()
	r.logger.Info("authentication gateway started",
		zap.String("version", b.Version), zap.String("revision", b.Revision), zap.String("go", b.Go),
		zap.String("caddy", b.Caddy))
	r.warnRoutes()
	for _, f := range r.findOpenFiles() {
		r.logger.Warn(f.Text, zap.String("path", f.Where), zap.String("hint", f.Hint))
	}
	if text, hint := connections.LowLimit(r.store.Connections()); text != "" {
		r.logger.Warn(text, zap.String("hint", hint))
	}
	r.warn("a client cannot exchange identity assertions as the configuration has it", r.findAssertions())
	r.warn("a client cannot get tokens as the configuration has it", r.findCertificates())
	r.warn("browsers cannot sign in as the configuration has it", r.routes.SignIn(r.signIn))
	r.warn("an application of the start page is not where the gate is that names it", r.apps.findings())
}

// warn logs findings under one message.
func (r report) warn(message string, found []finding.Finding) {
	for _, f := range found {
		r.logger.Warn(message,
			zap.String("where", f.Where), zap.String("detail", f.Text), zap.String("hint", f.Hint))
	}
}

// findUnguarded lists routes that reach an application without a gate.
func (r report) findUnguarded() (found []finding.Finding) {
	for _, route := range r.routes.Unguarded() {
		found = append(found, finding.Finding{
			Severity: finding.Warning,
			Where:    route,
			Text:     "the route is behind neither a gate nor `jwt_auth off`: clients can forge identity headers there",
		})
	}
	return found
}

// warnRoutes logs what is wrong with the place of gates in the routes.
func (r report) warnRoutes() {
	r.routes.Find()
	for _, g := range r.routes.Guards() {
		if g.ReportsOnly() {
			r.logger.Warn("a gate only reports: it refuses nothing and removes nothing;"+
				" use it for roll-outs, never to protect",
				zap.String("gate", g.Label()))
		}
	}
	for _, route := range r.routes.Unguarded() {
		r.logger.Warn("a route to an upstream is behind neither a gate nor `jwt_auth off`:"+
			" clients can forge identity headers on it",
			zap.String("route", route))
	}
	for _, f := range slices.Concat(r.routes.Rewritten(), r.routes.Beside()) {
		level := r.logger.Warn
		switch f.Severity {
		case finding.Note:
			continue
		case finding.Error:
			level = r.logger.Error
		}
		level(f.Text, zap.String("route", f.Where), zap.String("hint", f.Hint))
	}
}
