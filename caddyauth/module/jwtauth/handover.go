package jwtauth

import (
	"net/http"
	"net/url"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/handover"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// serveOwn answers what belongs to the gateway at the host of an application: where browsers come back
// from signing in, sign out, and keep their session. asked is the URL that the client sent, before the
// site rewrote it. It reports false at hosts that the configuration does not know.
func (j *JWTAuth) serveOwn(w http.ResponseWriter, r *http.Request, asked *url.URL) (done bool) {
	if gate.CheckForm(r, asked) != nil {
		return false
	}
	if asked != r.URL {
		r = r.Clone(r.Context())
		r.URL = asked
	}
	return j.gates.Applications.Serve(w, r)
}

// handOver sends a browser at the host of an application to the server to sign in. That the person has
// to sign in anew is asked for by the age of the sign-in, if that is what the gate goes by.
func (j *JWTAuth) handOver(w http.ResponseWriter, r *http.Request, reason token.Reason) {
	j.gates.Applications.Begin(w, r, handover.Want{
		Again:  reason == gate.InsufficientAuthentication && j.gate.MaxAge == 0,
		MaxAge: j.gate.MaxAge,
	})
}
