package userinfo

import (
	"errors"
	"net/http"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// problem is an error that a client is told of. Why a token is refused is told in the words of
// gates.
type problem struct {
	reason token.Reason
	text   string // of error_description
	byDPoP bool   // the scheme of the challenge
	cause  error  // what failed inside
}

func (p *problem) Error() string { return string(p.reason) + ": " + p.text }

func (p *problem) Unwrap() error { return p.cause }

// invalidRequest is a request that does not have exactly one credential where one may be.
func invalidRequest(text string) error {
	return &problem{reason: gate.MultipleCredentials, text: text}
}

// errNoCredential is for a request without a credential, which is told how to authenticate and
// nothing more.
var errNoCredential error = &problem{reason: gate.NoCredential}

// refused is the answer to a token. A refusal that says that something is not there at present, and
// any other error, is a failure of the server.
func (c credential) refused(err error) error {
	p := &problem{reason: token.KeysUnavailable, cause: err, byDPoP: c.byDPoP}
	if r, ok := errors.AsType[*token.Refusal](err); ok {
		p.reason = r.Reason
	}
	switch p.status() {
	case http.StatusServiceUnavailable:
		p.text = "The request could not be carried out. Please try again in a few seconds."
		return p
	case http.StatusForbidden:
		p.text = "The access token does not have the scope openid."
	default:
		p.text = "The access token is unknown, expired, revoked, of another kind or not proved to be the client's."
	}
	p.cause = nil
	return p
}

// is refuses the token for a reason.
func (c credential) is(reason token.Reason) error { return c.refused(&token.Refusal{Reason: reason}) }

func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	p, _ := errors.AsType[*problem](credential{}.refused(err))
	return p
}

func (p *problem) status() int { return gate.Status(p.reason) }

// write answers with the problem.
func (p *problem) write(w http.ResponseWriter, status int) {
	if status == http.StatusServiceUnavailable {
		endpoint.SetRetryAfter(w.Header(), endpoint.RetryLater)
	} else {
		w.Header().Set("WWW-Authenticate", p.challenge())
	}
	if p.reason == gate.NoCredential {
		endpoint.WriteJSON(w, status, nil)
		return
	}
	endpoint.WriteError(w, status, gate.ErrorCode(p.reason), p.text)
}

// challenge is the header WWW-Authenticate (RFC 6750, section 3; RFC 9449, section 7.1).
func (p *problem) challenge() string {
	scheme, params := "Bearer", []string(nil)
	if code := gate.ErrorCode(p.reason); code != "" {
		params = append(params, `error="`+code+`"`, `error_description="`+p.text+`"`)
	}
	if p.reason == gate.InsufficientScope {
		params = append(params, `scope="openid"`)
	}
	if p.byDPoP || p.reason == gate.ProofRequired {
		scheme, params = "DPoP", append(params, `algs="`+strings.Join(dpop.Algorithms(), " ")+`"`)
	}
	return strings.TrimSpace(scheme + " " + strings.Join(params, ", "))
}
