package clients

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

const publicKeys = `{"keys":[{"kty":"EC","crv":"P-256","x":"x","y":"y"}]}`

// confidential is a client with a secret and what is given.
func confidential(s Settings) Client {
	return Client{ID: "a", Secrets: []Secret{{Number: 1, Hash: "x"}}, Settings: s}
}

func TestClientsThatAreRefused(t *testing.T) {
	public := func(s Settings) Client { return Client{ID: "a", Settings: s} }
	for _, tc := range []struct {
		want string
		c    Client
	}{
		{"id: ", Client{ID: "a/b"}},
		{`id: "."`, Client{ID: "."}},
		{`id: "caddyauth" belongs`, Client{ID: FirstParty}},
		{`id: "caddyauth-web" belongs`, Client{ID: Web}},
		{"id: ", Client{ID: "https://app.example/client.json"}},
		{"id: ", public(Settings{Source: MetadataDocument})},
		{"id: ", Client{ID: "http://localhost/client.json", Settings: Settings{Source: MetadataDocument}}},
		{"id: ", Client{ID: "https://app.example/", Settings: Settings{Source: MetadataDocument}}},
		{"id: ", Client{ID: "https://app.example/a?b", Settings: Settings{Source: MetadataDocument}}},
		{"access_token_format: ", Client{ID: "a", TokenOptions: project.TokenOptions{AccessTokenFormat: "JWT"}}},
		{
			"refresh_reuse_interval: 1m1s is",
			Client{ID: "a", TokenOptions: project.TokenOptions{RefreshReuseInterval: 61 * time.Second}},
		},
		{
			"refresh_reuse_interval: -1s is",
			Client{ID: "a", TokenOptions: project.TokenOptions{RefreshReuseInterval: -time.Second}},
		},
		{"scopes: 101 words", Client{ID: "a", Scopes: make([]string, 101)}},
		{`audience: "" is not`, Client{ID: "a", Audience: []string{""}}},
		{"secret: 3 are above", Client{ID: "a", Secrets: make([]Secret, 3)}},
		{`redirect_uri: "javascript:x": the scheme`, public(Settings{RedirectURIs: []string{"javascript:x"}})},
		{"redirect_uri: duplicate", public(Settings{RedirectURIs: []string{"https://a", "https://a"}})},
		{"redirect_uri: 51 are above", public(Settings{RedirectURIs: make([]string, 51)})},
		{
			`post_logout_redirect_uri: "http://a/": http is`,
			public(Settings{PostLogoutRedirectURIs: []string{"http://a/"}}),
		},
		{`backchannel_logout_uri: "com.a:/": it`, public(Settings{BackchannelLogoutURI: "com.a:/"})},
		{`client_uri: "a": it`, public(Settings{URI: "a"})},
		{`jwks_uri: "http://a/": http`, public(Settings{JWKSURI: "http://a/"})},
		{`resource: "a": it`, public(Settings{Resources: []string{"a"}})},
		{`grant_types: "password" is not`, public(Settings{GrantTypes: []string{"password"}})},
		{`grant_types: "implicit" is not`, public(Settings{GrantTypes: []string{"implicit"}})},
		{"grant_types: duplicate", public(Settings{GrantTypes: []string{GrantRefresh, GrantRefresh}})},
		{"grant_types: authorization_code needs", public(Settings{GrantTypes: []string{GrantCode}})},
		{"grant_types: client_credentials is for", public(Settings{GrantTypes: []string{GrantClientCredentials}})},
		{"grant_types: urn:ietf:params:oauth:grant-type:token-exchange is for",
			public(Settings{GrantTypes: []string{GrantExchange}})},
		{"grant_types: urn:ietf:params:oauth:grant-type:jwt-bearer is for",
			public(Settings{GrantTypes: []string{GrantJWTBearer}})},
		{`identity_assertion "http://a.example": http is`, asserting("http://a.example", nil)},
		{`identity_assertion "https://a.example#x": it has a fragment`, asserting("https://a.example#x", nil)},
		{`identity_assertion "https://a.example/?x": it has a query`, asserting("https://a.example/?x", nil)},
		{`identity_assertion "": it does`, asserting("", nil)},
		{`identity_assertion "https://a": client_id: it is`, asserting("https://a", func(a *AssertionAudience) {
			a.ClientID = "a\nb"
		})},
		{`identity_assertion "https://a": client_id: it is`, asserting("https://a", func(a *AssertionAudience) {
			a.ClientID = strings.Repeat("x", 513)
		})},
		{`identity_assertion "https://a": scopes: "a b" is not`, asserting("https://a", func(a *AssertionAudience) {
			a.Scopes = []string{"a b"}
		})},
		{`identity_assertion "https://a": resources: "a": it`, asserting("https://a", func(a *AssertionAudience) {
			a.Resources = []string{"a"}
		})},
		{"identity_assertion: duplicate", func() Client {
			c := asserting("https://a", nil)
			c.IdentityAssertions = append(c.IdentityAssertions, c.IdentityAssertions...)
			return c
		}()},
		{"identity_assertions: 51 are above", confidential(Settings{
			GrantTypes: []string{GrantExchange}, IdentityAssertions: make([]AssertionAudience, 51),
		})},
		{"identity_assertion: it needs the grant", confidential(Settings{
			IdentityAssertions: []AssertionAudience{{Issuer: "https://a"}},
		})},
		{`response_modes: "fragment" is not`, public(Settings{ResponseModes: []string{"fragment"}})},
		{`token_endpoint_auth_method: "x" is not`, public(Settings{AuthMethod: "x"})},
		{"token_endpoint_auth_method client_secret_post: it needs", public(Settings{AuthMethod: AuthSecretPost})},
		{"token_endpoint_auth_method none: the", confidential(Settings{AuthMethod: AuthNone})},
		{"token_endpoint_auth_method private_key_jwt: it needs", public(Settings{AuthMethod: AuthPrivateKeyJWT})},
		{
			"token_endpoint_auth_method private_key_jwt: it needs",
			public(Settings{AuthMethod: AuthPrivateKeyJWT, JWKS: json.RawMessage(publicKeys), JWKSURI: "https://a/"}),
		},
		{
			"token_endpoint_auth_method private_key_jwt: the client",
			confidential(Settings{AuthMethod: AuthPrivateKeyJWT, JWKSURI: "https://a/"}),
		},
		{"jwks: keys are for", confidential(Settings{JWKSURI: "https://a/"})},
		{"jwks: it is not a JWK set", public(Settings{JWKS: json.RawMessage(`{"keys":[]}`)})},
		{"jwks: it is not a JWK set", public(Settings{JWKS: json.RawMessage(`[]`)})},
		{"jwks: key 1 is not an RSA", public(Settings{JWKS: json.RawMessage(`{"keys":[{"kty":"oct","k":"x"}]}`)})},
		{"jwks: key 1 is a private", public(Settings{JWKS: json.RawMessage(`{"keys":[{"kty":"RSA","d":"x"}]}`)})},
		{
			"jwks: key 2 is a private",
			public(Settings{
				JWKS: json.RawMessage(`{"keys":[{"kty":"RSA"},{"kty":"RSA","d":"x"}],"KEYS":[{"kty":"RSA"}]}`),
			}),
		},
		{"jwks: it is not a JWK set", public(Settings{JWKS: json.RawMessage(`{"Keys":[{"kty":"RSA"}]}`)})},
		{`id_token_signed_response_alg: "none" is not`, public(Settings{IDTokenAlgorithm: "none"})},
		{`id_token_signed_response_alg: "HS256" is not`, public(Settings{IDTokenAlgorithm: "HS256"})},
		{"pkce: ", public(Settings{PKCEOptional: true})},
		{`consent: "never" is not`, public(Settings{Consent: "never"})},
		{"consent: off is for", public(Settings{Consent: ConsentOff, Source: Registered})},
		{`preset: "x" is not`, public(Settings{Preset: "x"})},
		{"preset fapi2: it needs require_pushed", public(Settings{Preset: PresetFAPI2})},
		{`source: "x" is not`, public(Settings{Source: "x"})},
	} {
		t.Run(tc.want, func(t *testing.T) {
			if err := tc.c.Validate(); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

// asserting is a client that gets identity assertions for a server.
func asserting(issuer string, change func(*AssertionAudience)) Client {
	a := AssertionAudience{Issuer: issuer}
	if change != nil {
		change(&a)
	}
	return confidential(Settings{GrantTypes: []string{GrantExchange}, IdentityAssertions: []AssertionAudience{a}})
}

// TestAssertionAudience: a client is known by its own id where nothing else is said, and an issuer is
// compared byte for byte.
func TestAssertionAudience(t *testing.T) {
	c := asserting("https://a.example", nil)
	c.IdentityAssertions = append(c.IdentityAssertions,
		AssertionAudience{Issuer: "https://b.example", ClientID: "there"})
	for _, tc := range []struct{ issuer, id string }{
		{"https://a.example", c.ID}, {"https://b.example", "there"}, {"https://a.example/", ""}, {"", ""},
	} {
		t.Run(tc.issuer, func(t *testing.T) {
			a, ok := c.AssertionAudience(tc.issuer)
			if a.ClientID != tc.id || ok != (tc.id != "") || ok && a.Issuer != tc.issuer {
				t.Errorf("%+v, %v", a, ok)
			}
		})
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestClientsThatAreTaken(t *testing.T) {
	longest := project.TokenOptions{AccessTokenFormat: project.Opaque, RefreshReuseInterval: time.Minute}
	everything := confidential(Settings{
		RedirectURIs:           []string{"https://a.example/cb", "http://127.0.0.1/cb", "com.example.app:/cb"},
		PostLogoutRedirectURIs: []string{"https://a.example/"},
		BackchannelLogoutURI:   "https://a.example/bye",
		URI:                    "https://a.example",
		GrantTypes:             GrantTypes,
		ResponseModes:          ResponseModes,
		Resources:              []string{"https://api.example", "urn:example:api"},
		AuthMethod:             AuthSecretPost,
		IDTokenAlgorithm:       "EdDSA",
		PKCEOptional:           true,
		Consent:                ConsentOff,
	})
	for _, tc := range []struct {
		name string
		c    Client
	}{
		{"public", Client{ID: "https-client.example_1~", TokenOptions: longest}},
		{"confidential", everything},
		{"metadata document", Client{
			ID:       "https://app.example/client.json",
			Settings: Settings{Source: MetadataDocument, AuthMethod: AuthNone},
		}},
		{"keys", Client{ID: "a", Settings: Settings{
			AuthMethod: AuthPrivateKeyJWT,
			JWKS:       json.RawMessage(publicKeys),
			GrantTypes: []string{GrantClientCredentials},
		}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.c.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatAClientMayUse(t *testing.T) {
	var public Client
	keys := Client{Settings: Settings{AuthMethod: AuthPrivateKeyJWT}}
	machine := confidential(Settings{
		GrantTypes:    []string{GrantClientCredentials},
		ResponseModes: []string{ModeFormPost},
		AuthMethod:    AuthSecretPost,
	})
	for _, tc := range []struct {
		name      string
		got, want bool
	}{
		{"grant of the default", public.AllowsGrant(GrantCode) && public.AllowsGrant(GrantRefresh), true},
		{"grant beyond the default", public.AllowsGrant(GrantDevice) || public.AllowsGrant(GrantClientCredentials),
			false},
		{"grant that is named", machine.AllowsGrant(GrantClientCredentials), true},
		{"grant that is not named", machine.AllowsGrant(GrantRefresh), false},
		{"every mode", public.AllowsResponseMode(ModeQuery) && public.AllowsResponseMode(ModeFormPost), true},
		{"no other mode", public.AllowsResponseMode("fragment"), false},
		{"mode that is not named", machine.AllowsResponseMode(ModeQuery), false},
		{"public without a secret", public.AllowsAuth(AuthNone), true},
		{"public with a secret", public.AllowsAuth(AuthSecretBasic), false},
		{"basic of a client with a secret", confidential(Settings{}).AllowsAuth(AuthSecretBasic), true},
		{"post of a client with a secret", confidential(Settings{}).AllowsAuth(AuthSecretPost), true},
		{"none of a client with a secret", confidential(Settings{}).AllowsAuth(AuthNone), false},
		{"another method than the declared one", machine.AllowsAuth(AuthSecretBasic), false},
		{"assertion of a client with a key", keys.AllowsAuth(AuthPrivateKeyJWT), true},
		{"secret of a client with a key", keys.AllowsAuth(AuthSecretPost), false},
		{"a client with a key is public", keys.Public(), false},
		{"PKCE of a public client", public.RequiresPKCE(), true},
		{"PKCE of a confidential client", machine.RequiresPKCE(), true},
		{"PKCE that is optional", confidential(Settings{PKCEOptional: true}).RequiresPKCE(), false},
		{"PKCE optional of a public client", Client{Settings: Settings{PKCEOptional: true}}.RequiresPKCE(), true},
		{"RS256 of an assertion", keys.AllowsAssertionAlgorithm("RS256"), true},
		{"HS256 of an assertion", keys.AllowsAssertionAlgorithm("HS256"), false},
		{"no signature of an assertion", keys.AllowsAssertionAlgorithm("none"), false},
		{"consent by default", public.ConsentPolicy() == ConsentOnce, true},
		{"ID tokens by default", public.SignsIDTokenWith() == "RS256", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.got != tc.want {
				t.Errorf("%v", tc.got)
			}
		})
	}
}

func TestScopesAreNarrowed(t *testing.T) {
	c := Client{Scopes: []string{"openid", "profile", "api"}}
	for _, tc := range []struct {
		name        string
		asked, want []string
		ok          bool
	}{
		{"nothing asked", nil, []string{"openid", "profile", "api"}, true},
		{"some", []string{"api", "openid"}, []string{"api", "openid"}, true},
		{"some unknown", []string{"x", "api", "admin"}, []string{"api"}, true},
		{"one twice", []string{"api", "api"}, []string{"api"}, true},
		{"all unknown", []string{"x"}, nil, false},
		{"another case", []string{"API"}, nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := c.AllowsScopes(tc.asked...)
			if ok != tc.ok || !slices.Equal(got, tc.want) {
				t.Errorf("%q, %v", got, ok)
			}
		})
	}
}

func TestResourcesDifferByMoreThanTheSlashOfAnOrigin(t *testing.T) {
	c := Client{Settings: Settings{Resources: []string{"https://api.example", "https://mcp.example/a", "urn:a"}}}
	for _, tc := range []struct{ presented, want string }{
		{"https://api.example", "https://api.example"},
		{"https://api.example/", "https://api.example"},
		{"https://mcp.example/a", "https://mcp.example/a"},
		{"urn:a", "urn:a"},
		{"https://mcp.example/a/", ""},
		{"https://mcp.example/", ""},
		{"https://api.example//", ""},
		{"https://api.example?x", ""},
		{"http://api.example", ""},
		{"", ""},
	} {
		t.Run(tc.presented, func(t *testing.T) {
			if got, ok := c.Resource(tc.presented); got != tc.want || ok != (tc.want != "") {
				t.Errorf("%q, %v", got, ok)
			}
		})
	}
}

func TestFAPI2Preset(t *testing.T) {
	c := Client{ID: "bank", Settings: Settings{RedirectURIs: []string{"https://a/cb"}, JWKSURI: "https://a/keys"}}
	if err := c.ApplyPreset(PresetFAPI2); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if !c.PARRequired || !c.DPoPBound || !c.RequiresPKCE() || c.Public() || c.AllowsAssertionAlgorithm("RS256") ||
		!c.AllowsAssertionAlgorithm("ES256") || c.SignsIDTokenWith() == "RS256" {
		t.Errorf("%+v", c)
	}
	for _, tc := range []struct {
		want  string
		spoil func(*Client)
	}{
		{"require_pushed_authorization_requests", func(c *Client) { c.PARRequired = false }},
		{"dpop_bound_access_tokens", func(c *Client) { c.DPoPBound = false }},
		{"PKCE", func(c *Client) { c.PKCEOptional = true }},
		{"id_token_signed_response_alg", func(c *Client) { c.IDTokenAlgorithm = "RS256" }},
		{"refresh_rotation off", func(c *Client) { c.RefreshRotation = project.On }},
		{"refresh_rotation off", func(c *Client) { c.RefreshRotation = project.Inherit }},
		{"authorization_code lifetime", func(c *Client) { c.Lifetimes.Code = 2 * time.Minute }},
		{"authorization_code lifetime", func(c *Client) { c.Override.Code = 2 * time.Minute }},
		{"private_key_jwt", func(c *Client) {
			c.AuthMethod, c.JWKSURI, c.Secrets = AuthSecretPost, "", []Secret{{Number: 1, Hash: "x"}}
		}},
	} {
		t.Run(tc.want, func(t *testing.T) {
			spoiled := c
			tc.spoil(&spoiled)
			if err := spoiled.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v", err)
			}
		})
	}
	if err := c.ApplyPreset("standard"); err == nil {
		t.Error("a preset of lifetimes was taken")
	}
}
