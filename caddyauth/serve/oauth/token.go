package oauth

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// granted is the answer of RFC 6749, section 5.1.
type granted struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
	IDToken      string `json:"id_token,omitempty"` // OpenID Connect Core, section 3.1.3.3
}

// token answers /token.
func (c *call) token() (any, error) {
	grant := c.form["grant_type"]
	switch {
	case grant == "":
		return nil, refuse(invalidRequest, "The parameter grant_type is missing.")
	case !c.offers(grant):
		return nil, refuse(unsupportedGrantType, "This grant type is not offered.")
	}
	c.event.GrantType = grant
	if !c.client.AllowsGrant(grant) {
		return nil, refuse(unauthorizedClient, "The client may not use this grant type.")
	}
	if err := c.prove(); err != nil {
		return nil, err
	}
	switch grant {
	case clients.GrantCode:
		return c.code()
	case clients.GrantDevice:
		return c.device()
	case clients.GrantClientCredentials:
		return c.clientCredentials()
	case clients.GrantExchange:
		return c.exchange()
	case clients.GrantJWTBearer:
		return c.assertion()
	}
	return c.refresh()
}

// offered are the grant types that /token always has.
var offered = []string{
	clients.GrantCode, clients.GrantRefresh, clients.GrantDevice, clients.GrantClientCredentials,
	clients.GrantExchange,
}

// offers reports whether the grant type works here.
func (c *call) offers(grant string) bool {
	return slices.Contains(offered, grant) || grant == clients.GrantJWTBearer && c.AssertionGrant != nil
}

// refresh uses a refresh token (RFC 6749, section 6).
func (c *call) refresh() (any, error) {
	raw := c.form["refresh_token"]
	if raw == "" {
		return nil, refuse(invalidRequest, "The parameter refresh_token is missing.")
	}
	issued, err := c.Refresh(c.r.Context(), issuance.Refresh{
		Token:     raw,
		ClientID:  c.client.ID,
		JKT:       c.jkt,
		X5T:       c.x5t,
		AnyKey:    !c.client.Public(),
		Scopes:    c.requestedScopes(),
		Resources: c.lists["resource"],
		Now:       c.now,
	})
	if errors.Is(err, issuance.ErrScope) {
		c.isAbout(issued.Grant.Project, issued.Grant.Subject)
		return nil, refuse(invalidScope, "The refresh token does not have the requested scope.")
	}
	if errors.Is(err, issuance.ErrTarget) {
		c.isAbout(issued.Grant.Project, issued.Grant.Subject)
		return nil, refuse(invalidTarget, "The refresh token is not for the resource.")
	}
	if err != nil {
		return nil, c.refused(err)
	}
	c.event.Verdict = string(issued.Verdict)
	return c.grantedWithIDToken(issued, "")
}

// requestedScopes are the words of the parameter `scope`, each once; nil when the request names
// none.
func (c *call) requestedScopes() []string {
	if c.form["scope"] == "" {
		return nil
	}
	var scopes []string
	for word := range strings.SplitSeq(c.form["scope"], " ") {
		if !slices.Contains(scopes, word) {
			scopes = append(scopes, word)
		}
	}
	return scopes
}

// refused turns an error of sessions into the answer. It is one answer for all verdicts: which it
// was is for the event.
func (c *call) refused(err error) error {
	r, ok := errors.AsType[*session.Refusal](err)
	if !ok {
		return unavailable(err)
	}
	c.event.Verdict = string(r.Verdict)
	c.isAbout(r.Grant.Project, r.Grant.Subject)
	return refuse(
		invalidGrant,
		"The refresh token is unknown, used up, expired, revoked, or another client's or key's.",
	)
}
