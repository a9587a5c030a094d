package possession

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// Checker asks for proofs. It may be used by many goroutines.
type Checker struct {
	// URL returns the URL of a request as its client sees it. Required.
	URL func(r *http.Request) string

	// UseOnce remembers the use of a proof on all nodes; the error is replay.ErrUsed when it was used
	// before, and any other refuses the request with 503. Required.
	UseOnce func(ctx context.Context, u replay.Use, now time.Time) error

	// Nonces are those of which a proof must name one. Default: none is asked for.
	Nonces *dpop.Nonces
}

// Check refuses a request that does not prove possession of the key that t is bound to. spend says
// that the proof may not be used again. The error is a *token.Refusal.
func (c *Checker) Check(r *http.Request, t *token.Token, spend bool, now time.Time) error {
	text, err := dpop.FromHeader(r.Header[dpop.Header])
	if err != nil {
		return refusal(err)
	}
	proof, err := dpop.Verify(text, dpop.Request{
		Method:      r.Method,
		URL:         c.URL(r),
		AccessToken: t.Raw(),
		Nonces:      c.Nonces,
		Now:         now,
	})
	if err != nil {
		return refusal(err)
	}
	if proof.Thumbprint != t.JKT() {
		return &token.Refusal{
			Reason: gate.WrongBinding,
			Detail: "the proof is of another key than the token is bound to",
		}
	}
	if !spend {
		return nil
	}
	return c.spend(r.Context(), proof, now)
}

// spend makes the proof good for nothing else. Clients make up their own ids, so those of different
// keys do not meet.
func (c *Checker) spend(ctx context.Context, proof dpop.Proof, now time.Time) error {
	err := c.UseOnce(ctx, replay.Use{
		Purpose: replay.DPoP,
		Issuer:  proof.Thumbprint,
		ID:      proof.ID,
		Until:   proof.IssuedAt.Add(dpop.MaxAge),
	}, now)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, replay.ErrUsed):
		return &token.Refusal{Reason: gate.InvalidProof, Detail: "the proof was used before (jti)"}
	}
	return fmt.Errorf("%w: %w", &token.Refusal{
		Reason: gate.ReplayNotChecked,
		Detail: "the store cannot say whether the proof was used before",
	}, err)
}

func refusal(err error) error {
	r, ok := errors.AsType[*dpop.Refusal](err)
	if !ok {
		return &token.Refusal{Reason: gate.InvalidProof}
	}
	return &token.Refusal{Reason: token.Reason(r.Code), Detail: r.Detail}
}
