package clientauth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/replay"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const (
	// maxAssertion is how far away the end of a client assertion may be.
	maxAssertion = 5 * time.Minute

	// skew is how far the clock of a client may differ.
	skew = leeway.Default
)

// assertionTypes are the accepted values of `typ`: most clients send JWT or none, and
// draft-ietf-oauth-rfc7523bis has a name for it. Access and ID tokens of ours are signed by no
// client.
var assertionTypes = []string{"jwt", "client-authentication+jwt", ""}

// The details of events about assertions that prove no client.
const (
	hintUnreadable = "assertion: it is not a JWT with iss"
	hintSubject    = "assertion: sub is not the client's id"
	hintNoID       = "assertion: jti is missing"
	hintAudience   = "assertion: aud does not name the issuer, the token endpoint or the endpoint that was asked; " +
		"with preset fapi2 it is the issuer alone, as a string"
	hintTooLong = "assertion: exp is more than 5 minutes away"
	hintUsed    = "assertion: its jti was used before"
)

// checkAssertion refuses an assertion that does not prove the client (RFC 7523, section 3; OpenID
// Connect Core 1.0, section 9). What is checked last uses it up.
func (a *Authenticator) checkAssertion(r Request, c clients.Client, raw string) error {
	ctx := r.HTTP.Context()
	t, err := a.verifyAssertion(ctx, c, raw)
	if errors.Is(err, keyring.ErrKeysUnavailable) {
		return Unavailable(err)
	}
	if err == nil {
		err = t.CheckTime(r.Now, skew)
	}
	if err != nil {
		return unproved(false, "assertion: "+err.Error())
	}
	switch {
	case t.Subject != c.ID:
		return unproved(false, hintSubject)
	case t.ID == "":
		return unproved(false, hintNoID)
	case !a.isFor(t, c, r.Endpoint):
		return unproved(false, hintAudience)
	case t.Expiry.Time().Sub(r.Now) > maxAssertion+skew:
		return unproved(false, hintTooLong)
	}
	err = a.UseOnce(ctx, replay.Use{
		Purpose: replay.ClientAssertion,
		Issuer:  c.ID,
		ID:      t.ID,
		Until:   t.Expiry.Time().Add(skew),
	})
	if errors.Is(err, replay.ErrUsed) {
		return unproved(false, hintUsed)
	}
	if err != nil {
		return Unavailable(err)
	}
	return nil
}

// verifyAssertion verifies the signature with the keys of the client. A key that does not fit may
// have been replaced: a set that the client publishes is then fetched again. The error wraps
// keyring.ErrKeysUnavailable if the keys cannot be had.
func (a *Authenticator) verifyAssertion(ctx context.Context, c clients.Client, raw string) (*token.Token, error) {
	t, err := a.verifyWithKeys(ctx, c, raw)
	if len(c.JWKS) == 0 && doesNotFit(err) && a.Keys.Renew(ctx, publishedBy(c)) {
		return a.verifyWithKeys(ctx, c, raw)
	}
	return t, err
}

// doesNotFit reports whether an assertion was refused because of its key alone.
func doesNotFit(err error) bool {
	r, ok := errors.AsType[*token.Refusal](err)
	return ok && (r.Reason == token.BadSignature || r.Reason == token.BadAlgorithm)
}

// verifyWithKeys verifies with the keys that are at hand. Their algorithms are pinned: neither `none`
// nor HMAC is among them.
func (a *Authenticator) verifyWithKeys(ctx context.Context, c clients.Client, raw string) (*token.Token, error) {
	var unavailable error
	v, err := token.NewVerifier([]token.Issuer{{
		Name:    c.ID,
		SoleKey: true,
		Types:   assertionTypes,
		Keys: func(ctx context.Context, kid string) (*keyring.Key, error) {
			key, err := a.keyOf(ctx, c, kid)
			if errors.Is(err, keyring.ErrKeysUnavailable) {
				unavailable = err // the verifier's refusal does not say why
			}
			return key, err
		},
	}})
	if err != nil {
		return nil, err
	}
	t, err := v.Verify(ctx, raw)
	if unavailable != nil {
		return nil, unavailable
	}
	return t, err
}

// isFor reports whether the assertion is for this server. Clients of the FAPI 2.0 security profile
// name the issuer and nothing else, as a string (section 5.3.2.1).
func (a *Authenticator) isFor(t *token.Token, c clients.Client, endpoint string) bool {
	if c.Preset == clients.PresetFAPI2 {
		return slices.Equal(t.Audience, []string{a.Issuer}) && token.HasTextAudience(t.Raw())
	}
	return t.HasAudience(a.Issuer, a.TokenEndpoint) || endpoint != "" && t.HasAudience(endpoint)
}

// keyOf finds a key of the client: in the set that it was registered with, or in the one that it
// publishes.
func (a *Authenticator) keyOf(ctx context.Context, c clients.Client, kid string) (*keyring.Key, error) {
	if len(c.JWKS) == 0 {
		return a.Keys.Key(ctx, publishedBy(c), kid)
	}
	set, err := keyring.ParseKeySet(c.JWKS, algorithmsOf(c))
	if err != nil {
		return nil, err
	}
	return set.Key(kid)
}

func publishedBy(c clients.Client) keyring.Source {
	return keyring.Source{
		URL:        c.JWKSURI,
		Algorithms: algorithmsOf(c),
		Unknown:    c.SelfRegistered(),
	}
}

// algorithmsOf are those that the client may sign with.
func algorithmsOf(c clients.Client) []string {
	return slices.DeleteFunc(keyring.Algorithms(), func(alg string) bool { return !c.AllowsAssertionAlgorithm(alg) })
}
