package clients

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// maxCertificateName is the longest name of a certificate that a client can have, in bytes.
const maxCertificateName = 512

// certificateNames are the settings of which a client of AuthTLS has one (RFC 8705, section 2.1.2),
// with the rule of each.
func (s Settings) certificateNames() []certificateName {
	return []certificateName{
		{"tls_client_auth_subject_dn", s.CertificateSubject, validateSubject},
		{"tls_client_auth_san_dns", s.CertificateDNS, validateDNSName},
		{"tls_client_auth_san_uri", s.CertificateURI, validateNameURI},
		{"tls_client_auth_san_ip", s.CertificateIP, validateIP},
		{"tls_client_auth_san_email", s.CertificateEmail, validateEmail},
	}
}

type certificateName struct {
	field, value string
	validate     func(string) error
}

// validateCertificateNames looks at each name by itself.
func (s Settings) validateCertificateNames() error {
	var found []error
	for _, name := range s.certificateNames() {
		switch {
		case name.value == "":
		case len(name.value) > maxCertificateName:
			found = append(found, fmt.Errorf("%s: %d bytes are above the limit of %d",
				name.field, len(name.value), maxCertificateName))
		default:
			if err := name.validate(name.value); err != nil {
				found = append(found, fmt.Errorf("%s: %.200q: %w", name.field, name.value, err))
			}
		}
	}
	return errors.Join(found...)
}

// validateCertificateAuth refuses a client of AuthTLS that does not say whose certificate is its own,
// or says it twice, and any other client that says it.
func (c Client) validateCertificateAuth() error {
	var given, all []string
	for _, name := range c.certificateNames() {
		all = append(all, name.field)
		if name.value != "" {
			given = append(given, name.field)
		}
	}
	switch {
	case c.AuthMethod == AuthTLS && len(given) != 1:
		return fmt.Errorf("token_endpoint_auth_method %s: it needs exactly one of %s",
			AuthTLS, strings.Join(all, ", "))
	case c.AuthMethod != AuthTLS && len(given) > 0:
		return fmt.Errorf("%s: it is for token_endpoint_auth_method %s only", given[0], AuthTLS)
	}
	return nil
}

// dnsName is a name without a wildcard: what stands for many hosts names no client.
var dnsName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*$`)

func validateDNSName(name string) error {
	if !dnsName.MatchString(name) {
		return errors.New("it is not a DNS name")
	}
	return nil
}

func validateNameURI(uri string) error {
	if u, err := url.Parse(uri); err != nil || u.Scheme == "" || u.String() != uri {
		return errors.New("it is not an absolute URI in its usual form")
	}
	return nil
}

func validateIP(text string) error {
	if ip, err := netip.ParseAddr(text); err != nil || ip.Zone() != "" {
		return errors.New("it is not an IP address")
	}
	return nil
}

func validateEmail(address string) error {
	local, host, ok := strings.Cut(address, "@")
	if !ok || local == "" || !dnsName.MatchString(host) || strings.ContainsFunc(local, notPrintableASCII) {
		return errors.New("it is not an email address")
	}
	return nil
}

func notPrintableASCII(r rune) bool { return r <= ' ' || r > '~' }

// NamedBy reports whether a certificate has the one name that a client of AuthTLS is known by (RFC
// 8705, section 2.1.2). Whether whoever signed the certificate may name clients is for the caller.
func (c Client) NamedBy(cert *x509.Certificate) bool {
	switch {
	case c.AuthMethod != AuthTLS || c.validateCertificateAuth() != nil:
		return false
	case c.CertificateSubject != "":
		return hasSubject(cert, c.CertificateSubject)
	case c.CertificateDNS != "":
		return slices.ContainsFunc(cert.DNSNames, func(name string) bool {
			return strings.EqualFold(name, c.CertificateDNS)
		})
	case c.CertificateURI != "":
		return slices.ContainsFunc(cert.URIs, func(u *url.URL) bool { return u.String() == c.CertificateURI })
	case c.CertificateIP != "":
		return slices.ContainsFunc(cert.IPAddresses, net.ParseIP(c.CertificateIP).Equal)
	}
	return slices.Contains(cert.EmailAddresses, c.CertificateEmail)
}
