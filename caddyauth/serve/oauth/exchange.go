package oauth

import (
	"slices"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
)

// The kinds of tokens (RFC 8693, section 3). Access tokens are exchanged for access tokens.
const (
	accessTokenType  = "urn:ietf:params:oauth:token-type:access_token"
	refreshTokenType = "urn:ietf:params:oauth:token-type:refresh_token"
	idTokenType      = "urn:ietf:params:oauth:token-type:id_token"
)

// exchanged is the answer of RFC 8693, section 2.2.1, for an access token or an assertion. There is no
// refresh token: whoever wants another one exchanges again.
type exchanged struct {
	granted
	IssuedTokenType string `json:"issued_token_type"`
}

// exchange gives a client what it asks for in place of a token.
func (c *call) exchange() (any, error) {
	switch {
	case c.client.Public():
		return nil, refuse(unauthorizedClient, "This grant is for clients that authenticate.")
	case c.form["subject_token"] == "":
		return nil, refuse(invalidRequest, "The parameter subject_token is missing.")
	case c.form["requested_token_type"] == idJAGTokenType:
		return c.identityAssertion()
	}
	return c.accessToken()
}

// accessToken issues a token for a token that the client has received (RFC 8693). The client acts for
// the subject, so that a token for the actor is superfluous, and refused.
func (c *call) accessToken() (any, error) {
	switch {
	case c.form["subject_token_type"] != accessTokenType:
		return nil, refuse(invalidRequest, "The parameter subject_token_type must be "+accessTokenType+".")
	case !slices.Contains([]string{"", accessTokenType}, c.form["requested_token_type"]):
		return nil, refuse(invalidRequest, "The parameter requested_token_type must be "+accessTokenType+".")
	case c.form["actor_token"] != "" || c.form["actor_token_type"] != "":
		return nil, refuse(invalidRequest, "The client itself is the actor; actor_token is not supported.")
	}
	issued, err := c.TokenExchange(c.r.Context(), issuance.TokenExchange{
		Parties:      c.parties,
		SubjectToken: c.form["subject_token"],
		Scopes:       c.requestedScopes(),
		Audience:     slices.Concat(c.lists["resource"], c.lists["audience"]),
		JKT:          c.jkt,
		X5T:          c.x5t,
		Now:          c.now,
	})
	c.isAbout(issued.Grant.Project, issued.Grant.Subject)
	if err != nil {
		return nil, c.notIssued(err)
	}
	return exchanged{c.granted(issued), accessTokenType}, nil
}
