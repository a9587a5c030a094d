package config

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// TestAClientWithoutAUsableKeyIsRefused: it could never authenticate.
func TestAClientWithoutAUsableKeyIsRefused(t *testing.T) {
	const good = `{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	for _, c := range []struct{ name, keys, want string }{
		{"a good key", good, ""},
		{"a point that is not on the curve", `{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"}`, "no usable key"},
		{"a short RSA key", `{"kty":"RSA","kid":"a","e":"AQAB","n":"` + strings.Repeat("_", 171) + `"}`,
			"no usable key"},
		{"a good key beside", good + `,{"kty":"EC","kid":"b"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := Client{
				ID:         "bank",
				AuthMethod: "private_key_jwt",
				JWKS:       json.RawMessage(`{"keys":[` + c.keys + `]}`),
			}
			_, err := client.resolve(option.NewResolver(), project.Limits{})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
