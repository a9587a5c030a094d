package oauth

import "github.com/caddyauth/gateway/caddyauth/serve/clientauth"

// prove has the client prove possession of what its tokens will be bound to: its certificate (RFC
// 8705, section 3), and its key, if it has one (RFC 9449, section 5).
func (c *call) prove() (err error) {
	if c.x5t, err = clientauth.BoundTo(c.r, *c.client); err != nil {
		return err
	}
	c.jkt, err = c.Proofs.Check(c.r, *c.client, c.now)
	return err
}

// tokenType is the member `token_type` of an answer: how the access token is to be presented.
func (c *call) tokenType() string {
	if c.jkt != "" {
		return "DPoP"
	}
	return "Bearer"
}
