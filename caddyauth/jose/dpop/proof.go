package dpop

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

const (
	// Header is the request header that holds the proof, as net/http spells it.
	Header = "Dpop"

	// MaxSize is the length in bytes of the longest proof that is read.
	MaxSize = 8 << 10

	// MaxAge is how old `iat` may be.
	MaxAge = 60 * time.Second

	// MaxAhead is how far `iat` may be in the future.
	MaxAhead = 30 * time.Second

	// Window is for how long after it was first seen a proof could be accepted again, so that its
	// `jti` must be remembered.
	Window = MaxAge + MaxAhead

	maxID = 256 // bytes of `jti`
)

// The error codes of RFC 9449, sections 7.1, 8 and 9.
const (
	InvalidProof = "invalid_dpop_proof"
	UseNonce     = "use_dpop_nonce"
)

// algorithms are those of proofs, in the order in which metadata lists them.
var algorithms = []string{"ES256", "EdDSA", "PS256", "RS256"}

// Algorithms returns the algorithms of proofs (`dpop_signing_alg_values_supported`).
func Algorithms() []string { return slices.Clone(algorithms) }

// strict is base64url without padding and without stray bits in the last character (RFC 7515,
// section 2).
var strict = base64.RawURLEncoding.Strict()

// Refusal is the error of a proof that is refused.
type Refusal struct {
	// Code is InvalidProof or UseNonce.
	Code string
	// Detail says more in plain words, for the operator. Of the proof it quotes at most a short word of
	// its key.
	Detail string
}

// Error returns the code and the detail.
func (r *Refusal) Error() string { return r.Code + ": " + r.Detail }

func refuse(detail string) error { return &Refusal{Code: InvalidProof, Detail: detail} }

// Request is what a proof came with.
type Request struct {
	// Method is the method of the request.
	Method string
	// URL is the URL of the request as the client sees it. Query and fragment do not matter.
	URL string
	// AccessToken is what the proof must name in `ath`. Default: none, as at a token endpoint.
	AccessToken string
	// Nonces are those of which the proof must name one. Default: no nonce is asked for.
	Nonces *Nonces
	// Now is the time of the request.
	Now time.Time
}

// Proof is a proof that fits its request.
type Proof struct {
	// Thumbprint is that of the key (RFC 7638), the `jkt` of a token that is bound to it.
	Thumbprint string
	// ID is `jti`.
	ID string
	// IssuedAt is `iat`.
	IssuedAt time.Time
}

// header is the protected header of a proof.
type header struct {
	Type      string         `json:"typ"`
	Algorithm string         `json:"alg"`
	Key       jsontext.Value `json:"jwk"`
	// Extensions that would have to be understood, and encryption.
	Critical    jsontext.Value `json:"crit"`
	Base64      jsontext.Value `json:"b64"`
	Encryption  jsontext.Value `json:"enc"`
	Compression jsontext.Value `json:"zip"`
}

// claims are those of a proof that mean something.
type claims struct {
	ID              string         `json:"jti"`
	Method          string         `json:"htm"`
	URL             string         `json:"htu"`
	IssuedAt        jsontext.Value `json:"iat"`
	AccessTokenHash string         `json:"ath"`
	Nonce           string         `json:"nonce"`
}

// FromHeader returns the one proof of the header's lines (RFC 9449, section 4.3, number 1).
func FromHeader(lines []string) (string, error) {
	switch {
	case len(lines) == 0 || len(lines) == 1 && lines[0] == "":
		return "", refuse("the DPoP header is missing")
	case len(lines) > 1 || strings.IndexByte(lines[0], ',') >= 0:
		return "", refuse("more than one DPoP proof")
	}
	return lines[0], nil
}

// Verify reads a proof and holds it against its request (RFC 9449, section 4.3). It does not know
// whether the proof was used before. The error is a *Refusal.
func Verify(proof string, r Request) (Proof, error) {
	key, payload, err := authenticate(proof)
	if err != nil {
		return Proof{}, err
	}
	var c claims
	if json.Unmarshal(payload, &c) != nil {
		return Proof{}, refuse("the claims are not a JSON object in strict form, or one has the wrong type")
	}
	issued, err := c.check(r)
	if err != nil {
		return Proof{}, err
	}
	return Proof{Thumbprint: key.ID(), ID: c.ID, IssuedAt: issued}, nil
}

