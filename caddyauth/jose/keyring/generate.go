package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Generate makes a key for the algorithm, ES256 when empty: an RSA key of 2048
// bits, a key on the algorithm's curve, or a random secret as long as the hash.
// Its id is the day and eight random letters and digits, safe in URLs and file
// names. The creation time is now, in UTC and whole seconds.
func Generate(algorithm string, now time.Time) (*Key, error) {
	if algorithm == "" {
		algorithm = "ES256"
	}
	alg, err := algorithmNamed(algorithm)
	if err != nil {
		return nil, err
	}
	created := now.UTC().Truncate(time.Second)
	id := created.Format("20060102") + "-" + strings.ToLower(rand.Text()[:8])
	if alg.family == familyHMAC {
		secret := make([]byte, alg.minSecret)
		_, _ = rand.Read(secret) // never fails
		return newSecretKey(id, alg, secret, created)
	}
	private, err := alg.generate()
	if err != nil {
		return nil, fmt.Errorf("generating a key for %s: %w", alg.name, err)
	}
	return newPrivateKey(id, alg, private, created)
}

// generate makes a fresh private key of the algorithm's family.
func (a *algorithm) generate() (crypto.Signer, error) {
	switch a.family {
	case familyRSA:
		return rsa.GenerateKey(rand.Reader, minRSABits)
	case familyECDSA:
		return ecdsa.GenerateKey(a.curve, rand.Reader)
	case familyEdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, errors.New("not a key pair")
}

// MarshalPrivatePEM returns the private key as PKCS #8 in PEM (RFC 5958,
// RFC 7468). HMAC keys, which have a [Key.SecretEntry], and keys that only
// verify are refused.
func (k *Key) MarshalPrivatePEM() ([]byte, error) {
	if k.private == nil {
		return nil, fmt.Errorf("key %q (%s) has no private key to write", k.id, k.alg.name)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", k.id, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// MarshalPublicPEM returns the public key as PKIX in PEM (RFC 5280, RFC 7468).
// HMAC keys have none.
func (k *Key) MarshalPublicPEM() ([]byte, error) {
	if k.public == nil {
		return nil, fmt.Errorf("key %q (%s) has no public key", k.id, k.alg.name)
	}
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", k.id, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// SecretEntry returns an HMAC key as [ParseSecrets] reads it, kid:base64. Key
// pairs are refused, and so is an id that such a list cannot hold.
func (k *Key) SecretEntry() (string, error) {
	if k.secret == nil {
		return "", fmt.Errorf("key %q (%s) is a key pair, not a secret", k.id, k.alg.name)
	}
	if strings.ContainsAny(k.id, ":,{} ") {
		return "", fmt.Errorf("key id %q cannot stand in a list of secrets", k.id)
	}
	return k.id + ":" + base64.StdEncoding.EncodeToString(k.secret), nil
}
