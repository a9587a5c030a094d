package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Server answers the routes by which a person or a program proves who they are and gets a token,
// all below the path of Base:
//
//	GET  /                             who is signed in, and where to go from there; not at the root of a host
//	GET  /login                        the form, or who is signed in
//	POST /login                        form or JSON; sets the cookie
//	POST /api/{projectId}/auth/login   JSON; sets no cookie
//	GET  /logout                       asks first, unless a client shows the session's own ID token
//	POST /logout                       clears the cookie
//
// Call Validate once, then ServeHTTP for the requests whose path Handles. Nothing may be changed
// after the first request.
type Server struct {
	// Base is the public URL: scheme and host as browsers write them, and the path the routes are
	// mounted below, without a trailing slash ("" or "/auth"). Required.
	Base *url.URL

	// ReturnTo are the origins that a sign-in may lead to beside Base's own, as
	// weburl.CanonicalOrigin writes them. An http origin is never led to from an https Base.
	// Default: none.
	ReturnTo []string

	// CleanTarget removes from a return target what no address may contain, such as credentials.
	// Default: targets stay as they are.
	CleanTarget func(target string) string

	// Onward says where a return target of /authorize leads on to; false for every other target.
	// Default: nothing does.
	Onward func(ctx context.Context, target string) (Onward, bool)

	// HandsOver reports whether gates at an origin on another host sign people in there who are signed
	// in here. Default: no origin is one, and nobody is.
	HandsOver func(origin string) bool

	// Home is where a sign-in without a return target leads to, and what pages offer as a way on:
	// an address that a sign-in may lead to. Default: a sign-in leads to the page that says who is
	// signed in; pages offer the root of Base's host where the routes lie beneath a path.
	Home string

	// Project is the project that people sign in to at /login. Default: "default".
	Project string

	// Audiences are the words that an API caller may ask for. Default: web, api, a2a and mcp.
	Audiences []string

	// Find reads project, which an API caller may have named by its id, and the user of that
	// canonical name, for the client clients.FirstParty. What is not found is no error. An error is
	// answered with 503. Required.
	Find func(ctx context.Context, project, name string) (issuance.Parties, error)

	// Passwords checks their passwords. Required.
	Passwords *identity.Passwords

	// Throttle counts attempts before any password is hashed. Required.
	Throttle *identity.Throttle

	// SignIn begins the session of a person who has proved who they are (issuance.Service.SignIn).
	// issuance.ErrAudience is answered with 400, issuance.ErrTooLarge with 500, any other error
	// with 503. Required.
	SignIn func(ctx context.Context, in issuance.SignIn) (issuance.Issued, error)

	// Verify returns the user of the valid session that a cookie belongs to, and when its token was
	// issued. Any error means that the cookie is ignored. Required.
	Verify func(ctx context.Context, raw string) (subject string, since time.Time, err error)

	// Renew is told of a person who has proved who they are, with the password, and may store
	// another hash of it. Default: nobody is told.
	Renew func(ctx context.Context, user *identity.User, password string)

	// Revoke ends sessions at once, for every copy of their cookies, and reports whether there was one
	// to end; that there is none, or no longer, is no error. It goes on when the context is canceled. An
	// error is answered with 503. Default: the cookies are cleared, and copies live until they expire.
	Revoke func(ctx context.Context, accesses, refreshes []string) (ended bool, err error)

	// Owner returns the user of the valid session that a refresh token belongs to, for the event of a
	// sign-out after the access token has expired. Default: nobody can tell, and such a sign-out names
	// nobody.
	Owner func(ctx context.Context, refresh string) (subject string)

	// Keep renews the session of whoever opens the start page when its access token has ended, and puts
	// the new cookies into the request and the answer. An error is answered with 503. Default: such a
	// person is not signed in.
	Keep func(w http.ResponseWriter, r *http.Request) error

	// Launcher knows the applications that the start page lists. Default: it lists none.
	Launcher Launcher

	// EndSession is what clients need to sign people out. Default: their parameters are ignored.
	EndSession EndSession

	// ClientIP returns the address that attempts are counted by. Default: the peer's.
	ClientIP endpoint.ClientIP

	// Events is told of every POST to a route, once, after the verdict and before the answer.
	// Default: nobody is told.
	Events audit.Sink

	// SentBack is told of a person who is signed in and was nevertheless sent to the login page: the
	// gate that sent them does not see the session or does not accept it. Default: nobody is told.
	SentBack func(r *http.Request, b SentBack)

	// CookieName is the name of the session cookie: "__Host-access_token" on https, "access_token"
	// on http and loopback. Required.
	CookieName string

	// RefreshCookieName is the name of the cookie for the refresh token. Default: refresh tokens do
	// not go into a cookie.
	RefreshCookieName string

	// SecureCookie says that the cookies are sent over https only. Names with "__Host-" demand it.
	SecureCookie bool

	protection http.CrossOriginProtection
}

