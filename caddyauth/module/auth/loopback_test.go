package auth

import (
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/config"
)

// TestLoopbackIsTheSameEverywhere: whatever takes http on this machine alone, takes it under the
// same names.
func TestLoopbackIsTheSameEverywhere(t *testing.T) {
	takers := []struct {
		name  string
		check func(url string) error
	}{
		{"public_url", func(url string) error { _, err := config.ParsePublicURL("public_url", url); return err }},
		{"return_to", func(url string) error { _, err := config.ParseOrigin("return_to", url); return err }},
		{"jwks", func(url string) error { return (&keyring.Remote{Issuer: "idp", JWKSURL: url}).Validate() }},
		{"introspection", func(url string) error {
			return (&opaque.IntrospectionClient{
				Issuer:       token.Issuer{Name: "idp"},
				Endpoint:     url,
				ClientID:     "a",
				ClientSecret: "b",
			}).Validate()
		}},
	}
	for _, c := range []struct {
		url string
		ok  bool
	}{
		{"http://localhost", true},
		{"http://LOCALHOST:8080", true},
		{"http://localhost.", true},
		{"http://App.Localhost:8080", true},
		{"http://127.0.0.1:8080", true},
		{"http://127.0.0.2", true},
		{"http://[::1]:8080", true},
		{"http://[::ffff:127.0.0.1]", true},
		{"http://127.1", false},
		{"http://0.0.0.0", false},
		{"http://localhost.example", false},
		{"http://127.0.0.1.example", false},
		{"http://10.0.0.1", false},
		{"http://[::ffff:10.0.0.1]", false},
	} {
		t.Run(c.url, func(t *testing.T) {
			for _, taker := range takers {
				if err := taker.check(c.url); (err == nil) != c.ok {
					t.Errorf("%s: %v", taker.name, err)
				}
			}
		})
	}
}
