package handover

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Server signs browsers in at applications on other hosts than the server's, and answers what belongs
// to it on each such host, all below Path:
//
//	GET  /login      begins a sign-in; `next` is a path of this host
//	GET  /callback   the server's answer (RFC 6749, section 4.1.2)
//	GET  /logout     asks first
//	POST /logout     ends the sign-in, for all applications
//
// Fill the exported fields, then share it between requests.
type Server struct {
	// Base is the public URL of the server. Required.
	Base *url.URL

	// Issuer is the one that answers must name (RFC 9207). Required.
	Issuer string

	// Path is the path below which everything here lies, without a trailing slash. Required.
	Path string

	// ClientID is the client of which the requests are. Required.
	ClientID string

	// Project is the slug of the project that people sign in to. Required.
	Project string

	// Origins lists the canonical origins of the applications. It is asked once, with the first
	// request. Required.
	Origins func() []string

	// States seals attempts. Its keys are there once Ready returns nil.
	States States

	// Ready waits until the server can judge sessions; its error says that it still cannot. Required.
	Ready func(ctx context.Context) error

	// Redeem exchanges a code. The error is ErrCode or ErrTooLarge; every other error is the store's
	// or that of making the tokens. Required.
	Redeem func(ctx context.Context, c Code) (Session, error)

	// Renew reports whether a request brings a session that gates of its host take, and renews one that
	// has to be. It sets the cookies of what it has renewed, and clears those of what is over. An error
	// is the store's. Required.
	Renew func(w http.ResponseWriter, r *http.Request) (living bool, err error)

	// Subject says whose session a request brings that lives or can be renewed; empty when nobody's.
	// Required.
	Subject func(r *http.Request) string

	// End ends the sign-ins of sessions' tokens, with the sessions at all applications, and reports
	// whether there was one to end. It goes on when the context is canceled. Required.
	End func(ctx context.Context, accesses, refreshes []string) (ended bool, err error)

	// AccessCookie and RefreshCookie are the names of a session's cookies, Cleared are the cookies that
	// clear them. Required.
	AccessCookie, RefreshCookie string
	Cleared                     func() []*http.Cookie

	// Secure says that cookies are sent over https alone, and have the prefix that demands it.
	Secure bool

	// ClientIP returns the address that events name. Default: the peer's.
	ClientIP endpoint.ClientIP

	// Events takes an event for each answer of the server that it could judge, and each sign-out.
	// Default: nobody is told.
	Events audit.Sink

	// SentBack is told of a browser in a redirect loop: it came back signed in twice within a minute, and
	// was sent to sign in again. accepted says that gates of the host take the session, so that a page of
	// the application has sent it. Default: nobody is told.
	SentBack func(r *http.Request, subject string, accepted bool)

	once       sync.Once
	origins    []string
	protection http.CrossOriginProtection
}

// Code is a code that has come to an application's host.
type Code struct {
	// Code, Verifier and RedirectURI are what the code is exchanged with.
	Code, Verifier, RedirectURI string

	// Now is the time of the exchange.
	Now time.Time
}

// Session is what a code has bought.
type Session struct {
	// Cookies take the session to the browser.
	Cookies []*http.Cookie

	// Subject is the name of the person, Project the slug of the project.
	Subject, Project string
}

// Errors of Server.Redeem.
var (
	// ErrCode says that the code is not good, or no longer.
	ErrCode = errors.New("the code cannot be exchanged")

	// ErrTooLarge says that no browser would keep the session's cookie.
	ErrTooLarge = errors.New("the session cookie is too large")
)

// Owns reports whether a path, or a path and query, belongs to the gateway at each application's host.
func (s *Server) Owns(path string) bool {
	return len(path) >= len(s.Path) && path[:len(s.Path)] == s.Path &&
		(len(path) == len(s.Path) || path[len(s.Path)] == '/' || path[len(s.Path)] == '?')
}

// Origin returns the origin of the application that a request's host names, as the configuration has
// it; empty when none does.
func (s *Server) Origin(r *http.Request) string {
	schemes := []string{"http", "https"}
	if r.TLS != nil {
		slices.Reverse(schemes)
	}
	for _, scheme := range schemes {
		if origin, err := weburl.CanonicalOrigin(scheme + "://" + r.Host); err == nil && s.Knows(origin) {
			return origin
		}
	}
	return ""
}

// Knows reports whether an origin is that of an application.
func (s *Server) Knows(origin string) bool { return slices.Contains(s.known(), origin) }

func (s *Server) known() []string {
	s.once.Do(func() { s.origins = s.Origins() })
	return s.origins
}

// RedirectURIs lists the addresses to which the server's answers may be sent.
func (s *Server) RedirectURIs() []string {
	uris := make([]string, len(s.known()))
	for i, origin := range s.known() {
		uris[i] = s.callback(origin)
	}
	return uris
}

func (s *Server) callback(origin string) string { return origin + s.Path + "/callback" }

type handler func(s *Server, w http.ResponseWriter, r *http.Request, origin string)

var routes = endpoint.Routes[handler]{
	{Method: http.MethodGet, Path: "/login", Handler: (*Server).getLogin},
	{Method: http.MethodGet, Path: "/callback", Handler: (*Server).getCallback},
	{Method: http.MethodGet, Path: "/logout", Handler: (*Server).getLogout},
	{Method: http.MethodPost, Path: "/logout", Handler: (*Server).postLogout},
}

// Serve answers a request to a host of an application, whose origin it is, and whose path Owns.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, origin string) {
	w.Header().Set("Cache-Control", "no-store")
	route, status := routes.Match(w, r, s.Path)
	if status == 0 && r.Method == http.MethodHead && route.Path == "/callback" {
		w.Header().Set("Allow", http.MethodGet) // who only looks must use up nothing
		status = http.StatusMethodNotAllowed
	}
	switch status {
	case 0:
		route.Handler(s, w, r, origin)
	case http.StatusMethodNotAllowed:
		s.refuse(w, r, methodNotAllowed, "/")
	default:
		s.refuse(w, r, notFound, "/")
	}
}
