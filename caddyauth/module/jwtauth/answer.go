package jwtauth

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// answer tells the client why it was refused: a browser that can sign in is sent to the login page, or
// handed over to the server from another host; everyone else gets status and challenge of RFC 6750. The
// body is left to handle_errors where the server has any, with the reason in {http.auth.error}.
func (j *JWTAuth) answer(w http.ResponseWriter, r *http.Request, refusal error, admission *gate.Admission,
	mayLogin bool) error {
	reason := gate.ReasonOf(refusal)
	status := gate.Status(reason)
	browser.KeepFromCaches(w.Header(), "no-store")
	if mayLogin && status == http.StatusUnauthorized && gate.IsNavigation(r) && j.signingInHelps(reason) {
		switch sent := asSent(r); {
		case j.signIn.HandsOver(r):
			j.handOver(w, r, reason)
			return nil
		case !j.signIn.IsPage(sent):
			http.Redirect(w, r, j.signInURL(sent, reason), http.StatusSeeOther)
			return nil
		}
		j.warnCircle(r)
	}
	switch {
	case status == http.StatusServiceUnavailable:
		endpoint.SetRetryAfter(w.Header(), endpoint.RetryLater)
	case j.gate != nil:
		w.Header().Set("WWW-Authenticate", j.gate.Challenge(reason, admission.Via()))
	}
	j.offerNonce(w, admission)
	if request.HasErrorRoutes(r) {
		repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		repl.Set("http.auth.error", string(reason))
		browser.Refused(request.Vars(r))
		return caddyhttp.Error(status, &token.Refusal{Reason: reason}) // an error route may print it for the client
	}
	if gate.WantsPage(r) {
		ui.Render(w, status, j.signIn.Refusal(asSent(r), reason, admission))
		return nil
	}
	endpoint.WriteError(w, status, gate.BodyCode(reason), string(reason))
	return nil
}

// warnCircle tells the operator that the login page lies behind a gate.
func (j *JWTAuth) warnCircle(r *http.Request) {
	j.gates.Sampled.Warn("the login page cannot be reached: no `auth_server` answers it, or "+
		"a gate stands before it",
		zap.String("gate", j.label()), zap.String("host", r.Host), zap.String("path", r.URL.Path))
}
