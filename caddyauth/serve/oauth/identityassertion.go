package oauth

import (
	"errors"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
)

// idJAGTokenType is the kind of an identity assertion
// (draft-ietf-oauth-identity-assertion-authz-grant, section 4.3).
const idJAGTokenType = "urn:ietf:params:oauth:token-type:id-jag"

// identityAssertion issues an assertion about a person for another authorization server. It goes into
// the audit trail: what it buys there is not seen here.
func (c *call) identityAssertion() (any, error) {
	subjectType, audience := c.form["subject_token_type"], c.lists["audience"]
	switch {
	case !slices.Contains([]string{idTokenType, refreshTokenType}, subjectType):
		return nil, refuse(
			invalidRequest,
			"The parameter subject_token_type must be "+idTokenType+" or "+refreshTokenType+".",
		)
	case c.form["actor_token"] != "" || c.form["actor_token_type"] != "":
		return nil, refuse(invalidRequest, "The parameter actor_token is not supported.")
	case len(audience) == 0:
		return nil, refuse(invalidRequest, "The parameter audience is missing.")
	case len(audience) > 1:
		return nil, refuse(invalidTarget, "An assertion is for one audience.")
	}
	issued, err := c.IdentityAssertion(c.r.Context(), issuance.IdentityAssertion{
		Parties:      c.parties,
		SubjectToken: c.form["subject_token"],
		Refresh:      subjectType == refreshTokenType,
		Audience:     audience[0],
		Scopes:       c.requestedScopes(),
		Resources:    c.lists["resource"],
		JKT:          c.jkt,
		X5T:          c.x5t,
		Now:          c.now,
	})
	c.isAbout(issued.Grant.Project, issued.Grant.Subject)
	if refusal, ok := errors.AsType[*issuance.SubjectRefusal](err); ok {
		c.event.Reason = string(refusal.Reason)
	}
	if err != nil {
		return nil, c.notIssued(err)
	}
	c.event.Action, c.event.Audience, c.event.Recorded = "identity_assertion", audience[0], true
	c.event.Session = issued.Grant.ID
	answer := c.granted(issued)
	answer.TokenType = "N_A" // it is no access token (section 4.3.3)
	return exchanged{answer, idJAGTokenType}, nil
}
