package manage

import (
	"bytes"
	"encoding/json"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// assertionBody is an authorization server for which a client gets identity assertions.
type assertionBody struct {
	Issuer    string   `json:"issuer"`
	ClientID  string   `json:"client_id"`
	Scopes    []string `json:"scopes"`
	Resources []string `json:"resources"`
}

func showAssertions(c clients.Client) []assertionBody {
	shown := []assertionBody{}
	for _, a := range c.IdentityAssertions {
		audience, _ := c.AssertionAudience(a.Issuer)
		shown = append(shown, assertionBody{
			Issuer:    audience.Issuer,
			ClientID:  audience.ClientID,
			Scopes:    nonNil(audience.Scopes),
			Resources: nonNil(audience.Resources),
		})
	}
	return shown
}

// assertions takes a list of authorization servers.
func (o *object) assertions(into *[]clients.AssertionAudience) {
	const name = "identity_assertions"
	raw, there := o.take(name)
	if !there {
		return
	}
	var list []assertionBody
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if raw[0] != '[' || dec.Decode(&list) != nil {
		o.fail(invalid("%s: it must be a list of objects with issuer, client_id, scopes and resources", name))
		return
	}
	*into = nil
	for _, a := range list {
		*into = append(*into, clients.AssertionAudience(a))
	}
}
