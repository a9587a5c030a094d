package auth

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/guard/browser"
)

// ErrorFilter stands before the error routes (`handle_errors`) of every server that has a gate or an `auth_server`, without being
// configured. A request may fail before it meets a gate, and an error route may lead to an application: in sites with gates or with an
// `auth_server` the filter removes what `jwt_auth off` removes, and keeps the application from setting the gateway's cookies. It refuses
// nothing, as an error route has to say what was wrong.
type ErrorFilter struct {
	app   *App
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
func (f *ErrorFilter) Provision(ctx caddy.Context) (err error) {
	f.app, err = configuredApp(ctx, "auth_errors")
	return err
}

// errorRoutes are the routes that have a filter before them.
type errorRoutes map[*caddyhttp.HTTPErrorConfig]bool

// guardErrors puts a filter before the error routes to which requests for the handler that is being provisioned may come. Caddy provisions
// them after the handlers.
func (a *App) guardErrors(ctx caddy.Context) {
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		a.errorsOf.guard(server.Errors)
	}
	for _, parent := range ctx.Modules() {
		if subroute, ok := parent.(*caddyhttp.Subroute); ok {
			a.errorsOf.guard(subroute.Errors)
		}
	}
}

func (e *errorRoutes) guard(errors *caddyhttp.HTTPErrorConfig) {
	if errors == nil || len(errors.Routes) == 0 || (*e)[errors] {
		return
	}
	if *e == nil {
		*e = make(errorRoutes)
	}
	(*e)[errors] = true
	filter := caddyhttp.Route{HandlersRaw: []json.RawMessage{json.RawMessage(`{"handler":"auth_errors"}`)}}
	errors.Routes = slices.Insert(errors.Routes, 0, filter)
}

// ServeHTTP passes every request on.
func (f *ErrorFilter) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !browser.Pending(varsOf(r)) && !f.concerns(r) {
		return next.ServeHTTP(w, r)
	}
	f.app.filter(r)
	if answer := browser.ForErrors(w, varsOf(r), f.app.browsers); answer != nil {
		defer answer.Finish(w, false)
		w = answer
	}
	return next.ServeHTTP(w, r)
}

// filteredServers are servers all of whose error routes have a filter.
type filteredServers map[*caddyhttp.Server]bool

// answersErrors reports whether a filter stands before whatever answers a request that ends with an error.
func (a *App) answersErrors(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && a.filtered[server]
}

// noteFiltered notes whether all error routes of a server have a filter. A subroute that handles errors and invokes a gate of a named route
// has none, and one without error routes drops the error.
func (a *App) noteFiltered(server *caddyhttp.Server) {
	s := survey{named: server.NamedRoutes}
	unfiltered := func(handler caddyhttp.MiddlewareHandler) bool {
		subroute, ok := handler.(*caddyhttp.Subroute)
		return ok && subroute.Errors != nil && !beginsWithFilter(subroute.Errors)
	}
	if !beginsWithFilter(server.Errors) || s.has(server.Routes, unfiltered) {
		return
	}
	if a.filtered == nil {
		a.filtered = make(filteredServers)
	}
	a.filtered[server] = true
}

func beginsWithFilter(errors *caddyhttp.HTTPErrorConfig) bool {
	return errors != nil && len(errors.Routes) > 0 && leadsToErrorFilter(errors.Routes[0])
}

// concerns reports whether a request belongs to a site with gates or with an `auth_server`. A matcher that fails counts as one that matches.
func (f *ErrorFilter) concerns(r *http.Request) bool {
	f.once.Do(func() {
		if server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
			f.sites = filteredSites(server)
		}
	})
	return slices.ContainsFunc(f.sites, func(site caddyhttp.Route) bool {
		matches, err := site.MatcherSets.AnyMatchWithError(r)
		return matches || err != nil
	})
}

// filteredSites has a route, for its matchers, for each site of a server that leads to a gate, a filter or an `auth_server`. Routes that go on
// belong together, whatever they match.
func filteredSites(server *caddyhttp.Server) (sites caddyhttp.RouteList) {
	s := survey{named: server.NamedRoutes}
	for _, site := range sitesOf(server) {
		switch {
		case !s.has(site, protects):
		case len(site) == 1 && site[0].Terminal:
			sites = append(sites, site[0])
		default:
			sites = append(sites, caddyhttp.Route{})
		}
	}
	return sites
}

// protects reports whether a handler keeps things from applications.
func protects(handler caddyhttp.MiddlewareHandler) bool {
	j, gate := handler.(*JWTAuth)
	_, server := handler.(*AuthServer)
	return server || gate && !j.reports()
}

func leadsToErrorFilter(route caddyhttp.Route) bool {
	return slices.ContainsFunc(route.Handlers, func(handler caddyhttp.MiddlewareHandler) bool {
		_, ok := handler.(*ErrorFilter)
		return ok
	})
}

// Interface guards
var (
	_ caddy.Provisioner           = (*ErrorFilter)(nil)
	_ caddyhttp.MiddlewareHandler = (*ErrorFilter)(nil)
)
