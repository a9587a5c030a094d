package integration

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
)

// madeProof is a proof that may be wrong in its header, its claims or its signature.
type madeProof struct {
	name         string
	header       func(b *bank) map[string]any                // nil takes a member away
	claims       func(now time.Time) map[string]any          // nil takes a claim away
	resign       func(b *bank, header, claims string) string // in place of the client's signature
	accepted     bool
	resourceOnly bool // it is about the access token
}

func headerWith(name string, value any) func(*bank) map[string]any {
	return func(*bank) map[string]any { return map[string]any{name: value} }
}

func claimWith(name string, value any) func(time.Time) map[string]any {
	return func(time.Time) map[string]any { return map[string]any{name: value} }
}

func claimAt(name string, d time.Duration) func(time.Time) map[string]any {
	return func(now time.Time) map[string]any { return map[string]any{name: now.Add(d).Unix()} }
}

// madeProofs are the proofs that are tried at the token endpoint, at a gate and at UserInfo.
var madeProofs = []madeProof{
	{name: "iat-10-seconds-ago", claims: claimAt("iat", -10*time.Second), accepted: true},
	{name: "iat-10-seconds-ahead", claims: claimAt("iat", 10*time.Second), accepted: true},
	{name: "nbf-and-exp", accepted: true, claims: func(now time.Time) map[string]any {
		return map[string]any{"nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Minute).Unix()}
	}},
	{name: "nbf-ahead-and-exp-over", accepted: true, claims: func(now time.Time) map[string]any {
		return map[string]any{"nbf": now.Add(time.Minute).Unix(), "exp": now.Add(-time.Minute).Unix()}
	}},
	{name: "iat-too-old", claims: claimAt("iat", -90*time.Second)},
	{name: "iat-too-far-ahead", claims: claimAt("iat", 90*time.Second)},
	{name: "without-iat", claims: claimWith("iat", nil)},
	{name: "without-jti", claims: claimWith("jti", nil)},
	{name: "without-htm", claims: claimWith("htm", nil)},
	{name: "without-htu", claims: claimWith("htu", nil)},
	{name: "wrong-htm", claims: claimWith("htm", "PUT")},
	{name: "wrong-htu", claims: claimWith("htu", "https://rp.example/")},
	{name: "wrong-typ", header: headerWith("typ", "JWT")},
	{name: "without-typ", header: headerWith("typ", nil)},
	{name: "alg-none", header: headerWith("alg", "none"), resign: func(_ *bank, header, claims string) string {
		return base64url(header) + "." + base64url(claims) + "."
	}},
	{name: "alg-HS256", header: headerWith("alg", "HS256"), resign: func(b *bank, header, claims string) string {
		input := base64url(header) + "." + base64url(claims)
		mac := hmac.New(sha256.New, b.proof.PublicJWK) // what everybody knows
		mac.Write([]byte(input))
		return input + "." + base64url(string(mac.Sum(nil)))
	}},
	{name: "without-jwk", header: headerWith("jwk", nil)},
	{name: "private-jwk", header: func(b *bank) map[string]any {
		return map[string]any{"jwk": b.proof.PrivateJWK}
	}},
	{name: "wrong-signature", resign: func(b *bank, header, claims string) string {
		return dpoptest.New(b.t, "ES256").Sign(b.t, header, claims) // with a key that the header does not have
	}},
	{name: "without-ath", claims: claimWith("ath", nil), resourceOnly: true},
	{name: "wrong-ath", claims: claimWith("ath", dpop.Hash("another")), resourceOnly: true},
}

// make makes the proof of a request.
func (p madeProof) make(b *bank, method, address, access string) string {
	b.t.Helper()
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": address, "iat": b.now().Unix()}
	if access != "" {
		claims["ath"] = dpop.Hash(access)
	}
	header := b.proof.Header()
	if p.claims != nil {
		maps.Copy(claims, p.claims(b.now()))
	}
	if p.header != nil {
		maps.Copy(header, p.header(b))
	}
	for _, part := range []map[string]any{header, claims} {
		maps.DeleteFunc(part, func(_ string, v any) bool { return v == nil })
	}
	if p.resign != nil {
		return p.resign(b, encode(b.t, header), encode(b.t, claims))
	}
	return b.proof.Sign(b.t, encode(b.t, header), encode(b.t, claims))
}

// proofModules are those of the plan for the FAPI 2.0 security profile with proofs at an endpoint.
func proofModules(path string) (modules []module) {
	for _, p := range madeProofs {
		if p.resourceOnly {
			continue
		}
		m := module{path[1:] + "-dpop-" + p.name, "invalid_dpop_proof; nothing is used up", func(c *certified) {
			b := newBank(c)
			form := b.form("")
			if path == "/token" {
				form = b.code(b.pushed(""))
			}
			status, body := b.posts(path, form, b.assertion(nil), p.make(b, "POST", b.url("auth")+path, ""))
			if !p.accepted {
				b.isRefused(status, body, http.StatusBadRequest, "invalid_dpop_proof")
				status, body = b.sends(path, form, nil)
			}
			if path == "/token" {
				b.granted(status, body)
				return
			}
			b.isBound(b.code(b.visits(status, body)))
		}}
		if p.accepted {
			m.answer = "accepted"
		}
		modules = append(modules, m)
	}
	return append(modules, module{path[1:] + "-dpop-jti-twice", "invalid_dpop_proof", func(c *certified) {
		b := newBank(c)
		form, proof := b.form(""), b.proves(path, nil)
		if path == "/token" {
			form = refreshForm(b.goes()["refresh_token"].(string))
		}
		if status, body := b.posts(path, form, b.assertion(nil), proof); body["error"] != nil {
			c.t.Fatalf("%d %v", status, body)
		}
		status, body := b.posts(path, form, b.assertion(nil), proof)
		b.isRefused(status, body, http.StatusBadRequest, "invalid_dpop_proof")
	}})
}

// resourceTarget is a request to a resource.
type resourceTarget struct{ site, path string }

// resourceTargets are a gate and UserInfo.
var resourceTargets = []resourceTarget{{"api", "/things"}, {"auth", "/userinfo"}}

// uses sends an access token with a proof, which is nil for a good one.
func (b *bank) uses(access string, to resourceTarget, scheme string, proof *madeProof) answer {
	b.t.Helper()
	if proof == nil {
		proof = &madeProof{}
	}
	return b.authorizing.ask(b.t, to.site, call{target: to.path, lines: []string{
		"Authorization: " + scheme + " " + access,
		"DPoP: " + proof.make(b, "GET", b.url(to.site)+to.path, access),
	}})
}

// isDenied holds the answer of a resource to a refusal for want of a proof.
func (b *bank) isDenied(to resourceTarget, a answer) {
	b.t.Helper()
	var body struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal([]byte(a.body), &body)
	if a.status != http.StatusUnauthorized || body.Error == "" ||
		!strings.Contains(strings.Join(a.header.Values("WWW-Authenticate"), ", "), "DPoP ") {
		b.t.Errorf("%v: %d %v %s", to, a.status, a.header, a.body)
	}
}

// atResources is a module with one access token at each resource.
func atResources(name, answer string, test func(b *bank, access string, to resourceTarget)) module {
	return module{"resource-" + name, answer, func(c *certified) {
		b := newBank(c)
		access, _ := b.goes()["access_token"].(string)
		for _, to := range resourceTargets {
			test(b, access, to)
			if a := b.uses(access, to, "DPoP", nil); a.status != http.StatusOK {
				c.t.Errorf("%v, with a good proof: %d %s", to, a.status, a.body)
			}
		}
	}}
}

// resourceModules are those of the plan for the FAPI 2.0 security profile with proofs at a resource.
func resourceModules() []module {
	modules := []module{
		atResources("scheme-in-another-case", "accepted", func(b *bank, access string, to resourceTarget) {
			for _, scheme := range []string{"dpop", "DPOP", "dPoP"} {
				if a := b.uses(access, to, scheme, nil); a.status != http.StatusOK {
					b.t.Errorf("%v, %s: %d %s", to, scheme, a.status, a.body)
				}
			}
		}),
		atResources("access-token-in-query", "400 or 401", func(b *bank, access string, to resourceTarget) {
			a := b.authorizing.ask(b.t, to.site, call{target: to.path + "?access_token=" + access, lines: []string{
				"DPoP: " + (&madeProof{}).make(b, "GET", b.url(to.site)+to.path, access),
			}})
			if a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest {
				b.t.Errorf("%v: %d %s", to, a.status, a.body)
			}
		}),
		{"resource-access-token-in-body", "401 at UserInfo: a form has no proof", func(c *certified) {
			b := newBank(c)
			access, _ := b.goes()["access_token"].(string)
			claims, a := c.userInfo(c.t, call{method: "POST", lines: []string{
				"Content-Type: application/x-www-form-urlencoded",
				"DPoP: " + b.proof.Proof(c.t, "POST", c.url("auth")+"/userinfo", access, b.now(), nil),
			}, body: "access_token=" + access})
			if claims != nil || a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest {
				c.t.Errorf("%d %s", a.status, a.body)
			}
		}},
		atResources("bound-token-as-bearer", "401", func(b *bank, access string, to resourceTarget) {
			b.isDenied(to, b.authorizing.get(b.t, to.site, to.path, access))
			b.isDenied(to, b.uses(access, to, "Bearer", nil))
		}),
		atResources("without-proof", "401", func(b *bank, access string, to resourceTarget) {
			b.isDenied(to, b.authorizing.ask(b.t, to.site, call{
				target: to.path, lines: []string{"Authorization: DPoP " + access},
			}))
		}),
		atResources("proof-of-another-key", "401", func(b *bank, access string, to resourceTarget) {
			own := b.proof
			b.proof = dpoptest.New(b.t, "ES256")
			b.isDenied(to, b.uses(access, to, "DPoP", nil))
			b.proof = own
		}),
		atResources("jti-twice", "401", func(b *bank, access string, to resourceTarget) {
			twice := &madeProof{claims: claimWith("jti", rand.Text())}
			if a := b.uses(access, to, "DPoP", twice); a.status != http.StatusOK {
				b.t.Errorf("%v: %d %s", to, a.status, a.body)
			}
			b.isDenied(to, b.uses(access, to, "DPoP", twice))
		}),
	}
	for _, p := range madeProofs {
		if p.accepted {
			modules = append(modules, atResources("dpop-"+p.name, "accepted",
				func(b *bank, access string, to resourceTarget) {
					if a := b.uses(access, to, "DPoP", &p); a.status != http.StatusOK {
						b.t.Errorf("%v: %d %s", to, a.status, a.body)
					}
				}))
			continue
		}
		modules = append(modules, atResources("dpop-"+p.name, "401", func(b *bank, access string, to resourceTarget) {
			b.isDenied(to, b.uses(access, to, "DPoP", &p))
		}))
	}
	return modules
}
