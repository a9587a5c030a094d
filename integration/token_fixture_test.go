package integration

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// tokenFixture makes tokens, good and bad, with plain crypto and keys that it knows. It shares no
// code with the gateway, so that a mistake in one does not excuse the same mistake in the other.
type tokenFixture struct {
	t        *testing.T
	issuer   string
	dir      string
	hmacText string // the base64 text of the HMAC secret
	hmacKey  []byte
	rsaKey   *rsa.PrivateKey
	ecKey    *ecdsa.PrivateKey
	edKey    ed25519.PrivateKey

	mu   sync.Mutex
	made map[string]bool // signatures
}

// RSA keys are slow to make, so all tests share one pair.
var (
	sharedRSA = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	weakRSA   = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(1024) })
)

func newRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func newTokenFixture(t *testing.T, issuer string) *tokenFixture {
	t.Helper()
	secret := make([]byte, 32)
	rand.Read(secret)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &tokenFixture{
		t: t, issuer: issuer, dir: t.TempDir(), hmacKey: secret, hmacText: base64.StdEncoding.EncodeToString(secret),
		rsaKey: sharedRSA(), ecKey: ec, edKey: ed, made: map[string]bool{},
	}
}

// secretRing is the key string of the configuration.
func (w *tokenFixture) secretRing() string { return "hs1:" + w.hmacText }

// private returns the key pair behind a kid.
func (w *tokenFixture) private(kid string) crypto.Signer {
	switch kid {
	case "rs1":
		return w.rsaKey
	case "es1":
		return w.ecKey
	case "ed1":
		return w.edKey
	}
	w.t.Fatalf("no key pair %q", kid)
	return nil
}

// keyFile writes a private key as PKCS #8 and returns where it is.
func (w *tokenFixture) keyFile(kid string) string { return writeKey(w.t, w.dir, kid, w.private(kid)) }

func writeKey(t *testing.T, dir, kid string, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, kid+".pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// publicForms are the spellings of a public key that a confused verifier could use as an HMAC
// secret.
func (w *tokenFixture) publicForms(kid string) map[string][]byte {
	der, err := x509.MarshalPKIXPublicKey(w.private(kid).Public())
	if err != nil {
		w.t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return map[string][]byte{"DER": der, "PEM": text, "PEM without newline": []byte(strings.TrimSpace(string(text)))}
}

var algorithmOf = map[string]string{"hs1": "HS256", "rs1": "RS256", "es1": "ES256", "ed1": "EdDSA"}

// claims are those of a good access token for an API, with changes on top; a nil change leaves the
// claim out.
func (w *tokenFixture) claims(sub string, changes map[string]any) map[string]any {
	now := time.Now()
	all := map[string]any{
		"iss": w.issuer, "sub": sub, "aud": []string{"api"}, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		"jti": rand.Text(), "client_id": "first-party", "project": "default",
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

// mint makes a good token for sub, signed with the key kid.
func (w *tokenFixture) mint(kid, sub string, changes map[string]any) string {
	return w.mintHeader(map[string]any{"alg": algorithmOf[kid], "typ": "at+jwt", "kid": kid}, kid, sub, changes)
}

// mintHeader is mint with a protected header of one's own.
func (w *tokenFixture) mintHeader(header map[string]any, kid, sub string, changes map[string]any) string {
	return w.raw(encode(w.t, header), encode(w.t, w.claims(sub, changes)), kid)
}

func encode(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// header is the good header text of a key.
func (w *tokenFixture) header(kid string) string {
	return `{"alg":"` + algorithmOf[kid] + `","typ":"at+jwt","kid":"` + kid + `"}`
}

// payload is the good claims text of a person, to be changed as text.
func (w *tokenFixture) payload(sub string, changes map[string]any) string {
	return encode(w.t, w.claims(sub, changes))
}

// raw signs any two texts with the key kid, whatever the header says; kid "" leaves the signature
// empty.
func (w *tokenFixture) raw(header, payload, kid string) string {
	input := base64url(header) + "." + base64url(payload)
	if kid == "" {
		return input + "."
	}
	return w.finish(input, w.sign(kid, []byte(input)))
}

// hmacWith signs with any bytes as HMAC-SHA256 secret.
func (w *tokenFixture) hmacWith(header, payload string, secret []byte) string {
	input := base64url(header) + "." + base64url(payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return w.finish(input, mac.Sum(nil))
}

func (w *tokenFixture) finish(input string, signature []byte) string {
	token := input + "." + base64url(string(signature))
	w.remember(token)
	return token
}

func base64url(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func (w *tokenFixture) sign(kid string, input []byte) []byte {
	if kid == "hs1" {
		mac := hmac.New(sha256.New, w.hmacKey)
		mac.Write(input)
		return mac.Sum(nil)
	}
	return signWith(w.t, w.private(kid), input)
}

// signWith signs as RFC 7518 and RFC 8037 say, with SHA-256 for RSA and P-256.
func signWith(t *testing.T, key crypto.Signer, input []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(input)
	switch key := key.(type) {
	case *rsa.PrivateKey:
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return signature
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case ed25519.PrivateKey:
		return ed25519.Sign(key, input)
	}
	t.Fatalf("no signature with %T", key)
	return nil
}

// remember notes a token's signature, which must never be logged.
func (w *tokenFixture) remember(token string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := strings.LastIndexByte(token, '.'); at >= 0 && len(token)-at > 40 {
		w.made[token[at+1:]] = true
	}
}

func (w *tokenFixture) signatures() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.made)
}

// publicJWK is a public key in JSON (RFC 7517), as issuers publish it.
func publicJWK(t *testing.T, kid string, key crypto.Signer) map[string]any {
	t.Helper()
	jwk := map[string]any{"kid": kid, "use": "sig"}
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["alg"] = "RSA", "RS256"
		jwk["n"] = base64url(string(public.N.Bytes()))
		jwk["e"] = base64url(string(big.NewInt(int64(public.E)).Bytes()))
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		jwk["kty"], jwk["alg"], jwk["crv"] = "EC", "ES256", "P-256"
		jwk["x"], jwk["y"] = base64url(string(point[1:33])), base64url(string(point[33:]))
	default:
		t.Fatalf("no JWK for %T", public)
	}
	return jwk
}
