package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwa"
)

// family is the kind of key an algorithm takes.
type family int

const (
	familyHMAC family = iota
	familyRSA
	familyECDSA
	familyEdDSA
)

// algorithm is one row of the table of what this product signs and verifies
// with (RFC 7518 section 3.1, RFC 8037 section 3.1).
type algorithm struct {
	name      string
	jwa       jwa.SignatureAlgorithm
	family    family
	curve     elliptic.Curve // ECDSA only
	hash      crypto.Hash
	minSecret int // HMAC only: bytes, the size of the hash (RFC 7518 section 3.2)
}

// algorithms is in the order of preference for a key that does not say its own:
// the first row that fits an RSA key is RS256, a P-256 key ES256, and so on.
var algorithms = []*algorithm{
	{name: "HS256", jwa: jwa.HS256, family: familyHMAC, hash: crypto.SHA256, minSecret: 32},
	{name: "HS384", jwa: jwa.HS384, family: familyHMAC, hash: crypto.SHA384, minSecret: 48},
	{name: "HS512", jwa: jwa.HS512, family: familyHMAC, hash: crypto.SHA512, minSecret: 64},
	{name: "RS256", jwa: jwa.RS256, family: familyRSA, hash: crypto.SHA256},
	{name: "RS384", jwa: jwa.RS384, family: familyRSA, hash: crypto.SHA384},
	{name: "RS512", jwa: jwa.RS512, family: familyRSA, hash: crypto.SHA512},
	{name: "PS256", jwa: jwa.PS256, family: familyRSA, hash: crypto.SHA256},
	{name: "PS384", jwa: jwa.PS384, family: familyRSA, hash: crypto.SHA384},
	{name: "PS512", jwa: jwa.PS512, family: familyRSA, hash: crypto.SHA512},
	{name: "ES256", jwa: jwa.ES256, family: familyECDSA, curve: elliptic.P256(), hash: crypto.SHA256},
	{name: "ES384", jwa: jwa.ES384, family: familyECDSA, curve: elliptic.P384(), hash: crypto.SHA384},
	{name: "EdDSA", jwa: jwa.EdDSA, family: familyEdDSA},
}

// Algorithms returns the names of all supported algorithms, as they stand in
// the `alg` member of a token's header (RFC 7518 section 3.1, RFC 8037).
func Algorithms() []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = a.name
	}
	return names
}

// asymmetricAlgorithms returns the names a foreign issuer may be trusted with.
func asymmetricAlgorithms() []string {
	var names []string
	for _, a := range algorithms {
		if a.family != familyHMAC {
			names = append(names, a.name)
		}
	}
	return names
}

// algorithmNamed finds a row by its exact name.
func algorithmNamed(name string) (*algorithm, error) {
	for _, a := range algorithms {
		if a.name == name {
			return a, nil
		}
	}
	return nil, fmt.Errorf("unknown algorithm %q, use one of %s", clip(name), strings.Join(Algorithms(), " "))
}

// hmacAlgorithm finds an HMAC row; no name means HS256.
func hmacAlgorithm(name string) (*algorithm, error) {
	if name == "" {
		name = "HS256"
	}
	a, err := algorithmNamed(name)
	if err != nil {
		return nil, err
	}
	if a.family != familyHMAC {
		return nil, fmt.Errorf("algorithm %s takes a key pair, a secret needs HS256, HS384 or HS512", a.name)
	}
	return a, nil
}

// firstFitting returns the first of the named algorithms that the public key
// can be used with.
func firstFitting(public crypto.PublicKey, names []string) (*algorithm, error) {
	for _, name := range names {
		a, err := algorithmNamed(name)
		if err != nil {
			return nil, err
		}
		if a.fits(public) {
			return a, nil
		}
	}
	return nil, fmt.Errorf("no allowed algorithm (%s) fits a key of %s", strings.Join(names, " "), describe(public))
}

// fits reports whether the key is of the algorithm's family and curve.
func (a *algorithm) fits(public crypto.PublicKey) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return a.family == familyRSA
	case *ecdsa.PublicKey:
		return a.family == familyECDSA && a.curve == k.Curve
	case ed25519.PublicKey:
		return a.family == familyEdDSA
	}
	return false
}

// describe names a public key's kind for an error text.
func describe(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("kind RSA %d bits", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "kind EC " + k.Params().Name
	case ed25519.PublicKey:
		return "kind Ed25519"
	}
	return fmt.Sprintf("unsupported kind %T", public)
}

// clip bounds a foreign word before it enters an error text.
func clip(s string) string {
	if len(s) <= 40 {
		return s
	}
	return s[:40] + "..."
}
