package jwtauth

import (
	"fmt"
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// checkDPoP refuses words that the options about DPoP do not have.
func (j *JWTAuth) checkDPoP() error {
	switch j.DPoP {
	case "", "optional", "required":
		return nil
	case option.Off:
		if j.DPoPNonce {
			return fmt.Errorf("dpop_nonce: it means nothing with `dpop off`")
		}
		return nil
	}
	return fmt.Errorf("dpop: %q is unknown, want optional, required or off", j.DPoP)
}

// buildPossession has the gate ask for DPoP proofs.
func (j *JWTAuth) buildPossession(g *gate.Gate, _ option.Resolver) error {
	if j.DPoP == option.Off {
		return nil
	}
	g.BoundOnly = j.DPoP == "required"
	g.Possession = func(r *http.Request, t *token.Token, spend bool, now time.Time) error {
		spend = spend && collector(r) == nil // `caddy auth explain` uses up no proof
		return j.gates.Possession.Check(r, t, j.DPoPNonce, spend, now)
	}
	return nil
}

// offerNonce sends a nonce to who uses DPoP where nonces are asked for. With each answer, so that a
// client always has one that is young.
func (j *JWTAuth) offerNonce(w http.ResponseWriter, a *gate.Admission) {
	if j.DPoPNonce && a.Via().Kind == gate.DPoP {
		j.gates.Possession.OfferNonce(w.Header(), time.Now())
	}
}
