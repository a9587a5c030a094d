package keyring

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/web/clientcert"
)

// ParseCertificates reads the certificates of a JWK Set: the first of `x5c` of each key (RFC 7517,
// section 4.7). Keys without one are left out, and so are those whose certificate is of another key.
// The error says why each key is left out if no certificate is left.
func ParseCertificates(text []byte) (*KeySet, error) {
	published, err := decodeKeySet(text)
	if err != nil {
		return nil, err
	}
	set := &KeySet{certificates: make(map[string]bool)}
	var ignored []string
	for i, raw := range published {
		sum, err := certificateOf(raw)
		if err != nil {
			ignored = append(ignored, fmt.Sprintf("key %d: %v", i+1, err))
			continue
		}
		set.certificates[sum] = true
	}
	if len(set.certificates) == 0 {
		return nil, errors.New("no usable certificate (x5c) in the set: " + strings.Join(ignored, "; "))
	}
	return set, nil
}

// certificateOf returns the thumbprint of the certificate of a JWK.
func certificateOf(raw json.RawMessage) (string, error) {
	j, err := decodeJSONObject(raw)
	if err != nil {
		return "", err
	}
	if err := j.checkPublic(); err != nil {
		return "", err
	}
	var chain []string
	if json.Unmarshal(j["x5c"], &chain) != nil || len(chain) == 0 {
		return "", errors.New("has no x5c")
	}
	der, err := base64.StdEncoding.Strict().DecodeString(chain[0])
	if err != nil {
		return "", errors.New("x5c is not base64")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return "", errors.New("x5c is not a certificate")
	}
	m, err := j.material()
	if err != nil {
		return "", err
	}
	public, ok := m.public.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return "", errors.New("x5c is of another key")
	}
	return clientcert.Thumbprint(cert), nil
}

// HasCertificate reports whether the certificate with that thumbprint (`x5t#S256`, RFC 7515, section
// 4.1.8) is in the set.
func (s *KeySet) HasCertificate(thumbprint string) bool { return s.certificates[thumbprint] }

// HasCertificate reports whether the set that the source publishes has the certificate with that
// thumbprint. The source is one of certificates. It fetches as [Published.Key] does, and its error is
// [ErrKeysUnavailable] together with the cause.
func (p *Published) HasCertificate(ctx context.Context, from Source, thumbprint string) (bool, error) {
	keys, err := p.current(ctx, from, func(s *KeySet) bool { return s.HasCertificate(thumbprint) })
	return err == nil && keys.HasCertificate(thumbprint), err
}
