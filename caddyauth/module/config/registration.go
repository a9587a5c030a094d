package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
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
	// How many registrations one address may make: at once, and one more after each duration.
	// Default: 20 1m.
	AddressRate *Rate `json:"address_rate,omitempty"`
	// The same for all addresses together. Default: 200 10s.
	TotalRate *Rate `json:"total_rate,omitempty"`
	// How long a client is kept that nobody uses and that no session belongs to; 1d to 10y.
	// Default: 90d.
	ForgetAfter option.Duration `json:"forget_after,omitempty"`
}

// Rate is how often something may be done: Burst times at once, and once more after each Every.
type Rate struct {
	// How often at once; 1 to 10000. Required.
	Burst int `json:"burst"`
	// After which time once more; 1ms to 1d. Required.
	Every option.Duration `json:"every"`
}

// ClientMetadata lets clients have the URL of a metadata document as their client_id (OAuth Client
// ID Metadata Document).
type ClientMetadata struct {
	// The hosts of documents that are fetched; `*.example.com` stands for all below example.com.
	// Default: any public host.
	Domains []string `json:"domains,omitempty"`
	// How many documents are fetched at once; 1 to 100. Default: 8.
	AtOnce int `json:"at_once,omitempty"`
	// The scopes that these clients may ask for. Default: none.
	Scopes []string `json:"scopes,omitempty"`
	// The audience of their tokens if a request names none. Default: api.
	Audience []string `json:"audience,omitempty"`
	// What they may name as `resource` (RFC 8707): absolute URIs. Default: none.
	Resources []string `json:"resources,omitempty"`
	// How many documents that were not fetched before one address may name: at once, and one more
	// after each duration. Default: 20 1m.
	AddressRate *Rate `json:"address_rate,omitempty"`
	// The same for all addresses together. Default: 200 10s.
	TotalRate *Rate `json:"total_rate,omitempty"`
	// How long a client is kept that nobody uses and that no session belongs to; 1d to 10y. It comes
	// back with its next request. Default: 90d.
	ForgetAfter option.Duration `json:"forget_after,omitempty"`
}

// SelfRegistration is what Registration means.
type SelfRegistration struct {
	Open          bool
	InitialTokens []string // secrets.Hash of them
	RedirectHosts []string
	Scopes        []string
	Audience      []string
	Resources     []string
	AddressRate   identity.Limit
	TotalRate     identity.Limit
	ForgetAfter   time.Duration
}

// MetadataDocuments is what ClientMetadata means.
type MetadataDocuments struct {
	Domains     []string
	AtOnce      int
	Scopes      []string
	Audience    []string
	Resources   []string
	AddressRate identity.Limit
	TotalRate   identity.Limit
	ForgetAfter time.Duration
}

// Networks are those that are reached for documents beside public ones. Anybody can name a document,
// so they are reached only for hosts that the operator has named.
func (m *MetadataDocuments) Networks(e EgressRule) []netip.Prefix {
	if len(m.Domains) == 0 {
		return nil
	}
	return e.Allow
}

const (
	defaultForgetAfter = 90 * 24 * time.Hour
	defaultAtOnce      = 8
	maxAtOnce          = 100
	maxBurst           = 10_000
	minInitialToken    = 32 // bytes
)

var (
	usualAddressRate = identity.Limit{Burst: 20, Every: time.Minute}
	usualTotalRate   = identity.Limit{Burst: 200, Every: 10 * time.Second}
)

// unmarshalRegistration parses:
//
//	registration {
//		open                 [on|off]
//		initial_access_token <text>
//		redirect_hosts       <hosts...>
//		scopes               <words...>
//		audience             <words...>
//		resources            <uris...>
//		address_rate         <burst> <duration>
//		total_rate           <burst> <duration>
//		forget_after         <duration>
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
	switch word := d.Val(); word {
	case "open":
		r.Open, err = option.Flag(d)
	case "initial_access_token":
		var token string
		err = option.OneSecret(d, &token)
		r.InitialAccessTokens = append(r.InitialAccessTokens, token)
	case "redirect_hosts":
		err = option.Some(d, &r.RedirectHosts)
	case "scopes":
		err = option.Some(d, &r.Scopes)
	case "audience":
		err = option.Some(d, &r.Audience)
	case "resources":
		err = option.Some(d, &r.Resources)
	case "address_rate":
		r.AddressRate, err = unmarshalRate(d)
	case "total_rate":
		r.TotalRate, err = unmarshalRate(d)
	case "forget_after":
		err = option.ReadDuration(d, []option.DurationRange{forgetRange(&r.ForgetAfter)})
	default:
		err = d.Errf("registration: unrecognized option %q", word)
	}
	return err
}

// unmarshalClientMetadata parses:
//
//	client_metadata {
//		domains      <hosts...>
//		at_once      <fetches>
//		scopes       <words...>
//		audience     <words...>
//		resources    <uris...>
//		address_rate <burst> <duration>
//		total_rate   <burst> <duration>
//		forget_after <duration>
//	}
func (s *Settings) unmarshalClientMetadata(d *caddyfile.Dispenser) error {
	if err := option.None(d); err != nil {
		return err
	}
	m := new(ClientMetadata)
	s.ClientMetadata = m
	if err := option.Block(d, func() error { return m.unmarshalOption(d) }, "resources"); err != nil {
		return err
	}
	return option.At(d, s.validateClientMetadata())
}

