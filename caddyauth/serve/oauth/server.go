package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// Server answers the endpoints that programs use, all below the path of Base:
//
//	POST /token       grant_type=refresh_token (RFC 6749, section 6)
//	POST /revoke      refresh and access tokens (RFC 7009)
//	POST /introspect  access tokens, for confidential clients (RFC 7662)
//
// Scripts of any origin may call /token and /revoke; no cookie is read. Call Check once, then ServeHTTP for the requests whose path
// Handles. Nothing may be changed after the first request.
type Server struct {
	// Base is the public URL: scheme and host as browsers write them, and the path the routes are mounted below, without a
	// trailing slash ("" or "/auth"). Required.
	Base *url.URL

	// Sessions continues and ends grants. Required.
	Sessions *session.Service

	// FindClient returns the client of that id, or project.ErrNoClient. Any other error is answered with 503. It is not asked for
	// FirstParty. Required.
	FindClient func(ctx context.Context, id string) (project.Client, error)

	// Issue makes an access token of the grant, as a JWT or opaque: with these scopes, `epoch` as given, `iat` at now and `exp` at
	// until. It is called after the refresh token was used up. An error is answered with 503. Required.
	Issue func(ctx context.Context, g session.Grant, scopes []string, epoch int64, now, until time.Time) (accessToken string, err error)

	// Verify reads an access token, JWT or opaque, without regard to its time and revocation. A *token.Refusal other than
	// token.KeysUnavailable means that it is none; any other error is answered with 503. Tokens of other issuers count as unknown,
	// so that it need not know any. Required.
	Verify func(ctx context.Context, raw string) (*token.Token, error)

	// Revoked returns a *token.Refusal with token.Revoked when the token was revoked, and another error when that cannot be told at
	// present. It is what gates ask. Required.
	Revoked func(t *token.Token) error

	// ClientIP returns the address that events name. Default: the peer's.
	ClientIP func(r *http.Request) string

	// Observe is told of every POST to a route, once, after the verdict and before the answer. Default: nobody is told.
	Observe func(ctx context.Context, e Event)
}

// Check says what is missing or contradictory in the server.
func (s *Server) Check() error {
	switch {
	case s.Base == nil || s.Base.Scheme != "http" && s.Base.Scheme != "https":
		return errors.New("oauth: Base is not an http or https URL")
	case s.Base.User != nil || s.Base.RawQuery != "" || s.Base.Fragment != "" || strings.HasSuffix(s.Base.Path, "/"):
		return errors.New("oauth: Base has user information, a query, a fragment or a trailing slash")
	case s.Sessions == nil || s.FindClient == nil || s.Issue == nil || s.Verify == nil || s.Revoked == nil:
		return errors.New("oauth: Sessions, FindClient, Issue, Verify and Revoked are required")
	}
	return nil
}

// Handles says whether the path, as in URL.Path, is one of this server's.
func (s *Server) Handles(path string) bool { return s.route(path) != nil }

// ServeHTTP answers a request whose path Handles; any other gets 404.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	keepOut(w.Header())
	route := s.route(r.URL.Path)
	if route == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if route.scripts {
		admitScripts(w.Header())
	}
	switch {
	case r.Method == http.MethodPost:
		s.serve(w, r, route)
	case r.Method == http.MethodOptions && route.scripts:
		answerPreflight(w)
	default:
		w.Header().Set("Allow", route.allow())
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// route is one endpoint.
type route struct {
	kind    string
	scripts bool // pages of any origin may call it
	handle  func(*call) (any, error)
}

var routes = map[string]*route{
	"/token":      {kind: KindToken, scripts: true, handle: (*call).token},
	"/revoke":     {kind: KindRevoke, scripts: true, handle: (*call).revoke},
	"/introspect": {kind: KindIntrospect, handle: (*call).introspect},
}

func (s *Server) route(path string) *route {
	rest, ok := strings.CutPrefix(path, s.Base.Path)
	if !ok {
		return nil
	}
	return routes[rest]
}

func (r *route) allow() string {
	if r.scripts {
		return "OPTIONS, POST"
	}
	return http.MethodPost
}

// call is one request on its way.
type call struct {
	*Server
	r      *http.Request
	form   form
	client project.Client
	now    time.Time // in whole milliseconds, as sessions count
	event  Event
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, route *route) {
	c := &call{Server: s, r: r, now: time.Now().UTC().Truncate(time.Millisecond)}
	c.event = Event{Kind: route.kind, Result: success, ClientIP: s.clientIP(r), Request: r}
	answer, err := c.answer(w, route)
	if err != nil {
		p := problemOf(err)
		c.event.Result, c.event.Err = p.code, p.cause
		if p.cause != nil && errors.Is(r.Context().Err(), context.Canceled) {
			c.event.Result, c.event.Err = canceled, nil
			p.status = statusClientGone
		}
		s.observe(r.Context(), c.event)
		p.write(w, s.Base.Host)
		return
	}
	s.observe(r.Context(), c.event)
	write(w, http.StatusOK, answer)
}

// answer reads the request, makes sure of the client, and does what the route is for.
func (c *call) answer(w http.ResponseWriter, route *route) (any, error) {
	var err error
	if c.form, err = readForm(w, c.r); err != nil {
		return nil, err
	}
	if err := c.authenticate(); err != nil {
		return nil, err
	}
	return route.handle(c)
}
