package oauth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
)

// code exchanges an authorization code (RFC 6749, section 4.1.3).
func (c *call) code() (any, error) {
	raw := c.form["code"]
	if raw == "" {
		return nil, refuse(invalidRequest, "The parameter code is missing.")
	}
	bought, err := c.ExchangeCode(c.r.Context(), issuance.CodeExchange{
		Code:        raw,
		ClientID:    c.client.ID,
		RedirectURI: c.form["redirect_uri"],
		Verifier:    c.form["code_verifier"],
		Resources:   c.lists["resource"],
		JKT:         c.jkt,
		X5T:         c.x5t,
		Now:         c.now,
	})
	if err != nil {
		return nil, c.codeRefused(bought.Code, err)
	}
	c.event.Verdict, c.event.Session = string(authorization.Redeemed), bought.Grant.ID
	c.recordAuthorization(bought.Issued)
	return c.grantedWithIDToken(bought.Issued, bought.Code.Nonce)
}

// recordAuthorization has the audit trail say which client a person has signed in to, and for what: nothing
// else does where nobody is asked for their consent. What becomes of a device is recorded when the person
// decides.
func (c *call) recordAuthorization(issued issuance.Issued) {
	c.event.Action, c.event.Target, c.event.Recorded = "authorization", c.client.ID, true
	c.event.Detail = strings.Join(issued.Scopes, " ")
}

// grantedWithIDToken is the answer to a grant, with an ID token where the person let the client know
// who they are. nonce is that of the authorization request; a refresh has none.
func (c *call) grantedWithIDToken(issued issuance.Issued, nonce string) (any, error) {
	answer := c.granted(issued)
	if c.IDToken == nil || !slices.Contains(issued.Scopes, authorization.OpenID) {
		return answer, nil
	}
	var err error
	if answer.IDToken, err = c.IDToken(c.r.Context(), issued, nonce, c.now); err != nil {
		return nil, unavailable(err)
	}
	return answer, nil
}

// MakeIDToken returns the ID token that goes with what was issued.
type MakeIDToken func(
	ctx context.Context,
	issued issuance.Issued,
	nonce string,
	now time.Time,
) (string, error)

// codeRefused turns an error of codes into the answer. It is one answer for all verdicts: which it
// was is for the event.
func (c *call) codeRefused(code authorization.Code, err error) error {
	if errors.Is(err, issuance.ErrTarget) {
		c.isAbout(code.Project, code.Subject)
		return refuse(invalidTarget, "The resource is not one of those that were authorized.")
	}
	r, ok := errors.AsType[*issuance.CodeRefusal](err)
	if !ok {
		return unavailable(err)
	}
	c.event.Verdict = string(r.Verdict)
	c.isAbout(r.Code.Project, r.Code.Subject)
	return refuse(invalidGrant, "The code is unknown, used, expired or another client's, or the code_verifier or "+
		"redirect_uri is not that of its request.")
}
