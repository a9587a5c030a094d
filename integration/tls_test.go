package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// secure makes the gateway's sites https, before anything is loaded. It returns the option `tls` of a
// site.
func (g *gateway) secure() string {
	g.t.Helper()
	cert, key, roots := newCertificate(g.t, g.dir)
	g.roots, g.tokens.issuer = roots, "https"+g.tokens.issuer[len("http"):]
	return "tls " + cert + " " + key
}

// newCertificate makes a certificate for this machine that has signed itself, and its key, as files.
func newCertificate(t *testing.T, dir string) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	certFile = filepath.Join(dir, "localhost.crt")
	if err := os.WriteFile(certFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return certFile, writeKey(t, dir, "localhost", key), roots
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
