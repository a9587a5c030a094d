package oauth

// proveKey has the client prove possession of its key, if it has one (RFC 9449, section 5).
func (c *call) proveKey() (err error) {
	c.jkt, err = c.Proofs.Check(c.r, c.client, c.now)
	return err
}

// tokenType is the member `token_type` of an answer: how the access token is to be presented.
func (c *call) tokenType() string {
	if c.jkt != "" {
		return "DPoP"
	}
	return "Bearer"
}
