package integration

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// bank is a client of the FAPI 2.0 security profile with its keys.
type bank struct {
	*certified
	key   *keyring.Key
	proof *dpoptest.Client
}

// sends posts a form with an assertion, whose claims are changed, and a proof of possession.
func (b *bank) sends(path string, form url.Values, changes map[string]any) (int, map[string]any) {
	b.t.Helper()
	claims := map[string]any{
		"iss": "bank", "sub": "bank", "aud": b.url("auth"), "jti": rand.Text(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	raw, err := token.Sign(b.key, "JWT", claims)
	if err != nil {
		b.t.Fatal(err)
	}
	b.tokens.remember(raw)
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", raw)
	a := b.authorizing.ask(b.t, "auth", call{method: "POST", target: path, lines: []string{
		"Content-Type: application/x-www-form-urlencoded",
		"DPoP: " + b.proof.Proof(b.t, "POST", b.url("auth")+path, "", time.Now(), nil),
	}, body: form.Encode()})
	var body map[string]any
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		b.t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		if text, ok := body[name].(string); ok {
			b.tokens.remember(text)
		}
	}
	return a.status, body
}

// pushes pushes a request, changed as a query says.
func (b *bank) pushes(changes string, claims map[string]any) (int, map[string]any) {
	b.t.Helper()
	_, query, _ := strings.Cut(request(b.t, "client_id=bank&scope=openid+offline_access&"+changes), "?")
	form, err := url.ParseQuery(query)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.sends("/par", form, claims)
}

// pushed is where a browser goes with a good request that was pushed.
func (b *bank) pushed() string {
	b.t.Helper()
	status, body := b.pushes("", nil)
	reference, _ := body["request_uri"].(string)
	if status != http.StatusCreated || reference == "" || body["expires_in"] == nil {
		b.t.Fatalf("%d %v", status, body)
	}
	return "/authorize?client_id=bank&request_uri=" + url.QueryEscape(reference)
}

// refused holds a pushed request to an error.
func (b *bank) refused(changes string, claims map[string]any, status int, want string) {
	b.t.Helper()
	if got, body := b.pushes(changes, claims); got != status || body["error"] != want {
		b.t.Errorf("%d %v, want %d %s", got, body, status, want)
	}
}

// goes goes through a whole request to its tokens.
func (b *bank) goes() map[string]any {
	b.t.Helper()
	answer, _ := b.finish(b.get(b.pushed()))
	if answer.Get("iss") != b.url("auth") || answer.Get("code") == "" {
		b.t.Fatalf("the answer %v", answer)
	}
	b.secret("a code", answer.Get("code"))
	status, body := b.sends("/token", codeForm(answer.Get("code")), nil)
	if status != http.StatusOK || body["token_type"] != "DPoP" || body["refresh_token"] == nil {
		b.t.Fatalf("%d %v", status, body)
	}
	return body
}

func newBank(c *certified) *bank { return &bank{c, bankKey, dpoptest.New(c.t, "ES256")} }

var bankKey *keyring.Key // of the client, while the test runs

// assertionRefused is a module in which the client authenticates wrongly.
func assertionRefused(name string, changes func(x *bank) map[string]any) module {
	return module{name, "invalid_client", func(c *certified) {
		b := newBank(c)
		b.refused("", changes(b), http.StatusUnauthorized, "invalid_client")
	}}
}

// fapi2Modules are those of the plan for the FAPI 2.0 security profile that are sent here.
var fapi2Modules = []module{
	{"happy-flow", "PAR, code, sender-constrained tokens, `iss` in the answer", func(c *certified) {
		newBank(c).goes()
	}},
	{"ensure-unsigned-authorization-request-without-using-par-fails", "invalid_request", func(c *certified) {
		c.fails(c.get(request(c.t, "client_id=bank&scope=openid")), "invalid_request")
	}},
	{"par-attempt-reuse-request_uri", "the second visit before the end works, the one after it does not",
		func(c *certified) {
			b := newBank(c)
			address := b.pushed()
			c.get(address)
			c.finish(c.get(address))
			c.showsPage(c.get(address), "invalid_request_uri")
		}},
	{"par-authorization-request-containing-request_uri", "invalid_request", func(c *certified) {
		newBank(c).refused("request_uri=urn:example:x", nil, http.StatusBadRequest, "invalid_request")
	}},
	{"par-without-pkce", "invalid_request", func(c *certified) {
		newBank(c).refused("code_challenge=&code_challenge_method=", nil, http.StatusBadRequest, "invalid_request")
	}},
	{"par-plain-pkce", "invalid_request", func(c *certified) {
		newBank(c).refused("code_challenge_method=plain", nil, http.StatusBadRequest, "invalid_request")
	}},
	assertionRefused("par-test-array-as-audience-for-client-assertion", func(x *bank) map[string]any {
		return map[string]any{"aud": []string{x.url("auth")}}
	}),
	assertionRefused("par-test-token-endpoint-as-audience-for-client-assertion", func(x *bank) map[string]any {
		return map[string]any{"aud": x.url("auth") + "/token"}
	}),
	assertionRefused("par-test-par-endpoint-as-audience-for-client-assertion", func(x *bank) map[string]any {
		return map[string]any{"aud": x.url("auth") + "/par"}
	}),
	assertionRefused("par-client-assertion-without-sub", func(*bank) map[string]any {
		return map[string]any{"sub": nil}
	}),
	assertionRefused("par-expired-client-assertion", func(*bank) map[string]any {
		return map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}
	}),
	assertionRefused("par-client-assertion-nbf-over-60-seconds-ahead", func(*bank) map[string]any {
		return map[string]any{"nbf": time.Now().Add(70 * time.Second).Unix()}
	}),
	{"par-client-assertion-nbf-8-seconds-ahead", "accepted", func(c *certified) {
		status, body := newBank(c).pushes("", map[string]any{"nbf": time.Now().Add(8 * time.Second).Unix()})
		if status != http.StatusCreated {
			c.t.Errorf("%d %v", status, body)
		}
	}},
	{"refresh-token", "not rotated, and bound to the client: a new DPoP key is accepted", func(c *certified) {
		b := newBank(c)
		first := b.goes()["refresh_token"].(string)
		for range 2 {
			b.proof = dpoptest.New(c.t, "ES256")
			status, body := b.sends("/token", url.Values{
				"grant_type": {"refresh_token"}, "refresh_token": {first},
			}, nil)
			if status != http.StatusOK || body["token_type"] != "DPoP" {
				c.t.Errorf("%d %v", status, body)
			}
		}
	}},
}

// TestCertificationFAPI2 is the plan FAPI 2.0 security profile with private_key_jwt and DPoP.
func TestCertificationFAPI2(t *testing.T) {
	bankKey = newClientKey(t)
	x := newCertified(t, `client bank {
		redirect_uri https://rp.example/cb?tenant=1
		preset fapi2
		token_endpoint_auth_method private_key_jwt
		jwks `+"`"+jwksOf(t, bankKey)+"`"+`
		scope openid offline_access
	}`)
	x.runModules(t, "", fapi2Modules)
}
