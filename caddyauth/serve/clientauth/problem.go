package clientauth

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// The words of errors (RFC 6749, section 5.2; RFC 7009, section 2.2.1; RFC 8707, section 2).
const (
	InvalidRequest         = "invalid_request"
	InvalidClient          = "invalid_client"
	InvalidGrant           = "invalid_grant"
	InvalidScope           = "invalid_scope"
	InvalidTarget          = "invalid_target"
	UnauthorizedClient     = "unauthorized_client"
	UnsupportedGrantType   = "unsupported_grant_type"
	UnsupportedTokenType   = "unsupported_token_type"
	TemporarilyUnavailable = "temporarily_unavailable"

	// TooManyRequests is no word of an RFC: RFC 9126, section 2.3, has a status alone.
	TooManyRequests = "too_many_requests"

	// Those of RFC 9449, section 5 and 8.
	InvalidDPoPProof = dpop.InvalidProof
	UseDPoPNonce     = dpop.UseNonce
)

// Problem is an error that a client is told of.
type Problem struct {
	// Status is the status of the answer.
	Status int

	// Code is the member `error`, Text the member `error_description`.
	Code, Text string

	// Challenge says that the client tried the Authorization header, so that the answer has
	// WWW-Authenticate.
	Challenge bool

	// Wait is how long the client should wait before it tries again. Default: of a 503, a few seconds.
	Wait time.Duration

	// Hint is the event's Detail in place of Text: what the operator may know, and the client not.
	Hint string

	// Cause is what failed inside, for a log; nil where the code says everything.
	Cause error
}

func (p *Problem) Error() string { return p.Code + ": " + p.Text }

func (p *Problem) Unwrap() error { return p.Cause }

// Refuse is a request that is answered with 400.
func Refuse(code, text string) error {
	return &Problem{Status: http.StatusBadRequest, Code: code, Text: text}
}

// UnknownClient is one answer for a client that does not exist, does not authenticate, or is
// paused. MCP clients register anew when they see it.
func UnknownClient(header bool) *Problem {
	return &Problem{
		Status:    http.StatusUnauthorized,
		Code:      InvalidClient,
		Text:      "The client is unknown or did not authenticate.",
		Challenge: header,
	}
}

// unproved is UnknownClient with what the operator may know of it, which is in the log and not in the
// answer.
func unproved(header bool, hint string) error {
	p := UnknownClient(header)
	p.Hint = hint
	return p
}

// Unavailable is what cannot be decided or done at present.
func Unavailable(cause error) error {
	return &Problem{
		Status: http.StatusServiceUnavailable,
		Code:   TemporarilyUnavailable,
		Text:   "The request could not be carried out. Please try again in a few seconds.",
		Cause:  cause,
	}
}

// ProblemOf returns the Problem that an error is. One that is none is Unavailable.
func ProblemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	p, _ := errors.AsType[*Problem](Unavailable(err))
	return p
}

// Canceled is the result of an event for a client that has gone before it was answered.
const Canceled = "canceled"

// Fail reports what came of a request that failed, and answers it. A failure is the server's, unless
// the client has gone before it was answered.
func Fail(w http.ResponseWriter, r *http.Request, realm string, events audit.Sink, e audit.Event, err error) {
	p := ProblemOf(err)
	e.Result, e.Detail, e.Err = p.Code, cmp.Or(p.Hint, p.Text), p.Cause
	if p.Cause != nil && endpoint.IsGone(r.Context()) {
		e.Result, e.Err = Canceled, nil
		p.Status = endpoint.StatusClientGone
	}
	events.Report(r.Context(), e)
	p.Write(w, realm)
}

// Write answers with the problem. realm is that of a challenge.
func (p *Problem) Write(w http.ResponseWriter, realm string) {
	if p.Challenge {
		w.Header().Set("WWW-Authenticate", "Basic realm="+strconv.Quote(realm))
	}
	wait := p.Wait
	if wait == 0 && p.Status == http.StatusServiceUnavailable {
		wait = endpoint.RetryLater
	}
	endpoint.SetRetryAfter(w.Header(), wait)
	endpoint.WriteError(w, p.Status, p.Code, p.Text)
}
