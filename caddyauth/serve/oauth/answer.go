package oauth

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// The words of audit.Event.Result; those of errors are `error` in the answer, too (RFC 6749, section 5.2;
// RFC 7009, section 2.2.1).
const (
	success                = "success"
	inactive               = "inactive"
	invalidRequest         = "invalid_request"
	invalidClient          = "invalid_client"
	invalidGrant           = "invalid_grant"
	invalidScope           = "invalid_scope"
	unsupportedGrantType   = "unsupported_grant_type"
	unsupportedTokenType   = "unsupported_token_type"
	temporarilyUnavailable = "temporarily_unavailable"

	// canceled is the word for a client that went away before it was answered: no fault of the
	// server.
	canceled = "canceled"
)

// Results returns every word that audit.Event.Result can be, for whoever prepares counters.
func Results() []string {
	return []string{
		success, inactive, invalidRequest, invalidClient, invalidGrant, invalidScope, unsupportedGrantType,
		unsupportedTokenType, temporarilyUnavailable, canceled,
	}
}

// problem is an error that a client is told of.
type problem struct {
	status     int
	code, text string
	challenge  bool  // the client tried the Authorization header
	cause      error // what failed inside
}

func (p *problem) Error() string { return p.code + ": " + p.text }

func (p *problem) Unwrap() error { return p.cause }

func refuse(code, text string) error {
	return &problem{status: http.StatusBadRequest, code: code, text: text}
}

// unknownClient is one answer for a client that does not exist, does not know its secret, or is
// paused. MCP clients register anew when they see it.
func unknownClient(header bool) error {
	return &problem{
		status:    http.StatusUnauthorized,
		code:      invalidClient,
		text:      "The client is unknown or did not authenticate.",
		challenge: header,
	}
}

// unavailable is what cannot be decided or done at present.
func unavailable(cause error) error {
	return &problem{
		status: http.StatusServiceUnavailable, code: temporarilyUnavailable,
		text: "The request could not be carried out. Please try again in a few seconds.", cause: cause,
	}
}

func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	p, _ := errors.AsType[*problem](unavailable(err))
	return p
}

// write answers with the problem.
func (p *problem) write(w http.ResponseWriter, realm string) {
	if p.challenge {
		w.Header().Set("WWW-Authenticate", "Basic realm="+strconv.Quote(realm))
	}
	if p.status == http.StatusServiceUnavailable {
		endpoint.SetRetryAfter(w.Header(), endpoint.RetryLater)
	}
	endpoint.WriteError(w, p.status, p.code, p.text)
}
