package userinfo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Server answers /userinfo, below the path of Base, by GET and POST. Scripts of any origin may call
// it; no cookie is read. Call Validate once, then ServeHTTP for the requests whose path Handles.
type Server struct {
	// Base is the public URL: scheme and host as browsers write them, and the path the routes are
	// mounted below, without a trailing slash ("" or "/auth"). Required.
	Base *url.URL

	// Verify reads an access token, JWT or opaque, without regard to its time and revocation. A
	// *token.Refusal other than token.KeysUnavailable means that it is none; any other error is
	// answered with 503. Required.
	Verify func(ctx context.Context, raw string) (*token.Token, error)

	// Revoked returns a *token.Refusal with token.Revoked when the token was revoked, and another
	// error when that cannot be told at present. Required.
	Revoked func(t *token.Token, now time.Time) error

	// Prove has a request prove possession of the key that a token is bound to. Required.
	Prove func(r *http.Request, t *token.Token, now time.Time) error

	// OfferNonce sends the nonce for the next proof. Required.
	OfferNonce func(h http.Header, now time.Time)

	// Claims returns what the client of the token learns (issuance.Service.UserInfo). Required.
	Claims func(ctx context.Context, t *token.Token) (map[string]any, error)

	// ClientIP returns the address that events name. Default: the peer's.
	ClientIP endpoint.ClientIP

	// Events is told of every request, once, before the answer. Default: nobody is told.
	Events audit.Sink
}

// Validate says what is missing in the server.
func (s *Server) Validate() error {
	if err := weburl.ValidateBase(s.Base); err != nil {
		return fmt.Errorf("userinfo: Base: %w", err)
	}
	if s.Verify == nil || s.Revoked == nil || s.Prove == nil || s.OfferNonce == nil || s.Claims == nil {
		return errors.New("userinfo: Verify, Revoked, Prove, OfferNonce and Claims are required")
	}
	return nil
}

var routes = endpoint.Routes[struct{}]{
	{Method: http.MethodGet, Path: "/userinfo", AnyOrigin: true},
	{Method: http.MethodPost, Path: "/userinfo", AnyOrigin: true},
}

// Handles reports whether the path, as in URL.Path, is one of this server's.
func (s *Server) Handles(path string) bool { return routes.Handles(s.Base.Path, path) }

// Rules lists the routes of this server.
func (s *Server) Rules() []endpoint.Rule { return routes.Rules() }

// ServeHTTP answers a request whose path Handles; any other gets 404.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, ok := routes.Find(w, r, s.Base.Path); ok {
		s.serve(w, r)
	}
}

// serve answers a request, and reports the outcome before it writes the answer.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	e := audit.Event{Kind: audit.UserInfo, Result: "success", ClientIP: s.ClientIP.Of(r)}
	claims, err := s.claims(w, r, &e)
	if err == nil {
		s.Events.Report(r.Context(), e)
		endpoint.WriteJSON(w, http.StatusOK, claims)
		return
	}

	// A failure is the server's, unless the client has gone before it was answered.
	p := problemOf(err)
	status := p.status()
	e.Result, e.Reason, e.Err = gate.BodyCode(p.reason), string(p.reason), p.cause
	if p.cause != nil && endpoint.IsGone(r.Context()) {
		e.Result, e.Err, status = "canceled", nil, endpoint.StatusClientGone
	}
	s.Events.Report(r.Context(), e)
	p.write(w, status)
}

// claims is a list of refusals, then what the client learns.
func (s *Server) claims(w http.ResponseWriter, r *http.Request, e *audit.Event) (map[string]any, error) {
	now := time.Now()
	given, err := presented(w, r)
	if err != nil {
		return nil, err
	}
	t, err := s.Verify(r.Context(), given.token)
	if err != nil {
		return nil, given.refused(err)
	}
	switch {
	case !t.Own():
		return nil, given.is(token.UnknownIssuer)
	case t.Type() != "at+jwt" && t.Type() != token.OpaqueType:
		return nil, given.is(token.WrongType)
	}
	if err := errors.Join(t.CheckTime(now, 0), s.Revoked(t, now)); err != nil {
		return nil, given.refused(err)
	}
	if err := s.prove(w, r, given, t, now); err != nil {
		return nil, err
	}
	e.User, e.ClientID, e.Project, e.Session = t.Subject, t.ClientID, t.Project, t.Session
	claims, err := s.Claims(r.Context(), t)
	if _, ended := errors.AsType[*session.Refusal](err); ended {
		return nil, given.is(token.Revoked)
	}
	if errors.Is(err, issuance.ErrScope) {
		return nil, given.is(gate.InsufficientScope)
	}
	if err != nil {
		return nil, given.refused(err)
	}
	return claims, nil
}

// prove holds a token that is bound against the certificate of the connection (RFC 8705, section 3)
// and the proof of the request. Neither kind of token may be sent as the other (RFC 9449, section 7.1).
func (s *Server) prove(w http.ResponseWriter, r *http.Request, given credential, t *token.Token, now time.Time) error {
	if err := gate.CheckCertificate(r, t); err != nil {
		return given.refused(err)
	}
	if t.JKT() == "" && !given.byDPoP {
		return nil
	}
	s.OfferNonce(w.Header(), now)
	switch {
	case t.JKT() == "":
		return given.is(gate.WrongBinding)
	case !given.byDPoP:
		return given.is(gate.ProofRequired)
	}
	if err := s.Prove(r, t, now); err != nil {
		return given.refused(err)
	}
	return nil
}
