package jwtauth

import (
	"net/http"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/module/survey"
)

// ErrorFilter stands before the error routes (`handle_errors`) of every server that has a gate or
// an `auth_server`, without being configured. A request may fail before it meets a gate, and an
// error route may lead to an application: in sites with gates or with an `auth_server` the filter
// removes what `jwt_auth off` removes, and keeps the application from setting the gateway's
// cookies. It refuses nothing, as an error route has to say what was wrong.
type ErrorFilter struct {
	gates *auth.Gates
	once  sync.Once
	sites caddyhttp.RouteList // those whose requests are filtered
}

// CaddyModule returns the Caddy module information.
func (*ErrorFilter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.auth_errors",
		New: func() caddy.Module { return new(ErrorFilter) },
	}
}

// Provision borrows the app.
func (f *ErrorFilter) Provision(ctx caddy.Context) error {
	app, err := auth.Configured(ctx, "auth_errors")
	if err != nil {
		return err
	}
	f.gates = app.Gates()
	return nil
}

// ServeHTTP passes every request on.
func (f *ErrorFilter) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !browser.Pending(request.Vars(r)) && !f.concerns(r) {
		return next.ServeHTTP(w, r)
	}
	f.gates.Filter(r)
	if answer := browser.ForErrors(w, request.Vars(r), f.gates.Browsers); answer != nil {
		defer answer.Finish(w, false)
		w = answer
	}
	return next.ServeHTTP(w, r)
}

// concerns reports whether a request belongs to a site with gates or with an `auth_server`. A
// matcher that fails counts as one that matches.
func (f *ErrorFilter) concerns(r *http.Request) bool {
	f.once.Do(func() {
		if server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
			f.sites = survey.ProtectedSites(server)
		}
	})
	return slices.ContainsFunc(f.sites, func(site caddyhttp.Route) bool {
		matches, err := site.MatcherSets.AnyMatchWithError(r)
		return matches || err != nil
	})
}

// Interface guards
var (
	_ caddy.Provisioner           = (*ErrorFilter)(nil)
	_ caddyhttp.MiddlewareHandler = (*ErrorFilter)(nil)
)
