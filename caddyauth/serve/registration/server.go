package registration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Server answers the client registration endpoint, below the path of Base:
//
//	POST   /register              a client registers itself (RFC 7591)
//	GET    /register/{client_id}  what is known of it (RFC 7592, section 2.1)
//	PUT    /register/{client_id}  it says anew what it is (section 2.2)
//	DELETE /register/{client_id}  it goes (section 2.3)
//
// Scripts of any origin may register; no cookie is read. Call Validate once, then ServeHTTP for the
// requests whose path Handles. Nothing may be changed after the first request.
type Server struct {
	// Base is the public URL, without a trailing slash. Required.
	Base *url.URL

	// Terms are what clients get. Required.
	Terms Terms

	// Open lets anybody register. Default: only who has one of InitialTokens.
	Open bool

	// InitialTokens are secrets.Hash of the initial access tokens (RFC 7591, section 3). Required
	// unless Open.
	InitialTokens []string

	// RedirectHosts are those that https redirect URIs may have; `*.example.com` stands for all below
	// example.com. Redirect URIs of programs on the person's own device, which are http on a loopback
	// host or have a private-use scheme, do not count. Default: any.
	RedirectHosts []string

	// MaxClients is how many clients there may be that registered themselves. Beyond it those make room
	// that nobody has allowed anything in UnapprovedAfter since they came. Default: any number, and none
	// makes room.
	MaxClients      int
	UnapprovedAfter time.Duration

	// Store keeps the clients. Required.
	Store Store

	// Take counts a registration, or the change of one, from an address, and returns how long to wait
	// when there were too many. Required.
	Take func(ctx context.Context, clientIP string, now time.Time) (time.Duration, error)

	// Revoke ends what a client was issued. Required.
	Revoke func(ctx context.Context, project, clientID, reason string) error

	// ClientIP returns the address of the caller. Default: the peer's.
	ClientIP endpoint.ClientIP

	// Events takes an event for each request that is decided. Default: nobody is told.
	Events audit.Sink
}

// Store are the verbs of package clients that are needed here.
type Store interface {
	AddRegistered(ctx context.Context, c clients.Client, r clients.Registration) (clients.Client, error)
	FindRegistered(ctx context.Context, id string) (clients.Client, clients.Registration, error)
	ChangeRegistered(ctx context.Context, c clients.Client, now time.Time) (clients.Client, error)
	RemoveClient(ctx context.Context, id string, version int64) error
}

// Validate says what is missing or contradictory in the server.
func (s *Server) Validate() error {
	if err := weburl.ValidateBase(s.Base); err != nil {
		return fmt.Errorf("registration: Base: %w", err)
	}
	switch {
	case s.Terms.Project == "" || s.Store == nil || s.Take == nil || s.Revoke == nil:
		return errors.New("registration: Terms, Store, Take and Revoke are required")
	case s.Open == (len(s.InitialTokens) > 0):
		return errors.New("registration: it needs either Open or InitialTokens")
	}
	return nil
}

type handler func(*call) (status int, body any, err error)

var routes = endpoint.Routes[handler]{
	{Method: http.MethodPost, Path: "/register", Handler: (*call).register, AnyOrigin: true},
	{Method: http.MethodGet, Path: "/register/{client_id}", Handler: (*call).show},
	{Method: http.MethodPut, Path: "/register/{client_id}", Handler: (*call).change},
	{Method: http.MethodDelete, Path: "/register/{client_id}", Handler: (*call).remove},
}

// Handles reports whether the path, as in URL.Path, is one of this server's.
func (s *Server) Handles(path string) bool { return routes.Handles(s.Base.Path, path) }

// Rules lists the routes of this server.
func (s *Server) Rules() []endpoint.Rule { return routes.Rules() }

// call is one request while it is answered.
type call struct {
	*Server
	w     http.ResponseWriter
	r     *http.Request
	now   time.Time
	event audit.Event
}

// ServeHTTP answers a request whose path Handles; any other gets 404.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, status := routes.Match(w, r, s.Base.Path)
	if status != 0 {
		refuseRoute(w, status)
		return
	}
	c := &call{
		Server: s,
		w:      w,
		r:      r,
		now:    time.Now().UTC().Truncate(time.Millisecond),
		event: audit.Event{
			Kind:     audit.Registration,
			Action:   "registration." + actions[r.Method],
			ClientIP: s.ClientIP.Of(r),
			Recorded: true,
		},
	}
	status, body, err := route.Handler(c)
	if err != nil {
		c.refuse(err)
		return
	}
	c.event.Result, c.event.Status = "success", status
	s.Events.Report(r.Context(), c.event)
	endpoint.WriteJSON(w, status, body)
}

// actions name what was done in the audit trail.
var actions = map[string]string{
	http.MethodPost:   "create",
	http.MethodGet:    "read",
	http.MethodHead:   "read",
	http.MethodPut:    "change",
	http.MethodDelete: "delete",
}

func refuseRoute(w http.ResponseWriter, status int) {
	switch status {
	case http.StatusNoContent: // a preflight, which was answered
	case http.StatusMethodNotAllowed:
		endpoint.WriteError(w, status, "method_not_allowed", "this address does not answer the method")
	default:
		endpoint.WriteError(w, status, "not_found", "nothing is at this address")
	}
}

// refusal is an error with its whole answer.
type refusal struct {
	status     int
	code, text string
	wait       time.Duration
}

func (e *refusal) Error() string { return e.code + ": " + e.text }

// refuse answers with an error. What is not one of ours is the store's, and passes. A refused request
// leaves no entry in the audit trail: anybody can send one.
func (c *call) refuse(err error) {
	answer := &refusal{
		status: http.StatusServiceUnavailable,
		code:   "temporarily_unavailable",
		text:   "The request could not be carried out. Please try again in a few seconds.",
		wait:   endpoint.RetryLater,
	}
	if ours, ok := errors.AsType[*refusal](err); ok {
		answer = ours
	} else if p, ok := errors.AsType[*problem](err); ok {
		answer = &refusal{status: http.StatusBadRequest, code: p.code, text: p.text}
	} else {
		c.event.Err = err
	}
	c.event.Result, c.event.Status, c.event.Recorded = answer.code, answer.status, false
	if c.event.Detail == "" && answer.status < 500 {
		c.event.Detail = answer.text
	}
	c.Events.Report(c.r.Context(), c.event)
	if answer.status == http.StatusUnauthorized { // RFC 6750, section 3
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="register", error="`+answer.code+`"`)
	}
	endpoint.SetRetryAfter(c.w.Header(), answer.wait)
	endpoint.WriteError(c.w, answer.status, answer.code, strings.Map(describable, answer.text))
}

// describable replaces the characters that error_description cannot have (RFC 6749, section 5.2): the
// text may quote what the client has sent.
func describable(r rune) rune {
	switch {
	case r == '"':
		return '\''
	case r < ' ' || r > '~' || r == '\\':
		return '?'
	}
	return r
}
