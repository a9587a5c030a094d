package auth

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// answer tells the client why it was refused: a browser that can sign in is sent to the login page, everyone else gets status and
// challenge of RFC 6750. The body is left to handle_errors where the server has any, with the reason in {http.auth.error}.
func (j *JWTAuth) answer(w http.ResponseWriter, r *http.Request, refusal error, admission *gate.Admission, mayLogin bool) error {
	reason := gate.ReasonOf(refusal)
	status := gate.Status(reason)
	keepFromCaches(w.Header(), "no-store")
	if mayLogin && status == http.StatusUnauthorized && gate.IsNavigation(r) {
		if !j.isLoginPage(r) {
			http.Redirect(w, r, j.loginURL(r), http.StatusSeeOther)
			return nil
		}
		j.warnCircle(r)
	}
	switch {
	case status == http.StatusServiceUnavailable:
		endpoint.SetRetryAfter(w.Header(), endpoint.RetryLater)
	case j.gate != nil:
		w.Header().Set("WWW-Authenticate", j.gate.Challenge(reason))
	}
	if hasErrorRoutes(r) {
		repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		repl.Set("http.auth.error", string(reason))
		stateOf(varsOf(r)).refused = true
		return caddyhttp.Error(status, &token.Refusal{Reason: reason}) // an error route may print it for the client
	}
	if gate.WantsPage(r) {
		ui.Render(w, status, j.refusalPage(r, reason, admission))
		return nil
	}
	endpoint.WriteError(w, status, bodyError(reason), string(reason))
	return nil
}

// bodyError is the error word of a JSON body, which unlike the challenge always has one.
func bodyError(reason token.Reason) string {
	if code := gate.ErrorCode(reason); code != "" {
		return code
	}
	return "unauthorized"
}

// hasErrorRoutes reports whether the operator wants to answer errors.
func hasErrorRoutes(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && server.Errors != nil && len(server.Errors.Routes) > 0
}
