package clientauth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// FirstParty is the id of the client that tokens of the login routes belong to. It is public, is in
// every project, and exists without being declared or stored.
const FirstParty = clients.FirstParty

// Authenticator authenticates clients, in one way for all endpoints.
type Authenticator struct {
	// Issuer is this server's issuer, which client assertions are for. Required.
	Issuer string

	// TokenEndpoint is the URL of /token, which client assertions may name in its place. Required.
	TokenEndpoint string

	// Find returns the client of that id with its project, and an epoch that was current before the
	// client proves itself (issuance.ClientCache.Find). A client that does not exist is empty, and so
	// is one whose id no client can have. An error is answered with 503. It is not asked for
	// FirstParty. Required.
	Find func(ctx context.Context, id string) (issuance.Parties, error)

	// UseOnce remembers the ids of client assertions; see replay.Store. Required.
	UseOnce func(ctx context.Context, u replay.Use) error

	// Keys fetches the key sets that clients publish. Required.
	Keys *keyring.Published
}

// Validate says what is missing.
func (a *Authenticator) Validate() error {
	if a.Issuer == "" || a.TokenEndpoint == "" || a.Find == nil || a.UseOnce == nil || a.Keys == nil {
		return errors.New("clientauth: Issuer, TokenEndpoint, Find, UseOnce and Keys are required")
	}
	return nil
}

// Request is what a client sent to an endpoint.
type Request struct {
	// HTTP is the request, whose body was read. Required.
	HTTP *http.Request

	// Form are the parameters of its body. Required.
	Form Form

	// Endpoint is the URL of the endpoint, which client assertions may name (RFC 9126, section 2).
	// Default: only the issuer and the token endpoint.
	Endpoint string

	// Now is the time of the request. Required.
	Now time.Time
}

// Authenticate returns the client that sent the request, with its project. The error is a *Problem:
// every reason not to be sure of the client has one answer, so that a caller without a secret
// learns nothing. The client is returned with the error if there is one of the id that the request
// names.
func (a *Authenticator) Authenticate(r Request) (issuance.Parties, error) {
	given, err := readCredentials(r)
	if err != nil {
		return issuance.Parties{}, err
	}
	p, err := a.find(r.HTTP.Context(), given.id)
	if err != nil {
		return issuance.Parties{}, Unavailable(err)
	}

	if given.method == clients.AuthNone && !given.header && usesCertificate(p.Client) {
		given.method = p.Client.AuthMethod // nothing else is in such a request (RFC 8705, section 2)
	}

	// A secret is hashed and compared whether or not there is such a client.
	authentic := given.secret == "" || p.Client.Authentic(given.secret, r.Now) ||
		given.plain != "" && p.Client.Authentic(given.plain, r.Now)
	if !p.Client.Active || !p.Client.AllowsAuth(given.method) || !authentic {
		return p, unproved(given.header, hintOf(p.Client, given, r.Now))
	}
	switch given.method {
	case clients.AuthPrivateKeyJWT:
		return p, a.checkAssertion(r, p.Client, given.assertion)
	case clients.AuthTLS, clients.AuthSelfSignedTLS:
		return p, a.checkCertificate(r, p.Client)
	}
	return p, nil
}

// The details of events about clients that did not authenticate.
const (
	hintUnnamed     = "the request names no client"
	hintNoClient    = "there is no client of this id"
	hintPaused      = "the client is paused"
	hintWrongSecret = "the secret is not one of the client's"
	hintHeader      = "the header Authorization is not Basic with an id and a secret"
	hintEndedSecret = "the secret is one of the client's, and has ended"
)

// hintOf says what a client did wrong that is none, may not authenticate so, or has another secret.
func hintOf(c clients.Client, given credentials, now time.Time) string {
	ended := c.HadSecret(given.secret, now) || given.plain != "" && c.HadSecret(given.plain, now)
	switch {
	case given.id == "":
		return hintUnnamed
	case c.ID == "":
		return hintNoClient
	case !c.Active:
		return hintPaused
	case !c.AllowsAuth(given.method):
		may := slices.DeleteFunc(slices.Clone(clients.AuthMethods), func(m string) bool { return !c.AllowsAuth(m) })
		return "the client authenticates by " + given.method + ", and may do so by " + strings.Join(may, " or ")
	case ended:
		return hintEndedSecret
	}
	return hintWrongSecret
}

// find knows FirstParty, which is not stored.
func (a *Authenticator) find(ctx context.Context, id string) (issuance.Parties, error) {
	if id == FirstParty {
		return issuance.Parties{Client: clients.Client{ID: FirstParty, Active: true}}, nil
	}
	return a.Find(ctx, id)
}
