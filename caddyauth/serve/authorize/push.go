package authorize

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// pushed is the answer of RFC 9126, section 2.2.
type pushed struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"`
}

// push answers POST /par. The request is checked as /authorize would check it, so that the client
// learns at once what is wrong.
func (s *Server) push(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Pragma", "no-cache")
	event := audit.Event{Kind: audit.PushedRequest, Result: success, ClientIP: s.ClientIP.Of(r)}
	answer, client, err := s.keep(w, r)
	event.ClientID, event.Project = client.ID, client.Project
	if err != nil {
		clientauth.Fail(w, r, s.Base.Host, s.Events, event, err)
		return
	}
	s.Events.Report(r.Context(), event)
	endpoint.WriteJSON(w, http.StatusCreated, answer)
}

// keep stores the request of a client that has authenticated. The error is a *clientauth.Problem.
func (s *Server) keep(w http.ResponseWriter, r *http.Request) (pushed, clients.Client, error) {
	form, lists, err := clientauth.ReadForm(w, r)
	if err != nil {
		return pushed{}, clients.Client{}, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	s.Proofs.OfferNonce(w.Header(), r, now)
	parties, err := s.Authenticator.Authenticate(clientauth.Request{
		HTTP:     r,
		Form:     form,
		Endpoint: s.Base.JoinPath("par").String(),
		Now:      now,
	})
	client := parties.Client
	if err != nil {
		return pushed{}, client, err
	}
	params := parametersOf(form, lists)
	params["client_id"] = []string{client.ID}
	if err := s.check(params, client); err != nil {
		return pushed{}, client, err
	}
	if err := s.bind(r, params, client, now); err != nil {
		return pushed{}, client, err
	}
	if err := s.PushRate.Take(r.Context(), client, s.ClientIP.Of(r), now); err != nil {
		return pushed{}, client, err
	}
	reference := secrets.New("")
	err = s.Pushed.AddPushed(r.Context(), authorization.Pushed{
		Hash:       secrets.Hash(reference),
		ClientID:   client.ID,
		Parameters: params,
		Expires:    now.Add(authorization.PushedLifetime),
	})
	if err != nil {
		return pushed{}, client, clientauth.Unavailable(err)
	}
	return pushed{
		RequestURI: authorization.PushedURI(reference),
		ExpiresIn:  int64(authorization.PushedLifetime / time.Second),
	}, client, nil
}

// bind binds the code to the key of a DPoP proof, as the parameter dpop_jkt does (RFC 9449, section
// 10.1).
func (s *Server) bind(r *http.Request, params authorization.Parameters, client clients.Client, now time.Time) error {
	if len(r.Header[dpop.Header]) == 0 {
		return nil
	}
	jkt, err := s.Proofs.Check(r, client, now)
	if err != nil {
		return err
	}
	if named := params.Get("dpop_jkt"); named != "" && named != jkt {
		return clientauth.Refuse(
			clientauth.InvalidDPoPProof,
			"The parameter dpop_jkt names another key than the proof.",
		)
	}
	params["dpop_jkt"] = []string{jkt}
	return nil
}

// parametersOf are those of a form, without the client's credentials.
func parametersOf(form clientauth.Form, lists clientauth.Lists) authorization.Parameters {
	params := make(authorization.Parameters, len(form)+len(lists))
	for name, value := range form {
		params[name] = []string{value}
	}
	for name, values := range lists {
		params[name] = values
	}
	return params.WithoutCredentials()
}

// check refuses what /authorize would refuse, and a request_uri (RFC 9126, section 2.1).
func (s *Server) check(params authorization.Parameters, client clients.Client) error {
	if params.Get("request_uri") != "" {
		return clientauth.Refuse(clientauth.InvalidRequest, "A pushed request has no request_uri.")
	}
	if len(params.Encode()) > authorization.MaxRequest {
		return clientauth.Refuse(clientauth.InvalidRequest, "The request is longer than 6 KiB.")
	}
	_, err := authorization.Validate(params, client, true)
	if e, refused := errors.AsType[*authorization.Error](err); refused {
		p := clientauth.ProblemOf(clientauth.Refuse(e.Code, e.Description))
		p.Hint = e.Hint
		return p
	}
	if err == nil && client.Project != s.Project {
		return clientauth.Refuse(clientauth.UnauthorizedClient, otherProject)
	}
	return err
}
