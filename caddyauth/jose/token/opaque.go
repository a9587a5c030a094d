package token

import (
	"errors"
	"fmt"
)

// OpaqueType is the Type of a Token that was read by FromClaims: its text is not a
// JWT.
const OpaqueType = "opaque"

var opaqueTypes = []string{OpaqueType}

// EncodeClaims returns c as the JSON object that FromClaims reads: what Mint would sign. What Mint
// refuses is an error here as well, and so is more than MaxSize bytes.
func EncodeClaims(c Claims) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	text, err := c.appendTo(nil)
	if err != nil {
		return nil, err
	}
	if len(text) > MaxSize {
		return nil, fmt.Errorf("the claims would have %d bytes, more than %d", len(text), MaxSize)
	}
	return text, nil
}

// FromClaims returns the token whose text is raw and whose claims were vouched for by other means
// than a signature: they were sealed with our own key, or the issuer's introspection endpoint
// answered with them (RFC 7662). Name, Own, MaxLifetime and CertificateBound of the issuer are used. The
// claims are read as strictly as those of a JWT, of MaxSize bytes at most. `iss` may be missing, as
// introspection leaves it optional, but it may not name another issuer.
//
// The token has the Type "opaque", no Key, KeyID or Algorithm. Clock, audience and policy are not
// looked at. The error is a *Refusal, unless the issuer has no name.
func FromClaims(from Issuer, raw string, claims []byte) (*Token, error) {
	if from.Name == "" {
		return nil, errors.New("an issuer has no name")
	}
	if len(raw) > MaxSize || len(claims) > MaxSize {
		return nil, refuse(TooLarge, "the token or its claims are longer than 8192 bytes")
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	if err := s.scanClaims(claims, nil); err != nil {
		return nil, err
	}
	if err := s.checkVouched(from.Name); err != nil {
		return nil, err
	}
	t := &Token{issuer: from.vouching()}
	if err := s.newToken(t, raw); err != nil {
		return nil, err
	}
	return t, nil
}

// vouching is the part of an Issuer that matters without keys.
func (i *Issuer) vouching() *issuer {
	iss := &issuer{
		name:         i.Name,
		own:          i.Own,
		types:        opaqueTypes,
		maxLifetime:  MaxLifetime,
		certificates: i.Own || i.CertificateBound,
	}
	if i.MaxLifetime > 0 {
		iss.maxLifetime = min(i.MaxLifetime, MaxLifetime)
	}
	return iss
}

// checkVouched refuses scanned claims in which `iss` is anything but name.
func (s *scratch) checkVouched(name string) error {
	for i := range s.members {
		m := &s.members[i]
		if string(m.name) == "iss" && (m.kind != '"' || string(unquote(m.value)) != name) {
			return refuse(UnknownIssuer, "iss is not the issuer that vouches for the token")
		}
	}
	return nil
}
