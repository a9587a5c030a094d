package clients

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// certify returns a certificate of a template as a server reads it.
func certify(t *testing.T, template x509.Certificate) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotAfter = big.NewInt(1), time.Unix(2e9, 0)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// subject is the subject of a name whose attributes stand as they are listed.
func subject(t *testing.T, places ...pkix.RelativeDistinguishedNameSET) x509.Certificate {
	t.Helper()
	der, err := asn1.Marshal(pkix.RDNSequence(places))
	if err != nil {
		t.Fatal(err)
	}
	return x509.Certificate{RawSubject: der}
}

func at(oid string, value any) pkix.AttributeTypeAndValue {
	kind := asn1.ObjectIdentifier{}
	for part := range strings.SplitSeq(oid, ".") {
		n, _ := new(big.Int).SetString(part, 10)
		kind = append(kind, int(n.Int64()))
	}
	return pkix.AttributeTypeAndValue{Type: kind, Value: value}
}

func place(a ...pkix.AttributeTypeAndValue) pkix.RelativeDistinguishedNameSET { return a }

func TestSubjectsOfCertificates(t *testing.T) {
	common := attributeTypes["CN"]
	plain := certify(t, subject(t, place(at("2.5.4.6", "DE")), place(at("2.5.4.10", "Example, Inc.")),
		place(at(common, "Billing"))))
	two := certify(t, subject(t, place(at(common, "a"), at(attributeTypes["UID"], "b"))))
	odd := certify(t, subject(t, place(at("1.2.3.4", " Zoë #1+"))))
	number := &x509.Certificate{RawSubject: subject(t, place(at(common, 5))).RawSubject}
	for _, tc := range []struct {
		name string
		cert *x509.Certificate
		text string
		want bool
	}{
		{"as it is", plain, `CN=Billing,O=Example\, Inc.,C=DE`, true},
		{"spaces and another case of types", plain, ` cn = Billing , o=Example\2C Inc. ,c=DE `, true},
		{"an OID", plain, `2.5.4.3=Billing,O=Example\, Inc.,C=DE`, true},
		{"another case", plain, `CN=billing,O=Example\, Inc.,C=DE`, false},
		{"the order of the certificate", plain, `C=DE,O=Example\, Inc.,CN=Billing`, false},
		{"a part", plain, `CN=Billing`, false},
		{"more", plain, `CN=Billing,OU=x,O=Example\, Inc.,C=DE`, false},
		{"one name for two attributes", plain, `CN=Billing\,O=Example\, Inc.,C=DE`, false},
		{"another", plain, `CN=Other,O=Example\, Inc.,C=DE`, false},
		{"two of one place", two, `CN=a+UID=b`, true},
		{"in the other order", two, `UID=b+CN=a`, true},
		{"one of two", two, `CN=a`, false},
		{"one twice", two, `CN=a+CN=a`, false},
		{"in two places", two, `CN=a,UID=b`, false},
		{"escapes", odd, `1.2.3.4=\ Zo\C3\AB #1\+`, true},
		{"a value that is no text", number, `CN=5`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Client{Settings: Settings{AuthMethod: AuthTLS, CertificateSubject: tc.text}}
			if got := c.NamedBy(tc.cert); got != tc.want {
				t.Errorf("%q: %v", tc.text, got)
			}
		})
	}
}

