package manage

import (
	"encoding/json"
	"errors"

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
	var list []map[string]json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		o.fail(invalid("%s: it must be a list of objects", name))
		return
	}
	*into = nil
	for _, members := range list {
		var a clients.AssertionAudience
		server := object{members: members, taken: map[string]bool{}}
		server.required("issuer", &a.Issuer)
		server.text("client_id", &a.ClientID)
		server.stringList("scopes", &a.Scopes)
		server.stringList("resources", &a.Resources)
		if refused, ok := errors.AsType[*refusal](server.done()); ok {
			o.fail(invalid("%s: %s", name, refused.text))
			return
		}
		*into = append(*into, a)
	}
}
