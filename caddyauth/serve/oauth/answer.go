package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// The words of Event.Result; those of errors are `error` in the answer, too (RFC 6749, section 5.2; RFC 7009, section 2.2.1).
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

	// canceled is the word for a client that went away before it was answered: no fault of the server.
	canceled = "canceled"
)

// statusClientGone is the status of an answer that nobody waits for any more, as other servers have it in their access logs.
const statusClientGone = 499

// Results returns every word that Event.Result can be, for whoever prepares counters.
func Results() []string {
	return []string{
		success, inactive, invalidRequest, invalidClient, invalidGrant, invalidScope, unsupportedGrantType, unsupportedTokenType,
		temporarilyUnavailable, canceled,
	}
}

// retryAfter is when to try again after a 503, in seconds.
const retryAfter = 5

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

// unknownClient is one answer for a client that does not exist, does not know its secret, or is paused. MCP clients register anew
// when they see it.
func unknownClient(header bool) error {
	return &problem{status: http.StatusUnauthorized, code: invalidClient, text: "The client is unknown or did not authenticate.", challenge: header}
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

// write answers with the problem in the form of RFC 6749, section 5.2.
func (p *problem) write(w http.ResponseWriter, realm string) {
	if p.challenge {
		w.Header().Set("WWW-Authenticate", "Basic realm="+strconv.Quote(realm))
	}
	if p.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	write(w, p.status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{p.code, p.text})
}

// write answers with JSON; nothing to say is an empty body.
func write(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client went away
}

// keepOut keeps answers out of caches (RFC 6749, section 5.1).
func keepOut(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
}

// admitScripts lets pages of any origin read the answer (Fetch standard, section 3.2). They have no power that they did not bring
// along: cookies play no part here.
func admitScripts(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, DPoP-Nonce")
}

// answerPreflight lists what MCP and A2A clients send to every endpoint alike.
func answerPreflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, Last-Event-ID, "+
		"Mcp-Method, Mcp-Name, A2A-Version, A2A-Extensions, DPoP")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
