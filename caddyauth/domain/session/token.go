package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// TokenLabel is the label under which the keys of Tokens are derived from the server's secret.
const TokenLabel = "refresh tokens v1"

const (
	tokenPrefix   = "rt_"
	maxTokenBytes = 512
	maxFamily     = 64
	maxGeneration = 15                      // digits
	macText       = (sha256.Size*8 + 5) / 6 // characters
	urlSafe       = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
	encodedKey    = "~" // marks a key id that is encoded because it is not URL-safe
)

var base64URL = base64.RawURLEncoding.Strict()

// Secret is one key for the MAC of refresh tokens.
type Secret struct {
	ID  string
	Key []byte
}

// Format writes the id for every verb and never the key.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "secret %q", s.ID) }

// Tokens makes and reads refresh tokens:
//
//	rt_<secret id>.<family>.<generation>.<mac>
//
// The mac is base64url of HMAC-SHA256 over the family, the grant's seed and the generation. A
// secret id with characters that a URL or a cookie does not carry is written as "~" and its
// base64url.
type Tokens struct {
	// Secrets are the keys: the first makes tokens, all of them verify. At least one is required.
	Secrets []Secret
}

// Format writes the number of secrets for every verb.
func (t Tokens) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%d secrets", len(t.Secrets)) }

// Reference is the content of a refresh token. It proves nothing until Tokens.Verify has accepted
// it.
type Reference struct {
	SecretID   string
	Family     string
	Generation int64
	mac        [sha256.Size]byte
}

// Format writes which token is meant for every verb, and never the MAC.
func (r Reference) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "generation "+strconv.FormatInt(r.Generation, 10)+" of "+r.Family)
}

// markText is how many characters of a family are its mark: base32 of 64 bits.
const (
	familyText = 26 // of rand.Text
	markText   = 13
)

// NewFamily returns an id for a grant: 130 random bits, and a mark that tells without a look into
// the store whether a grant of this id may exist.
func (t Tokens) NewFamily() string {
	random := rand.Text()
	return random + t.Secrets[0].mark(random)
}

// Marked reports whether the family has the mark of one of the secrets. One without a mark is
// forged, or older than marks.
func (t Tokens) Marked(family string) bool {
	if len(family) != familyText+markText {
		return false
	}
	random, mark := family[:familyText], []byte(family[familyText:])
	for _, s := range t.Secrets {
		if hmac.Equal([]byte(s.mark(random)), mark) {
			return true
		}
	}
	return false
}

func (s Secret) mark(random string) string {
	h := hmac.New(sha256.New, s.Key)
	h.Write([]byte("family"))
	h.Write([]byte(random))
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:8])
}

// Make returns the refresh token of a generation of the grant.
func (t Tokens) Make(g Grant, generation int64) string {
	s := t.Secrets[0]
	mac := s.mac(g, generation)
	text := tokenPrefix + writeID(s.ID) + "." + g.ID + "." + strconv.FormatInt(generation, 10) + "."
	return text + base64URL.EncodeToString(mac[:])
}

// Verify reports whether the token that was read belongs to the grant and was made with one of the
// secrets. It takes the same time whatever differs.
func (t Tokens) Verify(r Reference, g Grant) bool {
	for _, s := range t.Secrets {
		if s.ID == r.SecretID {
			mac := s.mac(g, r.Generation)
			return r.Family == g.ID && hmac.Equal(mac[:], r.mac[:])
		}
	}
	return false
}

// mac binds the generation to the family. Each part is preceded by its length, so that different
// parts never give the same input.
func (s Secret) mac(g Grant, generation int64) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, s.Key)
	var number [8]byte
	for _, part := range [][]byte{[]byte("refresh"), []byte(g.ID), g.Seed} {
		binary.BigEndian.PutUint64(number[:], uint64(len(part)))
		h.Write(number[:])
		h.Write(part)
	}
	binary.BigEndian.PutUint64(number[:], uint64(generation))
	h.Write(number[:])
	h.Sum(sum[:0])
	return sum
}

// ReadToken parses a refresh token. Each token has one spelling; for anything else ok is false.
func ReadToken(text string) (r Reference, ok bool) {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(text) > maxTokenBytes {
		return Reference{}, false
	}
	parts := strings.Split(rest, ".")
	if len(parts) != 4 {
		return Reference{}, false
	}
	r.Family = parts[1]
	var idOK, numberOK bool
	r.SecretID, idOK = readID(parts[0])
	r.Generation, numberOK = readGeneration(parts[2])
	if !idOK || !numberOK || !isFamily(r.Family) || len(parts[3]) != macText {
		return Reference{}, false
	}
	if _, err := base64URL.Decode(r.mac[:], []byte(parts[3])); err != nil || strings.ContainsAny(parts[3], "\r\n") {
		return Reference{}, false
	}
	return r, true
}

func isFamily(s string) bool { return s != "" && len(s) <= maxFamily && onlySafe(s) }

func onlySafe(s string) bool { return strings.Trim(s, urlSafe) == "" }

// readGeneration reads a decimal number without sign or leading zero.
func readGeneration(s string) (int64, bool) {
	if s == "" || len(s) > maxGeneration || s[0] == '0' && s != "0" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func writeID(id string) string {
	if id != "" && onlySafe(id) {
		return id
	}
	return encodedKey + base64URL.EncodeToString([]byte(id))
}

// readID is the inverse of writeID and refuses what writeID would write differently.
func readID(s string) (string, bool) {
	encoded, ok := strings.CutPrefix(s, encodedKey)
	if !ok {
		return s, s != "" && onlySafe(s)
	}
	id, err := base64URL.DecodeString(encoded)
	return string(id), err == nil && writeID(string(id)) == s
}
