package config

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// TestJSONTenancyIsRefused: what the Caddyfile parser refuses is refused of a JSON configuration,
// too.
func TestJSONTenancyIsRefused(t *testing.T) {
	hour := option.Duration(time.Hour)
	for _, c := range []struct {
		want string
		s    Settings
	}{
		{`preset: "lax" is unknown`, Settings{Preset: "lax"}},
		{`project "acme": preset: "lax" is unknown`, Settings{Projects: []Project{{Slug: "acme", Preset: "lax"}}}},
		{`project "acme": duplicate`, Settings{Projects: []Project{{Slug: "acme"}, {Slug: "acme"}}}},
		{`project "Acme": slug: `, Settings{Projects: []Project{{Slug: "Acme"}}}},
		{
			`access_token minimum: 1h is above the maximum`,
			Settings{Limits: Limits{MinAccessToken: hour, MaxAccessToken: hour / 2}},
		},
		{
			`access_token: 1h is above the limit of 30m`,
			Settings{Lifetimes: Lifetimes{AccessToken: hour}, Limits: Limits{MaxAccessToken: hour / 2}},
		},
		{
			`refresh_token: 2h is above refresh_absolute`,
			Settings{Lifetimes: Lifetimes{RefreshToken: 2 * hour, RefreshAbsolute: hour}},
		},
		{
			`client "c": claims: "aud" is reserved`,
			Settings{Clients: []Client{{ID: "c", Claims: map[string]any{"aud": "x"}}}},
		},
		{`client "c": refresh_rotation: "maybe"`, Settings{Clients: []Client{{ID: "c", RefreshRotation: "maybe"}}}},
		{
			`client "c": refresh_reuse_interval: 1h is`,
			Settings{Clients: []Client{{ID: "c", RefreshReuseInterval: &hour}}},
		},
		{
			`client "c": redirect_uri: "http://c.example": http is`,
			Settings{Clients: []Client{{ID: "c", RedirectURIs: []string{"http://c.example"}}}},
		},
		{
			`client "c": grant_types: authorization_code needs`,
			Settings{Clients: []Client{{ID: "c", GrantTypes: []string{"authorization_code"}}}},
		},
		{
			`client "c": authorization_code: 1h is above`,
			Settings{Clients: []Client{{ID: "c", Lifetimes: OwnLifetimes{AuthorizationCode: hour}}}},
		},
		{
			`client "c": jwks: it is not a JWK set`,
			Settings{Clients: []Client{{ID: "c", AuthMethod: "private_key_jwt", JWKS: []byte(`{}`)}}},
		},
		{`device_code: 1h is above the limit of 30m`, Settings{Lifetimes: Lifetimes{DeviceCode: hour}}},
		{`client "caddyauth": the id is reserved`, Settings{Clients: []Client{{ID: clients.FirstParty}}}},
		{`client "caddyauth-web": the id is reserved`, Settings{Clients: []Client{{ID: clients.Web}}}},
	} {
		t.Run(c.want, func(t *testing.T) {
			switch err := c.s.Validate(); {
			case err == nil:
				t.Errorf("%s: it was taken", c.want)
			case !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n"):
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// TestClientsAreResolved: secrets and keys behind placeholders become what the store declares.
func TestClientsAreResolved(t *testing.T) {
	first, second := strings.Repeat("a", 32), strings.Repeat("b", 32)
	t.Setenv("FIRST", first)
	t.Setenv("SECOND", second)
	t.Setenv("KEYS", `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
	end := time.Date(2030, 12, 31, 0, 0, 0, 0, time.UTC)
	s := Settings{
		Issuer: "https://auth.example.com",
		Clients: []Client{
			{
				ID:           "web",
				Secrets:      []ClientSecret{{Secret: "{env.FIRST}", Expires: end}, {Secret: "{env.SECOND}"}},
				RedirectURIs: []string{"https://web.example/cb"},
				GrantTypes:   []string{"authorization_code", "token-exchange"},
				PKCE:         "optional",
			},
			{
				ID:        "bank",
				Preset:    "fapi2",
				JWKS:      []byte(`"{env.KEYS}"`),
				Lifetimes: OwnLifetimes{IDToken: option.Duration(time.Hour)},
			},
		},
	}
	v, err := s.Resolve(option.NewResolver())
	if err != nil {
		t.Fatal(err)
	}
	web, bank := v.Clients[0], v.Clients[1]
	if !web.Authentic(first, end.Add(-time.Second)) || web.Authentic(first, end) || !web.Authentic(second, end) ||
		!web.AllowsGrant(clients.GrantExchange) || web.RequiresPKCE() {
		t.Errorf("%+v", web)
	}
	if string(
		bank.JWKS,
	) != `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}` ||
		!bank.PARRequired ||
		bank.Lifetimes.Code != time.Minute ||
		bank.Lifetimes.IDToken != time.Hour {
		t.Errorf("%+v", bank)
	}
}
