package clients

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
)

// publishKey makes the key of a client for private_key_jwt, and publishes its public half where
// docs/clients.md says. It returns the whole JWK.
func (m *machine) publishKey(client string) (map[string]string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	public, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	jwk := map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": client,
		"x": base64.RawURLEncoding.EncodeToString(public[1:33]),
		"y": base64.RawURLEncoding.EncodeToString(public[33:]),
	}
	set, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	if err != nil {
		return nil, err
	}
	at, err := url.Parse(m.at(client))
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", at.Host)
	if err != nil {
		return nil, err
	}
	answer := func(w http.ResponseWriter, _ *http.Request) { w.Write(set) }
	go http.Serve(l, http.HandlerFunc(answer)) //nolint:gosec // until the tests of this process end
	jwk["d"] = base64.RawURLEncoding.EncodeToString(private)
	return jwk, nil
}
