package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
)

// publicJWK is what is published of a key. It has no member that could hold a
// private part. The first six stand in the order of RFC 7638 section 3.3, so
// that the same struct without the others is the thumbprint's input.
type publicJWK struct {
	Curve     string `json:"crv,omitempty"`
	Exponent  string `json:"e,omitempty"`
	Type      string `json:"kty"`
	Modulus   string `json:"n,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	ID        string `json:"kid,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	Use       string `json:"use,omitempty"`
}

// marshalJWKS writes the JWK Set of the public keys.
func marshalJWKS(keys []*Key) []byte {
	set := struct {
		Keys []publicJWK `json:"keys"`
	}{Keys: []publicJWK{}}
	for _, k := range keys {
		if k.public == nil {
			continue
		}
		j := newPublicJWK(k.public)
		j.ID, j.Algorithm, j.Use = k.id, k.alg.name, "sig"
		set.Keys = append(set.Keys, j)
	}
	out, err := json.Marshal(set)
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return out
}

// newPublicJWK holds the members that make up the key itself (RFC 7518
// section 6, RFC 8037 section 2). The key has been checked.
func newPublicJWK(public crypto.PublicKey) publicJWK {
	enc := base64.RawURLEncoding.EncodeToString
	switch k := public.(type) {
	case *rsa.PublicKey:
		return publicJWK{Type: "RSA", Modulus: enc(k.N.Bytes()), Exponent: enc(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			panic(err) // checked when the key was made
		}
		half := (len(point) - 1) / 2
		return publicJWK{Type: "EC", Curve: k.Params().Name, X: enc(point[1 : 1+half]), Y: enc(point[1+half:])}
	case ed25519.PublicKey:
		return publicJWK{Type: "OKP", Curve: "Ed25519", X: enc(k)}
	}
	panic("keyring: unchecked public key")
}

// thumbprint is the key id of a key that has none (RFC 7638, with SHA-256).
func thumbprint(public crypto.PublicKey) string {
	in, err := json.Marshal(newPublicJWK(public))
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	sum := sha256.Sum256(in)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
