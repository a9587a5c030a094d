package config

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// Egress is what the server may reach at addresses that clients name, beside public hosts over
// https.
type Egress struct {
	// Networks of this machine or of a private network that may be reached, as CIDR; over http only
	// those of this machine. Default: none.
	Allow []string `json:"allow,omitempty"`

	// A PEM file of certificate authorities that are trusted there beside those of the system.
	// Default: those of the system alone.
	CA string `json:"ca,omitempty"`
}

// EgressRule is what an Egress means.
type EgressRule struct {
	Allow []netip.Prefix
	Roots *x509.CertPool // nil means those of the system
}

// unmarshalEgress parses:
//
//	egress {
//		allow <networks...>
//		ca    <file>
//	}
func (s *Settings) unmarshalEgress(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return option.Block(d, func() error {
		switch word := d.Val(); word {
		case "allow":
			s.Egress.Allow = d.RemainingArgs()
			if len(s.Egress.Allow) == 0 {
				return d.ArgErr()
			}
			return option.At(d, s.validateEgress())
		case "ca":
			return option.One(d, &s.Egress.CA)
		default:
			return d.Errf("egress: unrecognized option %q", word)
		}
	})
}

func (s *Settings) validateEgress() error {
	for i, text := range s.Egress.Allow {
		network, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			return fmt.Errorf("egress: allow: %q is not a network such as 10.1.0.0/16", text)
		case network != network.Masked():
			return fmt.Errorf("egress: allow: %q has an address inside the network; want %s", text, network.Masked())
		case slices.Contains(s.Egress.Allow[:i], text):
			return fmt.Errorf("egress: allow: duplicate network %q", text)
		}
	}
	return nil
}

// resolveEgress reads the certificate authorities.
func (s *Settings) resolveEgress(_ option.Resolver, v *Server) error {
	for _, text := range s.Egress.Allow {
		v.Egress.Allow = append(v.Egress.Allow, netip.MustParsePrefix(text)) // it has been validated
	}
	if s.Egress.CA == "" {
		return nil
	}
	pem, err := os.ReadFile(s.Egress.CA)
	if err != nil {
		return fmt.Errorf("egress: ca: %w", err)
	}
	if v.Egress.Roots, err = x509.SystemCertPool(); err != nil {
		v.Egress.Roots = x509.NewCertPool()
	}
	if !v.Egress.Roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("egress: ca: %q holds no certificate", s.Egress.CA)
	}
	return nil
}
