package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// User is a person who can sign in.
type User struct {
	// The name to sign in with, which becomes `sub`; compared without regard to case (RFC 8265).
	// Required.
	Name string `json:"name"`
	// The project the user belongs to. Default: default.
	Project string `json:"project,omitempty"`
	// The password's bcrypt or argon2id hash, as `caddy hash-password` makes it. Default: none, the
	// user cannot sign in with a password.
	PasswordHash string `json:"password_hash,omitempty"`
	// A disabled user cannot sign in. Default: false.
	Disabled bool `json:"disabled,omitempty"`
	// An administrator may use the management API with their session. Default: false.
	Admin bool `json:"admin,omitempty"`
	// Claims that the user's tokens carry besides the registered ones. Default: none.
	Claims map[string]any `json:"claims,omitempty"`
}

func (u *User) project() string {
	if u.Project == "" {
		return project.Default
	}
	return u.Project
}

// Validate refuses what can be refused without resolving placeholders.
func (u *User) Validate() error {
	if _, err := identity.CanonicalName(u.Name); err != nil {
		return fmt.Errorf("user %q: %w", u.Name, err)
	}
	for name := range u.Claims {
		if err := validateClaimName(name); err != nil {
			return fmt.Errorf("user %q: claim: %w", u.Name, err)
		}
	}
	if err := validateClaims(u.Claims); err != nil {
		return fmt.Errorf("user %q: %w", u.Name, err)
	}
	if u.PasswordHash == "" || option.HasPlaceholder(u.PasswordHash) {
		return nil
	}
	if err := identity.ValidateHash(u.PasswordHash); err != nil {
		return fmt.Errorf("user %q: password_hash: %w", u.Name, err)
	}
	return nil
}

func (s *Settings) validateUsers() error {
	for i := range s.Users {
		if err := s.Users[i].Validate(); err != nil {
			return err
		}
	}
	return nil
}

// resolveUsers sets the declared users.
func (s *Settings) resolveUsers(r option.Resolver, v *Server) error {
	v.Users = make([]identity.User, len(s.Users))
	for i := range s.Users {
		var err error
		if v.Users[i], err = s.Users[i].resolve(r); err != nil {
			return err
		}
	}
	return nil
}

func (u *User) resolve(r option.Resolver) (identity.User, error) {
	hash, err := r.Text("password_hash", u.PasswordHash)
	if err != nil {
		return identity.User{}, fmt.Errorf("user %q: %w", u.Name, err)
	}
	resolved := *u
	resolved.PasswordHash = hash
	if err := resolved.Validate(); err != nil {
		return identity.User{}, err
	}
	return identity.User{
		Name:         u.Name,
		Project:      u.project(),
		PasswordHash: hash,
		Disabled:     u.Disabled,
		Admin:        u.Admin,
		Claims:       u.Claims,
	}, nil
}

// unmarshalUser parses:
//
//	user <name> {
//		password_hash <hash>
//		claim         <name> <values...>
//		project       <slug>
//		disabled
//		admin
//	}
func (s *Settings) unmarshalUser(d *caddyfile.Dispenser) error {
	var u User
	if err := option.One(d, &u.Name); err != nil {
		return err
	}
	if err := option.Block(d, func() error { return u.unmarshalOption(d) }, "claim"); err != nil {
		return err
	}
	if err := u.Validate(); err != nil {
		return option.At(d, err)
	}
	s.Users = append(s.Users, u)
	return nil
}

func (u *User) unmarshalOption(d *caddyfile.Dispenser) error {
	switch word := d.Val(); word {
	case "password_hash":
		if err := option.OneSecret(d, &u.PasswordHash); err != nil {
			return err
		}
		return option.At(d, u.Validate())
	case "project":
		return option.One(d, &u.Project)
	case "disabled":
		u.Disabled = true
		return option.None(d)
	case "admin":
		u.Admin = true
		return option.None(d)
	case "claim":
		return unmarshalClaim(d, &u.Claims)
	default:
		return d.Errf("user: unrecognized option %q", word)
	}
}

// unmarshalClaim parses `claim <name> <values...>`: one value is text, or a boolean if it is `true`
// or `false`; several are a list. `claim <name> := <JSON>` takes a value of any type.
func unmarshalClaim(d *caddyfile.Dispenser, claims *map[string]any) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.ArgErr()
	}
	name, values := args[0], args[1:]
	if err := validateClaimName(name); err != nil {
		return d.Errf("claim: %v", err)
	}
	if _, twice := (*claims)[name]; twice {
		return d.Errf("claim: duplicate %q", name)
	}
	if *claims == nil {
		*claims = make(map[string]any)
	}
	switch {
	case values[0] == ":=":
		value, err := claimJSON(values[1:])
		if err != nil {
			return d.Errf("claim: %q: %v", name, err)
		}
		(*claims)[name] = value
	case strings.HasPrefix(values[0], ":="):
		return d.Errf("claim: %q: a space belongs behind `:=`", name)
	case len(values) > 1:
		(*claims)[name] = values
	case values[0] == "true" || values[0] == "false":
		(*claims)[name] = values[0] == "true"
	default:
		(*claims)[name] = values[0]
	}
	return nil
}

// claimJSON reads the value behind `:=`; numbers keep their digits.
func claimJSON(args []string) (value any, err error) {
	if len(args) != 1 {
		return nil, fmt.Errorf(
			"`:=` takes one JSON value, not %d words; JSON with spaces is quoted with backquotes",
			len(args),
		)
	}
	decoder := json.NewDecoder(strings.NewReader(args[0]))
	decoder.UseNumber()
	if !jsontext.Value(args[0]).IsValid() || decoder.Decode(&value) != nil {
		return nil, errors.New("the value behind `:=` is not JSON, or has a duplicate member")
	}
	return value, nil
}

func validateClaimName(name string) error {
	if name == "" || token.Reserved(name) {
		return fmt.Errorf("%q is reserved and cannot be set", name)
	}
	return nil
}