// Onward is where a person goes on to from a return target that redirects.
type Onward struct {
	// Host is how the application is shown: its host, or its name.
	Host string

	// RedirectURI is the address of the application.
	RedirectURI string

	// LoginHint is the name that the application expects. Default: none.
	LoginHint string
}

// Issued is a minted token.
type Issued struct {
	// AccessToken is the compact token. As a cookie it may have at most 3800 bytes with its name.
	AccessToken string

	// ExpiresIn is its lifetime, at least a second.
	ExpiresIn time.Duration

	// RefreshToken is the refresh token. Default: none.
	RefreshToken string

	// RefreshExpiresIn is how long the refresh token is valid if it is not used.
	RefreshExpiresIn time.Duration
}

// NewIssued converts what was issued at now.
func NewIssued(i issuance.Issued, now time.Time) Issued {
	issued := Issued{
		AccessToken:  i.AccessToken,
		ExpiresIn:    i.AccessUntil.Sub(now).Round(time.Second),
		RefreshToken: i.RefreshToken,
	}
	if i.RefreshToken != "" {
		issued.RefreshExpiresIn = i.Grant.IdleEnds.Sub(now).Round(time.Second)
	}
	return issued
}

const (
	// defaultProject is the project when none is named.
	defaultProject = "default"

	// webAudience is what a browser's token is for.
	webAudience = "web"

	// defaultAudience is the audience of an API caller that names none.
	defaultAudience = "api"
)

// Validate says what is missing or contradictory in the server.
func (s *Server) Validate() error {
	if err := weburl.ValidateBase(s.Base); err != nil {
		return fmt.Errorf("login: Base: %w", err)
	}
	switch {
	case s.Find == nil || s.Passwords == nil || s.Throttle == nil || s.SignIn == nil || s.Verify == nil:
		return errors.New("login: Find, Passwords, Throttle, SignIn and Verify are required")
	case s.CookieName == "":
		return errors.New("login: CookieName is required")
	case strings.HasPrefix(s.CookieName, "__") && !s.SecureCookie:
		return errors.New("login: browsers take a __Host- cookie only when it is secure")
	}
	for _, origin := range append([]string{s.origin()}, s.ReturnTo...) {
		if c, err := weburl.CanonicalOrigin(origin); err != nil || c != origin {
			return errors.New("login: " + origin + " is not a canonical origin")
		}
	}
	if _, ok := s.target(s.Home); !ok && s.Home != "" {
		return errors.New("login: Home " + s.Home + " is not an address that a sign-in may lead to")
	}
	return nil
}

// handler answers the requests of one route.
type handler func(*Server, http.ResponseWriter, *http.Request)

var routes = endpoint.Routes[handler]{
	{Method: http.MethodGet, Path: "/login", Handler: (*Server).getLogin},
	{Method: http.MethodPost, Path: "/login", Handler: (*Server).postLogin},
	{Method: http.MethodGet, Path: "/logout", Handler: (*Server).getLogout},
	{Method: http.MethodPost, Path: "/logout", Handler: (*Server).postLogout},
	{Method: http.MethodPost, Path: "/api/{projectId}/auth/login", Handler: (*Server).postAPILogin},
}

// routesBelowPath are the routes of a server whose public URL has a path: everything below it
// belongs to the server.
var routesBelowPath = append(endpoint.Routes[handler]{
	{Method: http.MethodGet, Path: "", Handler: (*Server).GetStart},
	{Method: http.MethodGet, Path: "/", Handler: (*Server).GetStart},
}, routes...)

func (s *Server) routes() endpoint.Routes[handler] {
	if s.Base.Path == "" {
		return routes
	}
	return routesBelowPath
}

// Handles reports whether the path, as in URL.Path, is one of this server's.
func (s *Server) Handles(path string) bool { return s.routes().Handles(s.Base.Path, path) }

// Rules lists the routes of this server.
func (s *Server) Rules() []endpoint.Rule { return s.routes().Rules() }

// ServeHTTP answers a request whose path Handles; any other gets 404.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	route, status := s.routes().Match(w, r, s.Base.Path)
	if status != 0 {
		s.refuse(w, r, verdict{result: routeRefusal(status)})
		return
	}
	route.Handler(s, w, r)
}

// routeRefusal is the result of a request that no route answers.
func routeRefusal(status int) result {
	if status == http.StatusMethodNotAllowed {
		return methodNotAllowed
	}
	return notFound
}

func (s *Server) project() string {
	if s.Project == "" {
		return defaultProject
	}
	return s.Project
}

func (s *Server) audiences() []string {
	if len(s.Audiences) == 0 {
		return []string{webAudience, defaultAudience, "a2a", "mcp"}
	}
	return s.Audiences
}

// url returns the path of one of the server's own routes.
func (s *Server) url(route string) string { return s.Base.Path + route }
