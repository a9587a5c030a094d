package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// Trust is a foreign issuer whose tokens may be accepted.
type Trust struct {
	// The issuer, exactly as in `iss`. Required.
	Issuer string `json:"issuer"`
	// The URL of its key set; https, or http on a loopback host. Default: found through the
	// issuer's discovery document.
	JWKS string `json:"jwks,omitempty"`
	// The audience words that its tokens may use. Default: all of the server's.
	Audiences []string `json:"audiences,omitempty"`
	// The accepted algorithms, asymmetric ones only. Default: ES256 RS256.
	Algorithms []string `json:"algorithms,omitempty"`
	// The accepted values of the `typ` header; many issuers write `JWT` instead of RFC 9068's
	// `at+jwt`. Default: at+jwt.
	Types []string `json:"types,omitempty"`
	// The longest accepted lifetime of its tokens; 60s to 1y. Default: 1y.
	MaxLifetime option.Duration `json:"max_lifetime,omitempty"`
	// The introspection endpoint for its opaque tokens (RFC 7662). Default: none, only JWTs are
	// accepted.
	Introspection *Introspection `json:"introspection,omitempty"`
	// The identity assertions (ID-JAG) that clients may exchange for tokens of this server. Default:
	// none.
	Assertions *TrustedAssertions `json:"assertions,omitempty"`
}

// Introspection is an endpoint of RFC 7662.
type Introspection struct {
	// The endpoint; https, or http on a loopback host. Required.
	URL string `json:"url"`
	// The client_id that it knows this server by. Required.
	ClientID string `json:"client_id"`
	// The secret that goes with it, sent as client_secret_basic. Required.
	ClientSecret string `json:"client_secret"`
}

func (t *Trust) durations() []option.DurationRange {
	return []option.DurationRange{{Name: "max_lifetime", Value: &t.MaxLifetime, Min: minLifetime, Max: MaxLifetime}}
}

// Validate refuses what can be refused without resolving placeholders.
func (t *Trust) Validate() error {
	for _, d := range t.durations() {
		if err := d.Validate(); err != nil {
			return err
		}
	}
	for _, a := range t.Algorithms {
		if strings.HasPrefix(a, "HS") || !slices.Contains(keyring.Algorithms(), a) {
			return fmt.Errorf("algorithms: %q is not a supported asymmetric algorithm", a)
		}
	}
	if t.JWKS != "" && !option.HasPlaceholder(t.JWKS) {
		if _, err := ParsePublicURL("jwks", t.JWKS); err != nil && !strings.Contains(t.JWKS, "?") {
			return err
		}
	}
	if slices.ContainsFunc(t.Types, isAssertionType) {
		return fmt.Errorf("types: %s is for `assertions`, not for gates", issuance.IDJAGType)
	}
	return ValidateAudiences(t.Audiences)
}

func (s *Settings) validateTrust() error {
	for i := range s.Trust {
		err := s.Trust[i].Validate()
		if err == nil && s.Trust[i].Assertions != nil {
			err = s.Trust[i].Assertions.Validate()
		}
		if err != nil {
			return fmt.Errorf("trust %s: %w", s.Trust[i].Issuer, err)
		}
	}
	return nil
}

func (t *Trust) algorithms() []string {
	if len(t.Algorithms) > 0 {
		return t.Algorithms
	}
	return []string{"ES256", "RS256"}
}

// TrustedIssuer is what Trust means.
type TrustedIssuer struct {
	Issuer        string
	JWKS          string   // empty: found by discovery
	Audiences     []string // nil: all of the server's
	Algorithms    []string
	Types         []string
	MaxLifetime   time.Duration
	Introspection *Introspection            // nil: its opaque tokens are not accepted
	Assertions    *issuance.AssertionIssuer // nil: its assertions are not accepted
}

// resolveTrust sets the trusted issuers.
func (s *Settings) resolveTrust(r option.Resolver, v *Server) error {
	seen := []string{v.Issuer}
	for i := range s.Trust {
		issuer, err := s.Trust[i].resolve(r)
		if err != nil {
			return err
		}
		if issuer.Issuer == "" {
			return errors.New("trust: the issuer is empty")
		}
		if slices.Contains(seen, issuer.Issuer) {
			return fmt.Errorf("trust: duplicate issuer %q", issuer.Issuer)
		}
		seen = append(seen, issuer.Issuer)
		v.Trust = append(v.Trust, issuer)
	}
	return nil
}

func (t *Trust) resolve(r option.Resolver) (TrustedIssuer, error) {
	v := TrustedIssuer{
		Audiences:   t.Audiences,
		Algorithms:  t.algorithms(),
		Types:       t.Types,
		MaxLifetime: t.MaxLifetime.Or(MaxLifetime),
		Assertions:  t.Assertions.domain(),
	}
	var err error
	if v.Issuer, err = r.Text("trust", t.Issuer); err != nil {
		return v, err
	}
	if v.JWKS, err = r.Text("jwks", t.JWKS); err != nil || t.Introspection == nil {
		return v, err
	}

	texts, err := r.List("introspection", []string{
		t.Introspection.URL,
		t.Introspection.ClientID,
		t.Introspection.ClientSecret,
	})
	if err == nil {
		v.Introspection = &Introspection{URL: texts[0], ClientID: texts[1], ClientSecret: texts[2]}
	}
	return v, err
}

// unmarshalTrust parses:
//
//	trust <issuer> {
//		jwks         <url>
//		audiences    <words...>
//		algorithms   <names...>
//		types        <typ...>
//		max_lifetime <duration>
//		introspection <url> <client_id> <client_secret>
//		assertions {...}
//	}
func (s *Settings) unmarshalTrust(d *caddyfile.Dispenser) error {
	var t Trust
	if err := option.One(d, &t.Issuer); err != nil {
		return err
	}
	if err := option.Block(d, func() error { return t.unmarshalOption(d) }); err != nil {
		return err
	}
	s.Trust = append(s.Trust, t)
	return nil
}

func (t *Trust) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch word := d.Val(); word {
	case "jwks":
		err = option.One(d, &t.JWKS)
	case "audiences":
		err = option.Some(d, &t.Audiences)
	case "algorithms":
		err = option.Some(d, &t.Algorithms)
	case "types":
		err = option.Some(d, &t.Types)
	case "assertions":
		return t.unmarshalAssertions(d)
	case "max_lifetime":
		return option.ReadDuration(d, t.durations())
	case "introspection":
		t.Introspection = new(Introspection)
		if !d.AllArgs(&t.Introspection.URL, &t.Introspection.ClientID, &t.Introspection.ClientSecret) {
			return d.Err("introspection: want an endpoint, a client id and a client secret, each one word")
		}
		return nil
	default:
		return d.Errf("trust: unrecognized option %q", word)
	}
	if err != nil {
		return err
	}
	return option.At(d, t.Validate())
}
