package secrets

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// New returns a secret of 256 random bits behind a prefix, which tells people, and programs that
// look for leaked secrets, what it is. The secret is shown once; Hash of it is what is stored.
func New(prefix string) string {
	var b [32]byte
	rand.Read(b[:])
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// HashLength is the length of a Hash: a character for each 6 bits.
const HashLength = (8*sha256.Size + 5) / 6

// Hash returns the base64url SHA-256 of a secret. It is right for secrets of 256 random bits, which
// nobody can guess; a password needs identity.Passwords instead.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
