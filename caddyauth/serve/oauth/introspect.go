package oauth

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
)

// members are those of the answer about an active token (RFC 7662, section 2.2), without the ones
// that have no value.
type members map[string]any

// nothing is the whole answer about every other token, so that nobody learns why (RFC 7662, section
// 2.2).
var nothing = members{"active": false}

// notItsAudience is the reason of an event about a live token of which the client is not told.
const notItsAudience = "not_its_audience"

// introspect answers /introspect, for confidential clients of the token's project: about their own
// tokens, and about access tokens for what they serve (RFC 7662, section 4; clients.MayIntrospect).
// Public clients are refused (section 2.1), because anyone could use them to test tokens.
func (c *call) introspect() (any, error) {
	if c.client.Public() {
		p := clientauth.UnknownClient(len(c.r.Header["Authorization"]) > 0)
		p.Hint = "the client is public: anybody could ask about tokens in its name"
		return nil, p
	}
	raw := c.form["token"]
	if raw == "" {
		return nil, refuse(invalidRequest, "The parameter token is missing.")
	}
	if _, ok := session.ReadToken(raw); ok {
		m, err := c.describedRefresh(raw)
		if err != nil {
			return nil, err
		}
		return c.introspected(m)
	}
	t, err := c.activeToken(raw)
	switch {
	case err != nil:
		return nil, err
	case t == nil || c.acceptsJWT():
		return c.introspected(describe(t))
	}
	return descriptionOf(t)
}

// activeToken returns an access token that is good at present and the client's business; nil for
// any other.
func (c *call) activeToken(raw string) (*token.Token, error) {
	t, err := c.find(raw)
	if err != nil {
		return nil, err
	}
	active, err := c.active(t)
	if err != nil || !active {
		return nil, err
	}
	if !c.client.MayIntrospect(t.ClientID, t.Audience) {
		c.event.Reason = notItsAudience
		return nil, nil
	}
	c.isAbout(t.Project, t.Subject)
	return t, nil
}

// description is where the text of an answer is kept with its token, which says all that is in it.
var description token.DerivedKey

// descriptionOf is the JSON of describe.
func descriptionOf(t *token.Token) (any, error) {
	value := t.Derived(&description, func(t *token.Token) *token.DerivedValue {
		text, err := json.Marshal(describe(t))
		if err != nil {
			return &token.DerivedValue{Value: err}
		}
		return &token.DerivedValue{Value: json.RawMessage(append(text, '\n'))}
	})
	if err, failed := value.(error); failed {
		return nil, unavailable(err)
	}
	return value, nil
}

// describedRefresh is about a refresh token. Those of other clients are nobody's business.
func (c *call) describedRefresh(raw string) (members, error) {
	g, err := c.Sessions.Live(c.r.Context(), raw, c.client.ID, c.now)
	if _, refused := errors.AsType[*session.Refusal](err); refused {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable(err)
	}
	c.isAbout(g.Project, g.Subject)
	return c.describeGrant(g), nil
}

// active reports whether a token is good at present and one of the client's project. t may be nil.
func (c *call) active(t *token.Token) (bool, error) {
	if t == nil || !isAccessToken(t) || t.Project != c.client.Project || t.CheckTime(c.now, 0) != nil {
		return false, nil
	}
	err := c.Revoked(t)
	if r, ok := errors.AsType[*token.Refusal](err); ok && r.Reason == token.Revoked {
		return false, nil
	}
	if err != nil {
		return false, unavailable(err)
	}
	return true, nil
}

// isAccessToken holds ID tokens and the like off, whatever the verifier takes.
func isAccessToken(t *token.Token) bool { return t.Type() == "at+jwt" || t.Type() == token.OpaqueType }

// describe tells of an access token, and nothing of nil. How the person signed in is RFC 9470,
// section 6.2.
func describe(t *token.Token) members {
	if t == nil {
		return nil
	}
	m := members{
		"active":     true,
		"token_type": "Bearer",
		"exp":        t.Expiry.Time().Unix(),
		"sub":        t.Subject,
		"aud":        t.Audience,
		"iss":        t.Issuer(),
	}
	m.addText("scope", strings.Join(t.Scopes, " "))
	m.addText("client_id", t.ClientID)
	m.addText("jti", t.ID)
	m.addTime("iat", t.IssuedAt.Time())
	m.addTime("nbf", t.NotBefore.Time())
	for _, name := range []string{"act", "cnf", "auth_time", "acr", "amr"} {
		if value, ok := t.Claim(name); ok && value != nil {
			m[name] = value
		}
	}
	if t.JKT() != "" {
		m["token_type"] = "DPoP"
	}
	return m
}

// describeGrant tells of a refresh token. Its token_type keeps it from being taken for an access
// token.
func (c *call) describeGrant(g session.Grant) members {
	m := members{
		"active":     true,
		"token_type": "refresh_token",
		"exp":        g.IdleEnds.Unix(),
		"iat":        g.Rotated.Unix(),
		"sub":        g.Subject,
		"client_id":  g.ClientID,
		"iss":        c.Issuer,
	}
	m.addText("scope", strings.Join(c.client.KeepsScopes(g.Scopes), " "))
	m.addTime("auth_time", g.AuthTime)
	m.addText("acr", g.ACR)
	if len(g.Audience) > 0 {
		m["aud"] = g.Audience
	}
	if len(g.AMR) > 0 {
		m["amr"] = g.AMR
	}
	if cnf := token.Confirmation(g.JKT, g.X5T); cnf != nil {
		m["cnf"] = cnf
	}
	return m
}

func (m members) addText(name, value string) {
	if value != "" {
		m[name] = value
	}
}

func (m members) addTime(name string, t time.Time) {
	if !t.IsZero() {
		m[name] = t.Unix()
	}
}
