package command

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

func TestClientAddAsksForWhatIsMissing(t *testing.T) {
	usual := []string{"openid", "profile", "email"}
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(keys, []byte(`{"keys":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, typed string
		given, want map[string]any
		questions   string // the first words of those that are asked
	}{
		{
			name: "a web application", typed: "grafana\n\nhttps://a.example/cb https://b.example/cb\n\n",
			want: map[string]any{
				"id":            "grafana",
				"redirect_uris": []string{"https://a.example/cb", "https://b.example/cb"},
				"scopes":        usual,
			},
			questions: "Client Kind Redirect Scopes",
		},
		{
			name: "a public client without an id", typed: "\nnothing\npublic\nhttp://127.0.0.1/cb\nopenid\n",
			want: map[string]any{
				"public":        true,
				"redirect_uris": []string{"http://127.0.0.1/cb"},
				"scopes":        []string{"openid"},
			},
			questions: "Client Kind Kind Redirect Scopes",
		},
		{
			name: "a service", typed: "job\nservice\n\n",
			want:      map[string]any{"id": "job", "grant_types": []string{clients.GrantClientCredentials}},
			questions: "Client Kind Scopes",
		},
		{
			name: "a device", typed: "tv\ndevice\nopenid\n",
			want: map[string]any{
				"id": "tv", "public": true, "scopes": []string{"openid"},
				"grant_types": []string{clients.GrantDevice, clients.GrantRefresh},
			},
			questions: "Client Kind Scopes",
		},
		{
			name: "everything is given",
			given: map[string]any{
				"id": "x", "preset": "fapi2", "redirect_uris": []string{"https://a"}, "scopes": []string{},
				"jwks_uri": "https://a/jwks",
			},
			want: map[string]any{
				"id": "x", "preset": "fapi2", "redirect_uris": []string{"https://a"}, "scopes": []string{},
				"jwks_uri": "https://a/jwks",
			},
		},
		{
			name: "a preset that needs keys", typed: "https://a/jwks\nhttps://a/cb\nopenid\n",
			given: map[string]any{"id": "x", "preset": "fapi2"},
			want: map[string]any{
				"id": "x", "preset": "fapi2", "jwks_uri": "https://a/jwks",
				"redirect_uris": []string{"https://a/cb"}, "scopes": []string{"openid"},
			},
			questions: "Public Redirect Scopes",
		},
		{
			name: "keys in a file", typed: keys + "\n\nopenid\n",
			given: map[string]any{"id": "x", "token_endpoint_auth_method": "private_key_jwt"},
			want: map[string]any{
				"id": "x", "token_endpoint_auth_method": "private_key_jwt", "scopes": []string{"openid"},
				"jwks": json.RawMessage(`{"keys":[]}`),
			},
			questions: "Public Redirect Scopes",
		},
		{
			name: "a preset with certificates", typed: "https://a/cb\nopenid\n",
			given: map[string]any{"id": "x", "preset": "fapi2", "token_endpoint_auth_method": "tls_client_auth"},
			want: map[string]any{
				"id": "x", "preset": "fapi2", "token_endpoint_auth_method": "tls_client_auth",
				"redirect_uris": []string{"https://a/cb"}, "scopes": []string{"openid"},
			},
			questions: "Redirect Scopes",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := c.given
			if body == nil {
				body = map[string]any{}
			}
			var out strings.Builder
			if err := askForClient(strings.NewReader(c.typed), &out, body); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(body, c.want) {
				t.Errorf("%v, want %v", body, c.want)
			}
			asked := strings.Count(out.String(), "]: ")
			if words := strings.Fields(c.questions); asked != len(words) {
				t.Errorf("%d questions, want %q:\n%s", asked, words, out.String())
			}
		})
	}
	if err := askForClient(
		strings.NewReader("x\n"),
		&strings.Builder{},
		map[string]any{},
	); !errors.Is(
		err,
		errDeclined,
	) {
		t.Errorf("the end of the input: %v", err)
	}
}

func TestSettingsForAnApplicationArePrinted(t *testing.T) {
	const server = `{"issuer":"https://auth.example","public_url":"https://auth.example/o",
		"discovery_url":"https://auth.example/d"}`
	for _, c := range []struct{ name, client, want string }{
		{"a web application", `{"id":"web","client_secret":"cacs_x","redirect_uris":["https://a.example/cb"],
			"post_logout_redirect_uris":["https://a.example/"],"pkce":"required",
			"token_endpoint_auth_methods":["client_secret_basic","client_secret_post"],"scopes":["openid","email"],
			"grant_types":["authorization_code","refresh_token"],"id_token_signed_response_alg":"ES256"}`, `
For the settings of the application:
  Issuer                    https://auth.example
  Discovery URL             https://auth.example/d
  Client id                 web
  Client secret             cacs_x
  Authentication            client_secret_basic or client_secret_post
  Redirect URI              https://a.example/cb
  Post-logout redirect URI  https://a.example/
  Scopes                    openid email
  PKCE                      S256, required
  ID tokens signed with     ES256
  Authorization URL         https://auth.example/o/authorize
  Token URL                 https://auth.example/o/token
  User info URL             https://auth.example/o/userinfo
  Keys URL                  https://auth.example/o/jwks.json
  Sign-out URL              https://auth.example/o/logout
`},
		{"a bank", `{"id":"bank","redirect_uris":["https://b.example/cb"],"pkce":"required","scopes":["openid"],
			"token_endpoint_auth_methods":["tls_client_auth"],"grant_types":["authorization_code"],
			"require_pushed_authorization_requests":true,"dpop_bound_access_tokens":true,
			"tls_client_certificate_bound_access_tokens":true,"id_token_signed_response_alg":"ES256"}`, `
For the settings of the application:
  Issuer                    https://auth.example
  Discovery URL             https://auth.example/d
  Client id                 bank
  Authentication            tls_client_auth
  Redirect URI              https://b.example/cb
  Scopes                    openid
  PKCE                      S256, required
  DPoP                      required
  TLS client certificate    required at the token endpoint
  ID tokens signed with     ES256
  Authorization URL         https://auth.example/o/authorize
  Pushed authorization URL  https://auth.example/o/par
  Token URL                 https://auth.example/o/token
  User info URL             https://auth.example/o/userinfo
  Keys URL                  https://auth.example/o/jwks.json
`},
		{"a device", `{"id":"tv","redirect_uris":[],"token_endpoint_auth_methods":["none"],"scopes":[],
			"grant_types":["urn:ietf:params:oauth:grant-type:device_code"],"pkce":"required"}`, `
For the settings of the application:
  Issuer                    https://auth.example
  Discovery URL             https://auth.example/d
  Client id                 tv
  Authentication            none
  Device authorization URL  https://auth.example/o/device_authorization
  Token URL                 https://auth.example/o/token
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			if err := printForApplication(&out, json.RawMessage(c.client), json.RawMessage(server)); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.want {
				t.Errorf("printed %s", out.String())
			}
		})
	}
}
