package survey

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
)

// Guard is a gate or a header filter, which is what `jwt_auth` makes.
type Guard interface {
	caddyhttp.MiddlewareHandler
	// Gate returns the gate; nil for a header filter.
	Gate() *gate.Gate
	// ReportsOnly reports whether the gate decides and changes nothing.
	ReportsOnly() bool
	// Label is what the gate is called in logs and metrics.
	Label() string
	// LoginPage is where the gate sends browsers that have not signed in; empty for nowhere.
	LoginPage() string
	// LoginIsGiven reports whether the configuration names that page; otherwise it is the server's.
	LoginIsGiven() bool
	// Describe names the guard for a person.
	Describe() string
	// Place is where the survey stores what it finds.
	Place() *Place
	// SetLabel gives a gate that has no name one for logs and metrics.
	SetLabel(label string)
	// Filter removes from a copy of a request what the guard removes from it.
	Filter(r *http.Request)
}

// The handlers that the survey knows by name, so that it need not import them.
const (
	serverID      caddy.ModuleID = "http.handlers.auth_server"
	errorFilterID caddy.ModuleID = "http.handlers.auth_errors"
	verdictID     caddy.ModuleID = "http.handlers.auth_verdict"
)

// Survey is what is known of the routes of one configuration. Guards are added while handlers are
// provisioned; Start ends that.
type Survey struct {
	// HTTP returns Caddy's HTTP app; nil when the configuration has none.
	HTTP func() *caddyhttp.App

	guards   []Guard // gates, in the order in which Caddy made them
	frozen   bool
	errorsOf map[*caddyhttp.HTTPErrorConfig]bool // error routes that have a filter before them
	once     sync.Once
	filtered map[*caddyhttp.Server]bool // servers all of whose error routes have a filter
	findings []finding.Finding          // rewrites before and behind gates
}

// errStarted says that the routes may have been surveyed already.
var errStarted = errors.New("the gateway has started, and no gate can be added any more")

// Add registers a gate.
func (s *Survey) Add(g Guard) error {
	if s.frozen {
		return errStarted
	}
	s.guards = append(s.guards, g)
	return nil
}

// Freeze ends the time in which gates can be added.
func (s *Survey) Freeze() { s.frozen = true }

// Guards are the gates of the configuration, in the order in which Caddy made them.
func (s *Survey) Guards() []Guard { return s.guards }

func (s *Survey) servers() map[string]*caddyhttp.Server {
	if app := s.HTTP(); app != nil {
		return app.Servers
	}
	return nil
}

// GuardErrors puts a filter before the error routes to which requests for the handler that is being
// provisioned may come. Caddy provisions them after the handlers.
func (s *Survey) GuardErrors(ctx caddy.Context) {
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		s.guardErrors(server.Errors)
	}
	for _, parent := range ctx.Modules() {
		if subroute, ok := parent.(*caddyhttp.Subroute); ok {
			s.guardErrors(subroute.Errors)
		}
	}
}

func (s *Survey) guardErrors(errors *caddyhttp.HTTPErrorConfig) {
	if errors == nil || len(errors.Routes) == 0 || s.errorsOf[errors] {
		return
	}
	if s.errorsOf == nil {
		s.errorsOf = make(map[*caddyhttp.HTTPErrorConfig]bool)
	}
	s.errorsOf[errors] = true
	filter := caddyhttp.Route{HandlersRaw: []json.RawMessage{json.RawMessage(`{"handler":"auth_errors"}`)}}
	errors.Routes = slices.Insert(errors.Routes, 0, filter)
}

// AnswersErrors reports whether a filter stands before whatever answers a request that ends with an
// error.
func (s *Survey) AnswersErrors(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && s.filtered[server]
}

// noteFiltered notes whether all error routes of a server have a filter. A subroute that handles
// errors and invokes a gate of a named route has none, and one without error routes drops the
// error.
func (s *Survey) noteFiltered(server *caddyhttp.Server) {
	w := walker{named: server.NamedRoutes}
	unfiltered := func(handler caddyhttp.MiddlewareHandler) bool {
		subroute, ok := handler.(*caddyhttp.Subroute)
		return ok && subroute.Errors != nil && !beginsWithFilter(subroute.Errors)
	}
	if !beginsWithFilter(server.Errors) || w.has(server.Routes, unfiltered) {
		return
	}
	if s.filtered == nil {
		s.filtered = make(map[*caddyhttp.Server]bool)
	}
	s.filtered[server] = true
}

func beginsWithFilter(errors *caddyhttp.HTTPErrorConfig) bool {
	return errors != nil && len(errors.Routes) > 0 && leadsToErrorFilter(errors.Routes[0])
}

func leadsToErrorFilter(route caddyhttp.Route) bool {
	return slices.ContainsFunc(route.Handlers, func(h caddyhttp.MiddlewareHandler) bool {
		return moduleID(h) == errorFilterID
	})
}

// ProtectedSites has a route, for its matchers, for each site of a server that leads to a gate, a
// header filter or an `auth_server`. Routes that go on belong together, whatever they match.
func ProtectedSites(server *caddyhttp.Server) (sites caddyhttp.RouteList) {
	w := walker{named: server.NamedRoutes}
	for _, site := range sitesOf(server) {
		switch {
		case !w.has(site, protects):
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
	g, ok := handler.(Guard)
	return moduleID(handler) == serverID || ok && !g.ReportsOnly()
}
