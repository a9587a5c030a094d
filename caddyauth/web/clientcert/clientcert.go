// Package clientcert owns what a request's connection says of its client's TLS certificate (RFC
// 8705). Headers in which a proxy passes certificates on are never read: anybody can write them.
package clientcert

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"
)

// Of returns the certificate whose key the client of the connection has proved to have; nil when it
// sent none. Early data (0-RTT) counts as sent without one: whoever has recorded it could send it
// again.
func Of(r *http.Request) *x509.Certificate {
	if r.TLS == nil || !r.TLS.HandshakeComplete || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

// Verified reports whether the server has verified the certificate against the authorities that it
// trusts for clients.
func Verified(r *http.Request) bool { return Of(r) != nil && len(r.TLS.VerifiedChains) > 0 }

// Thumbprint returns the SHA-256 of a certificate in base64url, the `x5t#S256` of RFC 8705, section
// 3.1; empty without a certificate.
func Thumbprint(cert *x509.Certificate) string {
	if cert == nil {
		return ""
	}
	sum := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
