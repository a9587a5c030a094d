package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
)

// fapi2Modules are those of the plan for the FAPI 2.0 security profile about metadata and pushed requests.
var fapi2Modules = []module{
	{"discovery", "PAR, private_key_jwt, S256, `iss` in answers; each list of algorithms has one of the profile",
		func(c *certified) {
			d := c.metadata(c.t, "/.well-known/openid-configuration")
			if d["authorization_response_iss_parameter_supported"] != true ||
				d["pushed_authorization_request_endpoint"] != c.url("auth")+"/par" {
				c.t.Errorf("metadata %v", d)
			}
			c.lists("token_endpoint_auth_methods_supported", "private_key_jwt")
			c.lists("code_challenge_methods_supported", "S256")
			if slices.Contains(c.listed("code_challenge_methods_supported"), "plain") {
				c.t.Error("plain is listed")
			}
			for _, name := range []string{"token_endpoint_auth", "id_token", "dpop", "introspection_endpoint_auth"} {
				list := c.listed(name + "_signing_alg_values_supported")
				if !slices.ContainsFunc(list, func(alg string) bool {
					return alg == "PS256" || alg == "ES256" || alg == "EdDSA"
				}) {
					c.t.Errorf("%s: %q", name, list)
				}
			}
		}},
	{"happy-flow", "PAR, code, sender-constrained tokens, `iss` in the answer", func(c *certified) {
		newBank(c).goes()
	}},
	{"ensure-unsigned-authorization-request-without-using-par-fails", "invalid_request", func(c *certified) {
		c.fails(c.get(request(c.t, "client_id=bank&scope=openid")), "invalid_request")
	}},
	{"par-by-get", "405", func(c *certified) {
		b := newBank(c)
		form := b.form("")
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", b.assertion(nil))
		if p := c.get("/par?" + form.Encode()); p.status != http.StatusMethodNotAllowed {
			c.t.Errorf("%d %s", p.status, p.body)
		}
	}},
	{"par-answer", "201, `expires_in` of 5 to 600 seconds, a reference of at least 128 bits", func(c *certified) {
		b := newBank(c)
		seen := map[string]bool{}
		for range 3 {
			status, body := b.pushes("", nil)
			life, _ := body["expires_in"].(float64)
			reference, _ := body["request_uri"].(string)
			at := strings.LastIndexByte(reference, ':') + 1
			if status != http.StatusCreated || life < 5 || life >= 600 || len(reference[at:]) < 22 || seen[reference] {
				c.t.Errorf("%d %v", status, body)
			}
			seen[reference] = true
		}
	}},
	{"par-attempt-reuse-request_uri", "the second visit before the end works, the one after it is invalid_request_uri",
		func(c *certified) {
			b := newBank(c)
			address := b.pushed("")
			c.get(address)
			b.code(address)
			c.showsPage(c.get(address), "invalid_request_uri")
		}},
	{"par-attempt-to-use-request_uri-for-different-client", "invalid_request_uri on a page", func(c *certified) {
		address := newBank(c).pushed("")
		c.showsPage(c.get(strings.Replace(address, "client_id=bank", "client_id=broker", 1)), "invalid_request_uri")
	}},
	{"request_uri-without-client_id", "invalid_request on a page", func(c *certified) {
		c.showsPage(c.get(strings.Replace(newBank(c).pushed(""), "client_id=bank&", "", 1)), "invalid_request")
	}},
	{"par-parameters-outside", "what stands beside the request_uri does not count", func(c *certified) {
		b := newBank(c)
		answer, _ := c.finish(c.get(b.pushed("") + "&state=other&nonce=other&scope=other&response_mode=form_post" +
			"&redirect_uri=" + url.QueryEscape("https://evil.example/cb")))
		if answer.Get("code") == "" || answer.Get("state") != "the state" {
			c.t.Errorf("the answer %v", answer)
		}
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
	{"response-types", "other than code: unsupported_response_type", func(c *certified) {
		b := newBank(c)
		for _, kind := range []string{
			"token", "id_token", "code id_token", "code token", "code id_token token", "none",
		} {
			b.refused("response_type="+url.QueryEscape(kind), nil, http.StatusBadRequest, "unsupported_response_type")
		}
	}},
	{"par-without-client-authentication", "invalid_client", func(c *certified) {
		b := newBank(c)
		status, body := b.posts("/par", b.form(""), "", b.proves("/par", nil))
		b.isRefused(status, body, http.StatusUnauthorized, "invalid_client")
	}},
	{"par-with-dpop-of-another-key", "invalid_dpop_proof when `dpop_jkt` names another key", func(c *certified) {
		other := dpoptest.New(c.t, "ES256").Thumbprint
		newBank(c).refused("dpop_jkt="+other, nil, http.StatusBadRequest, "invalid_dpop_proof")
	}},
}

// assertionModules are those in which the client authenticates at an endpoint.
func assertionModules(path string) []module {
	at := func(d time.Duration) func(b *bank) any {
		return func(b *bank) any { return b.now().Add(d).Unix() }
	}
	is := func(value any) func(b *bank) any { return func(*bank) any { return value } }
	var modules []module
	for _, row := range []struct {
		name, claim string
		value       func(b *bank) any
		accepted    bool
	}{
		{"array-as-audience", "aud", func(b *bank) any { return []string{b.url("auth")} }, false},
		{"token-endpoint-as-audience", "aud", func(b *bank) any { return b.url("auth") + "/token" }, false},
		{"par-endpoint-as-audience", "aud", func(b *bank) any { return b.url("auth") + "/par" }, false},
		{"other-audience", "aud", is("https://other.example"), false},
		{"without-aud", "aud", is(nil), false},
		{"without-sub", "sub", is(nil), false},
		{"other-sub", "sub", is("broker"), false},
		{"without-iss", "iss", is(nil), false},
		{"without-exp", "exp", is(nil), false},
		{"expired", "exp", at(-time.Hour), false},
		{"nbf-over-60-seconds-ahead", "nbf", at(70 * time.Second), false},
		{"nbf-8-seconds-ahead", "nbf", at(8 * time.Second), true},
		{"iat-8-seconds-ahead", "iat", at(8 * time.Second), true},
	} {
		m := module{path[1:] + "-client-assertion-" + row.name, "invalid_client", func(c *certified) {
			b := newBank(c)
			changes := map[string]any{row.claim: row.value(b)}
			b.authenticates(path, b.assertion(changes), row.accepted)
		}}
		if row.accepted {
			m.answer = "accepted"
		}
		modules = append(modules, m)
	}
	return append(modules,
		module{path[1:] + "-client-assertion-alg-none", "invalid_client", func(c *certified) {
			b := newBank(c)
			b.authenticates(path, unsigned(c.t, b.assertion(nil)), false)
		}},
		module{path[1:] + "-client-assertion-HS256", "invalid_client: the public key is no secret", func(c *certified) {
			b := newBank(c)
			claims := encode(c.t, b.assertionClaims(nil))
			raw := b.tokens.hmacWith(`{"alg":"HS256","typ":"JWT"}`, claims, []byte(jwksOf(c.t, b.key)))
			b.authenticates(path, raw, false)
		}},
		module{path[1:] + "-without-client_id", "accepted: the assertion says who it is", func(c *certified) {
			b := newBank(c)
			form := b.wellFormed(path)
			form.Del("client_id")
			status, body := b.posts(path, form, b.assertion(nil), b.proves(path, nil))
			b.isAuthenticated(path, status, body, true)
		}},
		module{path[1:] + "-client_id-of-another-client", "invalid_request", func(c *certified) {
			b := newBank(c)
			form := b.wellFormed(path)
			form.Set("client_id", "broker")
			status, body := b.posts(path, form, b.assertion(nil), b.proves(path, nil))
			b.isRefused(status, body, http.StatusBadRequest, "invalid_request")
		}},
		module{path[1:] + "-client-assertion-RS256", "invalid_client; the same with PS256 is accepted",
			func(c *certified) {
				b := c.bank("rsa")
				for _, alg := range []jwa.SignatureAlgorithm{jwa.RS256, jwa.PS256} {
					b.authenticates(path, b.rsaAssertion(alg), alg == jwa.PS256)
				}
			}},
		module{path[1:] + "-client-assertion-of-another-key", "invalid_client", func(c *certified) {
			b := newBank(c)
			b.key = newClientKey(c.t)
			b.authenticates(path, b.assertion(nil), false)
		}},
		module{path[1:] + "-client-assertion-twice", "invalid_client", func(c *certified) {
			b := newBank(c)
			assertion := b.assertion(nil)
			b.authenticates(path, assertion, true)
			b.authenticates(path, assertion, false)
		}},
	)
}

// authenticates sends a request with an assertion, which is accepted or refused.
func (b *bank) authenticates(path, assertion string, accepted bool) {
	b.t.Helper()
	status, body := b.posts(path, b.wellFormed(path), assertion, b.proves(path, nil))
	b.isAuthenticated(path, status, body, accepted)
}

// wellFormed is a request to an endpoint with nothing wrong but the refresh token, which is looked for
// only once the client is known.
func (b *bank) wellFormed(path string) url.Values {
	if path == "/token" {
		return refreshForm("cart_nothing")
	}
	return b.form("")
}

// isAuthenticated holds the answer to a request that is well formed to a client that is known or not.
func (b *bank) isAuthenticated(path string, status int, body map[string]any, known bool) {
	b.t.Helper()
	switch {
	case !known:
		b.isRefused(status, body, http.StatusUnauthorized, "invalid_client")
	case path == "/token":
		b.isRefused(status, body, http.StatusBadRequest, "invalid_grant")
	case status != http.StatusCreated:
		b.t.Errorf("%d %v", status, body)
	}
}

// rsaAssertion is one of the client rsa with an algorithm of the test's choice.
func (b *bank) rsaAssertion(alg jwa.SignatureAlgorithm) string {
	b.t.Helper()
	claims, err := json.Marshal(b.assertionClaims(nil))
	if err != nil {
		b.t.Fatal(err)
	}
	raw, err := jws.Sign(claims, jws.WithKey(alg, sharedRSA()))
	if err != nil {
		b.t.Fatal(err)
	}
	b.tokens.remember(string(raw))
	return string(raw)
}

// TestCertificationFAPI2 is the plan FAPI 2.0 security profile with private_key_jwt and DPoP.
func TestCertificationFAPI2(t *testing.T) {
	x := newCertified(t, banks(t))
	for _, modules := range [][]module{
		fapi2Modules, assertionModules("/par"), assertionModules("/token"),
		codeModules, proofModules("/par"), proofModules("/token"), resourceModules(),
	} {
		x.runModules(t, "", modules)
	}
}
