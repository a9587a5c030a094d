package keyring

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ParseSecrets reads HMAC keys from "kid:base64secret,kid2:base64secret2".
// Secrets are in the standard or the URL alphabet, with or without padding;
// white space and newlines around entries are allowed. The algorithm is HS256
// when empty, or HS384 or HS512; secrets have at least 32, 48 and 64 bytes
// (RFC 7518 section 3.2). Errors name the entry, by number and kid, and never
// hold a byte of a secret.
func ParseSecrets(s, algorithm string) ([]*Key, error) {
	alg, err := hmacAlgorithm(algorithm)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	entries, err := splitEntries(s)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	keys := make([]*Key, 0, len(entries))
	for i, e := range entries {
		k, err := newSecretKey(e.id, alg, e.secret, time.Time{})
		if err != nil {
			return nil, fmt.Errorf("keys: %s: %w", entryName(i, e.id), err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// ParseSecretText makes an HMAC key whose secret is the text's own bytes, not
// base64. The algorithm and the minima are those of [ParseSecrets]. Nothing is
// trimmed.
func ParseSecretText(kid, secret, algorithm string) (*Key, error) {
	alg, err := hmacAlgorithm(algorithm)
	if err != nil {
		return nil, fmt.Errorf("secret_text: %w", err)
	}
	k, err := newSecretKey(kid, alg, []byte(secret), time.Time{})
	if err != nil {
		return nil, fmt.Errorf("secret_text: key %q: %w", clip(kid), err)
	}
	return k, nil
}

// secretEntry is one kid:base64 pair, decoded.
type secretEntry struct {
	id     string
	secret []byte
}

// splitEntries reads a comma-separated list of kid:base64 pairs and refuses
// repeated ids.
func splitEntries(s string) ([]secretEntry, error) {
	if strings.TrimSpace(s) == "" {
		return nil, errors.New("none given")
	}
	if strings.ContainsAny(s, "{}") {
		return nil, errors.New("the value holds a placeholder that was not resolved")
	}
	seen := make(map[string]bool)
	var entries []secretEntry
	for i, part := range strings.Split(s, ",") {
		e, err := parseEntry(part)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entryName(i, e.id), err)
		}
		if seen[e.id] {
			return nil, fmt.Errorf("%s: the id is given to more than one key", entryName(i, e.id))
		}
		seen[e.id] = true
		entries = append(entries, e)
	}
	return entries, nil
}

// parseEntry reads one kid:base64 pair. The entry it returns with an error has
// the id, when there is one.
func parseEntry(part string) (secretEntry, error) {
	part = strings.TrimSpace(part)
	if part == "" {
		return secretEntry{}, errors.New("is empty, write kid:base64secret")
	}
	id, encoded, found := strings.Cut(part, ":")
	if !found {
		return secretEntry{}, errors.New("has no kid, write kid:base64secret")
	}
	if strings.ContainsAny(id, " \t\r\n") {
		return secretEntry{}, errors.New("the kid holds white space")
	}
	if err := checkID(id); err != nil {
		return secretEntry{}, err
	}
	secret, err := decodeBase64(encoded)
	return secretEntry{id: id, secret: secret}, err
}

// entryName says which entry is meant, by number and by kid. A long kid is left
// out: whoever writes secret:kid instead of kid:secret must not find the secret
// in a log.
func entryName(i int, id string) string {
	if id == "" || len(id) > 40 {
		return fmt.Sprintf("entry %d", i+1)
	}
	return fmt.Sprintf("entry %d, kid %q", i+1, id)
}

// decodeBase64 decodes either alphabet, padded or not, and refuses what no
// encoder writes: mixed alphabets, wrong padding, stray bits, white space. Its
// errors say nothing of the text.
func decodeBase64(s string) ([]byte, error) {
	if s == "" {
		return nil, errors.New("the secret is empty")
	}
	if strings.ContainsAny(s, " \t\r\n") {
		return nil, errors.New("the secret holds white space; entries are separated by commas")
	}
	enc := base64.StdEncoding
	if strings.ContainsAny(s, "-_") {
		enc = base64.URLEncoding
	}
	if !strings.HasSuffix(s, "=") {
		enc = enc.WithPadding(base64.NoPadding)
	}
	b, err := enc.Strict().DecodeString(s)
	if err != nil {
		return nil, errors.New("the secret is not base64")
	}
	return b, nil
}
