package authorization

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// MaxRequest is the longest request, in bytes of its query: it has to fit into an address, and once
// more into that of the login page.
const MaxRequest = 6 << 10

// maxNonce is the longest nonce, in bytes: it goes into the ID token.
const maxNonce = 1 << 10

// OfflineAccess is the scope by which tokens outlive the sign-in (OpenID Connect Core, section 11),
// and OpenID the one that asks for an ID token.
const (
	OfflineAccess = "offline_access"
	OpenID        = "openid"
)

// Request is an authorization request that may be granted.
type Request struct {
	// ClientID is whose request it is.
	ClientID string

	// To is where the answer goes.
	To Destination

	// RedirectSent says that the request named its redirect URI. /token must then name the same one.
	RedirectSent bool

	// Scopes are those of the request that the client may have.
	Scopes []string

	// Resources are what the access tokens are for (RFC 8707). Default: the client's own audience.
	Resources []string

	// Challenge is the code challenge of the method S256. Default: none, which only a confidential
	// client may that is declared so.
	Challenge string

	// Nonce goes into the ID token. Default: none.
	Nonce string

	// Prompt says what the person is to be asked anew.
	Prompt Prompt

	// MaxAge is how long ago the person may have signed in. Nil: as long as they like.
	MaxAge *time.Duration

	// LoginHint is the name that the person may have. Default: none.
	LoginHint string

	// IDTokenHint is an ID token that tells who is expected. It has not been looked at. Default:
	// anyone.
	IDTokenHint string

	// ACRValues are the classes of sign-in that the client prefers.
	ACRValues []string

	// Claims is the parameter `claims`, and ClaimsText how it was written.
	Claims     ClaimsRequest
	ClaimsText string

	// JKT is the thumbprint of the key that the code is bound to (RFC 9449, section 10). Default:
	// none.
	JKT string
}

// Prompt is the parameter `prompt`. Values that are not understood are ignored.
type Prompt struct {
	// None says that no page may be shown.
	None bool

	// Login wants a new sign-in, Consent a new agreement, SelectAccount a choice between accounts.
	Login, Consent, SelectAccount bool
}

// Validate checks a request of a client, which must be the one that the request names. pushed says
// that it comes from /par. The error is an *Error.
func Validate(p Parameters, c clients.Client, pushed bool) (Request, error) {
	r := Request{ClientID: c.ID, RedirectSent: p.Get("redirect_uri") != ""}
	if err := r.readDestination(p, c); err != nil {
		return Request{}, err
	}
	for _, check := range []func(Parameters, clients.Client) *Error{
		r.refuseForm, r.refuseUnsupported, r.readScopes, r.readResources, r.readPKCE, r.readPrompt, r.readMaxAge,
		r.readRest,
	} {
		if err := check(p, c); err != nil {
			return Request{}, err
		}
	}
	if c.PARRequired && !pushed {
		return Request{}, r.To.refuse(InvalidRequest, "The client must push its requests to /par.")
	}
	return r, nil
}

// readDestination finds out where the answer goes. Until that is known, nothing may be redirected
// (RFC 9700, section 4.11).
func (r *Request) readDestination(p Parameters, c clients.Client) error {
	presented := p.Get("redirect_uri")
	switch {
	case len(p["redirect_uri"]) > 1:
		return &Error{Code: InvalidRequest, Description: "The parameter redirect_uri is repeated."}
	case presented == "" && len(c.RedirectURIs) == 1 && !slices.Contains(words(p.Get("scope")), OpenID):
		presented = c.RedirectURIs[0] // OAuth 2.1, section 4.1.1; OpenID Connect Core, section 3.1.2.1
	case presented == "":
		return &Error{Code: InvalidRequest, Description: "The parameter redirect_uri is missing."}
	}
	if !c.RedirectURI(presented) {
		refused := Error{Code: InvalidRedirectURI, Description: "The redirect URI is not one of the client's."}
		return refused.quoting(presented)
	}
	r.To = Destination{RedirectURI: presented, ResponseMode: clients.ModeQuery, State: p.Get("state")}
	if mode := p.responseMode(); mode == clients.ModeFormPost && c.AllowsResponseMode(mode) && takesForms(presented) {
		r.To.ResponseMode = mode
	}
	return nil
}

// takesForms reports whether a redirect URI can be posted to: no browser posts to an application of
// the device.
func takesForms(redirectURI string) bool {
	return strings.HasPrefix(redirectURI, "https:") || strings.HasPrefix(redirectURI, "http:")
}

// refuseForm refuses what no request may look like.
func (r *Request) refuseForm(p Parameters, c clients.Client) *Error {
	switch mode := p.Get("response_mode"); {
	case p.damaged() != "":
		if isDamaged(r.To.State) {
			r.To.State = "" // what cannot be sent back as it was; any other state is the client's to read
		}
		return r.To.refuse(InvalidRequest, "A parameter has a control character, or is not UTF-8.")
	case p.repeated() != "":
		return r.To.refuse(InvalidRequest, "A parameter is repeated.")
	case mode != "" && !c.AllowsResponseMode(mode):
		return r.To.refuse(InvalidRequest, "The response mode is not one that the client may use.").quoting(mode)
	case mode == clients.ModeFormPost && !takesForms(r.To.RedirectURI):
		return r.To.refuse(InvalidRequest, "The response mode form_post needs a redirect URI of https or http.")
	}
	return nil
}

