package caddyauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/keyring"
	"github.com/caddyauth/gateway/caddyauth/login"
	"github.com/caddyauth/gateway/caddyauth/token"
)

// AuthServer answers the routes by which people and programs get tokens, beneath the path of the server's public URL, and passes
// every other request on.
type AuthServer struct {
	app   *App
	login *login.Server
	mount string
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
	if s.app.base == nil {
		return fmt.Errorf("auth_server: the issuer %q is no URL, so `public_url` must say where the server is reached", s.app.issuer)
	}
	if ring := s.app.ring.Load(); ring != nil && ring.Active() == nil {
		return fmt.Errorf("auth_server: none of the configured keys can sign; add a private key or a secret to `keys`")
	}
	s.mount = s.app.base.Path
	s.login = s.app.loginServer()
	return s.login.Check()
}

// loginServer wires the login room.
func (a *App) loginServer() *login.Server {
	return &login.Server{
		Base: a.base, ReturnTo: a.returnTo, Project: defaultProject, FindProject: a.findProject, Audiences: a.words,
		Users: a.users, Passwords: a.passwords, Throttle: a.throttle, Issue: a.issue, Verify: a.session,
		ClientIP: clientIP, Observe: a.observe, CookieName: a.cookieName(), SecureCookie: a.secureCookie(),
	}
}

// findProject knows the default project and those that users were declared in.
func (a *App) findProject(_ context.Context, id string) (string, error) {
	if id == defaultProject || slices.ContainsFunc(a.Users, func(u User) bool { return u.Project == id }) {
		return id, nil
	}
	return "", login.ErrNoProject
}

// ServeHTTP answers the server's own routes.
func (s *AuthServer) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	route, ours := strings.CutPrefix(r.URL.Path, s.mount)
	switch {
	case !ours:
		return next.ServeHTTP(w, r)
	case s.login.Handles(r.URL.Path):
		if err := s.app.ready(r.Context()); err != nil {
			unavailable(w, "starting")
			return nil
		}
		s.login.ServeHTTP(w, r)
		return nil
	case route == "/jwks.json" || route == "/.well-known/jwks.json":
		return s.serve(w, r, s.jwks)
	case route == "/healthz":
		return s.serve(w, r, s.healthz)
	}
	return next.ServeHTTP(w, r)
}

// serve lets only GET and HEAD through.
func (s *AuthServer) serve(w http.ResponseWriter, r *http.Request, handler http.HandlerFunc) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return caddyhttp.Error(http.StatusMethodNotAllowed, fmt.Errorf("method %s", r.Method))
	}
	handler(w, r)
	return nil
}

// jwksMaxAge is for how long clients may keep the key set, in seconds.
const jwksMaxAge = "300"

// jwks answers with the public keys (RFC 7517, section 5), readable by scripts of any origin.
func (s *AuthServer) jwks(w http.ResponseWriter, r *http.Request) {
	ring, err := s.app.ownRing(r.Context())
	if err != nil {
		unavailable(w, "keys_unavailable")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", "public, max-age="+jwksMaxAge)
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
	if err := s.app.store.Ping(ctx); err != nil {
		unavailable(w, "store_unavailable")
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

func unavailable(w http.ResponseWriter, reason string) {
	w.Header().Set("Retry-After", fmt.Sprint(retryAfter))
	writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "temporarily_unavailable", "error_description": reason})
}

// issue mints an access token for a person who has proved who they are.
func (a *App) issue(ctx context.Context, req login.IssueRequest) (login.Issued, error) {
	ring, err := a.ownRing(ctx)
	if err != nil {
		return login.Issued{}, err
	}
	if ring.Active() == nil {
		return login.Issued{}, keyring.ErrCannotSign
	}
	lifetime := a.Lifetimes.durations()[0].effective()
	raw, err := token.Mint(ring.Active(), "at+jwt", token.Claims{
		Issuer: a.issuer, Subject: req.User.Name, Audience: []string{req.Audience}, IssuedAt: req.Now, Expiry: req.Now.Add(lifetime),
		ID: rand.Text(), ClientID: firstPartyClient, Project: req.Project, Extra: req.User.Claims,
	})
	if err != nil {
		return login.Issued{}, fmt.Errorf("minting the access token: %w", err)
	}
	issuedTotal.WithLabelValues("access_token").Inc()
	return login.Issued{AccessToken: raw, ExpiresIn: lifetime}, nil
}

// session returns the subject of a living session cookie.
func (a *App) session(ctx context.Context, raw string) (string, error) {
	t, err := a.verify(ctx, raw)
	if err != nil {
		return "", err
	}
	if t.Issuer != a.issuer || !t.HasAudience("web") {
		return "", errors.New("the cookie is no session of this server")
	}
	return t.Subject, t.CheckTime(time.Now(), 0)
}

// cookieName is the session cookie's name: with the prefix wherever the public URL is https, plain on http loopback.
func (a *App) cookieName() string {
	if a.secureCookie() {
		return hostPrefix + sessionCookies[0]
	}
	return sessionCookies[0]
}

func (a *App) secureCookie() bool { return a.base == nil || a.base.Scheme == "https" }

// clearedCookie removes the session cookie at the client; it has the attributes with which it was set.
func (a *App) clearedCookie() *http.Cookie {
	return &http.Cookie{Name: a.cookieName(), Path: "/", MaxAge: -1, Secure: a.secureCookie(), HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*AuthServer)(nil)
	_ caddyhttp.MiddlewareHandler = (*AuthServer)(nil)
)
