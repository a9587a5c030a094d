package oauth

import (
	"errors"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
)

// assertion issues a token for an identity assertion of a trusted issuer (RFC 7523, section 2.1;
// draft-ietf-oauth-identity-assertion-authz-grant, section 5.1). There is no refresh token: whoever
// wants another one brings a new assertion.
func (c *call) assertion() (any, error) {
	switch {
	case c.client.Public():
		return nil, refuse(unauthorizedClient, "This grant is for clients that authenticate.")
	case c.form["assertion"] == "":
		return nil, refuse(invalidRequest, "The parameter assertion is missing.")
	}
	issued, err := c.AssertionGrant(c.r.Context(), issuance.AssertionGrant{
		Parties:   c.parties,
		Assertion: c.form["assertion"],
		Scopes:    c.requestedScopes(),
		Resources: c.lists["resource"],
		JKT:       c.jkt,
		X5T:       c.x5t,
		Now:       c.now,
	})
	if refusal, ok := errors.AsType[*issuance.AssertionRefusal](err); ok {
		c.isAbout(issued.Grant.Project, issued.Grant.Subject)
		c.event.Reason = string(refusal.Reason)
		return nil, refuse(invalidGrant, "The assertion is not one that the client may exchange here.")
	}
	if err != nil {
		c.isAbout(issued.Grant.Project, issued.Grant.Subject)
		return nil, c.notIssued(err)
	}
	return c.granted(issued), nil
}