func TestAlternativeNamesOfCertificates(t *testing.T) {
	uri, _ := url.Parse("spiffe://example.com/billing")
	cert := certify(t, x509.Certificate{
		Subject:        pkix.Name{CommonName: "cn.example.com"},
		DNSNames:       []string{"a.example.com", "*.wild.example.com"},
		URIs:           []*url.URL{uri},
		IPAddresses:    []net.IP{net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")},
		EmailAddresses: []string{"Billing@example.com"},
	})
	for _, tc := range []struct {
		name string
		is   Settings
		want bool
	}{
		{"DNS", Settings{CertificateDNS: "A.example.com"}, true},
		{"another DNS", Settings{CertificateDNS: "b.example.com"}, false},
		{"the common name", Settings{CertificateDNS: "cn.example.com"}, false},
		{"below a wildcard", Settings{CertificateDNS: "a.wild.example.com"}, false},
		{"URI", Settings{CertificateURI: "spiffe://example.com/billing"}, true},
		{"another URI", Settings{CertificateURI: "spiffe://example.com/billing/"}, false},
		{"IP", Settings{CertificateIP: "192.0.2.1"}, true},
		{"IPv6", Settings{CertificateIP: "2001:db8:0::1"}, true},
		{"another IP", Settings{CertificateIP: "192.0.2.2"}, false},
		{"email", Settings{CertificateEmail: "Billing@example.com"}, true},
		{"another case", Settings{CertificateEmail: "billing@example.com"}, false},
		{"nothing", Settings{}, false},
		{"two names", Settings{CertificateDNS: "a.example.com", CertificateIP: "192.0.2.1"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Client{Settings: tc.is}
			c.AuthMethod = AuthTLS
			if got := c.NamedBy(cert); got != tc.want {
				t.Errorf("%v", got)
			}
			c.AuthMethod = AuthSelfSignedTLS
			if c.NamedBy(cert) {
				t.Error("a client of another method is known by a name")
			}
		})
	}
}

func TestSettingsOfCertificates(t *testing.T) {
	for _, tc := range []struct {
		name string
		is   Settings
		want string // empty: it is good
	}{
		{"a subject", Settings{CertificateSubject: "CN=a"}, ""},
		{"no name", Settings{}, "exactly one of tls_client_auth_subject_dn"},
		{"two names", Settings{CertificateSubject: "CN=a", CertificateDNS: "a"}, "exactly one"},
		{"an unknown type", Settings{CertificateSubject: "XY=a"}, `"XY" is not the type`},
		{"no type", Settings{CertificateSubject: "a"}, "is not the type"},
		{"an empty value", Settings{CertificateSubject: "CN="}, "no value"},
		{"hexadecimal", Settings{CertificateSubject: "CN=#0401"}, "must be escaped"},
		{"a quote", Settings{CertificateSubject: `CN="a"`}, "must be escaped"},
		{"a lone backslash", Settings{CertificateSubject: `CN=a\`}, "backslash"},
		{"a comma at the end", Settings{CertificateSubject: `CN=a,`}, "is not the type"},
		{"a wildcard", Settings{CertificateDNS: "*.example.com"}, "not a DNS name"},
		{"a relative URI", Settings{CertificateURI: "/a"}, "not an absolute URI"},
		{"no address", Settings{CertificateIP: "fe80::1%eth0"}, "not an IP address"},
		{"no email", Settings{CertificateEmail: "a@"}, "not an email address"},
		{"long", Settings{CertificateDNS: strings.Repeat("a", 513)}, "above the limit of 512"},
		{"with keys", Settings{CertificateDNS: "a", JWKSURI: "https://a/b"}, "keys are for"},
		{"another method", Settings{CertificateDNS: "a", AuthMethod: AuthNone}, "is for token_endpoint_auth_method"},
		{"self-signed", Settings{AuthMethod: AuthSelfSignedTLS, JWKSURI: "https://a/b"}, ""},
		{"self-signed without keys", Settings{AuthMethod: AuthSelfSignedTLS}, "either jwks or jwks_uri"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Client{ID: "a", Settings: tc.is}
			c.RedirectURIs = []string{"https://a/cb"}
			if c.AuthMethod == "" {
				c.AuthMethod = AuthTLS
			}
			err := c.Validate()
			if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v", err)
			}
			if tc.want == "" && (c.Public() || c.AllowsAuth(AuthNone)) {
				t.Error("the client is public")
			}
		})
	}
}

func TestFAPI2WithCertificates(t *testing.T) {
	c := Client{ID: "bank", Settings: Settings{
		RedirectURIs:     []string{"https://a/cb"},
		AuthMethod:       AuthTLS,
		CertificateDNS:   "bank.example.com",
		CertificateBound: true,
	}}
	if err := c.ApplyPreset(PresetFAPI2); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil || c.DPoPBound {
		t.Errorf("%v, %+v", err, c)
	}
	c.CertificateBound = false
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "certificate_bound") {
		t.Errorf("%v", err)
	}
}

// FuzzSubject: what was read of a name is the subject of a certificate with those attributes, and of
// none with one more.
func FuzzSubject(f *testing.F) {
	for _, seed := range []string{
		`CN=Billing,O=Example\, Inc.,C=DE`, ` cn = a + UID=b `, `1.2.3.4=\ Zo\C3\AB #1\+`, `CN=a\`, `CN=`, `CN=a,`,
		`CN=a+CN=a`, `CN=#0401`, `CN=\ff`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := parseSubject(text)
		if err != nil {
			return
		}
		var sequence pkix.RDNSequence
		for _, attributes := range slices.Backward(name) {
			var set pkix.RelativeDistinguishedNameSET
			for _, a := range attributes {
				for part := range strings.SplitSeq(a.kind, ".") {
					if len(part) > 9 {
						return // a type that this test cannot write
					}
				}
				set = append(set, at(a.kind, a.value))
			}
			sequence = append(sequence, set)
		}
		der, err := asn1.Marshal(sequence)
		if err != nil {
			return // no certificate can have it
		}
		more, err := asn1.Marshal(append(sequence, place(at("2.5.4.3", "more"))))
		if err != nil {
			t.Fatal(err)
		}
		if !hasSubject(&x509.Certificate{RawSubject: der}, text) ||
			hasSubject(&x509.Certificate{RawSubject: more}, text) {
			t.Errorf("%q is %v", text, name)
		}
	})
}
