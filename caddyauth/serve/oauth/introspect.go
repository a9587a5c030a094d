package oauth

import (
	"errors"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
)

// introspection is the answer of RFC 7662, section 2.2, about an active token.
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type"`
	Expiry    int64    `json:"exp"`
	IssuedAt  int64    `json:"iat,omitempty"`
	NotBefore int64    `json:"nbf,omitempty"`
	Subject   string   `json:"sub"`
	Audience  []string `json:"aud"`
	Issuer    string   `json:"iss"`
	ID        string   `json:"jti,omitempty"`
}

// nothing is the whole answer about every other token, so that nobody learns why (RFC 7662, section
// 2.2).
type nothing struct {
	Active bool `json:"active"`
}

// introspect answers /introspect, for confidential clients and the access tokens of their own
// project. Public clients are refused (RFC 7662, section 2.1), because anyone could use them to
// test tokens.
func (c *call) introspect() (any, error) {
	if c.client.Public() {
		return nil, clientauth.UnknownClient(len(c.r.Header["Authorization"]) > 0)
	}
	raw := c.form["token"]
	if raw == "" {
		return nil, refuse(invalidRequest, "The parameter token is missing.")
	}
	t, err := c.find(raw)
	if err != nil {
		return nil, err
	}
	active, err := c.active(t)
	if err != nil {
		return nil, err
	}
	if !active {
		c.event.Result = inactive
		return nothing{}, nil
	}
	c.isAbout(t.Project, t.Subject)
	return describe(t), nil
}

// active reports whether a token is good at present and the client's business. t may be nil.
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
func isAccessToken(t *token.Token) bool { return t.Type == "at+jwt" || t.Type == token.OpaqueType }

func describe(t *token.Token) introspection {
	return introspection{
		Active:    true,
		Scope:     strings.Join(t.Scopes, " "),
		ClientID:  t.ClientID,
		TokenType: "Bearer",
		Expiry:    t.Expiry.Time().Unix(),
		IssuedAt:  seconds(t.IssuedAt.Time()),
		NotBefore: seconds(t.NotBefore.Time()),
		Subject:   t.Subject,
		Audience:  t.Audience,
		Issuer:    t.Issuer(),
		ID:        t.ID,
	}
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
