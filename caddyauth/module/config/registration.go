package config

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// Registration lets clients register themselves (RFC 7591, RFC 7592).
type Registration struct {
	// Lets anybody register. Default: false, an initial access token is needed.
	Open bool `json:"open,omitempty"`
	// What a caller of `/register` must have, at least 32 bytes; several can be used side by side.
	// Required unless `open`.
	InitialAccessTokens []string `json:"initial_access_tokens,omitempty"`
	// The hosts that https redirect URIs may have; `*.example.com` stands for all below example.com.
	// Redirect URIs on a loopback host or of a private-use scheme do not count. Default: any.
	RedirectHosts []string `json:"redirect_hosts,omitempty"`
	// The scopes that registered clients may ask for. The `scope` of a registration is no ceiling.
	// Default: none.
	Scopes []string `json:"scopes,omitempty"`
	// The audience of their tokens if a request names none. Default: api.
	Audience []string `json:"audience,omitempty"`
	// What they may name as `resource` (RFC 8707): absolute URIs. Default: none.
	Resources []string `json:"resources,omitempty"`
	// How many registrations, and changes of them, one address may make: at once, and one more after
	// each duration.
	// Default: 20 1m.
	AddressRate *Rate `json:"address_rate,omitempty"`
	// The same for all addresses together. Default: 200 10s.
	TotalRate *Rate `json:"total_rate,omitempty"`
	// How long a client is kept that nobody uses and that no session belongs to; 1d to 10y.
	// Default: 90d.
	ForgetAfter option.Duration `json:"forget_after,omitempty"`
	// How long a client is kept that nobody uses and that no person has ever allowed anything; 1h to
	// 10y, and no longer than forget_after. Default: 1d.
	ForgetUnapprovedAfter option.Duration `json:"forget_unapproved_after,omitempty"`
	// How many such clients there may be; 1 to 1000000. Default: 10000.
	MaxClients int `json:"max_clients,omitempty"`
}

// SelfRegistration is what Registration means.
type SelfRegistration struct {
	Open          bool
	InitialTokens []string // secrets.Hash of them
	RedirectHosts []string
	Arrivals
}

const minInitialToken = 32 // bytes

// unmarshalRegistration parses:
//
//	registration {
//		open                    [on|off]
//		initial_access_token    <text>
//		redirect_hosts          <hosts...>
//		scopes                  <words...>
//		audience                <words...>
//		resources               <uris...>
//		address_rate            <burst> <duration>
//		total_rate              <burst> <duration>
//		forget_after            <duration>
//		forget_unapproved_after <duration>
//		max_clients             <number>
//	}
func (s *Settings) unmarshalRegistration(d *caddyfile.Dispenser) error {
	if err := option.None(d); err != nil {
		return err
	}
	r := new(Registration)
	s.Registration = r
	err := option.Block(d, func() error { return r.unmarshalOption(d) }, "initial_access_token", "resources")
	if err != nil {
		return err
	}
	return option.At(d, s.validateRegistration())
}

func (r *Registration) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "open":
		r.Open, err = option.Flag(d)
	case "initial_access_token":
		var token string
		err = option.OneSecret(d, &token)
		r.InitialAccessTokens = append(r.InitialAccessTokens, token)
	case "redirect_hosts":
		err = option.Some(d, &r.RedirectHosts)
	default:
		err = r.arrivals().unmarshalOption(d, "registration")
	}
	return err
}

func (s *Settings) validateRegistration() error {
	r := s.Registration
	if r == nil {
		return nil
	}
	switch {
	case !r.Open && len(r.InitialAccessTokens) == 0:
		return errors.New("registration: write `initial_access_token`, or `open`, which lets anybody register")
	case r.Open && len(r.InitialAccessTokens) > 0:
		return errors.New("registration: `open` lets anybody register, so an initial access token has no effect")
	}
	err := errors.Join(
		validateHosts("redirect_hosts", r.RedirectHosts),
		r.arrivals().validate(),
	)
	if err != nil {
		return fmt.Errorf("registration: %w", oneLine(err))
	}
	return nil
}

// resolveRegistration sets how clients register themselves.
func (s *Settings) resolveRegistration(r option.Resolver, v *Server) error {
	if s.Registration == nil {
		return nil
	}
	tokens, err := r.List("registration: initial_access_token", s.Registration.InitialAccessTokens)
	if err != nil {
		return err
	}
	v.Registration = &SelfRegistration{
		Open:          s.Registration.Open,
		RedirectHosts: s.Registration.RedirectHosts,
		Arrivals:      s.Registration.arrivals().domain(),
	}
	for _, token := range tokens {
		if len(token) < minInitialToken {
			return fmt.Errorf("registration: initial_access_token: %d bytes are below the limit of %d",
				len(token), minInitialToken)
		}
		v.Registration.InitialTokens = append(v.Registration.InitialTokens, secrets.Hash(token))
	}
	return nil
}

// arrivals are the settings that both kinds of clients have.
func (r *Registration) arrivals() arrivals {
	return arrivals{
		scopes:          &r.Scopes,
		audience:        &r.Audience,
		resources:       &r.Resources,
		addressRate:     &r.AddressRate,
		totalRate:       &r.TotalRate,
		forgetAfter:     &r.ForgetAfter,
		unapprovedAfter: &r.ForgetUnapprovedAfter,
		maxClients:      &r.MaxClients,
	}
}
