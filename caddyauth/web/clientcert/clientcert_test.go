package clientcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestCertificatesOfConnections(t *testing.T) {
	one := &x509.Certificate{Raw: []byte("one")}
	sent := []*x509.Certificate{one, {Raw: []byte("its authority")}}
	for _, tc := range []struct {
		name     string
		is       *tls.ConnectionState
		want     *x509.Certificate
		verified bool
	}{
		{"no TLS", nil, nil, false},
		{"no certificate", &tls.ConnectionState{HandshakeComplete: true}, nil, false},
		{"not verified", &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: sent}, one, false},
		{"verified", &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: sent,
			VerifiedChains: [][]*x509.Certificate{sent}}, one, true},
		{"early data", &tls.ConnectionState{PeerCertificates: sent,
			VerifiedChains: [][]*x509.Certificate{sent}}, nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &http.Request{TLS: tc.is, Header: http.Header{"X-Client-Cert": {"forged"}}}
			if got := Of(r); got != tc.want || Verified(r) != tc.verified {
				t.Errorf("%v, verified %v", got, Verified(r))
			}
		})
	}
}

func TestThumbprints(t *testing.T) {
	// printf abc | openssl dgst -sha256 -binary | basenc --base64url
	if got := Thumbprint(&x509.Certificate{Raw: []byte("abc")}); got != "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0" {
		t.Error(got)
	}
	if got := Thumbprint(nil); got != "" {
		t.Error(got)
	}
}

// A connection that goes on with a session ticket has the certificate of the one before.
func TestResumedConnections(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.DidResume {
			_, _ = io.WriteString(w, "resumed ")
		}
		_, _ = io.WriteString(w, Thumbprint(Of(r)))
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	client := server.Client()
	transport := client.Transport.(*http.Transport)
	transport.DisableKeepAlives = true
	transport.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	transport.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	for _, how := range []string{"", "resumed "} {
		resp, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if want := how + Thumbprint(&x509.Certificate{Raw: der}); err != nil || string(text) != want {
			t.Errorf("%q, %v, want %q", text, err, want)
		}
	}
}
