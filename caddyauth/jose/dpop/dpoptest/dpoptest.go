// Package dpoptest owns what tests make DPoP proofs with: clients that have a key each and sign
// what they are told to. It is test support: nothing but tests imports it.
package dpoptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// Client is a client with a key of its own.
type Client struct {
	// Thumbprint is that of its key (RFC 7638).
	Thumbprint string
	// PublicJWK and PrivateJWK are its key as JSON.
	PublicJWK, PrivateJWK json.RawMessage

	algorithm jwa.SignatureAlgorithm
	private   crypto.Signer
}

// New makes a client that signs with an algorithm.
func New(t testing.TB, algorithm string) *Client {
	t.Helper()
	c := &Client{algorithm: jwa.SignatureAlgorithm(algorithm), private: generate(t, algorithm)}
	private, err := jwk.FromRaw(c.private)
	if err != nil {
		t.Fatal(err)
	}
	public, err := private.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	c.Thumbprint = base64.RawURLEncoding.EncodeToString(sum)
	c.PublicJWK, c.PrivateJWK = encode(t, public), encode(t, private)
	return c
}

func generate(t testing.TB, algorithm string) (key crypto.Signer) {
	t.Helper()
	var err error
	switch algorithm {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Proof makes the proof of a request, with an access token when it is not empty. Claims given in
// more stand in place of those, and nil takes one away.
func (c *Client) Proof(t testing.TB, method, url, accessToken string, now time.Time, more map[string]any) string {
	t.Helper()
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": url, "iat": now.Unix()}
	if accessToken != "" {
		sum := sha256.Sum256([]byte(accessToken))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	maps.Copy(claims, more)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return c.Sign(t, string(encode(t, c.Header())), string(encode(t, claims)))
}

// Header is the header of a good proof.
func (c *Client) Header() map[string]any {
	return map[string]any{"typ": "dpop+jwt", "alg": c.algorithm.String(), "jwk": c.PublicJWK}
}

// Sign signs whatever text it is given as header and claims.
func (c *Client) Sign(t testing.TB, header, claims string) string {
	t.Helper()
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(claims))
	signer, err := jws.NewSigner(c.algorithm)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign([]byte(input), c.private)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}