func (m *ClientMetadata) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch word := d.Val(); word {
	case "domains":
		err = option.Some(d, &m.Domains)
	case "at_once":
		var text string
		if err = option.One(d, &text); err == nil {
			if m.AtOnce, err = strconv.Atoi(text); err != nil || m.AtOnce < 1 {
				err = d.Errf("at_once: %q is not a number from 1 to %d", text, maxAtOnce)
			}
		}
	case "scopes":
		err = option.Some(d, &m.Scopes)
	case "audience":
		err = option.Some(d, &m.Audience)
	case "resources":
		err = option.Some(d, &m.Resources)
	case "address_rate":
		m.AddressRate, err = unmarshalRate(d)
	case "total_rate":
		m.TotalRate, err = unmarshalRate(d)
	case "forget_after":
		err = option.ReadDuration(d, []option.DurationRange{forgetRange(&m.ForgetAfter)})
	default:
		err = d.Errf("client_metadata: unrecognized option %q", word)
	}
	return err
}

// unmarshalRate reads how often at once, and after which time once more.
func unmarshalRate(d *caddyfile.Dispenser) (*Rate, error) {
	word, args := d.Val(), d.RemainingArgs()
	if len(args) != 2 {
		return nil, d.Errf("%s: it takes a number and a duration, not %d values", word, len(args))
	}
	burst, err := strconv.Atoi(args[0])
	if err != nil {
		return nil, d.Errf("%s: %q is not a number", word, args[0])
	}
	every, err := option.ParseDuration(d, word, args[1], "10s or 1m")
	if err != nil {
		return nil, err
	}
	return &Rate{Burst: burst, Every: option.Duration(every)}, nil
}

func forgetRange(value *option.Duration) option.DurationRange {
	return option.DurationRange{Name: "forget_after", Value: value, Min: 24 * time.Hour, Max: 10 * MaxLifetime}
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
		r.AddressRate.validate("address_rate"),
		r.TotalRate.validate("total_rate"),
		forgetRange(&r.ForgetAfter).Validate(),
		s.validateTerms(r.Scopes, r.Audience, r.Resources),
	)
	if err != nil {
		return fmt.Errorf("registration: %w", oneLine(err))
	}
	return nil
}

func (s *Settings) validateClientMetadata() error {
	m := s.ClientMetadata
	if m == nil {
		return nil
	}
	err := errors.Join(
		validateHosts("domains", m.Domains),
		m.AddressRate.validate("address_rate"),
		m.TotalRate.validate("total_rate"),
		forgetRange(&m.ForgetAfter).Validate(),
		s.validateTerms(m.Scopes, m.Audience, m.Resources),
	)
	if err == nil && (m.AtOnce < 0 || m.AtOnce > maxAtOnce) {
		err = fmt.Errorf("at_once: %d is not between 1 and %d", m.AtOnce, maxAtOnce)
	}
	if err != nil {
		return fmt.Errorf("client_metadata: %w", oneLine(err))
	}
	return nil
}

func (r *Rate) validate(name string) error {
	switch {
	case r == nil:
		return nil
	case r.Burst < 1 || r.Burst > maxBurst:
		return fmt.Errorf("%s: %d is not between 1 and %d", name, r.Burst, maxBurst)
	case time.Duration(r.Every) < time.Millisecond || time.Duration(r.Every) > 24*time.Hour:
		return fmt.Errorf("%s: %s is not between 1ms and 1d", name, r.Every)
	}
	return nil
}

// hostForm is a host name, or `*.` and one.
var hostForm = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

func validateHosts(name string, hosts []string) error {
	for i, host := range hosts {
		if !hostForm.MatchString(host) {
			return fmt.Errorf("%s: %q is not a host such as app.example.com or *.example.com", name, host)
		}
		if slices.Contains(hosts[:i], host) {
			return fmt.Errorf("%s: duplicate %q", name, host)
		}
	}
	return nil
}

// validateTerms refuses what no client can be given.
func (s *Settings) validateTerms(scopes, audience, resources []string) error {
	c := clients.Client{
		ID:       "registered",
		Scopes:   scopes,
		Audience: audience,
		Settings: clients.Settings{Resources: resources},
	}
	return c.ValidateFields()
}

// resolveRegistration sets how clients come that nobody has added.
func (s *Settings) resolveRegistration(r option.Resolver, v *Server) error {
	if m := s.ClientMetadata; m != nil {
		v.ClientMetadata = &MetadataDocuments{
			Domains:     m.Domains,
			AtOnce:      cmp.Or(m.AtOnce, defaultAtOnce),
			Scopes:      m.Scopes,
			Audience:    m.Audience,
			Resources:   m.Resources,
			AddressRate: m.AddressRate.or(usualAddressRate),
			TotalRate:   m.TotalRate.or(usualTotalRate),
			ForgetAfter: m.ForgetAfter.Or(defaultForgetAfter),
		}
	}
	if s.Registration == nil {
		return nil
	}
	tokens, err := r.List("registration: initial_access_token", s.Registration.InitialAccessTokens)
	if err != nil {
		return err
	}
	v.Registration = s.Registration.domain()
	for _, token := range tokens {
		if len(token) < minInitialToken {
			return fmt.Errorf("registration: initial_access_token: %d bytes are below the limit of %d",
				len(token), minInitialToken)
		}
		v.Registration.InitialTokens = append(v.Registration.InitialTokens, secrets.Hash(token))
	}
	return nil
}

func (r *Registration) domain() *SelfRegistration {
	return &SelfRegistration{
		Open:          r.Open,
		RedirectHosts: r.RedirectHosts,
		Scopes:        r.Scopes,
		Audience:      r.Audience,
		Resources:     r.Resources,
		AddressRate:   r.AddressRate.or(usualAddressRate),
		TotalRate:     r.TotalRate.or(usualTotalRate),
		ForgetAfter:   r.ForgetAfter.Or(defaultForgetAfter),
	}
}

func (r *Rate) or(standard identity.Limit) identity.Limit {
	if r == nil {
		return standard
	}
	return identity.Limit{Burst: r.Burst, Every: time.Duration(r.Every)}
}
