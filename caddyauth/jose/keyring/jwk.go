package keyring

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"time"
)

// jwk is one JSON Web Key as it stands in a file or in a key set (RFC 7517
// section 4). Members are matched exactly, not folded in case, and none may
// stand twice; unknown ones are ignored.
type jwk map[string]json.RawMessage

// material is what a JWK holds: exactly one of the three kinds.
type material struct {
	secret  []byte
	public  crypto.PublicKey
	private crypto.Signer // its public part is in public
}

// decodeJSONObject reads one object and refuses data after it.
func decodeJSONObject(data []byte) (jwk, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	members := make(jwk)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errors.New("not valid JSON")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errors.New("not valid JSON")
		}
		if _, twice := members[name.(string)]; twice {
			return nil, fmt.Errorf("duplicate member %q", clip(name.(string)))
		}
		members[name.(string)] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("not valid JSON")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("data after the JSON object")
	}
	return members, nil
}

// decodeKeySet splits a JWK Set into its keys (RFC 7517 section 5).
func decodeKeySet(data []byte) ([]json.RawMessage, error) {
	set, err := decodeJSONObject(data)
	if err != nil {
		return nil, err
	}
	var keys []json.RawMessage
	if err := json.Unmarshal(set["keys"], &keys); err != nil || keys == nil {
		return nil, errors.New("the key set has no list named keys")
	}
	return keys, nil
}

// text returns a member that must be a string; absent is "".
func (j jwk) text(name string) (string, error) {
	raw, ok := j[name]
	if !ok {
		return "", nil
	}
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return "", fmt.Errorf("member %q is not a string", name)
	}
	return *s, nil
}

// octets returns a member that must be unpadded base64url.
func (j jwk) octets(name string) ([]byte, error) {
	s, err := j.text(name)
	if err != nil {
		return nil, err
	}
	if s == "" {
		return nil, fmt.Errorf("member %q is missing", name)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("member %q is not base64url", name)
	}
	return b, nil
}

// number returns a member that is a big-endian unsigned number.
func (j jwk) number(name string) (*big.Int, error) {
	b, err := j.octets(name)
	if err != nil {
		return nil, err
	}
	if len(b) > maxRSABits/8+1 {
		return nil, fmt.Errorf("member %q is %d bytes, at most %d are allowed", name, len(b), maxRSABits/8+1)
	}
	return new(big.Int).SetBytes(b), nil
}

// has reports whether the member is there.
func (j jwk) has(name string) bool {
	_, ok := j[name]
	return ok
}

// checkPurpose refuses keys that are not for signatures (RFC 7517 sections
// 4.2 and 4.3).
func (j jwk) checkPurpose() error {
	use, err := j.text("use")
	if err != nil {
		return err
	}
	if j.has("use") && use != "sig" {
		return fmt.Errorf("use is %q, not sig", clip(use))
	}
	if !j.has("key_ops") {
		return nil
	}
	var ops []string
	if err := json.Unmarshal(j["key_ops"], &ops); err != nil {
		return errors.New("key_ops is not a list of strings")
	}
	if !slices.Contains(ops, "verify") && !slices.Contains(ops, "sign") {
		return errors.New("key_ops has neither verify nor sign")
	}
	return nil
}

// checkPublic refuses a key that is published with its secret part.
func (j jwk) checkPublic() error {
	if j.has("k") || j.has("d") {
		return errors.New("is published with its secret part")
	}
	return nil
}

// material decodes the key itself by its type.
func (j jwk) material() (material, error) {
	kty, err := j.text("kty")
	if err != nil {
		return material{}, err
	}
	switch kty {
	case "oct":
		secret, err := j.octets("k")
		return material{secret: secret}, err
	case "RSA":
		return j.rsa()
	case "EC":
		return j.ecdsa()
	case "OKP":
		return j.ed25519()
	}
	return material{}, fmt.Errorf("kty %q is not one of RSA, EC, OKP, oct", clip(kty))
}

