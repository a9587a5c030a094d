package oauth

import (
	"errors"

	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// revoke answers /revoke. A refresh token ends its grant with all access tokens of it; an access
// token ends by itself alone (RFC 7009, section 2.1, leaves that to the server). What means nothing
// here is revoked already (section 2.2). `token_type_hint` is not needed: tokens show what they
// are.
func (c *call) revoke() (any, error) {
	raw := c.form["token"]
	if raw == "" {
		return nil, refuse(invalidRequest, "The parameter token is missing.")
	}
	if _, ok := session.ReadToken(raw); ok {
		return nil, c.revokeGrant(raw)
	}
	t, err := c.find(raw)
	if err != nil || t == nil {
		return nil, err
	}
	return nil, c.revokeAccess(t)
}

func (c *call) revokeGrant(raw string) error {
	err := c.Sessions.Revoke(c.r.Context(), raw, c.client.ID, session.RevokedByClient, c.now)
	if r, ok := errors.AsType[*session.Refusal](err); ok {
		c.event.Verdict = string(r.Verdict)
		c.isAbout(r.Grant.Project, r.Grant.Subject)
		return notTheirs()
	}
	if err != nil {
		return unavailable(err)
	}
	return nil
}

func (c *call) revokeAccess(t *token.Token) error {
	c.isAbout(t.Project, t.Subject)
	if t.ClientID != c.client.ID {
		return notTheirs()
	}
	if t.ID == "" {
		return refuse(unsupportedTokenType, "The token has no id by which it could be revoked.")
	}
	if err := c.Sessions.RevokeToken(c.r.Context(), t.Issuer(), t.ID, t.Expiry.Time(), c.now); err != nil {
		return unavailable(err)
	}
	return nil
}

// notTheirs is for the token of another client: that one is refused and told so (RFC 7009, section
// 2.1), with the word that RFC 6749, section 5.2, has for it.
func notTheirs() error { return refuse(invalidGrant, "The token was issued to another client.") }

// find returns the access token of raw, or nil if this server did not issue it.
func (c *call) find(raw string) (*token.Token, error) {
	t, err := c.Verify(c.r.Context(), raw)
	if r, ok := errors.AsType[*token.Refusal](err); ok && r.Reason != token.KeysUnavailable {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if !t.Own() {
		return nil, nil
	}
	return t, nil
}
