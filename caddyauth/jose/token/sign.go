package token

import (
	"encoding/base64"
	"fmt"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// Sign returns a JWT of any claims, for answers that are no tokens of a subject (RFC 9701). typ is
// its `typ`, which no verifier of tokens accepts. Values are as those of Claims.Extra.
func Sign(key *keyring.Key, typ string, claims map[string]any) (string, error) {
	header, err := appendHeader(nil, key, typ)
	if err != nil {
		return "", err
	}
	payload, err := appendMap(nil, claims, maxClaimsDepth)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.AppendEncode(nil, header)
	text = append(text, '.')
	text = base64.RawURLEncoding.AppendEncode(text, payload)
	signature, err := key.Sign(text)
	if err != nil {
		return "", err
	}
	text = append(text, '.')
	text = base64.RawURLEncoding.AppendEncode(text, signature)
	if len(text) > 2*MaxSize {
		return "", fmt.Errorf("the answer would have %d bytes, more than %d", len(text), 2*MaxSize)
	}
	return string(text), nil
}
