package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrWrongSecret is wrapped by the error of [SecretRing.Open] when the record
// was sealed with a secret that is not in the ring, or was altered.
var ErrWrongSecret = errors.New("sealed with another secret, or altered")

const (
	minRingSecret   = 32           // bytes
	labelPrefix     = "caddyauth " // keeps our labels apart from another product's
	labelSeal       = "seal keys v1"
	labelPrint      = "fingerprint v1"
	sealVersion     = 1
	derivedKeyBytes = 32
)

// SecretRing is the small ring of secrets that everything kept in the store is
// protected with: the first one seals and signs, all of them open and verify.
// Keys for each purpose are derived from them (HKDF-SHA256, RFC 5869), so the
// secrets themselves are used for nothing else. It is immutable, safe for
// concurrent use, and prints as a count.
type SecretRing struct {
	entries []secretEntry
}

// Subkey is a key derived from one secret of the ring for one purpose.
type Subkey struct {
	ID  string // the secret's kid, to be written beside what the key protects
	Key []byte // 32 bytes
}

// Format writes the id for every verb and never the key.
func (s Subkey) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "subkey %q", s.ID) }

// ParseSecretRing reads "kid:base64[,kid2:base64]", at least 32 bytes each; the
// first one seals, all open. A value without colon and comma is one secret with
// the kid "1": the bytes it is base64 of when those are 32 or more, else its own
// bytes. Errors name the entry and never hold a byte of a secret.
func ParseSecretRing(s string) (*SecretRing, error) {
	s = strings.TrimSpace(s)
	if s != "" && !strings.ContainsAny(s, ":,{}") {
		return singleSecret(s)
	}
	entries, err := splitEntries(s)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	for i, e := range entries {
		if len(e.secret) < minRingSecret {
			return nil, fmt.Errorf("secret: %s: is %d bytes, at least %d are needed", entryName(i, e.id),
				len(e.secret), minRingSecret)
		}
		if len(e.id) > 255 {
			return nil, fmt.Errorf("secret: %s: the kid is too long", entryName(i, e.id))
		}
	}
	return &SecretRing{entries: entries}, nil
}

// singleSecret makes the ring of a value that is one secret.
func singleSecret(s string) (*SecretRing, error) {
	secret, err := decodeBase64(s)
	if err != nil || len(secret) < minRingSecret {
		secret = []byte(s)
	}
	if len(secret) < minRingSecret {
		return nil, fmt.Errorf("secret: is %d bytes, at least %d are needed", len(secret), minRingSecret)
	}
	return &SecretRing{entries: []secretEntry{{id: "1", secret: secret}}}, nil
}

// NewSecretRing makes a ring of one random secret of 32 bytes and returns it
// with the text that a key file holds and [ParseSecretRing] reads.
func NewSecretRing() (*SecretRing, string, error) {
	secret := make([]byte, minRingSecret)
	if _, err := rand.Read(secret); err != nil {
		return nil, "", err
	}
	text := "1:" + base64.StdEncoding.EncodeToString(secret)
	return &SecretRing{entries: []secretEntry{{id: "1", secret: secret}}}, text, nil
}

// Derive returns one key per secret for the purpose the label names. The first
// one is for what is made now, all are for checking what was made before. The
// same ring and label always give the same keys.
func (s *SecretRing) Derive(label string) []Subkey { return s.DeriveWith(label, nil) }

// DeriveWith is Derive with a random salt that is kept elsewhere: neither the secrets nor the salt
// alone give the keys.
func (s *SecretRing) DeriveWith(label string, salt []byte) []Subkey {
	keys := make([]Subkey, len(s.entries))
	for i, e := range s.entries {
		keys[i] = Subkey{ID: e.id, Key: deriveWith(e.secret, salt, label)}
	}
	return keys
}

func derive(secret []byte, label string) []byte { return deriveWith(secret, nil, label) }

// deriveWith is HKDF with SHA-256.
func deriveWith(secret, salt []byte, label string) []byte {
	key, err := hkdf.Key(sha256.New, secret, salt, labelPrefix+label, derivedKeyBytes)
	if err != nil {
		panic(err) // only for a length over 255 hashes
	}
	return key
}

// Fingerprint identifies the first secret without telling it, to be kept in
// the store so that a node with another secret is noticed at its start; see
// [SecretRing.Matches].
func (s *SecretRing) Fingerprint() string { return s.entries[0].fingerprint() }

