package clientauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop"
)

// Proofs checks the DPoP proofs that clients send to /token and /par (RFC 9449, sections 5 and
// 10.1).
type Proofs struct {
	// Base is the public URL: proofs name the addresses below it, whatever name the request came
	// under. Required.
	Base *url.URL

	// UseOnce remembers the use of a proof on all nodes; the error is replay.ErrUsed when it was used
	// before, and any other is answered with 503. Required.
	UseOnce func(ctx context.Context, u replay.Use, now time.Time) error

	// Nonces are those of which a proof must name one. Default: none is asked for.
	Nonces *dpop.Nonces
}

// Validate says what is missing.
func (p *Proofs) Validate() error {
	if p.Base == nil || p.UseOnce == nil {
		return errors.New("clientauth: Base and UseOnce of Proofs are required")
	}
	return nil
}

// Check returns the thumbprint of the key that an authenticated client proves to have, and "" for a
// client that sends no proof and need not. A proof that is wrong is refused even where none is
// needed: the client expects a bound token. The error is a *Problem.
func (p *Proofs) Check(r *http.Request, c clients.Client, now time.Time) (string, error) {
	lines := r.Header[dpop.Header]
	if len(lines) == 0 && !c.DPoPBound {
		return "", nil
	}
	text, err := dpop.FromHeader(lines)
	if err != nil {
		return "", proofRefused(err)
	}
	target := url.URL{Scheme: p.Base.Scheme, Host: p.Base.Host, Path: r.URL.Path}
	proof, err := dpop.Verify(text, dpop.Request{
		Method: r.Method,
		URL:    target.String(),
		Nonces: p.Nonces,
		Now:    now,
	})
	if err != nil {
		return "", proofRefused(err)
	}
	err = p.UseOnce(r.Context(), replay.Use{
		Purpose: replay.DPoP,
		Issuer:  proof.Thumbprint,
		ID:      proof.ID,
		Until:   proof.IssuedAt.Add(dpop.MaxAge),
	}, now)
	switch {
	case errors.Is(err, replay.ErrUsed):
		return "", Refuse(InvalidDPoPProof, "The DPoP proof was used before.")
	case err != nil:
		return "", Unavailable(err)
	}
	return proof.Thumbprint, nil
}

// OfferNonce sends the nonce to use next to who sends proofs, where nonces are asked for (RFC 9449,
// section 8.2).
func (p *Proofs) OfferNonce(h http.Header, r *http.Request, now time.Time) {
	if p.Nonces != nil && len(r.Header[dpop.Header]) > 0 {
		h.Set("DPoP-Nonce", p.Nonces.Current(now))
	}
}

// proofRefused says what is wrong with a proof. The client made it, and may know.
func proofRefused(err error) error {
	r, ok := errors.AsType[*dpop.Refusal](err)
	switch {
	case !ok:
		return Refuse(InvalidDPoPProof, "The DPoP proof is not valid.")
	case r.Code == UseDPoPNonce:
		return Refuse(UseDPoPNonce, "The DPoP proof must have the nonce of the header DPoP-Nonce.")
	}
	return Refuse(InvalidDPoPProof, "The DPoP proof was refused: "+r.Detail+".")
}