// authenticate returns the key that a proof brings along, which has signed it, and its payload.
func authenticate(proof string) (*keyring.Key, []byte, error) {
	if len(proof) > MaxSize {
		return nil, nil, refuse("the proof is longer than 8192 bytes")
	}
	input, parts, err := split(proof)
	if err != nil {
		return nil, nil, err
	}
	key, err := readHeader(parts[0])
	if err != nil {
		return nil, nil, err
	}
	if key.Verify([]byte(input), parts[2]) != nil {
		return nil, nil, refuse("the signature does not fit the key in the proof")
	}
	return key, parts[1], nil
}

// split takes a proof apart before anything of it is read as JSON (RFC 7515, section 7.1).
func split(proof string) (input string, parts [3][]byte, err error) {
	segments := strings.Split(proof, ".")
	if len(segments) != len(parts) {
		return "", parts, refuse("the proof is not a JWS in compact form")
	}
	for i, segment := range segments {
		// The decoder of encoding/base64 skips line breaks even when strict.
		if segment == "" || strings.ContainsAny(segment, "\r\n") {
			return "", parts, refuse("the proof is not a JWS in compact form")
		}
		if parts[i], err = strict.DecodeString(segment); err != nil {
			return "", parts, refuse("a segment of the proof is not base64url")
		}
	}
	return proof[:strings.LastIndexByte(proof, '.')], parts, nil
}

// readHeader returns the public key of the header, for the algorithm that the header names.
func readHeader(text []byte) (*keyring.Key, error) {
	var h header
	if json.Unmarshal(text, &h) != nil {
		return nil, refuse("the header is not a JSON object in strict form, or a member has the wrong type")
	}
	switch {
	case h.Critical != nil || h.Base64 != nil || h.Encryption != nil || h.Compression != nil:
		return nil, refuse("the header asks for an extension that is not supported")
	case h.Type != "dpop+jwt":
		return nil, refuse("typ is not dpop+jwt")
	case !slices.Contains(algorithms, h.Algorithm):
		return nil, refuse("alg is not one of " + strings.Join(algorithms, ", "))
	case h.Key == nil:
		return nil, refuse("header jwk is missing")
	}
	key, err := keyring.ParsePublicJWK(h.Key, h.Algorithm)
	if err != nil {
		return nil, refuse("jwk is not a public key for alg: " + err.Error())
	}
	return key, nil
}

// check is the list of refusals about what the proof says of its request, and returns `iat`.
func (c *claims) check(r Request) (time.Time, error) {
	if c.ID == "" || len(c.ID) > maxID {
		return time.Time{}, refuse("jti is missing or has more than 256 bytes")
	}
	if c.Method != r.Method {
		return time.Time{}, refuse("htm is not the method of the request")
	}
	if !sameTarget(c.URL, r.URL) {
		return time.Time{}, refuse("htu is not the URL of the request")
	}
	issued, err := c.issuedAt(r.Now)
	if err != nil {
		return time.Time{}, err
	}
	if r.AccessToken != "" && subtle.ConstantTimeCompare([]byte(c.AccessTokenHash), []byte(Hash(r.AccessToken))) != 1 {
		return time.Time{}, refuse("ath is not the hash of the access token")
	}
	// Last, so that who is sent a nonce has nothing else to mend.
	if r.Nonces != nil && !r.Nonces.Good(c.Nonce, r.Now) {
		return time.Time{}, &Refusal{Code: UseNonce, Detail: "the proof names no nonce of this server, or an old one"}
	}
	return issued, nil
}

// issuedAt reads `iat` and holds it against the clock.
func (c *claims) issuedAt(now time.Time) (time.Time, error) {
	var seconds float64
	if c.IssuedAt.Kind() != '0' || json.Unmarshal(c.IssuedAt, &seconds) != nil || seconds < 1 || seconds > maxDate {
		return time.Time{}, refuse("iat is missing or not a time in seconds")
	}
	whole, fraction := math.Modf(seconds)
	issued := time.Unix(int64(whole), int64(fraction*1e6)*1e3).UTC()
	switch age := now.Sub(issued); {
	case age > MaxAge:
		return time.Time{}, refuse(fmt.Sprintf("iat is more than %v old", MaxAge))
	case age < -MaxAhead:
		return time.Time{}, refuse(fmt.Sprintf("iat is more than %v in the future", MaxAhead))
	}
	return issued, nil
}

// maxDate is the year 3000 in seconds since 1970. What is beyond counts in other units.
const maxDate = 32503680000

// Hash returns the `ath` of an access token (RFC 9449, section 4.2).
func Hash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
