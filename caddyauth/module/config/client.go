package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// Client is an OAuth client.
type Client struct {
	// The client_id: 1 to 128 letters, digits and `-._~`. Required.
	ID string `json:"id"`
	// The project it belongs to. Default: default.
	Project string `json:"project,omitempty"`
	// The display name. Default: the id.
	Name string `json:"name,omitempty"`
	// Its secret, at least 32 bytes. Default: none, a public client.
	Secret string `json:"secret,omitempty"`
	// `jwt`, which gates verify by themselves, or `opaque`, which is looked up. Default: the
	// project's.
	AccessTokenFormat string `json:"access_token_format,omitempty"`
	// `off` lets the same refresh token be used more than once. Default: the project's.
	RefreshRotation string `json:"refresh_rotation,omitempty"`
	// How long after a rotation the previous refresh token still gets the same successor; 0s to
	// 60s. Default: the project's.
	RefreshReuseInterval *option.Duration `json:"refresh_reuse_interval,omitempty"`
	// The audience of its tokens if a request names none. Default: api.
	Audience []string `json:"audience,omitempty"`
	// The scopes it may ask for. Default: none.
	Scopes []string `json:"scopes,omitempty"`
	// Claims that its tokens carry. Default: none.
	Claims map[string]any `json:"claims,omitempty"`
	// A named set of lifetimes, as for the server. Default: the project's lifetimes.
	Preset string `json:"preset,omitempty"`
	// The lifetimes of its tokens. Default: the project's lifetimes.
	Lifetimes OwnLifetimes `json:"lifetimes,omitzero"`
}

// domain returns the client as the store declares it. An empty secret makes it a public client.
func (c *Client) domain(limits project.Limits, secret string) (clients.Client, error) {
	lifetimes, err := lifetimesOver(c.Lifetimes.domain(), c.Preset)
	if err == nil {
		err = lifetimes.Validate(limits)
	}
	declared := clients.Client{
		ID:        c.ID,
		Project:   c.project(),
		Name:      c.Name,
		Audience:  c.Audience,
		Scopes:    c.Scopes,
		Claims:    c.Claims,
		Lifetimes: lifetimes,
	}
	if err == nil {
		declared.TokenOptions, err = tokenOptions(c.AccessTokenFormat, c.RefreshRotation, c.RefreshReuseInterval)
	}
	switch {
	case err != nil:
	case c.ID == clients.FirstParty:
		err = fmt.Errorf("the id is reserved for the server's own login routes")
	case secret != "" && len(secret) < 32:
		err = fmt.Errorf("secret: %d bytes are below the limit of 32", len(secret))
	default:
		err = errors.Join(declared.Validate(), identity.CheckClaims(c.Claims))
	}
	if err != nil {
		return clients.Client{}, fmt.Errorf("client %q: %w", c.ID, oneLine(err))
	}
	if secret != "" {
		declared.Secrets = []clients.Secret{{Number: 1, Hash: secrets.Hash(secret)}}
	}
	return declared, nil
}

func (c *Client) project() string {
	if c.Project == "" {
		return project.Default
	}
	return c.Project
}

func (s *Settings) validateClients() error {
	for i := range s.Clients {
		if err := s.validateClient(i); err != nil {
			return err
		}
	}
	return nil
}

// validateClient refuses the client with the index i, which may still be incomplete.
func (s *Settings) validateClient(i int) error {
	c := &s.Clients[i]
	if slices.ContainsFunc(s.Clients[:i], func(o Client) bool { return o.ID == c.ID }) {
		return fmt.Errorf("client %q: duplicate", c.ID)
	}
	_, err := c.domain(s.Limits.domain(), "")
	return err
}

// unmarshalClient parses:
//
//	client <id> {
//		project                <slug>
//		name                   <text>
//		secret                 <text>
//		access_token_format    jwt|opaque
//		refresh_rotation       on|off
//		refresh_reuse_interval <duration>
//		audience               <words...>
//		scopes                 <words...>
//		claim                  <name> <values...>
//		preset                 <name>
//		lifetimes              {...}
//	}
func (s *Settings) unmarshalClient(d *caddyfile.Dispenser) error {
	s.Clients = append(s.Clients, Client{})
	c := &s.Clients[len(s.Clients)-1]
	if err := option.One(d, &c.ID); err != nil {
		return err
	}
	if err := option.At(d, s.validateClient(len(s.Clients)-1)); err != nil {
		return err
	}
	return option.Block(d, func() error {
		if err := c.unmarshalOption(d); err != nil {
			return err
		}
		return option.At(d, s.validateClient(len(s.Clients)-1))
	}, "claim")
}

func (c *Client) unmarshalOption(d *caddyfile.Dispenser) error {
	texts := map[string]*string{
		"project":             &c.Project,
		"name":                &c.Name,
		"access_token_format": &c.AccessTokenFormat,
		"refresh_rotation":    &c.RefreshRotation,
		"preset":              &c.Preset,
	}
	lists := map[string]*[]string{"audience": &c.Audience, "scopes": &c.Scopes}
	word := d.Val()
	switch {
	case texts[word] != nil:
		return option.One(d, texts[word])
	case lists[word] != nil:
		return option.Some(d, lists[word])
	}
	switch word {
	case "secret":
		return option.OneSecret(d, &c.Secret)
	case "lifetimes":
		return c.Lifetimes.unmarshal(d)
	case "claim":
		return unmarshalClaim(d, &c.Claims)
	case "refresh_reuse_interval":
		return unmarshalReuse(d, &c.RefreshReuseInterval)
	}
	return d.Errf("client: unrecognized option %q", word)
}
