package authorization

import "fmt"

// The error words of an authorization response (RFC 6749, section 4.1.2.1; OpenID Connect Core,
// section 3.1.2.6; RFC 8707, section 2; RFC 9126, section 2.3).
const (
	InvalidRequest          = "invalid_request"
	InvalidClient           = "invalid_client"
	InvalidRedirectURI      = "invalid_redirect_uri"
	InvalidRequestURI       = "invalid_request_uri"
	InvalidScope            = "invalid_scope"
	InvalidTarget           = "invalid_target"
	UnauthorizedClient      = "unauthorized_client"
	UnsupportedResponseType = "unsupported_response_type"
	AccessDenied            = "access_denied"
	ServerError             = "server_error"
	TemporarilyUnavailable  = "temporarily_unavailable"
	LoginRequired           = "login_required"
	ConsentRequired         = "consent_required"
	InteractionRequired     = "interaction_required"
	RequestNotSupported     = "request_not_supported"
	RequestURINotSupported  = "request_uri_not_supported"
	RegistrationUnsupported = "registration_not_supported"

	// UnmetAuthentication is for an essential `acr` that the sign-in does not have (OpenID Connect
	// Core Error Code unmet_authentication_requirements 1.0).
	UnmetAuthentication = "unmet_authentication_requirements"
)

// Error is a refusal of an authorization request.
type Error struct {
	// Code is one of the words above, Description a sentence for the developer of the client.
	Code, Description string

	// Hint is what the operator reads in place of Description: it quotes what was sent, of which the
	// client and the person are not told. Default: Description.
	Hint string

	// To is where the client is told. Nil: the redirect URI is not known to be the client's, so that
	// only the person may be told.
	To *Destination

	// Cause is what failed inside. Nil: the words say everything.
	Cause error
}

// Error names the word and the sentence.
func (e *Error) Error() string { return e.Code + ": " + e.Description }

// quoting has the operator read what was refused, as it was sent, at most 200 characters of it.
func (e *Error) quoting(sent string) *Error {
	e.Hint = fmt.Sprintf("%s It sent %.200q.", e.Description, sent)
	return e
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Destination is where the answer to an authorization request goes.
type Destination struct {
	// RedirectURI is one of the client's.
	RedirectURI string

	// ResponseMode is clients.ModeQuery or clients.ModeFormPost.
	ResponseMode string

	// State is returned to the client as it was sent. Default: none was sent.
	State string
}

// refuse is an error that the client is told of.
func (d *Destination) refuse(code, description string) *Error {
	return &Error{Code: code, Description: description, To: d}
}
