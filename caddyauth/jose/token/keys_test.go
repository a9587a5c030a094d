package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

const (
	ownName = "https://auth.example.com"
	secret  = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// instant is the clock of these tests; tokens are minted then and live 15 minutes.
var instant = time.Unix(1_790_000_000, 0).UTC()

// material is a key beside the raw material it was made of.
type material struct {
	key     *keyring.Key
	private crypto.Signer // nil for HMAC
}

var newRSA = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// newMaterial makes a key of the algorithm; all RSA ones share one modulus.
func newMaterial(t testing.TB, kid, algorithm string) material {
	t.Helper()
	var private crypto.Signer
	var err error
	switch {
	case strings.HasPrefix(algorithm, "HS"):
		key, err := keyring.ParseSecretText(kid, secret, algorithm)
		if err != nil {
			t.Fatal(err)
		}
		return material{key: key}
	case algorithm == "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case algorithm == "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case algorithm == "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private = newRSA()
	}
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	keys, err := keyring.ParseFile(kid, text, algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return material{key: keys[0], private: private}
}

// holding is the Keys function of an issuer that has exactly these keys.
func holding(keys ...*keyring.Key) func(context.Context, string) (*keyring.Key, error) {
	return func(_ context.Context, kid string) (*keyring.Key, error) {
		for _, k := range keys {
			if k.ID() == kid {
				return k, nil
			}
		}
		return nil, keyring.ErrUnknownKey
	}
}

func newVerifier(t testing.TB, issuers ...Issuer) *Verifier {
	t.Helper()
	v, err := NewVerifier(issuers)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// ownVerifier accepts tokens of the usual issuer alone.
func ownVerifier(t testing.TB, keys ...*keyring.Key) *Verifier {
	t.Helper()
	return newVerifier(t, Issuer{Name: ownName, Own: true, Keys: holding(keys...)})
}

// sign makes a compact token of any header and payload.
func sign(t testing.TB, key *keyring.Key, header, payload string) string {
	t.Helper()
	input := segment(header) + "." + segment(payload)
	signature, err := key.Sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + segment(string(signature))
}

func segment(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// headerOf is the header that Mint writes.
func headerOf(key *keyring.Key) string {
	return `{"alg":"` + key.Algorithm() + `","kid":"` + key.ID() + `","typ":"at+jwt"}`
}

// with replaces a member of good claims; an empty value drops it.
func with(name, value string) string {
	members := [][2]string{
		{"iss", `"` + ownName + `"`}, {"sub", `"alice"`}, {"aud", `"web"`}, {"exp", "1790000900"},
		{"iat", "1790000000"},
	}
	var parts []string
	found := false
	for _, m := range members {
		if m[0] == name {
			m[1], found = value, true
		}
		if m[1] != "" {
			parts = append(parts, `"`+m[0]+`":`+m[1])
		}
	}
	if !found && name != "" {
		parts = append(parts, `"`+name+`":`+value)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

var goodClaims = with("", "")

// reasonOf returns the reason of a refusal, and fails for any other error.
func reasonOf(t testing.TB, err error) Reason {
	t.Helper()
	if err == nil {
		return "accepted"
	}
	r, ok := err.(*Refusal)
	if !ok {
		t.Fatalf("error %v is no refusal", err)
	}
	return r.Reason
}

// publicOf is the half of a key that only verifies.
func publicOf(t testing.TB, m material) *keyring.Key {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(m.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.ParseFile(m.key.ID(), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		m.key.Algorithm())
	if err != nil {
		t.Fatal(err)
	}
	return keys[0]
}
