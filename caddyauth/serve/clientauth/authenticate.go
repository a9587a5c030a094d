package clientauth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// FirstParty is the id of the client that tokens of the login routes belong to. It is public, is in
// every project, and exists without being declared or stored.
const FirstParty = clients.FirstParty

// Authenticator authenticates clients, in one way for all endpoints.
type Authenticator struct {
	// FindClient returns the client of that id, or clients.ErrNotFound. Any other error is answered
	// with 503. It is not asked for FirstParty. Required.
	FindClient func(ctx context.Context, id string) (clients.Client, error)
}

// Validate says what is missing.
func (a *Authenticator) Validate() error {
	if a.FindClient == nil {
		return errors.New("clientauth: FindClient is required")
	}
	return nil
}

// Request is what a client sent to an endpoint.
type Request struct {
	// HTTP is the request, whose body was read. Required.
	HTTP *http.Request

	// Form are the parameters of its body. Required.
	Form Form

	// Now is the time of the request. Required.
	Now time.Time
}

// Authenticate returns the client that sent the request. The error is a *Problem: every reason not
// to be sure of the client has one answer, so that a caller without a secret learns nothing. The
// client is returned with the error if there is one of the id that the request names.
func (a *Authenticator) Authenticate(r Request) (clients.Client, error) {
	given, err := readCredentials(r)
	if err != nil {
		return clients.Client{}, err
	}
	client, err := a.find(r.HTTP.Context(), given.id)
	if errors.Is(err, clients.ErrNotFound) {
		return clients.Client{}, UnknownClient(given.header)
	}
	if err != nil {
		return clients.Client{}, Unavailable(err)
	}
	if !client.Active || !client.AllowsAuth(given.method) {
		return client, UnknownClient(given.header)
	}
	if given.method != None && !client.Authentic(given.secret, r.Now) {
		return client, UnknownClient(given.header)
	}
	return client, nil
}

// find asks the store only for what could be an id.
func (a *Authenticator) find(ctx context.Context, id string) (clients.Client, error) {
	if id == FirstParty {
		return clients.Client{ID: FirstParty, Active: true}, nil
	}
	if clients.ValidateID(id) != nil {
		return clients.Client{}, clients.ErrNotFound
	}
	return a.FindClient(ctx, id)
}