// rsa decodes RFC 7518 section 6.3.
func (j jwk) rsa() (material, error) {
	n, errN := j.number("n")
	e, errE := j.number("e")
	if err := firstError(errN, errE); err != nil {
		return material{}, err
	}
	if !e.IsInt64() || e.Int64() > math.MaxInt32 {
		return material{}, errors.New("RSA exponent is over 2^31-1")
	}
	public := &rsa.PublicKey{N: n, E: int(e.Int64())}
	if !j.has("d") {
		return material{public: public}, nil
	}
	if err := checkRSA(public); err != nil { // before any arithmetic with it
		return material{}, err
	}
	if j.has("oth") {
		return material{}, errors.New("RSA keys of more than two primes are not supported")
	}
	d, errD := j.number("d")
	p, errP := j.number("p")
	q, errQ := j.number("q")
	if err := firstError(errD, errP, errQ); err != nil {
		return material{}, err
	}
	private := &rsa.PrivateKey{PublicKey: *public, D: d, Primes: []*big.Int{p, q}}
	if private.Validate() != nil {
		return material{}, errors.New("RSA private key is inconsistent")
	}
	private.Precompute()
	return material{public: &private.PublicKey, private: private}, nil
}

// ecdsa decodes RFC 7518 section 6.2: coordinates have the full length.
func (j jwk) ecdsa() (material, error) {
	crv, err := j.text("crv")
	if err != nil {
		return material{}, err
	}
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()}[crv]
	if curve == nil {
		return material{}, fmt.Errorf("crv %q is not P-256 or P-384", clip(crv))
	}
	x, errX := j.octets("x")
	y, errY := j.octets("y")
	if err := firstError(errX, errY); err != nil {
		return material{}, err
	}
	if size := (curve.Params().BitSize + 7) / 8; len(x) != size || len(y) != size {
		return material{}, fmt.Errorf("coordinates are %d and %d bytes, %s has %d", len(x), len(y), crv, size)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return material{}, fmt.Errorf("point is not on curve %s", crv)
	}
	if !j.has("d") {
		return material{public: public}, nil
	}
	d, err := j.octets("d")
	if err != nil {
		return material{}, err
	}
	private, err := ecdsa.ParseRawPrivateKey(curve, d)
	if err != nil || !private.PublicKey.Equal(public) {
		return material{}, errors.New("the private part does not belong to the public one")
	}
	return material{public: public, private: private}, nil
}

// ed25519 decodes RFC 8037 section 2.
func (j jwk) ed25519() (material, error) {
	crv, err := j.text("crv")
	if err != nil {
		return material{}, err
	}
	if crv != "Ed25519" {
		return material{}, fmt.Errorf("crv %q is not Ed25519", clip(crv))
	}
	x, err := j.octets("x")
	if err != nil {
		return material{}, err
	}
	if len(x) != ed25519.PublicKeySize {
		return material{}, fmt.Errorf("ed25519 key is %d bytes, not %d", len(x), ed25519.PublicKeySize)
	}
	if !j.has("d") {
		return material{public: ed25519.PublicKey(x)}, nil
	}
	d, err := j.octets("d")
	if err != nil {
		return material{}, err
	}
	if len(d) != ed25519.SeedSize {
		return material{}, fmt.Errorf("ed25519 private part is %d bytes, not %d", len(d), ed25519.SeedSize)
	}
	private := ed25519.NewKeyFromSeed(d)
	if !bytes.Equal(private[ed25519.SeedSize:], x) {
		return material{}, errors.New("the private part does not belong to the public one")
	}
	return material{public: ed25519.PublicKey(x), private: private}, nil
}

// key makes the Key of what was decoded.
func (m material) key(id string, alg *algorithm) (*Key, error) {
	switch {
	case m.secret != nil && alg.family != familyHMAC:
		return nil, fmt.Errorf("algorithm %s does not fit a secret", alg.name)
	case m.secret != nil:
		return newSecretKey(id, alg, m.secret, time.Time{})
	case m.private != nil:
		return newPrivateKey(id, alg, m.private, time.Time{})
	}
	return newPublicKey(id, alg, m.public, time.Time{})
}

// firstError returns the first error that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
