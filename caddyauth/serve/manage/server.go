package manage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Server answers the management API, all below the path of Base. Call Validate once, then ServeHTTP
// for the requests whose path Handles. Nothing may be changed after the first request.
type Server struct {
	// Base is the public URL: scheme and host as browsers write them, and the path the routes are
	// mounted below, without a trailing slash ("" or "/auth"). Required.
	Base *url.URL

	// Issuer is the issuer of the server's tokens. Default: PublicURL.
	Issuer string

	// PublicURL is where applications reach the server. Default: Base, which differs where the API is
	// mounted elsewhere.
	PublicURL *url.URL

	// Projects keeps projects. Required.
	Projects project.Store

	// Clients keeps clients. Required.
	Clients clients.Store

	// Users keeps users. Required.
	Users identity.UserStore

	// Tokens keeps API tokens. Required.
	Tokens apitoken.Store

	// Consents keeps what people have allowed clients. Required.
	Consents Consents

	// Audit keeps the audit trail. Required.
	Audit audit.Store

	// Passwords hashes new passwords. Required.
	Passwords *identity.Passwords

	// Revoker ends sessions and tokens. Required.
	Revoker Revoker

	// Operator answers what only the operator of the server may ask for. Default: nobody may.
	Operator Operator

	// Lifetimes are the server's settings; a zero field is the default.
	Lifetimes project.Lifetimes

	// TokenOptions are the server's settings, under those of projects and clients.
	TokenOptions project.TokenOptions

	// Revocation are the server's settings, under those of projects.
	Revocation project.RevocationOptions

	// Limits bound the lifetimes that may be set.
	Limits project.Limits

	// Audiences are the words that projects and clients may be given. Default: web, api, a2a and
	// mcp.
	Audiences []string

	// Session says which administrator has signed in with the cookies of a request; it is asked
	// only where there is no Authorization header. It returns ErrNoSession for nobody, ErrNotAdmin
	// for a person who may not administer; any other error is answered with 503. Default: there are
	// no sessions here.
	Session func(r *http.Request) (Caller, error)

	// Privileged reports whether a user may sign in as an administrator, now or once they are enabled.
	// Only callers who may do everything may make, change or remove such a user: they could become one
	// otherwise. It must agree with Session. Default: nobody is.
	Privileged func(u *identity.User) bool

	// CheckUser refuses a user whose claims are not allowed; it is called when claims are set. Its
	// error is shown to the caller, with 422. Default: none is refused.
	CheckUser func(u identity.User) error

	// ClientIP returns the address for the audit trail. Default: the peer's.
	ClientIP endpoint.ClientIP

	// Events is told of every call, once, after the verdict and before the answer. Default: nobody is
	// told.
	Events audit.Sink

	protection http.CrossOriginProtection
}

// Revoker ends what was issued. All of its methods return when it is durable; repeating one does no
// harm. The reason is a word.
type Revoker interface {
	// RevokeUser ends all sessions of a user and denies their access tokens.
	RevokeUser(ctx context.Context, project, subject, reason string) error

	// RevokeClient ends all sessions that a client holds and denies its access tokens.
	RevokeClient(ctx context.Context, project, clientID, reason string) error

	// RevokeProject ends all sessions of a project and denies its access tokens.
	RevokeProject(ctx context.Context, project, reason string) error
}

// Validate says what is missing or contradictory in the server.
func (s *Server) Validate() error {
	if err := weburl.ValidateBase(s.Base); err != nil {
		return fmt.Errorf("manage: Base: %w", err)
	}
	if s.Projects == nil || s.Clients == nil || s.Users == nil || s.Tokens == nil ||
		s.Consents == nil || s.Audit == nil || s.Passwords == nil || s.Revoker == nil {
		return errors.New(
			"manage: Projects, Clients, Users, Tokens, Consents, Audit, Passwords and Revoker are required",
		)
	}
	if err := s.Limits.Validate(); err != nil {
		return err
	}
	return s.Lifetimes.Validate(s.Limits)
}

// Handles reports whether the path, as in URL.Path, is one of this server's.
func (s *Server) Handles(path string) bool {
	below, ok := strings.CutPrefix(path, s.Base.Path)
	return ok && strings.HasPrefix(below, "/api/") && s.routes().Handles("", below)
}

// Rules lists the routes of this server.
func (s *Server) Rules() []endpoint.Rule { return s.routes().Rules() }

// ServeHTTP answers a request whose path Handles; any other gets 404.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{Server: s, w: w, r: r, now: time.Now()}
	c.event = audit.Event{Kind: audit.Management, Action: "unknown", ClientIP: s.ClientIP.Of(r)}
	answer, err := c.serve()
	refused := refusalOf(err)
	if refused != nil && refused.code == storeUnavailable && endpoint.IsGone(r.Context()) {
		refused = refuse(endpoint.StatusClientGone, "canceled", "the client went away before it was answered")
	}
	switch {
	case refused != nil:
		answer, c.event.Result = refused.reply(), refused.code
	case c.detail != "":
		c.event.Result, c.event.Detail = "success", c.detail
	case c.sent != nil:
		c.event.Result, c.event.Detail = "success", c.sent.names()
	default:
		c.event.Result = "success"
	}
	c.report(answer.status, refused)
	c.write(answer)
}

// call is one request while it is answered.
type call struct {
	*Server
	w              http.ResponseWriter
	r              *http.Request
	route          operation
	id             string // {id} of the path
	now            time.Time
	caller         Caller
	sent           *object // the body, once it was read
	detail         string  // what the audit trail says of a success; default: the names of what was sent
	event          audit.Event
	projectOptions map[string]project.TokenOptions // of the projects whose clients are shown, by slug
}

// serve is a list of refusals, then what the operation does.
func (c *call) serve() (reply, error) {
	route, status := c.routes().Match(c.w, c.r, c.Base.Path)
	switch status {
	case 0:
	case http.StatusNotFound:
		return reply{}, refuse(status, "not_found", "nothing is at this address")
	default:
		return reply{}, refuse(status, "method_not_allowed", "this address does not answer the method %.20q",
			c.r.Method)
	}
	c.route, c.id = route.Handler, c.r.PathValue("id")
	c.event.Action = c.route.action
	if c.route.ability == "" {
		return c.route.serve(c)
	}
	if err := c.identify(); err != nil {
		return reply{}, err
	}
	if !c.caller.can(c.route.ability) {
		return reply{}, missingAbility(c.route.ability)
	}
	return c.route.serve(c)
}

// report writes the audit trail and tells the sink. The change stays even if the audit trail cannot
// be written.
func (c *call) report(status int, refused *refusal) {
	c.event.Status, c.event.ActorName = status, c.caller.Name
	if refused != nil {
		c.event.Err = refused.inside
	}
	if c.event.Actor != "" && c.unsafe() {
		err := c.Audit.AddEntry(context.WithoutCancel(c.r.Context()), c.event.Entry(c.now))
		c.event.Err = errors.Join(c.event.Err, err)
	}
	c.Events.Report(c.r.Context(), c.event)
}

// unsafe says whether the request is to change something (RFC 9110, section 9.2.1).
func (c *call) unsafe() bool {
	return c.r.Method != http.MethodGet && c.r.Method != http.MethodHead && c.r.Method != http.MethodOptions
}

// setTarget sets what the call is about, for the event.
func (c *call) setTarget(target, name, slug string) {
	c.event.Target, c.event.TargetName, c.event.Project = target, name, slug
}

func (s *Server) audiences() []string {
	if len(s.Audiences) == 0 {
		return []string{"web", "api", "a2a", "mcp"}
	}
	return s.Audiences
}
