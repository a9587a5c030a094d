package oauth

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// granted is the answer of RFC 6749, section 5.1.
type granted struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope,omitempty"`
}

// token answers /token.
func (c *call) token() (any, error) {
	switch c.form["grant_type"] {
	case "":
		return nil, refuse(invalidRequest, "The parameter grant_type is missing.")
	case "refresh_token":
		return c.refresh()
	}
	return nil, refuse(unsupportedGrantType, "This grant type is not offered.")
}

// refresh uses a refresh token (RFC 6749, section 6). The scopes are looked at before, so that
// asking for too much does not use the token up; the access token is made after, when the use is
// committed.
func (c *call) refresh() (any, error) {
	raw := c.form["refresh_token"]
	if raw == "" {
		return nil, refuse(invalidRequest, "The parameter refresh_token is missing.")
	}
	narrowed, err := c.narrow(raw)
	if err != nil {
		return nil, err
	}
	var access string
	var scopes []string
	issued, err := c.Sessions.RefreshWith(c.r.Context(), raw, c.client.ID, c.now, func(i session.Issued) (err error) {
		if scopes = narrowed; scopes == nil {
			scopes = i.Grant.Scopes
		}
		access, err = c.Issue(c.r.Context(), i.Grant, scopes, i.Epoch, c.now, i.AccessUntil)
		return err
	})
	if err != nil {
		return nil, c.refused(err)
	}
	c.event.Verdict = issued.Verdict
	c.event.isAbout(issued.Grant.Project, issued.Grant.Subject)
	return granted{
		AccessToken: access, TokenType: "Bearer", ExpiresIn: int64(issued.AccessUntil.Sub(c.now) / time.Second),
		RefreshToken: issued.RefreshToken, Scope: strings.Join(scopes, " "),
	}, nil
}

// narrow returns the requested scopes, nil when none are: at most those of the grant (RFC 6749,
// section 6). Nobody but the client that the token was issued to learns what those are.
func (c *call) narrow(raw string) ([]string, error) {
	if c.form["scope"] == "" {
		return nil, nil
	}
	g, err := c.Sessions.Find(c.r.Context(), raw)
	if err == nil && g.ClientID != c.client.ID {
		err = &session.Refusal{Verdict: session.OtherClient, Grant: g}
	}
	if err != nil {
		return nil, c.refused(err)
	}
	var scopes []string
	for word := range strings.SplitSeq(c.form["scope"], " ") {
		if !slices.Contains(g.Scopes, word) {
			c.event.isAbout(g.Project, g.Subject)
			return nil, refuse(invalidScope, "The refresh token does not have the requested scope.")
		}
		if !slices.Contains(scopes, word) {
			scopes = append(scopes, word)
		}
	}
	return scopes, nil
}

// refused turns an error of sessions into the answer. It is one answer for all verdicts: which it
// was is for the event.
func (c *call) refused(err error) error {
	r, ok := errors.AsType[*session.Refusal](err)
	if !ok {
		return unavailable(err)
	}
	c.event.Verdict = r.Verdict
	c.event.isAbout(r.Grant.Project, r.Grant.Subject)
	return refuse(invalidGrant, "The refresh token is unknown, used up, expired, revoked or another client's.")
}
