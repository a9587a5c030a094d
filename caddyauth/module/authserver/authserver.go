package authserver

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/config"
	"github.com/caddyauth/gateway/caddyauth/module/option"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

func init() { caddy.RegisterModule(AuthServer{}) }

// AuthServer answers the routes by which people and programs get tokens, beneath the path of the
// server's public URL, and passes every other request on.
type AuthServer struct {
	// Where the management API answers: on the one host of this name, with a port or on any, or
	// `off` for nowhere; elsewhere its paths are answered 404. Default: on every host that has the
	// server's routes.
	Manage string `json:"manage,omitempty"`

	app       *auth.App
	server    *config.Server
	gates     *auth.Gates
	endpoints []auth.Endpoint
	prefixes  []string // see ownRoute
	managed   managedHost
	mount     string
}

// CaddyModule returns the Caddy module information.
func (AuthServer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.auth_server",
		New: func() caddy.Module { return new(AuthServer) },
	}
}

// Provision borrows the app and mounts the routes.
func (s *AuthServer) Provision(ctx caddy.Context) error {
	app, err := auth.Configured(ctx, "auth_server")
	if err != nil {
		return err
	}
	s.app, s.server, s.gates = app, app.Server(), app.Gates()
	if s.server.PublicURL == nil {
		return fmt.Errorf("auth_server: the issuer %q is not a URL, so `public_url` must say where the "+
			"server is reached", s.server.Issuer)
	}
	if ring := s.server.Ring; ring != nil && ring.Active() == nil {
		return fmt.Errorf("auth_server: none of the configured keys can sign; add a private key or a secret to `keys`")
	}
	s.gates.Browsers = true // they sign in here, whatever the gates take
	s.gates.Survey.GuardErrors(ctx)
	s.mount = s.server.PublicURL.Path
	manage, err := option.NewResolver().Text("manage", s.Manage)
	if err != nil {
		return err
	}
	s.managed = managedHost(manage)
	if err := s.managed.check(); err != nil {
		return err
	}
	s.endpoints = s.app.Endpoints()
	for _, e := range s.endpoints {
		if err := e.Validate(); err != nil {
			return err
		}
	}
	s.prefixes = prefixesOf(s.endpoints)
	return nil
}

// ServeHTTP answers the server's own routes. What has no path is neither one of them nor passed on.
func (s *AuthServer) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if err := gate.CheckForm(r, r.URL); err != nil {
		reason := gate.ReasonOf(err)
		endpoint.WriteError(w, gate.Status(reason), gate.BodyCode(reason), string(reason))
		return nil
	}
	for _, e := range s.endpoints { // not all of their routes are below the mount
		if e.Handles(r.URL.Path) && (!e.Management || s.managed.answers(r.Host)) {
			s.serve(w, r, e)
			return nil
		}
	}
	switch mounted := strings.HasPrefix(r.URL.Path, s.mount); {
	case !mounted && s.stripped(r):
		return s.answerStripped(w, r)
	case mounted && r.URL.Path == "/" && s.mount == "":
		return s.start(w, r, next)
	}
	return s.passOn(w, r, next)
}

// serve answers by itself, also with an error: an error route might hand the request to an
// application.
func (s *AuthServer) serve(w http.ResponseWriter, r *http.Request, e auth.Endpoint) {
	if e.Always {
		e.ServeHTTP(w, r)
		return
	}
	if err := s.app.Ready(r.Context()); err != nil {
		s.starting(w, r)
		return
	}
	vars := request.Vars(r)
	// a strip in front of the routes conceals the session from applications, not from its owner
	s.gates.Reveal(r, vars, nil)
	answer := browser.Own(w, vars)
	defer answer.Finish(w, false)
	e.ServeHTTP(answer, r)
}

// asSent is a request with its URL as it came, before the site rewrote it.
func asSent(r *http.Request) browser.Request {
	return browser.Request{Request: r, Original: request.OriginalURL(r)}
}

// starting answers while the server cannot do anything yet.
func (s *AuthServer) starting(w http.ResponseWriter, r *http.Request) {
	if !gate.WantsPage(r) {
		endpoint.Unavailable(w, "starting")
		return
	}
	endpoint.SetRetryAfter(w.Header(), endpoint.RetryLater)
	ui.Render(w, http.StatusServiceUnavailable, ui.Message{
		Site:  s.server.PublicURL.Host,
		Title: "Not available right now",
		Text:  "Signing in and out is not possible just now. Please try again in a few seconds.",
		Code:  "starting", Links: []ui.Link{{Text: "Try again", URL: browser.SamePage(asSent(r))}},
	})
}

// Interface guards
var (
	_ caddy.Provisioner           = (*AuthServer)(nil)
	_ caddyhttp.MiddlewareHandler = (*AuthServer)(nil)
)
