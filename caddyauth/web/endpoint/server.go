package endpoint

import (
	"net/http"
	"net/url"
)

// Server answers some of the routes below the server's public URL.
type Server interface {
	http.Handler

	// Handles reports whether the path, as in URL.Path, is one of its routes.
	Handles(path string) bool

	// Rules lists its routes.
	Rules() []Rule

	// Validate says what is missing or contradictory in the server.
	Validate() error
}

// Handlers is a Server whose operations are plain handlers. A path that has none is answered with
// 404 and a method that none takes with 405, both as JSON.
type Handlers struct {
	// Base is the public URL. Required.
	Base *url.URL

	// Routes are the operations. Required.
	Routes Routes[http.HandlerFunc]
}

// Handles implements Server.
func (s Handlers) Handles(path string) bool { return s.Routes.Handles(s.Base.Path, path) }

// Rules implements Server.
func (s Handlers) Rules() []Rule { return s.Routes.Rules() }

// Validate implements Server. There is nothing to be wired.
func (s Handlers) Validate() error { return nil }

// ServeHTTP implements Server.
func (s Handlers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch route, status := s.Routes.Match(w, r, s.Base.Path); status {
	case 0:
		route.Handler(w, r)
	case http.StatusNoContent: // a preflight, which was answered
	case http.StatusMethodNotAllowed:
		WriteError(w, status, "method_not_allowed", "this address does not answer the method")
	default:
		WriteError(w, status, "not_found", "nothing is at this address")
	}
}
