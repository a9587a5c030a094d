package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Server answers the endpoints that programs use, all below the path of Base:
//
//	POST /token       grant_type=authorization_code or refresh_token (RFC 6749, sections 4.1.3 and 6)
//	POST /revoke      refresh and access tokens (RFC 7009)
//	POST /introspect  access and refresh tokens, for confidential clients (RFC 7662, RFC 9701)
//
// Scripts of any origin may call /token and /revoke; no cookie is read. Call Validate once, then
// ServeHTTP for the requests whose path Handles. Nothing may be changed after the first request.
type Server struct {
	// Base is the public URL: scheme and host as browsers write them, and the path the routes are
	// mounted below, without a trailing slash ("" or "/auth"). Required.
	Base *url.URL

	// Issuer is the claim `iss`. Required.
	Issuer string

	// AnswerKey returns the key that signs an answer at now with an algorithm of ID tokens. Required.
	AnswerKey func(ctx context.Context, algorithm string, now time.Time) (*keyring.Key, error)

	// Sessions finds and ends grants. Required.
	Sessions *session.Service

	// Clients authenticates whoever asks. Required.
	Clients *clientauth.Authenticator

	// Proofs checks the DPoP proofs of requests to /token. Required.
	Proofs *clientauth.Proofs

	// ExchangeCode exchanges an authorization code (issuance.Service.ExchangeCode). The error is
	// issuance.ErrTarget, with the code, or an *issuance.CodeRefusal; any other is answered with 503.
	// Required.
	ExchangeCode func(ctx context.Context, e issuance.CodeExchange) (issuance.CodeExchanged, error)

	// PollDevice gives a device its tokens (issuance.Service.PollDevice). The error is an
	// *issuance.DeviceRefusal; any other is answered with 503. Required.
	PollDevice func(ctx context.Context, d issuance.DevicePoll) (issuance.Issued, error)

	// IDToken makes ID tokens. Default: there are none.
	IDToken MakeIDToken

	// Refresh uses a refresh token (issuance.Service.Refresh). The error is issuance.ErrScope or
	// issuance.ErrTarget, with the grant, or a *session.Refusal; any other is answered with 503.
	// Required.
	Refresh func(ctx context.Context, r issuance.Refresh) (issuance.Issued, error)

	// ClientCredentials and TokenExchange are those of issuance.Service. Required.
	ClientCredentials func(ctx context.Context, r issuance.ClientCredentials) (issuance.Issued, error)
	TokenExchange     func(ctx context.Context, r issuance.TokenExchange) (issuance.Issued, error)

	// IdentityAssertion is that of issuance.Service. Required.
	IdentityAssertion func(ctx context.Context, r issuance.IdentityAssertion) (issuance.Issued, error)

	// AssertionGrant exchanges an identity assertion (issuance.Service.AssertionGrant). Default: the
	// grant type is not offered.
	AssertionGrant func(ctx context.Context, r issuance.AssertionGrant) (issuance.Issued, error)

	// Verify reads an access token, JWT or opaque, without regard to its time and revocation. A
	// *token.Refusal other than token.KeysUnavailable means that it is none; any other error is
	// answered with 503. Tokens of other issuers count as unknown, so that it need not know any.
	// Required.
	Verify func(ctx context.Context, raw string) (*token.Token, error)

	// Revoked returns a *token.Refusal with token.Revoked when the token was revoked, and another
	// error when that cannot be told at present. It is what gates ask. Required.
	Revoked func(t *token.Token) error

	// ClientIP returns the address that events name. Default: the peer's.
	ClientIP endpoint.ClientIP

	// Events is told of every POST to a route, once, after the verdict and before the answer.
	// Default: nobody is told.
	Events audit.Sink
}

// Validate says what is missing or contradictory in the server.
func (s *Server) Validate() error {
	if err := weburl.ValidateBase(s.Base); err != nil {
		return fmt.Errorf("oauth: Base: %w", err)
	}
	if s.Issuer == "" || s.AnswerKey == nil || s.Sessions == nil || s.Clients == nil || s.Proofs == nil ||
		s.ExchangeCode == nil || s.PollDevice == nil || s.Refresh == nil || s.ClientCredentials == nil ||
		s.TokenExchange == nil || s.IdentityAssertion == nil || s.Verify == nil || s.Revoked == nil {
		return errors.New("oauth: Issuer, AnswerKey, Sessions, Clients, Proofs, ExchangeCode, PollDevice, Refresh, " +
			"ClientCredentials, TokenExchange, IdentityAssertion, Verify and Revoked are required")
	}
	return nil
}

