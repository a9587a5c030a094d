package integration

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
)

// codeModules are those of the plan for the FAPI 2.0 security profile about answers, codes and refresh
// tokens.
var codeModules = []module{
	{"user-rejects-authentication", "access_denied with `state` and `iss`; the query of the redirect URI stays",
		func(c *certified) {
			b := newBank(c)
			c.decision = "deny"
			answer, _ := c.finish(c.get(b.pushed("prompt=consent")))
			if answer.Get("error") != "access_denied" || answer.Get("state") != "the state" ||
				answer.Get("iss") != c.url("auth") || answer.Get("tenant") != "1" || answer.Has("code") {
				c.t.Errorf("the answer %v", answer)
			}
		}},
	{"state-of-1000-characters", "kept", func(c *certified) {
		state := strings.Repeat(everythingPrintable(), 11)[:1000]
		answer, _ := c.finish(c.get(newBank(c).pushed("state=" + url.QueryEscape(state))))
		if answer.Get("code") == "" || answer.Get("state") != state {
			c.t.Errorf("the answer %v", answer)
		}
	}},
	{"without-state", "a code, and no `state`", func(c *certified) {
		answer, _ := c.finish(c.get(newBank(c).pushed("state=")))
		if answer.Get("code") == "" || answer.Has("state") {
			c.t.Errorf("the answer %v", answer)
		}
	}},
	nonceKept(64), nonceKept(384),
	{"plain-oauth", "without the scope openid no ID token, and `iss` in the answer all the same", func(c *certified) {
		b := newBank(c)
		body := b.granted(b.sends("/token", b.code(b.pushed("scope=read&nonce=")), nil))
		if body["id_token"] != nil || body["scope"] != "read" {
			c.t.Errorf("%v", body)
		}
	}},
	{"code-of-another-client", "invalid_grant; the code stays good for its own", func(c *certified) {
		b := newBank(c)
		form := b.code(b.pushed(""))
		other := c.bank("broker")
		other.proof = b.proof // which another client does not have
		status, body := other.sends("/token", form, nil)
		b.isRefused(status, body, http.StatusBadRequest, "invalid_grant")
		b.granted(b.sends("/token", form, nil))
	}},
	{"code-without-client-authentication", "invalid_client", func(c *certified) {
		b := newBank(c)
		form := b.code(b.pushed(""))
		form.Set("client_id", "bank")
		status, body := b.posts("/token", form, "", b.proves("/token", nil))
		b.isRefused(status, body, http.StatusUnauthorized, "invalid_client")
	}},
	{"code-without-verifier", "invalid_grant", func(c *certified) {
		b := newBank(c)
		form := b.code(b.pushed(""))
		form.Del("code_verifier")
		status, body := b.sends("/token", form, nil)
		b.isRefused(status, body, http.StatusBadRequest, "invalid_grant")
	}},
	{"code-with-wrong-verifier", "invalid_grant", func(c *certified) {
		b := newBank(c)
		form := b.code(b.pushed(""))
		form.Set("code_verifier", strings.Repeat("x", 43))
		status, body := b.sends("/token", form, nil)
		b.isRefused(status, body, http.StatusBadRequest, "invalid_grant")
	}},
	{"code-without-dpop", "invalid_dpop_proof", func(c *certified) {
		b := newBank(c)
		status, body := b.posts("/token", b.code(b.pushed("")), b.assertion(nil), "")
		b.isRefused(status, body, http.StatusBadRequest, "invalid_dpop_proof")
	}},
	{"code-reuse-after-1-second", "invalid_grant; the access token is refused from then on", func(c *certified) {
		b := newBank(c)
		form := b.code(b.pushed(""))
		access, _ := b.granted(b.sends("/token", form, nil))["access_token"].(string)
		if a := b.uses(access, resourceTargets[0], "DPoP", nil); a.status != http.StatusOK {
			c.t.Errorf("before: %d %s", a.status, a.body)
		}
		time.Sleep(time.Second)
		status, body := b.sends("/token", form, nil)
		b.isRefused(status, body, http.StatusBadRequest, "invalid_grant")
		for _, target := range resourceTargets {
			if a := b.uses(access, target, "DPoP", nil); a.status != http.StatusUnauthorized {
				c.t.Errorf("%v: %d %s", target, a.status, a.body)
			}
		}
	}},
	{"dpop-proof-at-par-binds-code", "the code is good for the key of the proof alone", func(c *certified) {
		b := newBank(c)
		b.isBound(b.code(b.pushed("")))
	}},
	{"dpop_jkt-binds-code", "the same without a proof at /par", func(c *certified) {
		b := newBank(c)
		form := b.form("dpop_jkt=" + b.proof.Thumbprint)
		b.isBound(b.code(b.visits(b.posts("/par", form, b.assertion(nil), ""))))
	}},
	{"par-without-dpop", "accepted; the code is good for any key", func(c *certified) {
		b := newBank(c)
		form := b.code(b.visits(b.posts("/par", b.form(""), b.assertion(nil), "")))
		b.granted(b.sends("/token", form, nil))
	}},
	{"refresh-token", "not rotated, and bound to the client: a new DPoP key is accepted", func(c *certified) {
		b := newBank(c)
		first := b.refreshToken()
		for range 2 {
			b.proof = dpoptest.New(c.t, "ES256")
			body := b.granted(b.sends("/token", refreshForm(first), nil))
			if body["refresh_token"] != first {
				c.t.Error("it was rotated")
			}
			access, _ := body["access_token"].(string)
			if a := b.uses(access, resourceTargets[0], "DPoP", nil); a.status != http.StatusOK {
				c.t.Errorf("with the new key: %d %s", a.status, a.body)
			}
		}
	}},
	{"refresh-token-of-another-client", "invalid_grant", func(c *certified) {
		b, other := newBank(c), c.bank("broker")
		other.proof = b.proof
		status, body := other.sends("/token", refreshForm(b.refreshToken()), nil)
		b.isRefused(status, body, http.StatusBadRequest, "invalid_grant")
	}},
	{"refresh-token-without-client-authentication", "invalid_client", func(c *certified) {
		b := newBank(c)
		form := refreshForm(b.refreshToken())
		form.Set("client_id", "bank")
		status, body := b.posts("/token", form, "", b.proves("/token", nil))
		b.isRefused(status, body, http.StatusUnauthorized, "invalid_client")
	}},
	{"refresh-token-without-dpop", "invalid_dpop_proof", func(c *certified) {
		b := newBank(c)
		status, body := b.posts("/token", refreshForm(b.refreshToken()), b.assertion(nil), "")
		b.isRefused(status, body, http.StatusBadRequest, "invalid_dpop_proof")
	}},
}

// nonceKept is a module whose nonce has so many characters.
func nonceKept(length int) module {
	name := map[int]string{64: "nonce-of-64-characters", 384: "nonce-of-384-characters"}[length]
	return module{name, "kept in the ID token", func(c *certified) {
		b := newBank(c)
		nonce := strings.Repeat("n", length)
		body := b.granted(b.sends("/token", b.code(b.pushed("nonce="+nonce)), nil))
		raw, _ := body["id_token"].(string)
		if id := c.idToken(c.t, raw, "bank"); id["nonce"] != nonce {
			c.t.Errorf("the ID token says %v", id)
		}
	}}
}

// isBound holds a code to the key of the client: with another one it buys nothing, and is not used up.
func (b *bank) isBound(form url.Values) {
	b.t.Helper()
	own := b.proof
	b.proof = dpoptest.New(b.t, "ES256")
	status, body := b.sends("/token", form, nil)
	b.isRefused(status, body, http.StatusBadRequest, "invalid_grant")
	b.proof = own
	b.granted(b.sends("/token", form, nil))
}
