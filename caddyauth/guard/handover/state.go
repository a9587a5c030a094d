package handover

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// Label is the label under which the keys of States are derived from the server's secret.
const Label = "sign-in states v1"

const (
	// attemptAge is how long a sign-in may take.
	attemptAge = 10 * time.Minute

	// maxTarget is the longest path and query that a state keeps, in bytes. With all that stands
	// around it, it has to fit into the address of the login page.
	maxTarget = 2048

	// maxState is the longest state, in bytes.
	maxState = 4 << 10
)

// attempt is one try of a browser to sign in at an application.
type attempt struct {
	// ID names the cookie of the attempt, Proof is the hash of its value.
	ID    string `json:"id"`
	Proof []byte `json:"proof"`

	// Verifier is that of PKCE.
	Verifier string `json:"verifier"`

	// Origin is the application's, Target the path and query that the person wanted there.
	Origin string `json:"origin"`
	Target string `json:"target"`

	// Shortened says that Target is the root because what was wanted is too long.
	Shortened bool `json:"shortened,omitzero"`

	// Trip is what signInFor says of all that was wanted.
	Trip string `json:"trip"`

	// Began is when the attempt began, in milliseconds since 1970.
	Began int64 `json:"began"`
}

// newAttempt returns an attempt, and the value of its cookie.
func newAttempt(origin, target string, now time.Time) (a attempt, secret string) {
	secret = rand.Text()
	a = attempt{
		ID:       attemptID(now),
		Proof:    hashOf(secret),
		Verifier: rand.Text() + rand.Text(),
		Origin:   origin,
		Target:   target,
		Trip:     signInFor(target),
		Began:    now.UnixMilli(),
	}
	if len(target) > maxTarget {
		a.shorten()
	}
	return a, secret
}

// shorten forgets what was wanted.
func (a *attempt) shorten() { a.Target, a.Shortened = "/", true }

func hashOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// isBy reports whether the value of a cookie is that of the attempt.
func (a attempt) isBy(secret string) bool {
	return subtle.ConstantTimeCompare(a.Proof, hashOf(secret)) == 1
}

// challenge is the code challenge of the method S256.
func (a attempt) challenge() string { return base64.RawURLEncoding.EncodeToString(hashOf(a.Verifier)) }

// expired reports whether the attempt took too long. One from the future was made by a node whose
// clock is ahead.
func (a attempt) expired(now time.Time) bool { return now.Sub(time.UnixMilli(a.Began)) > attemptAge }

// States seals attempts, so that what a browser brings back was made by a node of this server.
type States struct {
	// Keys are those of AES-256-GCM: the first seals, all of them open.
	Keys []keyring.Subkey
}

// errState says that a state was not made here.
var errState = errors.New("the state was not made by this server")

// stateData is bound to each state, so that nothing else that is sealed with the key is one.
const stateData = "state"

// seal returns the attempt as the parameter `state`.
func (s States) seal(a attempt) (string, error) {
	if len(s.Keys) == 0 {
		return "", errors.New("the secret of the server is not there yet")
	}
	var plain bytes.Buffer
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false) // which makes six bytes of an ampersand
	if err := encoder.Encode(a); err != nil {
		return "", err
	}
	aead, err := aeadOf(s.Keys[0])
	if err != nil {
		return "", err
	}
	state := base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, plain.Bytes(), []byte(stateData)))
	if len(state) > maxState && !a.Shortened { // of many characters that JSON escapes
		a.shorten()
		return s.seal(a)
	}
	return state, nil
}

// open is the inverse of seal.
func (s States) open(text string) (a attempt, err error) {
	if len(text) > maxState {
		return attempt{}, errState
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return attempt{}, errState
	}
	for _, key := range s.Keys {
		aead, err := aeadOf(key)
		if err != nil {
			return attempt{}, err
		}
		plain, err := aead.Open(nil, nil, sealed, []byte(stateData))
		if err == nil && json.Unmarshal(plain, &a) == nil {
			return a, nil
		}
	}
	return attempt{}, errState
}

func aeadOf(key keyring.Subkey) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key.Key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// plainTarget returns a path and query of this host as it may stand in an address; the root for
// everything else. An origin is put before it, so that two slashes name no other host.
func plainTarget(uri string) string {
	if !strings.HasPrefix(uri, "/") {
		return "/"
	}
	var b strings.Builder
	for i := range len(uri) {
		switch c := uri[i]; {
		case c <= ' ' || c == 0x7f || c == '\\' || c == '#':
			return "/"
		case c > 0x7f:
			b.WriteString("%" + string(upperHex[c>>4]) + string(upperHex[c&15]))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

const upperHex = "0123456789ABCDEF"
