package device

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/device"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// codes is the answer of RFC 8628, section 3.2.
type codes struct {
	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	ExpiresIn               int64  `json:"expires_in"`
	Interval                int64  `json:"interval"`
}

// begin answers POST /device_authorization.
func (s *Server) begin(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Pragma", "no-cache")
	event := audit.Event{Kind: audit.DeviceAuthorization, Result: success, ClientIP: s.ClientIP.Of(r)}
	answer, client, err := s.keep(w, r)
	event.ClientID, event.Project = client.ID, client.Project
	if err != nil {
		clientauth.Fail(w, r, s.Base.Host, s.Events, event, err)
		return
	}
	s.Events.Report(r.Context(), event)
	endpoint.WriteJSON(w, http.StatusOK, answer)
}

// keep stores the request of a client that has authenticated. The error is a *clientauth.Problem.
func (s *Server) keep(w http.ResponseWriter, r *http.Request) (codes, clients.Client, error) {
	form, lists, err := clientauth.ReadForm(w, r)
	if err != nil {
		return codes{}, clients.Client{}, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	p, err := s.Authenticator.Authenticate(clientauth.Request{
		HTTP:     r,
		Form:     form,
		Endpoint: s.Base.JoinPath("device_authorization").String(),
		Now:      now,
	})
	client := p.Client
	if err != nil {
		return codes{}, client, err
	}
	asked, err := s.request(p, form, lists)
	if err != nil {
		return codes{}, client, err
	}
	asked.ClientIP = s.ClientIP.Of(r)
	if !p.Project.Active || p.Project.Slug != s.Project {
		return codes{}, client, clientauth.Refuse(clientauth.UnauthorizedClient,
			"Nobody can sign in to the project of the client here.")
	}
	if err := s.Rate.Take(r.Context(), client, asked.ClientIP, now); err != nil {
		return codes{}, client, err
	}
	lifetime := device.DefaultLifetime
	if s.Lifetime != nil {
		lifetime = s.Lifetime(p).DeviceCode
	}
	a, code, err := s.add(r.Context(), asked, lifetime, now)
	if err != nil {
		return codes{}, client, clientauth.Unavailable(err)
	}
	page := s.Base.String() + "/device"
	return codes{
		DeviceCode:              code,
		UserCode:                device.ShowUserCode(a.UserCode),
		VerificationURI:         page,
		VerificationURIComplete: page + "?" + url.Values{"user_code": {device.ShowUserCode(a.UserCode)}}.Encode(),
		ExpiresIn:               int64(lifetime / time.Second),
		Interval:                int64(a.Interval / time.Second),
	}, client, nil
}

// request is what the client asks for, narrowed to what it may have.
func (s *Server) request(p issuance.Parties, form clientauth.Form, lists clientauth.Lists) (device.Authorization,
	error) {
	client := p.Client
	if !client.AllowsGrant(clients.GrantDevice) {
		return device.Authorization{}, clientauth.Refuse(clientauth.UnauthorizedClient,
			"The client may not use the device grant.")
	}
	scopes, ok := client.AllowsScopes(strings.Fields(form["scope"])...)
	if !ok {
		return device.Authorization{}, clientauth.Refuse(clientauth.InvalidScope,
			"The client may have none of the requested scopes.")
	}
	audience, err := issuance.Targets(p, lists["resource"])
	if err != nil {
		return device.Authorization{}, clientauth.Refuse(clientauth.InvalidTarget,
			"The client may not have tokens for the requested resource, or its project has none for its audience.")
	}
	return device.Authorization{ClientID: client.ID, Project: client.Project, Scopes: scopes, Audience: audience}, nil
}

// attempts is how often a new code is drawn while another request has the one before.
const attempts = 5

func (s *Server) add(
	ctx context.Context,
	asked device.Authorization,
	lifetime time.Duration,
	now time.Time,
) (a device.Authorization, code string, err error) {
	for range attempts {
		a, code = device.New(asked, lifetime, now)
		if err = s.Store.AddDevice(ctx, a); !errors.Is(err, device.ErrTaken) {
			break
		}
	}
	return a, code, err
}
