package config

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// ClientAssertions is an authorization server for which a client gets identity assertions.
type ClientAssertions struct {
	// The issuer of that server, exactly as it calls itself: https, or http on a loopback host.
	// Required.
	Issuer string `json:"issuer"`
	// What the client is called there. Default: its id here.
	ClientID string `json:"client_id,omitempty"`
	// The scopes there that assertions may name. Default: none, that server decides.
	Scopes []string `json:"scopes,omitempty"`
	// The resources (RFC 8707) there that assertions may name. Default: none, that server decides.
	Resources []string `json:"resources,omitempty"`
}

// identityAssertions are the settings as the store has them.
func (c *Client) identityAssertions() []clients.AssertionAudience {
	var audiences []clients.AssertionAudience
	for _, a := range c.IdentityAssertions {
		audiences = append(audiences, clients.AssertionAudience(a))
	}
	return audiences
}

// validateOwnIssuer refuses identity assertions for this server: it does not take its own.
func validateOwnIssuer(c clients.Client, issuer string) error {
	if _, own := c.AssertionAudience(issuer); own {
		return fmt.Errorf("client %q: identity_assertion %q: it is this server's own issuer", c.ID, issuer)
	}
	return nil
}

// unmarshalAssertions parses:
//
//	identity_assertion <issuer> {
//		client_id <id>
//		scopes    <words...>
//		resources <uris...>
//	}
func (c *Client) unmarshalAssertions(d *caddyfile.Dispenser) error {
	var a ClientAssertions
	if err := option.One(d, &a.Issuer); err != nil {
		return err
	}
	err := option.Block(d, func() error {
		switch word := d.Val(); word {
		case "client_id":
			return option.One(d, &a.ClientID)
		case "scopes":
			return option.Some(d, &a.Scopes)
		case "resources":
			return option.Some(d, &a.Resources)
		default:
			return d.Errf("identity_assertion: unrecognized option %q", word)
		}
	})
	c.IdentityAssertions = append(c.IdentityAssertions, a)
	return err
}
