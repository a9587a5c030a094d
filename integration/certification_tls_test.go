package integration

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"
)

// tlsModules are those of the plan for the FAPI 2.0 security profile about connections.
var tlsModules = []module{
	{"tls-1.0-and-1.1", "refused", func(c *certified) {
		for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
			for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
				c.connects(version, suite, false)
			}
		}
	}},
	{"tls-1.2-suites", "those of BCP 195 alone: ECDHE with AES-GCM or ChaCha20-Poly1305", func(c *certified) {
		for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
			if slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
				c.connects(tls.VersionTLS12, suite, slices.Contains(bcp195, suite.ID))
			}
		}
	}},
	{"tls-1.3", "accepted", func(c *certified) {
		c.connects(tls.VersionTLS13, &tls.CipherSuite{Name: "any"}, true)
	}},
}

// bcp195 are the suites of RFC 9325, section 4.2, and their like with ChaCha20-Poly1305, for both kinds
// of certificates.
var bcp195 = []uint16{
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
}

// connects tries one version and suite at the site with a certificate of each kind. It is accepted by
// one of them or by none.
func (c *certified) connects(version uint16, suite *tls.CipherSuite, accepted bool) {
	c.t.Helper()
	var failures error
	for _, site := range []string{"auth", "rsa"} {
		conn, err := tls.Dial("tcp", c.addr(site), &tls.Config{
			ServerName:   "localhost",
			RootCAs:      c.roots,
			MinVersion:   version,
			MaxVersion:   version,
			CipherSuites: []uint16{suite.ID},
		})
		if err != nil {
			failures = errors.Join(failures, err)
			continue
		}
		conn.Close()
		if !accepted {
			c.t.Errorf("%s: %s with %s was accepted", site, tls.VersionName(version), suite.Name)
		}
		return
	}
	if accepted {
		c.t.Errorf("%s with %s: %v", tls.VersionName(version), suite.Name, failures)
	}
}

// TestCertificationTLS connects to sites that say nothing of TLS but their certificates.
func TestCertificationTLS(t *testing.T) {
	x := newCertified(t, "")
	x.load(strings.ReplaceAll(certificationAuth, "{{backquote}}", "`"), certificationSites+`
		{{url "rsa"}} {
			`+x.certificate("rsa", sharedRSA(), x.roots)+`
			auth_server
		}
	`)
	x.runModules(t, "", tlsModules)
}
