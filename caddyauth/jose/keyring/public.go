package keyring

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// privateMembers are those of a JWK that hold a secret or a private part (RFC 7518 sections 6.2.2,
// 6.3.2 and 6.4, RFC 8037 section 2).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// ParsePublicJWK reads the public key that somebody else has sent along, for use with one
// asymmetric algorithm and nothing else. A symmetric key, one with a private member, one whose own
// `alg` is another and one that is not for signatures are refused. Its id is its thumbprint.
func ParsePublicJWK(data []byte, algorithm string) (*Key, error) {
	alg, err := algorithmNamed(algorithm)
	if err != nil {
		return nil, err
	}
	if alg.family == familyHMAC {
		return nil, fmt.Errorf("algorithm %s takes a secret", alg.name)
	}
	j, err := decodeJSONObject(data)
	if err != nil {
		return nil, err
	}
	for _, name := range privateMembers {
		if j.has(name) {
			return nil, fmt.Errorf("member %q is not one of a public key", name)
		}
	}
	own, err := j.text("alg")
	switch {
	case err != nil:
		return nil, err
	case own != "" && own != alg.name:
		return nil, errors.New("the key is for another algorithm")
	}
	if err := j.checkPurpose(); err != nil {
		return nil, err
	}
	m, err := j.material()
	if err != nil {
		return nil, err
	}
	if m.public == nil {
		return nil, errors.New("the key is not a public key")
	}
	if _, err := alg.check(m.public); err != nil { // before anything is made of it
		return nil, err
	}
	return newPublicKey(thumbprint(m.public), alg, m.public, time.Time{})
}

// Thumbprint returns the SHA-256 thumbprint of the public key in base64url (RFC 7638); empty for a
// secret.
func (k *Key) Thumbprint() string {
	if k.public == nil {
		return ""
	}
	return thumbprint(k.public)
}

// IsThumbprint reports whether text has the form of a thumbprint: strict base64url of a SHA-256.
func IsThumbprint(text string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(sum) == sha256.Size && !strings.ContainsAny(text, "\r\n")
}