// refuseUnsupported refuses what is not offered, each with its own word.
func (r *Request) refuseUnsupported(p Parameters, c clients.Client) *Error {
	switch {
	case p.Get("request") != "":
		return r.To.refuse(RequestNotSupported, "Request objects are not offered.")
	case p.Get("request_uri") != "":
		return r.To.refuse(RequestURINotSupported, "Only a request_uri of /par may be used.")
	case p.Get("registration") != "":
		return r.To.refuse(RegistrationUnsupported, "The parameter registration is not offered.")
	case !c.AllowsGrant(clients.GrantCode):
		return r.To.refuse(UnauthorizedClient, "The client may not get authorization codes.")
	}
	switch p.Get("response_type") {
	case "code":
		return nil
	case "":
		return r.To.refuse(InvalidRequest, "The parameter response_type is missing.")
	}
	return r.To.refuse(UnsupportedResponseType, "The response type is not code.").quoting(p.Get("response_type"))
}

// readScopes narrows the scopes to those that the client may have; a request without any gets the
// client's.
func (r *Request) readScopes(p Parameters, c clients.Client) *Error {
	asked := words(p.Get("scope"))
	r.Scopes, _ = c.AllowsScopes(asked...)
	if !c.AllowsGrant(clients.GrantRefresh) {
		r.Scopes = slices.DeleteFunc(r.Scopes, func(scope string) bool { return scope == OfflineAccess })
	}
	if len(r.Scopes) == 0 && len(asked) > 0 {
		return r.To.refuse(InvalidScope, "The client may have none of these scopes.").quoting(p.Get("scope"))
	}
	return nil
}

// readPKCE demands a challenge (OAuth 2.1, section 4.1.1) of every client that is not declared to
// have none. `plain`, also as the default of RFC 7636, is refused.
func (r *Request) readPKCE(p Parameters, c clients.Client) *Error {
	challenge, method := p.Get("code_challenge"), p.Get("code_challenge_method")
	switch {
	case challenge == "" && method != "":
		return r.To.refuse(InvalidRequest, "The parameter code_challenge is missing.")
	case challenge == "" && c.RequiresPKCE():
		return r.To.refuse(InvalidRequest, "The client must use PKCE: the parameter code_challenge is missing.")
	case challenge == "":
		return nil
	case method != "S256":
		return r.To.refuse(InvalidRequest, "The parameter code_challenge_method is not S256.")
	case !isDigest(challenge):
		return r.To.refuse(InvalidRequest, "The code challenge is not the base64url of a SHA-256.")
	}
	r.Challenge = challenge
	return nil
}

// readPrompt reads `prompt` (OpenID Connect Core, section 3.1.2.1).
func (r *Request) readPrompt(p Parameters, _ clients.Client) *Error {
	list := words(p.Get("prompt"))
	r.Prompt = Prompt{
		None:          slices.Contains(list, "none"),
		Login:         slices.Contains(list, "login"),
		Consent:       slices.Contains(list, "consent"),
		SelectAccount: slices.Contains(list, "select_account"),
	}
	if r.Prompt.None && len(list) > 1 {
		return r.To.refuse(InvalidRequest, "The parameter prompt has none beside another value.")
	}
	return nil
}

// longestAge is the most that `max_age` can mean.
const longestAge = 100 * 365 * 24 * time.Hour

// readMaxAge reads `max_age`, in whole seconds.
func (r *Request) readMaxAge(p Parameters, _ clients.Client) *Error {
	text := p.Get("max_age")
	if text == "" {
		return nil
	}
	seconds, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return r.To.refuse(InvalidRequest, "The parameter max_age is not a number of seconds.")
	}
	age := longestAge
	if seconds < uint64(longestAge/time.Second) {
		age = time.Duration(seconds) * time.Second
	}
	r.MaxAge = &age
	return nil
}

// readRest reads what needs no rule of its own.
func (r *Request) readRest(p Parameters, _ clients.Client) *Error {
	r.Nonce, r.JKT, r.ClaimsText = p.Get("nonce"), p.Get("dpop_jkt"), p.Get("claims")
	r.LoginHint, r.IDTokenHint = p.Get("login_hint"), p.Get("id_token_hint")
	r.ACRValues = words(p.Get("acr_values"))
	if len(r.Nonce) > maxNonce {
		return r.To.refuse(InvalidRequest, "The nonce has more than 1024 bytes.")
	}
	if r.JKT != "" && !isDigest(r.JKT) {
		return r.To.refuse(InvalidRequest, "The parameter dpop_jkt is not the thumbprint of a key.")
	}
	var err error
	if r.Claims, err = ParseClaims(r.ClaimsText); err != nil {
		return r.To.refuse(InvalidRequest, "The parameter claims cannot be used: "+err.Error()+".")
	}
	return nil
}

// Has reports whether the request has a scope.
func (r Request) Has(scope string) bool { return slices.Contains(r.Scopes, scope) }
