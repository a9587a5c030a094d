package authorize

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/consent"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/openid"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Server answers the authorization endpoint and what belongs to it, all below the path of Base:
//
//	GET  /authorize   the request of a client, brought by a browser (RFC 6749, section 3.1)
//	POST /authorize   the same as a form
//	GET  /consent     the page that asks whether the client may have what it wants
//	POST /consent     the answer of that page
//	POST /par         a request that a client pushes (RFC 9126)
//
// Call Validate once, then ServeHTTP for the requests whose path Handles. Nothing may be changed
// after the first request.
type Server struct {
	// Base is the public URL, without a trailing slash. Required.
	Base *url.URL

	// Issuer is in every answer (RFC 9207). Required.
	Issuer string

	// Project is the one that people sign in to at /login. Required.
	Project string

	// Find reads a client, its project, and the person of that canonical name, who may be missing, as
	// they stand at one moment. What is not found is no error. Required.
	Find func(ctx context.Context, project, clientID, account string) (issuance.Parties, error)

	// Session returns whose living session the request's cookies are, which it may renew; nil when
	// nobody is signed in. Required.
	Session func(w http.ResponseWriter, r *http.Request) (*Session, error)

	// Issue returns a code for a request that was granted (issuance.Service.IssueCode). Required.
	Issue func(ctx context.Context, r issuance.CodeRequest) (string, error)

	// Consents knows what people have allowed clients. Required.
	Consents Consents

	// Scopes say in words what scopes allow, and which claims they stand for. Default: the standard
	// ones.
	Scopes openid.Scopes

	// Hint reads an ID token of this server, however old, and says whose it is. An error means that
	// it is none. Default: hints are refused.
	Hint func(ctx context.Context, idToken string) (subject string, err error)

	// Pushed keeps pushed requests. Required.
	Pushed PushedStore

	// Authenticator authenticates clients at /par. Required.
	Authenticator *clientauth.Authenticator

	// Proofs checks the DPoP proofs of requests to /par. Required.
	Proofs *clientauth.Proofs

	// PushRate bounds the pushed requests of clients that anybody can be. Required.
	PushRate clientauth.Rate

	// Visits signs what is noted in addresses. Required.
	Visits Visits

	// ClientIP returns the address that events name. Default: the peer's.
	ClientIP endpoint.ClientIP

	// Events takes an event for each request that is decided. Default: nobody is told.
	Events audit.Sink

	protection http.CrossOriginProtection
}

// Session is the session of a person who is signed in.
type Session = issuance.SignedIn

// keyOf tells a session from another one, from one sign-in to the next.
func keyOf(s *Session) string {
	if s.ID != "" {
		return s.ID
	}
	return s.TokenID
}

// Consents are the verbs of consent.Store that are needed here.
type Consents interface {
	FindConsent(ctx context.Context, userID, clientID string) (consent.Consent, error)
	GiveConsent(ctx context.Context, c consent.Consent) error
}

// PushedStore are the verbs of authorization.Store for pushed requests.
type PushedStore interface {
	AddPushed(ctx context.Context, p authorization.Pushed) error
	FindPushed(ctx context.Context, hash string) (authorization.Pushed, error)
}

// Validate says what is missing or contradictory in the server.
func (s *Server) Validate() error {
	if err := weburl.ValidateBase(s.Base); err != nil {
		return fmt.Errorf("authorize: Base: %w", err)
	}
	switch {
	case s.Issuer == "" || s.Project == "" || s.Find == nil || s.Session == nil || s.Issue == nil:
		return errors.New("authorize: Issuer, Project, Find, Session and Issue are required")
	case s.Consents == nil || s.Pushed == nil || s.Visits == nil:
		return errors.New("authorize: Consents, Pushed and Visits are required")
	case s.Authenticator == nil || s.Proofs == nil || s.PushRate == nil:
		return errors.New("authorize: Authenticator, Proofs and PushRate are required")
	}
	return errors.Join(s.Authenticator.Validate(), s.Proofs.Validate())
}

type handler func(*Server, http.ResponseWriter, *http.Request)

var routes = endpoint.Routes[handler]{
	{Method: http.MethodGet, Path: "/authorize", Handler: (*Server).get},
	{Method: http.MethodPost, Path: "/authorize", Handler: (*Server).post},
	{Method: http.MethodGet, Path: "/consent", Handler: (*Server).getConsent},
	{Method: http.MethodPost, Path: "/consent", Handler: (*Server).postConsent},
	{Method: http.MethodPost, Path: "/par", Handler: (*Server).push, AnyOrigin: true},
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