// operation is what a route does: the word of its events, and the answer.
type operation struct {
	kind   audit.Kind
	path   string
	answer func(*call) (any, error)
}

// routes are the endpoints. No cookie is read, so pages of any origin may call what a public client
// may call.
var routes = endpoint.Routes[operation]{
	{
		Method:    http.MethodPost,
		Path:      "/token",
		Handler:   operation{audit.Token, "token", (*call).token},
		AnyOrigin: true,
	},
	{
		Method:    http.MethodPost,
		Path:      "/revoke",
		Handler:   operation{audit.Revoke, "revoke", (*call).revoke},
		AnyOrigin: true,
	},
	{
		Method:  http.MethodPost,
		Path:    "/introspect",
		Handler: operation{audit.Introspect, "introspect", (*call).introspect},
	},
}

// Handles reports whether the path, as in URL.Path, is one of this server's.
func (s *Server) Handles(path string) bool { return routes.Handles(s.Base.Path, path) }

// Rules lists the routes of this server.
func (s *Server) Rules() []endpoint.Rule { return routes.Rules() }

// ServeHTTP answers a request whose path Handles; any other gets 404.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Pragma", "no-cache") // RFC 6749, section 5.1
	if route, ok := routes.Find(w, r, s.Base.Path); ok {
		s.serve(w, r, route.Handler)
	}
}

// call is one request while it is answered.
type call struct {
	*Server
	r       *http.Request
	form    clientauth.Form
	lists   clientauth.Lists
	parties issuance.Parties // the client and its project, with the epoch
	client  *clients.Client  // that of the parties
	jkt     string           // of the key that the client has proved to have
	x5t     string           // of the certificate that its tokens are bound to
	now     time.Time        // in whole milliseconds, as sessions count
	event   audit.Event
}

// serve answers a request, and reports the outcome before it writes the answer.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, op operation) {
	c := &call{Server: s, r: r, now: time.Now().UTC().Truncate(time.Millisecond)}
	c.event = audit.Event{Kind: op.kind, Result: success, ClientIP: s.ClientIP.Of(r)}
	if op.kind == audit.Token {
		s.Proofs.OfferNonce(w.Header(), r, c.now)
	}
	answer, err := c.answer(w, op)
	if err != nil {
		clientauth.Fail(w, r, s.Base.Host, s.Events, c.event, err)
		return
	}
	s.Events.Report(r.Context(), c.event)
	write(w, answer)
}

// write answers 200.
func write(w http.ResponseWriter, answer any) {
	if s, ok := answer.(signed); ok {
		endpoint.SetPrivate(w.Header())
		s.write(w)
		return
	}
	endpoint.WriteJSON(w, http.StatusOK, answer)
}

// answer reads the request, authenticates the client, and carries out the operation.
func (c *call) answer(w http.ResponseWriter, op operation) (any, error) {
	var err error
	if c.form, c.lists, err = clientauth.ReadForm(w, c.r); err != nil {
		return nil, err
	}
	c.parties, err = c.Clients.Authenticate(clientauth.Request{
		HTTP:     c.r,
		Form:     c.form,
		Endpoint: c.endpoint(op.path),
		Now:      c.now,
	})
	c.client = &c.parties.Client
	c.event.ClientID, c.event.Project = c.client.ID, c.client.Project
	if err != nil {
		return nil, err
	}
	return op.answer(c)
}

// endpoint is the URL of a route, for requests with a client assertion, which may name it.
func (c *call) endpoint(path string) string {
	if c.form["client_assertion"] == "" {
		return ""
	}
	return c.Base.JoinPath(path).String()
}

// isAbout notes whose token the request is about.
func (c *call) isAbout(projectSlug, subject string) {
	if projectSlug != "" {
		c.event.Project, c.event.User = projectSlug, subject
	}
}
