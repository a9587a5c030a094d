package keyring

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// maxFileSize bounds a key file, in bytes.
const maxFileSize = 1 << 20

// ParseFile reads a key file: PEM (PKCS #8, PKCS #1, SEC 1, a PKIX public key,
// or a certificate, whose dates do not matter here), a JWK, or a JWK Set.
//
// The kid is the id of the key; when empty it is the JWK's own, or else the
// thumbprint of RFC 7638. It must be empty for a set of several keys. The
// algorithm, when empty, is the JWK's own, or else the one that fits the key:
// ES256 or ES384 by the curve, EdDSA, RS256 for RSA, HS256 for a secret.
//
// PEM blocks of one file must all belong to one key (a private key and its
// certificate, say). Encrypted keys, keys that are not for signatures, sets
// that mix secrets and key pairs, and repeated ids are refused. Errors never
// hold a byte of the file but member names and ids.
func ParseFile(kid string, data []byte, algorithm string) ([]*Key, error) {
	keys, err := parseFile(kid, data, algorithm)
	if err != nil && kid != "" {
		return nil, fmt.Errorf("key file: key %q: %w", clip(kid), err)
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return keys, nil
}

func parseFile(kid string, data []byte, algorithm string) ([]*Key, error) {
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0:
		return nil, errors.New("is empty")
	case len(data) > maxFileSize:
		return nil, fmt.Errorf("is %d bytes, at most %d are allowed", len(data), maxFileSize)
	case data[0] == '{':
		return parseJSON(kid, data, algorithm)
	}
	m, err := parsePEM(data)
	if err != nil {
		return nil, err
	}
	k, err := m.fileKey(kid, algorithm)
	if err != nil {
		return nil, err
	}
	return []*Key{k}, nil
}

// parseJSON reads a JWK or a JWK Set.
func parseJSON(kid string, data []byte, algorithm string) ([]*Key, error) {
	members, err := decodeJSONObject(data)
	if err != nil {
		return nil, err
	}
	list := []json.RawMessage{data}
	if members.has("keys") && !members.has("kty") {
		if list, err = decodeKeySet(data); err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, errors.New("the key set is empty")
	}
	if kid != "" && len(list) > 1 {
		return nil, fmt.Errorf("the set holds %d keys, which have their own ids: leave the id out", len(list))
	}
	keys := make([]*Key, 0, len(list))
	for i, raw := range list {
		k, err := parseJWK(kid, raw, algorithm)
		if err != nil {
			return nil, fmt.Errorf("JWK %d: %w", i+1, err)
		}
		keys = append(keys, k)
	}
	return keys, checkSet(keys)
}

// checkSet refuses repeated ids, and secrets beside key pairs: a set meant to
// be published must not hold a secret.
func checkSet(keys []*Key) error {
	seen := make(map[string]bool)
	for _, k := range keys {
		if seen[k.id] {
			return fmt.Errorf("kid %q is given to more than one key", k.id)
		}
		seen[k.id] = true
		if k.Symmetric() != keys[0].Symmetric() {
			return errors.New("the set mixes secrets and key pairs")
		}
	}
	return nil
}

// parseJWK reads one key of a file.
func parseJWK(kid string, data []byte, algorithm string) (*Key, error) {
	j, err := decodeJSONObject(data)
	if err != nil {
		return nil, err
	}
	own, err := j.text("kid")
	if err != nil {
		return nil, err
	}
	if kid == "" {
		kid = own
	}
	k, err := j.fileKey(kid, algorithm)
	if err != nil && kid != "" {
		return nil, fmt.Errorf("kid %q: %w", clip(kid), err)
	}
	return k, err
}

func (j jwk) fileKey(kid, algorithm string) (*Key, error) {
	if err := j.checkPurpose(); err != nil {
		return nil, err
	}
	own, err := j.text("alg")
	if err != nil {
		return nil, err
	}
	if own != "" && algorithm != "" && own != algorithm {
		return nil, fmt.Errorf("alg is %q, but %q was asked for", clip(own), clip(algorithm))
	}
	if algorithm == "" {
		algorithm = own
	}
	m, err := j.material()
	if err != nil {
		return nil, err
	}
	return m.fileKey(kid, algorithm)
}

