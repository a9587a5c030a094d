package device

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/device"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/openid"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Server answers the routes of the device grant, all below the path of Base:
//
//	POST /device_authorization   a device asks for its codes (RFC 8628, section 3.1)
//	GET  /device                 asks a person for the code; with `user_code`, whether they allow it
//	POST /device                 takes their decision
//
// The device polls at /token. Call Validate once, then ServeHTTP for the requests whose path
// Handles. Nothing may be changed after the first request.
type Server struct {
	// Base is the public URL, without a trailing slash. Required.
	Base *url.URL

	// Project is the one that people sign in to at /login. Required.
	Project string

	// Authenticator authenticates clients. Required.
	Authenticator *clientauth.Authenticator

	// Find reads a client and its project as they stand at one moment. What is not found is no error.
	// Required.
	Find func(ctx context.Context, project, clientID, account string) (issuance.Parties, error)

	// Store keeps the requests. Required.
	Store Store

	// Rate bounds the requests of clients that anybody can be. Required.
	Rate clientauth.Rate

	// Lifetime says how long a person has to type the code in: its DeviceCode. Default:
	// device.DefaultLifetime.
	Lifetime func(p issuance.Parties) project.Lifetimes

	// Session returns whose living session the request's cookies are, which it may renew; nil when
	// nobody is signed in. Required.
	Session func(w http.ResponseWriter, r *http.Request) (*issuance.SignedIn, error)

	// Guess counts a code that a person has typed in, and returns how long to wait before it may be
	// looked up; 0 for now. Required.
	Guess func(ctx context.Context, subject, clientIP string, now time.Time) (wait time.Duration, err error)

	// Scopes say in words what scopes allow, and which claims they stand for. Default: the standard
	// ones.
	Scopes openid.Scopes

	// ClientIP returns the address of a request. Default: the peer's.
	ClientIP endpoint.ClientIP

	// Events takes an event for each request. Default: nobody is told.
	Events audit.Sink

	protection http.CrossOriginProtection
}

// Store are the verbs of device.Store that do not poll.
type Store interface {
	AddDevice(ctx context.Context, a device.Authorization) error
	FindDevice(ctx context.Context, userCode string, now time.Time) (device.Authorization, error)
	DecideDevice(ctx context.Context, hash string, by device.Approval, approved bool, now time.Time) error
}

// Validate says what is missing or contradictory in the server.
func (s *Server) Validate() error {
	if err := weburl.ValidateBase(s.Base); err != nil {
		return fmt.Errorf("device: Base: %w", err)
	}
	if s.Project == "" || s.Authenticator == nil || s.Find == nil || s.Store == nil || s.Session == nil ||
		s.Guess == nil || s.Rate == nil {
		return errors.New("device: Project, Authenticator, Find, Store, Rate, Session and Guess are required")
	}
	return s.Authenticator.Validate()
}

type handler func(*Server, http.ResponseWriter, *http.Request)

var routes = endpoint.Routes[handler]{
	{
		Method:    http.MethodPost,
		Path:      "/device_authorization",
		Handler:   (*Server).begin,
		AnyOrigin: true,
	},
	{Method: http.MethodGet, Path: "/device", Handler: (*Server).ask},
	{Method: http.MethodPost, Path: "/device", Handler: (*Server).decide},
}

// Handles reports whether the path, as in URL.Path, is one of this server's.
func (s *Server) Handles(path string) bool { return routes.Handles(s.Base.Path, path) }

// Rules lists the routes of this server.
func (s *Server) Rules() []endpoint.Rule { return routes.Rules() }

// ServeHTTP answers a request whose path Handles; any other gets 404.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if route, ok := routes.Find(w, r, s.Base.Path); ok {
		route.Handler(s, w, r)
	}
}

// url returns the path of one of the server's own routes.
func (s *Server) url(route string) string { return s.Base.Path + route }
