package keyring

import (
	"errors"
	"strings"
)

// KeySet is a set of public keys that someone else signs with, such as the `jwks` of a client (RFC
// 7591, section 2), or of the certificates of such keys (ParseCertificates). It is immutable.
type KeySet struct {
	keys         map[string]*Key
	certificates map[string]bool // by their thumbprints
}

// ParseKeySet reads a JWK Set (RFC 7517, section 5). Its keys are taken as a [Remote] takes them,
// but one without a key id may be in it. algorithms are the accepted ones, the preferred first;
// none means all with key pairs. The error says why each key is left out if none is left.
func ParseKeySet(text []byte, algorithms []string) (*KeySet, error) {
	published, err := decodeKeySet(text)
	if err != nil {
		return nil, err
	}
	keys, ignored := publication{algorithms, true}.usable(published, nil)
	if len(keys) == 0 {
		return nil, errors.New("no usable key in the set: " + strings.Join(ignored, "; "))
	}
	return &KeySet{keys: keys}, nil
}

// Key returns the key of an id, or [ErrUnknownKey]. The empty id is that of the only key (OpenID
// Connect Core 1.0, section 10.1).
func (s *KeySet) Key(kid string) (*Key, error) {
	if k := s.keys[kid]; k != nil {
		return k, nil
	}
	if kid == "" && len(s.keys) == 1 {
		for _, only := range s.keys {
			return only, nil
		}
	}
	return nil, ErrUnknownKey
}
