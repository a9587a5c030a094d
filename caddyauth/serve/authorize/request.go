package authorize

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// call is one request while it is answered.
type call struct {
	*Server
	w   http.ResponseWriter
	r   *http.Request
	now time.Time

	query   string                   // that the request stands in
	sent    authorization.Parameters // as they stand in the address, without the note of the visit
	visit   Visit
	pushed  string // the hash of the pushed request that it is; empty for none
	session *Session
	parties issuance.Parties
	request authorization.Request
	event   audit.Event
}

func (s *Server) newCall(w http.ResponseWriter, r *http.Request, query string) *call {
	return &call{
		Server: s,
		w:      w,
		query:  query,
		r:      r,
		now:    time.Now().UTC().Truncate(time.Millisecond),
		event:  audit.Event{Kind: audit.Authorize, Result: success, ClientIP: s.ClientIP.Of(r)},
	}
}

// get answers GET /authorize. HEAD is refused: a program that only looks must not use up anything.
func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.Header().Set("Allow", "GET, POST")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	c := s.newCall(w, r, r.URL.RawQuery)
	if err := c.read(); err != nil {
		c.refuse(err)
		return
	}
	c.decide()
}

// post answers POST /authorize (OpenID Connect Core, section 3.1.2.1) by sending the browser to the
// same request as an address. A form from another site comes without the session's cookies, which are
// SameSite=Lax; the redirect brings them.
func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	c := s.newCall(w, r, "")
	body, err := endpoint.ReadBody(w, r, clientauth.MaxBody, endpoint.FormType)
	var values url.Values
	if err == nil {
		values, err = url.ParseQuery(string(body))
	}
	query := values.Encode()
	if err != nil || r.URL.RawQuery != "" || len(query) > authorization.MaxRequest {
		c.refuse(&authorization.Error{
			Code:        authorization.InvalidRequest,
			Description: "The request is not a form, has a query, or is longer than 6 KiB.",
		})
		return
	}
	redirect(w, s.url("/authorize")+"?"+query)
}

// read finds out what is asked by whom. The error is an *authorization.Error.
func (c *call) read() error {
	values, err := url.ParseQuery(c.query)
	if err == nil && len(c.query) <= authorization.MaxRequest+maxVisit {
		c.sent, c.visit = ReadVisit(c.Visits, authorization.Parameters(values), c.now)
	}
	if c.sent == nil || isLong(c.query, c.sent) {
		return &authorization.Error{
			Code:        authorization.InvalidRequest,
			Description: "The query cannot be read, or is longer than 6 KiB.",
		}
	}
	id := c.sent.Get("client_id")
	if id == "" {
		return &authorization.Error{
			Code:        authorization.InvalidRequest,
			Description: "The parameter client_id is missing or repeated.",
		}
	}
	if c.session, err = c.Session(c.w, c.r); err != nil {
		return unavailable(err)
	}
	if err := c.findParties(id); err != nil {
		return err
	}
	params, err := c.pushedParameters(c.r.Context(), id)
	if err != nil {
		return err
	}
	if c.request, err = authorization.Validate(params, c.parties.Client, c.pushed != ""); err != nil {
		return err
	}
	if c.parties.Client.Project != c.Project {
		return c.deny(authorization.UnauthorizedClient, otherProject)
	}
	return nil
}

// hintOf says why a client may ask nobody.
func hintOf(client clients.Client, id string) string {
	if client.ID != "" && !client.Active {
		return fmt.Sprintf("the client %.140q is paused", id)
	}
	return fmt.Sprintf("there is no client %.140q", id)
}

// otherProject tells a client of another project than people sign in to.
const otherProject = "People cannot sign in to the project of the client here."

// maxVisit is how much the note of a visit adds to the address, in bytes.
const maxVisit = 256

// isLong reports whether the request will not fit into the addresses that lead back to it: they are
// written anew, in which a character takes up to three bytes.
func isLong(query string, sent authorization.Parameters) bool {
	return len(query) > authorization.MaxRequest/3 && len(sent.Encode()) > authorization.MaxRequest
}

// findParties reads the client, and the person who is signed in. The first party is no client that
// could ask.
func (c *call) findParties(id string) error {
	account := ""
	if c.session != nil && c.session.Project == c.Project {
		account, _ = identity.CanonicalName(c.session.Subject)
	}
	var err error
	if c.parties, err = c.Find(c.r.Context(), c.Project, id, account); err != nil {
		return unavailable(err)
	}
	client := c.parties.Client
	if client.ID == "" || client.ID == clients.FirstParty || !client.Active {
		return &authorization.Error{
			Code:        authorization.InvalidClient,
			Description: "The application that sent you here is not known, or is switched off.",
			Hint:        hintOf(client, id),
		}
	}
	c.event.ClientID, c.event.Project = client.ID, client.Project
	if c.parties.User != nil {
		c.event.User = c.parties.User.Name
	}
	return nil
}

// pushedParameters are those of the address, or of the pushed request that it names: then nothing else in
// the address counts (RFC 9126, section 4).
func (c *call) pushedParameters(ctx context.Context, clientID string) (authorization.Parameters, error) {
	reference, ok := authorization.PushedReference(c.sent.Get("request_uri"))
	if !ok {
		return c.sent, nil
	}
	c.pushed = secrets.Hash(reference)
	p, err := c.Pushed.FindPushed(ctx, c.pushed)
	if err != nil && !errors.Is(err, authorization.ErrNoPushed) {
		return nil, unavailable(err)
	}
	if err != nil || p.ClientID != clientID || p.Used != "" || !c.now.Before(p.Expires) {
		return nil, badRequestURI()
	}
	return p.Parameters, nil
}

// badRequestURI is for a pushed request that is not known, used up, expired or of another client.
// Where to redirect is not known then.
func badRequestURI() *authorization.Error {
	return &authorization.Error{
		Code:        authorization.InvalidRequestURI,
		Description: "The request was used before or has expired. Go back to the application and start again.",
	}
}

// unavailable is what cannot be decided at present.
func unavailable(cause error) *authorization.Error {
	return &authorization.Error{
		Code:        authorization.TemporarilyUnavailable,
		Description: "The request could not be carried out. Please try again in a few seconds.",
		Cause:       cause,
	}
}
