package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// serials are the numbers of certificates.
var serials = big.NewInt(0)

// certificate makes one of a template, with a key of its own: signed by its own key where there is
// no authority.
func (a *authority) certificate(t *testing.T, template x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = new(big.Int).Set(serials.Add(serials, big.NewInt(1)))
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	template.NotBefore = template.NotAfter.Add(-48 * time.Hour)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	parent, signer := &template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	made := (*authority)(nil).certificate(t, x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	})
	return &authority{made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)}
}

func named(name string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}}}
}

// x5t is the thumbprint of a certificate.
func x5t(c tls.Certificate) string {
	sum := sha256.Sum256(c.Leaf.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// certificateSet is a JWK set with certificates.
func certificateSet(t *testing.T, of ...tls.Certificate) string {
	t.Helper()
	var keys []map[string]any
	for _, c := range of {
		point, err := c.PrivateKey.(*ecdsa.PrivateKey).PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		text := base64.RawURLEncoding.EncodeToString
		keys = append(keys, map[string]any{
			"kty": "EC", "crv": "P-256", "x": text(point[1:33]), "y": text(point[33:]),
			"x5c": []string{base64.StdEncoding.EncodeToString(c.Leaf.Raw)},
		})
	}
	return encode(t, map[string]any{"keys": keys})
}

// mutualTLS is a server with two sites that ask for client certificates: the one verifies them, the
// other takes whatever it is shown.
type mutualTLS struct {
	*authorizing
	foreign *foreignIssuer
	roots   *x509.CertPool
	certs   map[string]tls.Certificate
}

// mutualTLSClients are the clients of these tests, besides the relying parties.
const mutualTLSClients = `
	client bank {
		token_endpoint_auth_method tls_client_auth
		tls_client_auth_subject_dn "CN=bank,O=Example"
		tls_client_certificate_bound_access_tokens
		redirect_uri https://rp.example/cb?tenant=1
		grant_types client_credentials authorization_code refresh_token
		scope openid read
		consent off
	}
	client host {
		token_endpoint_auth_method tls_client_auth
		tls_client_auth_san_dns host.example.com
		grant_types client_credentials token-exchange
		token_exchange bank host
	}
	client sealed {
		token_endpoint_auth_method tls_client_auth
		tls_client_auth_san_uri spiffe://example.com/sealed
		tls_client_certificate_bound_access_tokens
		access_token_format opaque
		introspection api
		grant_types client_credentials
	}
	client both {
		token_endpoint_auth_method tls_client_auth
		tls_client_auth_subject_dn "CN=bank,O=Example"
		tls_client_certificate_bound_access_tokens
		dpop_bound_access_tokens
		grant_types client_credentials
	}
	client self {
		token_endpoint_auth_method self_signed_tls_client_auth
		jwks {{tick}}{{.SelfSet}}{{tick}}
		tls_client_certificate_bound_access_tokens
		grant_types client_credentials
	}
	client fetched {
		token_endpoint_auth_method self_signed_tls_client_auth
		jwks_uri {{.SetURL}}
		grant_types client_credentials
	}
	client secretive {
		secret {{.RPSecret}}
		tls_client_certificate_bound_access_tokens
		grant_types client_credentials
	}
	client page {
		redirect_uri https://rp.example/cb?tenant=1
		tls_client_certificate_bound_access_tokens
		scope openid read
		consent off
	}
	egress {
		allow 127.0.0.0/8
	}
}`

const mutualTLSSite = `
https://localhost:{{port %q}} {
	tls {{.Dir}}/server.pem {{.Dir}}/server.key {
		client_auth {
			%s
		}
	}
	auth_server
	jwt_auth /x* api {
		issuer {{url "auth"}} {{.Foreign}}
		forward sub X-User-Id
	}
	reverse_proxy /x* {{.Proxy}}
}
`

func newMutualTLS(t *testing.T) *mutualTLS {
	t.Helper()
	x := &mutualTLS{
		authorizing: &authorizing{gateway: newGateway(t)},
		foreign:     newForeignIssuer(t),
		roots:       x509.NewCertPool(),
		certs:       map[string]tls.Certificate{},
	}
	trusted, other := newAuthority(t, "authority"), newAuthority(t, "authority")
	x.makeCertificates(t, trusted, other)
	x.writePEM(t, "ca.pem", "CERTIFICATE", trusted.cert.Raw)
	server := trusted.certificate(t, x509.Certificate{DNSNames: []string{"localhost"}})
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	x.writePEM(t, "server.pem", "CERTIFICATE", server.Leaf.Raw)
	x.writePEM(t, "server.key", "PRIVATE KEY", key)
	x.roots.AddCert(trusted.cert)

	x.storeURL = "sqlite:" + filepath.Join(x.dir, "auth.db")
	x.extra["Store"], x.extra["Seal"] = x.storeURL, goodSecret
	x.extra["Clients"], x.extra["RPSecret"] = relyingParties, rpSecret
	x.extra["SelfSet"] = certificateSet(t, x.certs["old"], x.certs["new"], x.certs["over"])
	x.extra["SetURL"] = x.publish(t, certificateSet(t, x.certs["new"]))
	x.secret("the sealing secret", goodSecret)
	x.secret("the client's secret", rpSecret)
	x.extra["Foreign"] = x.foreign.issuer("/good")
	clients := x.foreign.trust("/good") + strings.ReplaceAll(mutualTLSClients, "{{tick}}", "`")
	sites := authorizeSites +
		fmt.Sprintf(mutualTLSSite, "verified", "mode verify_if_given\n\t\t\ttrust_pool file {{.Dir}}/ca.pem") +
		fmt.Sprintf(mutualTLSSite, "asked", "mode request")
	text := x.caddyfile(strings.TrimSuffix(authorizeAuth, "}")+clients, sites)
	if err := loadText(strings.Replace(text, "protocols h1 h2c", "protocols h1 h2 h3", 1)); err != nil {
		t.Fatal(err)
	}
	x.settle()
	return x
}

func (x *mutualTLS) makeCertificates(t *testing.T, trusted, other *authority) {
	t.Helper()
	expired := named("bank")
	expired.NotAfter = time.Now().Add(-time.Minute)
	uri, _ := url.Parse("spiffe://example.com/sealed")
	self := (*authority)(nil)
	for name, made := range map[string]tls.Certificate{
		"bank":       trusted.certificate(t, named("bank")),
		"bank again": trusted.certificate(t, named("bank")),
		"other":      trusted.certificate(t, named("other")),
		"expired":    trusted.certificate(t, expired),
		"forged":     other.certificate(t, named("bank")),
		"hosts": trusted.certificate(t, x509.Certificate{DNSNames: []string{"a.example.com", "host.example.com"},
			URIs: []*url.URL{uri}}),
		"old":      self.certificate(t, named("self")),
		"new":      self.certificate(t, named("self")),
		"over":     self.certificate(t, expired),
		"stranger": self.certificate(t, named("self")),
	} {
		x.certs[name] = made
	}
}

func (x *mutualTLS) writePEM(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(x.dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// publish serves a JWK set and returns its address.
func (x *mutualTLS) publish(t *testing.T, set string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, set)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String() + "/jwks.json"
}

// client is a program that has a certificate; an empty name is none.
func (x *mutualTLS) client(cert string) *http.Client {
	config := &tls.Config{RootCAs: x.roots, ServerName: "localhost"}
	if cert != "" {
		c := x.certs[cert] // sent even if the server names authorities that did not sign it
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

// at is an address at a site.
func (x *mutualTLS) at(site, path string) string {
	if site == "auth" || site == "api" {
		return x.url(site) + path
	}
	return fmt.Sprintf("https://localhost:%d%s", x.port(site), path)
}

// send sends a request over a connection with a certificate.
func (x *mutualTLS) send(t *testing.T, client *http.Client, method, address, body string, lines ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	resp, err := client.Do(r)
	if err != nil {
		return answer{broken: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(text), broken: err}
}

// tokenOver asks /token of a site over a connection with a certificate.
func (x *mutualTLS) tokenOver(t *testing.T, site, cert, form string, lines ...string) (tokenAnswer, answer) {
	t.Helper()
	a := x.send(t, x.client(cert), "POST", x.at(site, "/token"), form, lines...)
	var got tokenAnswer
	if a.broken == nil {
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatalf("%d %s: %v", a.status, a.body, err)
		}
	}
	got.status = a.status
	for _, secret := range []string{got.Access, got.Refresh, got.ID} {
		if secret != "" {
			x.tokens.remember(secret)
		}
	}
	return got, a
}
