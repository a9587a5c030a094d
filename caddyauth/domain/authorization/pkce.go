package authorization

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// unreserved are the characters of a code verifier (RFC 7636, section 4.1).
const unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// isDigest reports whether a text is the base64url of a SHA-256, in its one spelling: a code
// challenge (RFC 7636, section 4.2) or the thumbprint of a key (RFC 9449, section 10).
func isDigest(text string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(sum) == sha256.Size && len(text) == base64.RawURLEncoding.EncodedLen(sha256.Size)
}

// isVerifier reports whether a text can be a code verifier: 43 to 128 unreserved characters.
func isVerifier(text string) bool {
	return len(text) >= 43 && len(text) <= 128 && strings.Trim(text, unreserved) == ""
}

// verifies reports whether a verifier answers a challenge of the method S256. Without a challenge
// there must be no verifier (RFC 9700, section 2.1.1: an attacker may have taken the challenge out of
// the request).
func verifies(challenge, verifier string) bool {
	if challenge == "" {
		return verifier == ""
	}
	sum := sha256.Sum256([]byte(verifier))
	digest := base64.RawURLEncoding.EncodeToString(sum[:])
	return isVerifier(verifier) && subtle.ConstantTimeCompare([]byte(digest), []byte(challenge)) == 1
}
