package auth

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/module/option"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
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

	app        *App
	endpoints  []endpoints
	management endpoints
	managed    managedHost
	mount      string
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
	s.management = s.app.manageServer()
	s.endpoints = []endpoints{s.app.login, s.app.pageSession(), s.app.authorizationServer(), s.management}
	for _, e := range s.endpoints {
		if err := e.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// endpoints answer some of the server's routes.
type endpoints interface {
	http.Handler
	// Handles says whether a path is one of theirs.
	Handles(path string) bool
	// Validate says what is missing in the wiring.
	Validate() error
}

// loginServer wires the login room.
func (a *App) loginServer() *login.Server {
	return &login.Server{
		Base:              a.server.PublicURL,
		ReturnTo:          a.server.ReturnTo,
		CleanTarget:       a.gates.cleanTarget,
		Home:              a.server.Home,
		Project:           project.Default,
		Find:              a.findParties,
		Audiences:         a.server.Audiences,
		Passwords:         a.passwords,
		Throttle:          a.throttle,
		SignIn:            a.issuing.SignIn,
		Verify:            a.signedIn,
		Renew:             a.renewHash,
		Revoke:            a.endSession,
		Owner:             a.sessionOwner,
		ClientIP:          request.ClientIP,
		Events:            a.audit.report,
		SentBack:          a.sentBack,
		CookieName:        a.cookieNames().Access,
		RefreshCookieName: a.cookieNames().Refresh,
		SecureCookie:      a.secureCookie(),
	}
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
	return t.Subject, t.IssuedAt, nil
}

// ServeHTTP answers the server's own routes. What has no path is neither one of them nor passed on.
func (s *AuthServer) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if err := gate.CheckForm(r, r.URL); err != nil {
		reason := gate.ReasonOf(err)
		endpoint.WriteError(w, gate.Status(reason), bodyError(reason), string(reason))
		return nil
	}
	route, mounted := strings.CutPrefix(r.URL.Path, s.mount)
	switch {
	case !mounted && s.stripped(r):
		return s.answerStripped(w, r)
	case !mounted:
		return s.passOn(w, r, next)
	case r.URL.Path == "/" && s.mount == "":
		return s.start(w, r, next)
	case route == "/jwks.json" || route == "/.well-known/jwks.json":
		return s.serve(w, r, s.jwks)
	case route == "/healthz":
		return s.serve(w, r, s.healthz)
	}
	for _, e := range s.endpoints {
		if !e.Handles(r.URL.Path) || e == s.management && !s.managed.answers(r.Host) {
			continue
		}
		if err := s.app.ready(r.Context()); err != nil {
			s.starting(w, r)
			return nil
		}
		vars := request.Vars(r)
		// a strip in front of the routes conceals the session from applications, not from its owner
		s.app.gates.Reveal(r, vars, nil)
		answer := browser.Own(w, vars)
		defer answer.Finish(w, false)
		e.ServeHTTP(answer, r)
		return nil
	}
	return s.passOn(w, r, next)
}

// starting answers while the server cannot do anything yet.
func (s *AuthServer) starting(w http.ResponseWriter, r *http.Request) {
	if !gate.WantsPage(r) {
		unavailable(w, "starting")
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

// serve lets only GET and HEAD through. It answers by itself: an error route might hand the request
// to an application.
func (s *AuthServer) serve(w http.ResponseWriter, r *http.Request, handler http.HandlerFunc) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		endpoint.WriteError(w, http.StatusMethodNotAllowed, "method_not_allowed",
			"this address does not answer the method")
		return nil
	}
	handler(w, r)
	return nil
}

// jwks answers with the public keys (RFC 7517, section 5), readable by scripts of any origin.
func (s *AuthServer) jwks(w http.ResponseWriter, r *http.Request) {
	ring, err := s.app.ownRing(r.Context())
	if err != nil {
		unavailable(w, "keys_unavailable")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(s.app.server.Keys.JWKSMaxAge.Seconds())))
	h.Set("Access-Control-Allow-Origin", "*")
	_, _ = w.Write(ring.JWKS())
}

// healthz answers 200 when tokens can be issued, 503 when not.
func (s *AuthServer) healthz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if _, err := s.app.ownRing(ctx); err != nil {
		unavailable(w, "keys_unavailable")
		return
	}
	if err := s.app.ready(ctx); err != nil {
		unavailable(w, "store_unavailable") // the configuration is not in charge yet
		return
	}
	err := s.app.store.Ping(ctx)
	health := map[string]any{"status": "ok"}
	if age := s.app.store.watch.Stale(time.Now()); age != math.MaxInt64 {
		health["revocation_list_age"] = age.Round(time.Millisecond).Seconds()
	}
	if err == nil {
		endpoint.WriteJSON(w, http.StatusOK, health)
		return
	}
	health["status"] = "unavailable"
	health["error"], health["error_description"] = "temporarily_unavailable", "store_unavailable"
	endpoint.SetRetryAfter(w.Header(), endpoint.RetryLater)
	endpoint.WriteJSON(w, http.StatusServiceUnavailable, health)
}

func unavailable(w http.ResponseWriter, reason string) {
	endpoint.SetRetryAfter(w.Header(), endpoint.RetryLater)
	endpoint.WriteError(w, http.StatusServiceUnavailable, "temporarily_unavailable", reason)
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
