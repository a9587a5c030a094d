package jwtauth

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/request"
)

// settleCredentials keeps what the gates behind this one may want, and nothing for those of an
// error route. What was revealed to the gate is concealed again. A gate that only reports
// leaves a request as it came otherwise.
func (j *JWTAuth) settleCredentials(
	r *http.Request, vars map[string]any, admission *gate.Admission, revealed *gate.Concealed, err error,
) {
	switch {
	case j.reports():
		if revealed != nil {
			vars[auth.ConcealedVar] = revealed.Settle(r, j.gate, j.gates.Credentials.Conceal(r))
			j.gates.CleanOriginal(r)
		}
		return
	case err != nil:
		revealed.Settle(r, j.gate, nil)
		if vars[auth.AdmissionVar] != nil || !j.place.Alone() {
			request.AnswerFirst(r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer), noUser)
		}
		delete(vars, auth.AdmissionVar)
		delete(vars, auth.ConcealedVar)
	case revealed != nil || admission.Concealed() != nil:
		vars[auth.ConcealedVar] = revealed.Settle(r, j.gate, admission.Concealed())
	}
	j.gates.CleanOriginal(r)
}
