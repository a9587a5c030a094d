package oauth

import (
	"errors"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// clientCredentials issues a token to the client itself (RFC 6749, section 4.4).
func (c *call) clientCredentials() (any, error) {
	if c.client.Public() {
		return nil, refuse(unauthorizedClient, "This grant is for clients that authenticate.")
	}
	issued, err := c.ClientCredentials(c.r.Context(), issuance.ClientCredentials{
		Parties:   c.parties,
		Scopes:    c.requestedScopes(),
		Resources: c.lists["resource"],
		JKT:       c.jkt,
		X5T:       c.x5t,
		Now:       c.now,
	})
	if err != nil {
		return nil, c.notIssued(err)
	}
	return c.granted(issued), nil
}

// granted is the answer with an access token.
func (c *call) granted(issued issuance.Issued) granted {
	c.isAbout(issued.Grant.Project, issued.Grant.Subject)
	return granted{
		AccessToken:  issued.AccessToken,
		TokenType:    c.tokenType(),
		ExpiresIn:    int64(issued.AccessUntil.Sub(c.now) / time.Second),
		RefreshToken: issued.RefreshToken,
		Scope:        strings.Join(issued.Scopes, " "),
	}
}

// notIssued turns an error of issuing into the answer.
func (c *call) notIssued(err error) error {
	switch {
	case errors.Is(err, issuance.ErrScope):
		return refuse(invalidScope, "The client may not have the requested scope.")
	case errors.Is(err, issuance.ErrTarget), errors.Is(err, issuance.ErrAudience):
		return refuse(invalidTarget, "The client may not have tokens for the requested resource or audience.")
	case errors.Is(err, issuance.ErrNamedAsUser):
		return refuse(
			unauthorizedClient,
			"A user of the project has the name of the client; one of them needs another.",
		)
	case errors.Is(err, issuance.ErrSubjectToken):
		return refuse(invalidRequest, "The subject token is not one that the client may exchange.")
	}
	if _, refused := errors.AsType[*session.Refusal](err); refused {
		return refuse(unauthorizedClient, "Nothing may be issued to the client at present.")
	}
	return unavailable(err)
}
