package config

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/openid"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// Scope is a scope of the operator's own.
type Scope struct {
	// The name: 1 to 100 printable characters without space, quote and backslash, and none of those of
	// OpenID Connect. Required.
	Name string `json:"name"`
	// What a client with the scope may do, in words for the consent page. Default: the name.
	Description string `json:"description,omitempty"`
	// The names of the user's claims that a client with the scope learns from `/userinfo`, or from the
	// ID token when it asks for them there. Default: none.
	Claims []string `json:"claims,omitempty"`
}

// scopes are the operator's own scopes.
func (s *Settings) scopes() openid.Scopes {
	scopes := make(openid.Scopes, len(s.Scopes))
	for i, scope := range s.Scopes {
		scopes[i] = openid.Scope(scope)
	}
	return scopes
}

func (s *Settings) validateScopes() error {
	for _, scope := range s.Scopes {
		for _, name := range scope.Claims {
			if err := validateClaimName(name); err != nil {
				return fmt.Errorf("scope %q: claims: %w", scope.Name, err)
			}
		}
	}
	return s.scopes().Validate()
}

// unmarshalScope parses:
//
//	scope <name> {
//		description <text>
//		claims      <names...>
//	}
func (s *Settings) unmarshalScope(d *caddyfile.Dispenser) error {
	var scope Scope
	if err := option.One(d, &scope.Name); err != nil {
		return err
	}
	err := option.Block(d, func() error {
		switch word := d.Val(); word {
		case "description":
			return option.One(d, &scope.Description)
		case "claims":
			return option.Some(d, &scope.Claims)
		default:
			return d.Errf("scope: unrecognized option %q", word)
		}
	})
	if err != nil {
		return err
	}
	s.Scopes = append(s.Scopes, scope)
	return option.At(d, s.validateScopes())
}
