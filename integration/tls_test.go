package integration

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// secure makes the gateway's sites https, before anything is loaded. It returns the option `tls` of a
// site.
func (g *gateway) secure() string {
	g.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		g.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	option := g.certificate("localhost", key, roots)
	g.roots, g.tokens.issuer = roots, "https"+g.tokens.issuer[len("http"):]
	return option
}

// certificate makes a certificate for this machine that has signed itself, adds it to those that are
// trusted, and returns the option `tls` of a site that has it.
func (g *gateway) certificate(name string, key crypto.Signer, roots *x509.CertPool) string {
	g.t.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "localhost"}, // Java reads no certificate without a name
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		DNSNames:              []string{"localhost", "*.localhost", "*.one.localhost", "*.wild.localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		g.t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	file := filepath.Join(g.dir, name+".crt")
	writeFile(g.t, file, string(text))
	roots.AppendCertsFromPEM(text)
	return "tls " + file + " " + writeKey(g.t, g.dir, name, key)
}

// sendTLS is sendHTTP1 over TLS.
func (g *gateway) sendTLS(t *testing.T, addr string, c call) answer {
	t.Helper()
	conn, err := dial(addr)
	if err != nil {
		return answer{broken: err}
	}
	return sendOver(tls.Client(conn, &tls.Config{ServerName: "localhost", RootCAs: g.roots}), c)
}

// transport is what an HTTP client reaches the gateway with.
func (g *gateway) transport() http.RoundTripper {
	if g.roots == nil {
		return http.DefaultTransport
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: g.roots}
	g.t.Cleanup(transport.CloseIdleConnections)
	return transport
}