// Fingerprints are those of all secrets of the ring, the first one first.
func (s *SecretRing) Fingerprints() []string {
	prints := make([]string, len(s.entries))
	for i, e := range s.entries {
		prints[i] = e.fingerprint()
	}
	return prints
}

// Matches reports whether the fingerprint is that of any secret in the ring,
// so that a secret can be replaced by putting the new one in front.
func (s *SecretRing) Matches(fingerprint string) bool {
	for _, e := range s.entries {
		if subtle.ConstantTimeCompare([]byte(e.fingerprint()), []byte(fingerprint)) == 1 {
			return true
		}
	}
	return false
}

func (e secretEntry) fingerprint() string {
	return e.id + ":" + base64.RawURLEncoding.EncodeToString(derive(e.secret, labelPrint)[:16])
}

// Seal encrypts the private part of a key with AES-256-GCM under a random
// nonce. The key's id and algorithm are bound to it as additional data. A key
// that only verifies is refused.
func (s *SecretRing) Seal(k *Key) (Record, error) {
	plain := k.secret
	if plain == nil {
		if k.private == nil {
			return Record{}, fmt.Errorf("sealing key %q: %w", k.id, ErrCannotSign)
		}
		der, err := x509.MarshalPKCS8PrivateKey(k.private)
		if err != nil {
			return Record{}, fmt.Errorf("sealing key %q: %w", k.id, err)
		}
		plain = der
	}
	e := s.entries[0]
	aead, err := e.aead()
	if err != nil {
		return Record{}, fmt.Errorf("sealing key %q: %w", k.id, err)
	}
	// version, length of the secret's kid, that kid, nonce and ciphertext
	out := append([]byte{sealVersion, byte(len(e.id))}, e.id...)
	out = aead.Seal(out, nil, plain, sealedData(k.id, k.alg.name))
	return Record{ID: k.id, Algorithm: k.alg.name, Created: k.created, Sealed: out}, nil
}

// Open decrypts a record. An error that wraps [ErrWrongSecret] means that the
// ring lacks the secret it was sealed with, or that the record was altered.
func (s *SecretRing) Open(rec Record) (*Key, error) {
	k, err := s.open(rec)
	if err != nil {
		return nil, fmt.Errorf("opening key %q: %w", clip(rec.ID), err)
	}
	return k, nil
}

func (s *SecretRing) open(rec Record) (*Key, error) {
	alg, err := algorithmNamed(rec.Algorithm)
	if err != nil {
		return nil, err
	}
	id, sealed, err := splitSealed(rec.Sealed)
	if err != nil {
		return nil, err
	}
	for _, e := range s.entries {
		if e.id != id {
			continue
		}
		aead, err := e.aead()
		if err != nil {
			return nil, err
		}
		plain, err := aead.Open(nil, nil, sealed, sealedData(rec.ID, rec.Algorithm))
		if err != nil {
			return nil, fmt.Errorf("with secret %q: %w", id, ErrWrongSecret)
		}
		if alg.family == familyHMAC {
			return newSecretKey(rec.ID, alg, plain, rec.Created)
		}
		return parsePKCS8(rec.ID, alg, plain, rec.Created)
	}
	return nil, fmt.Errorf("secret %q is not in the ring: %w", clip(id), ErrWrongSecret)
}

// splitSealed separates the kid of the secret from the ciphertext.
func splitSealed(b []byte) (id string, sealed []byte, err error) {
	if len(b) < 2 || b[0] != sealVersion || len(b) < 2+int(b[1]) {
		return "", nil, errors.New("the sealed record has an unknown form")
	}
	n := 2 + int(b[1])
	return string(b[2:n]), b[n:], nil
}

// sealedData is the additional data: the fields of a record that a swap must
// not change. The line break cannot stand in an id.
func sealedData(id, algorithm string) []byte { return []byte(id + "\n" + algorithm) }

// aead is the cipher of one secret.
func (e secretEntry) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(derive(e.secret, labelSeal))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Format writes the number of secrets for every verb and never a secret.
func (s *SecretRing) Format(f fmt.State, _ rune) {
	if s == nil {
		_, _ = io.WriteString(f, "no secrets")
		return
	}
	_, _ = fmt.Fprintf(f, "ring of %d secrets", len(s.entries))
}
