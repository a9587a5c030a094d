package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// TrustedAssertions are the identity assertions of a trusted issuer, and what they are good for.
type TrustedAssertions struct {
	// The clients that may present them, by id. Required.
	Clients []string `json:"clients,omitempty"`
	// The claim that says whom an assertion is about, such as `sub` or `email`. Required.
	UserClaim string `json:"user_claim,omitempty"`
	// The users here by the value of that claim; nobody else is known. Default: the value is the
	// user's name.
	Users map[string]string `json:"users,omitempty"`
	// The scopes that tokens may have, out of the client's. Default: none.
	Scopes []string `json:"scopes,omitempty"`
	// The resources (RFC 8707) that assertions may name, out of the client's. Default: none, tokens
	// are for the client's audience.
	Resources []string `json:"resources,omitempty"`
}

// Validate refuses what could never work.
func (a *TrustedAssertions) Validate() error {
	switch {
	case len(a.Clients) == 0:
		return errors.New("assertions: clients is missing")
	case a.UserClaim == "":
		return errors.New("assertions: user_claim is missing")
	}
	for _, id := range a.Clients {
		if err := clients.ValidateID(id); err != nil {
			return fmt.Errorf("assertions: clients: %w", err)
		}
	}
	for value, name := range a.Users {
		if _, err := identity.CanonicalName(name); err != nil {
			return fmt.Errorf("assertions: user %q: %w", value, err)
		}
	}
	if err := project.ValidateWords("scopes", a.Scopes); err != nil {
		return fmt.Errorf("assertions: %w", err)
	}
	within := clients.Client{ID: "x", Settings: clients.Settings{Resources: a.Resources}}
	if err := within.ValidateFields(); err != nil {
		return fmt.Errorf("assertions: %w", err)
	}
	return nil
}

// domain returns what the assertions are good for; nil for none.
func (a *TrustedAssertions) domain() *issuance.AssertionIssuer {
	if a == nil {
		return nil
	}
	return &issuance.AssertionIssuer{
		Clients:   a.Clients,
		UserClaim: a.UserClaim,
		Users:     a.Users,
		Scopes:    a.Scopes,
		Resources: a.Resources,
	}
}

// isAssertionType reports whether a `typ` is that of identity assertions.
func isAssertionType(typ string) bool {
	return strings.TrimPrefix(strings.ToLower(typ), "application/") == issuance.IDJAGType
}

// unmarshalAssertions parses:
//
//	assertions {
//		clients    <ids...>
//		user_claim <claim>
//		user       <value> <name>
//		scopes     <words...>
//		resources  <uris...>
//	}
func (t *Trust) unmarshalAssertions(d *caddyfile.Dispenser) error {
	if d.CountRemainingArgs() > 0 {
		return d.ArgErr()
	}
	t.Assertions = new(TrustedAssertions)
	if err := option.Block(d, func() error { return t.Assertions.unmarshalOption(d) }, "user"); err != nil {
		return err
	}
	return option.At(d, t.Assertions.Validate())
}

func (a *TrustedAssertions) unmarshalOption(d *caddyfile.Dispenser) error {
	switch word := d.Val(); word {
	case "clients":
		return option.Some(d, &a.Clients)
	case "user_claim":
		return option.One(d, &a.UserClaim)
	case "user":
		return a.unmarshalUser(d)
	case "scopes":
		return option.Some(d, &a.Scopes)
	case "resources":
		return option.Some(d, &a.Resources)
	default:
		return d.Errf("assertions: unrecognized option %q", word)
	}
}

func (a *TrustedAssertions) unmarshalUser(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 || slices.Contains(args, "") {
		return d.Err("user: want the value of user_claim and the name of a user")
	}
	if _, twice := a.Users[args[0]]; twice {
		return d.Errf("user: duplicate %q", args[0])
	}
	if a.Users == nil {
		a.Users = map[string]string{}
	}
	a.Users[args[0]] = args[1]
	return nil
}
