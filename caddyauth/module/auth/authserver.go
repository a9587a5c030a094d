package auth

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/module/option"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// AuthServer answers the routes by which people and programs get tokens, beneath the path of the
// server's public URL, and passes every other request on.
type AuthServer struct {
	// Where the management API answers: on the one host of this name, with a port or on any, or
	// `off` for nowhere; elsewhere its paths are answered 404. Default: on every host that has the
	// server's routes.
	Manage string `json:"manage,omitempty"`

	app       *App
	endpoints []Endpoint
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
	app, err := configuredApp(ctx, "auth_server")
	if err != nil {
		return err
	}
	s.app = app
	if s.app.server.PublicURL == nil {
		return fmt.Errorf("auth_server: the issuer %q is not a URL, so `public_url` must say where the "+
			"server is reached", s.app.server.Issuer)
	}
	if ring := s.app.keys.ring.Load(); ring != nil && ring.Active() == nil {
		return fmt.Errorf("auth_server: none of the configured keys can sign; add a private key or a secret to `keys`")
	}
	s.app.gates.Browsers = true // they sign in here, whatever the gates take
	s.app.gates.Survey.GuardErrors(ctx)
	s.mount = s.app.server.PublicURL.Path
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

// findParties reads who signs in at the server's own login routes.
func (a *App) findParties(ctx context.Context, slug, name string) (issuance.Parties, error) {
	return a.store.FindParties(ctx, slug, clients.FirstParty, name)
}

func (a *App) endSession(ctx context.Context, access, refresh string) error {
	return a.issuing.SignOut(ctx, access, refresh, time.Now())
}

func (a *App) sessionOwner(ctx context.Context, refresh string) string {
	return a.issuing.SessionOwner(ctx, refresh, time.Now())
}

// homeIsTarget refuses a home that no sign-in may lead to.
func (a *App) homeIsTarget() error {
	switch {
	case a.server.Home == "":
		return nil
	case a.server.PublicURL == nil:
		return fmt.Errorf("home: the issuer %q is not a URL, so `public_url` must say where people sign in",
			a.server.Issuer)
	case !a.login.LeadsTo(a.server.Home):
		return fmt.Errorf("home: %q is not an address that a sign-in may lead to: its origin must be the public "+
			"URL's or in `return_to`,"+
			" and it must not be a page for signing in or out", a.server.Home)
	}
	return nil
}

// signedIn returns whose living session a cookie is, and since when its token stands.
func (a *App) signedIn(ctx context.Context, raw string) (string, time.Time, error) {
	t, err := a.verification.Session(ctx, raw)
	if err != nil {
		return "", time.Time{}, err
	}
	return t.Subject, t.IssuedAt.Time(), nil
}

// ServeHTTP answers the server's own routes. What has no path is neither one of them nor passed on.
func (s *AuthServer) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if err := gate.CheckForm(r, r.URL); err != nil {
		reason := gate.ReasonOf(err)
		endpoint.WriteError(w, gate.Status(reason), bodyError(reason), string(reason))
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
func (s *AuthServer) serve(w http.ResponseWriter, r *http.Request, e Endpoint) {
	if e.Always {
		e.ServeHTTP(w, r)
		return
	}
	if err := s.app.ready(r.Context()); err != nil {
		s.starting(w, r)
		return
	}
	vars := request.Vars(r)
	// a strip in front of the routes conceals the session from applications, not from its owner
	s.app.gates.Reveal(r, vars, nil)
	answer := browser.Own(w, vars)
	defer answer.Finish(w, false)
	e.ServeHTTP(answer, r)
}

// starting answers while the server cannot do anything yet.
func (s *AuthServer) starting(w http.ResponseWriter, r *http.Request) {
	if !gate.WantsPage(r) {
		endpoint.Unavailable(w, "starting")
		return
	}
	endpoint.SetRetryAfter(w.Header(), endpoint.RetryLater)
	ui.Render(w, http.StatusServiceUnavailable, ui.Message{
		Site:  s.app.server.PublicURL.Host,
		Title: "Not available right now",
		Text:  "Signing in and out is not possible just now. Please try again in a few seconds.",
		Code:  "starting", Links: []ui.Link{{Text: "Try again", URL: browser.SamePage(asSent(r))}},
	})
}

// cookieNames are those of the session's cookies: plain on http loopback, and with a prefix
// wherever the public URL is https.
func (a *App) cookieNames() browser.Names { return browser.NamesFor(a.secureCookie()) }

func (a *App) secureCookie() bool {
	return a.server.PublicURL == nil || a.server.PublicURL.Scheme == "https"
}

// Interface guards
var (
	_ caddy.Provisioner           = (*AuthServer)(nil)
	_ caddyhttp.MiddlewareHandler = (*AuthServer)(nil)
)