// fileKey makes the Key, with the thumbprint for an id and the fitting
// algorithm where none is given.
func (m material) fileKey(kid, algorithm string) (*Key, error) {
	alg, err := m.algorithm(algorithm)
	if err != nil {
		return nil, err
	}
	if kid == "" && m.secret != nil {
		// RFC 7638 section 7: the thumbprint of a secret tells about the secret.
		return nil, errors.New("a secret needs a kid")
	}
	if kid == "" {
		if _, err := alg.check(m.public); err != nil {
			return nil, err
		}
		kid = thumbprint(m.public)
	}
	return m.key(kid, alg)
}

// algorithm finds the named one, or the first that fits.
func (m material) algorithm(name string) (*algorithm, error) {
	switch {
	case name != "":
		return algorithmNamed(name)
	case m.secret != nil:
		return hmacAlgorithm("")
	}
	return firstFitting(m.public, asymmetricAlgorithms())
}

// parsePEM reads all blocks, which must belong to one key, and keeps the
// private part when there is one.
func parsePEM(data []byte) (material, error) {
	var found material
	blocks := bytes.Count(data, []byte("-----BEGIN "))
	for n := range blocks {
		block, rest := pem.Decode(data)
		if block == nil { // the decoder skips what it cannot read
			return material{}, errors.New("a PEM block is malformed")
		}
		data = rest
		if block.Type == "EC PARAMETERS" { // openssl writes it before the key, which repeats it
			continue
		}
		m, err := parseBlock(block)
		if err != nil {
			return material{}, fmt.Errorf("PEM block %d: %w", n+1, err)
		}
		if found.public != nil && !samePublic(found.public, m.public) {
			return material{}, errors.New("PEM blocks belong to different keys: one file holds one key")
		}
		if found.private == nil {
			found = m
		}
	}
	if found.public == nil {
		return material{}, errors.New("holds neither PEM nor JSON")
	}
	return found, nil
}

// parseBlock reads one PEM block.
func parseBlock(block *pem.Block) (material, error) {
	if block.Headers["Proc-Type"] != "" || block.Type == "ENCRYPTED PRIVATE KEY" {
		return material{}, errors.New("the key is encrypted, which is not supported")
	}
	var parsed any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		parsed, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		parsed, err = parseCertificate(block.Bytes)
	default:
		return material{}, fmt.Errorf("a block of type %q is not a key", clip(block.Type))
	}
	if err != nil {
		// The parser's own words are left out: they may quote numbers of the key.
		return material{}, fmt.Errorf("%s cannot be read, or is of a kind that is not supported", block.Type)
	}
	return newMaterial(parsed)
}

// parseCertificate returns the certificate's public key.
func parseCertificate(der []byte) (crypto.PublicKey, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return cert.PublicKey, nil
}

// newMaterial sorts what the parser found into private and public.
func newMaterial(parsed any) (material, error) {
	switch k := parsed.(type) {
	case *rsa.PrivateKey:
		return material{public: &k.PublicKey, private: k}, nil
	case *ecdsa.PrivateKey:
		return material{public: &k.PublicKey, private: k}, nil
	case ed25519.PrivateKey:
		return material{public: k.Public(), private: k}, nil
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		return material{public: k}, nil
	}
	return material{}, fmt.Errorf("key of %s, use RSA, EC P-256, EC P-384 or Ed25519", describe(parsed))
}

// parsePKCS8 reads a private key as [Key.MarshalPrivatePEM] writes it, without
// the PEM, for a sealed record.
func parsePKCS8(id string, alg *algorithm, der []byte, created time.Time) (*Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("cannot be read as PKCS #8")
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key of %s cannot sign", describe(parsed))
	}
	return newPrivateKey(id, alg, private, created)
}
