package auth

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/request"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// answer tells the client why it was refused: a browser that can sign in is sent to the login page,
// everyone else gets status and challenge of RFC 6750. The body is left to handle_errors where the
// server has any, with the reason in {http.auth.error}.
func (j *JWTAuth) answer(w http.ResponseWriter, r *http.Request, refusal error, admission *gate.Admission,
	mayLogin bool) error {
	reason := gate.ReasonOf(refusal)
	status := gate.Status(reason)
	browser.KeepFromCaches(w.Header(), "no-store")
	if mayLogin && status == http.StatusUnauthorized && gate.IsNavigation(r) {
		if sent := asSent(r); !j.signIn.IsPage(sent) {
			http.Redirect(w, r, j.signIn.URL(sent), http.StatusSeeOther)
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
		browser.Refused(request.Vars(r))
		return caddyhttp.Error(status, &token.Refusal{Reason: reason}) // an error route may print it for the client
	}
	if gate.WantsPage(r) {
		ui.Render(w, status, j.signIn.Refusal(asSent(r), reason, admission))
		return nil
	}
	endpoint.WriteError(w, status, bodyError(reason), string(reason))
	return nil
}

// sentBack tells the operator of people who are signed in and sent to sign in again; the gate has a
// line of its own.
func (a *App) sentBack(r *http.Request, b login.SentBack) {
	detail := "the gate there does not see or does not accept the session; its line `request refused` says why"
	if b.Unreachable {
		detail = "the session cookie belongs to " + a.server.PublicURL.Hostname() + " alone"
	}
	a.audit.sampled.Warn("a person who is signed in was sent to sign in again",
		zap.String("user_id", b.Subject), zap.String("host", b.Host), zap.String("detail", detail),
		zap.String("client_ip", request.ClientIP(r)))
}

// warnCircle tells the operator that the login page lies behind a gate.
func (j *JWTAuth) warnCircle(r *http.Request) {
	j.app.audit.sampled.Warn("the login page cannot be reached: no `auth_server` answers it, or "+
		"a gate stands before it",
		zap.String("gate", j.label()), zap.String("host", r.Host), zap.String("path", r.URL.Path))
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
