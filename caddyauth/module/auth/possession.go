package auth

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/possession"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/request"
)

// Possession asks for DPoP proofs at the gates and endpoints of one configuration.
type Possession struct {
	proofs replay.Local
	nonces dpop.Nonces // they have keys once the configuration is in charge

	ready   func(ctx context.Context) error
	started <-chan struct{}
}

// Check has a request prove possession of the key that a token is bound to, with a nonce of this
// server if withNonce; see gate.Gate.Possession.
func (p *Possession) Check(r *http.Request, t *token.Token, withNonce, spend bool, now time.Time) error {
	if spend { // else the store is not asked, as by commands
		if err := p.ready(r.Context()); err != nil {
			return fmt.Errorf(
				"%w: %w",
				&token.Refusal{Reason: gate.ReplayNotChecked, Detail: "the server is starting"},
				err,
			)
		}
	}
	checker := possession.Checker{URL: request.ClientURL, UseOnce: p.proofs.UseOnce}
	checker.Nonces = p.noncesIf(withNonce)
	return checker.Check(r, t, spend, now)
}

// noncesIf are the nonces that proofs must have, and nil where they need none.
func (p *Possession) noncesIf(demanded bool) *dpop.Nonces {
	if !demanded {
		return nil
	}
	return &p.nonces
}

// OfferNonce sends the nonce to use next (RFC 9449, section 8.2).
func (p *Possession) OfferNonce(h http.Header, now time.Time) {
	select {
	case <-p.started:
		h.Set("DPoP-Nonce", p.nonces.Current(now))
	default: // there are no keys yet
	}
}
