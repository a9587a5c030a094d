package integration

import (
	"crypto/rand"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// tokenCase is one token before the gate `api`, or before another gate.
type tokenCase struct {
	name   string
	site   string // "" = api
	token  string
	reason string // "" = it passes
}

const tokenSites = authSite + `
{{url "api"}} {
	log
	jwt_auth api {
		forward sub X-User-Id
		forward level X-User-Level
	}
	reverse_proxy {{.Proxy}}
}
{{url "role"}} {
	log
	jwt_auth api {
		require role admin editor
		deny role blocked
		forward role X-User-Role
	}
	reverse_proxy {{.Proxy}}
}
{{url "level"}} {
	log
	jwt_auth api {
		require level 12345678901234567890
	}
	reverse_proxy {{.Proxy}}
}
{{url "scope"}} {
	log
	jwt_auth api {
		require scope read write
	}
	reverse_proxy {{.Proxy}}
}
{{url "nested"}} {
	log
	jwt_auth api {
		require realm_access.roles admin
		require role admin
	}
	reverse_proxy {{.Proxy}}
}
{{url "web"}} {
	log
	jwt_auth web
	reverse_proxy {{.Proxy}}
}
{{url "project"}} {
	log
	jwt_auth api {
		project acme
	}
	reverse_proxy {{.Proxy}}
}
{{url "resource"}} {
	log
	jwt_auth mcp {
		resource https://mcp.example.com/mcp
	}
	reverse_proxy {{.Proxy}}
}
{{url "strict"}} {
	log
	jwt_auth api {
		leeway 0s
	}
	reverse_proxy {{.Proxy}}
}
`

// TestTokensAndKeys is the table of the second section of the list of attacks, through the gate:
// every refusal with its word, and nothing refused that should pass.
func TestTokensAndKeys(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, tokenSites)
	w := g.tokens
	for _, c := range slices.Concat(goodTokens(w), algorithmTokens(w), keyIDTokens(w), headerTokens(w),
		encodingTokens(w), timeTokens(w),
		claimTokens(w), typeTokens(w), signatureTokens(w), policyTokens(w), hugeTokens(w)) {
		t.Run(c.name, func(t *testing.T) {
			site := c.site
			if site == "" {
				site = "api"
			}
			for _, p := range protocols {
				g.checkToken(t, p, site, c)
			}
		})
	}
}

func (g *gateway) checkToken(t *testing.T, p protocol, site string, c tokenCase) {
	t.Helper()
	got := p.send(t, g.addr(site), call{host: g.host(site), lines: []string{"Authorization: Bearer " + c.token}})
	seen := g.proxy.take()
	if refused := (gateCase{reason: c.reason}).checkAnswer(t, got); refused && len(seen) > 0 {
		t.Errorf("%s: refused, but the application saw %q", p.name, seen[0].raw)
	} else if !refused && len(seen) != 1 {
		t.Errorf("%s: the application saw %d requests", p.name, len(seen))
	}
	if len(c.token) > 40 && strings.Contains(got.body, c.token[len(c.token)-40:]) {
		t.Errorf("%s: the refusal repeats the token: %q", p.name, got.body)
	}
}

func goodTokens(w *tokenFixture) []tokenCase {
	var cases []tokenCase
	for _, kid := range []string{"hs1", "rs1", "es1", "ed1"} {
		cases = append(cases, tokenCase{name: "good " + algorithmOf[kid], token: w.mint(kid, "alice", nil)})
	}
	return append(cases,
		tokenCase{name: "audience as a string", token: w.mint("es1", "alice", map[string]any{"aud": "api"})},
		tokenCase{
			name:  "several audiences",
			token: w.mint("es1", "alice", map[string]any{"aud": []string{"web", "api"}}),
		},
		tokenCase{
			name:  "type with its prefix",
			token: w.raw(`{"alg":"ES256","typ":"application/at+jwt","kid":"es1"}`, w.payload("alice", nil), "es1"),
		},
		tokenCase{
			name:  "type in capitals",
			token: w.raw(`{"alg":"ES256","typ":"AT+JWT","kid":"es1"}`, w.payload("alice", nil), "es1"),
		},
		tokenCase{name: "remote keys in the header are not looked at", token: w.raw(
			`{"alg":"ES256","typ":"at+jwt","kid":"es1","jku":"http://127.0.0.1:1/jwks","x5u":"http://127.0.0.1:1/x",`+
				`"x5c":["AAAA"],"jwk":{"kty":"oct","k":"AAAA"}}`,
			w.payload("alice", nil), "es1")},
	)
}

func algorithmTokens(w *tokenFixture) []tokenCase {
	good := w.payload("alice", nil)
	var cases []tokenCase
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		header := `{"alg":"` + alg + `","typ":"at+jwt","kid":"es1"}`
		cases = append(cases,
			tokenCase{
				name:   "alg " + alg + ", empty signature",
				token:  w.raw(header, good, ""),
				reason: "malformed|bad_algorithm",
			},
			tokenCase{
				name:   "alg " + alg + ", some signature",
				token:  w.raw(header, good, "es1"),
				reason: "bad_algorithm|malformed",
			})
	}
	for _, kid := range []string{"rs1", "es1"} {
		for form, secret := range w.publicForms(kid) {
			cases = append(cases,
				tokenCase{name: "HS256 with the public " + form + " of " + kid, reason: "bad_algorithm",
					token: w.hmacWith(`{"alg":"HS256","typ":"at+jwt","kid":"`+kid+`"}`, good, secret)})
		}
	}
	for _, c := range []struct {
		kid  string
		algs []string
	}{
		{"rs1", []string{"RS512", "PS256", "HS256", "ES256"}},
		{"es1", []string{"ES384", "ES256K", "EdDSA", "RS256", "es256"}}, {"ed1", []string{"Ed25519", "ES256"}},
		{"hs1", []string{"HS512", "HS384", "hs256"}},
	} {
		for _, alg := range c.algs {
			cases = append(cases, tokenCase{name: "alg " + alg + " with key " + c.kid, reason: "bad_algorithm",
				token: w.raw(`{"alg":"`+alg+`","typ":"at+jwt","kid":"`+c.kid+`"}`, good, c.kid)})
		}
	}
	return append(cases,
		tokenCase{
			name:   "alg missing",
			token:  w.raw(`{"typ":"at+jwt","kid":"es1"}`, good, "es1"),
			reason: "malformed|bad_algorithm",
		},
		tokenCase{
			name:   "alg a number",
			token:  w.raw(`{"alg":256,"typ":"at+jwt","kid":"es1"}`, good, "es1"),
			reason: "malformed|bad_algorithm",
		},
		tokenCase{
			name:   "alg a list",
			token:  w.raw(`{"alg":["ES256"],"typ":"at+jwt","kid":"es1"}`, good, "es1"),
			reason: "malformed|bad_algorithm",
		})
}

func keyIDTokens(w *tokenFixture) []tokenCase {
	good := w.payload("alice", nil)
	var cases []tokenCase
	for _, c := range []struct{ name, kid string }{
		{"path-like", `"../../../../dev/null"`}, {"SQL-like", `"x' UNION SELECT 'a"`}, {"unknown", `"nobody"`},
		{"other case", `"ES1"`}, {"with a space", `"es1 "`}, {"with NUL", `"es1\u0000"`},
		{"long", `"` + strings.Repeat("k", 2000) + `"`}, {"URL", `"http://127.0.0.1:1/key"`},
		{"command", "\"|/usr/bin/touch x\""},
	} {
		cases = append(cases, tokenCase{name: "kid " + c.name, reason: "unknown_key|malformed",
			token: w.raw(`{"alg":"ES256","typ":"at+jwt","kid":`+c.kid+`}`, good, "es1")})
	}
	attacker := w.hmacWith(`{"alg":"HS256","typ":"at+jwt","kid":"hs1","jwk":{"kty":"oct",`+
		`"k":"YXR0YWNrZXIgYXR0YWNrZXIgYXR0YWNrZXIgYXR0YWNrZXI"}}`, good,
		[]byte("attacker attacker attacker attacker"))
	return append(cases,
		tokenCase{
			name:   "kid missing",
			token:  w.raw(`{"alg":"ES256","typ":"at+jwt"}`, good, "es1"),
			reason: "unknown_key|malformed",
		},
		tokenCase{
			name:   "kid empty",
			token:  w.raw(`{"alg":"ES256","typ":"at+jwt","kid":""}`, good, "es1"),
			reason: "unknown_key|malformed",
		},
		tokenCase{
			name:   "kid a number",
			token:  w.raw(`{"alg":"ES256","typ":"at+jwt","kid":1}`, good, "es1"),
			reason: "malformed",
		},
		tokenCase{
			name:   "kid null",
			token:  w.raw(`{"alg":"ES256","typ":"at+jwt","kid":null}`, good, "es1"),
			reason: "malformed|unknown_key",
		},
		tokenCase{name: "key embedded in the header", token: attacker, reason: "bad_signature"},
		tokenCase{
			name:   "another key of the same ring",
			token:  w.raw(`{"alg":"ES256","typ":"at+jwt","kid":"es1"}`, good, "rs1"),
			reason: "bad_signature|malformed",
		})
}

func headerTokens(w *tokenFixture) []tokenCase {
	good := w.payload("alice", nil)
	var cases []tokenCase
	for _, c := range []struct{ name, header string }{
		{"crit unknown", `{"alg":"ES256","typ":"at+jwt","kid":"es1","crit":["x"],"x":1}`},
		{"crit empty", `{"alg":"ES256","typ":"at+jwt","kid":"es1","crit":[]}`},
		{"crit lists exp", `{"alg":"ES256","typ":"at+jwt","kid":"es1","crit":["exp"],"exp":1}`},
		{"crit null", `{"alg":"ES256","typ":"at+jwt","kid":"es1","crit":null}`},
		{"crit a string", `{"alg":"ES256","typ":"at+jwt","kid":"es1","crit":"exp"}`},
		{"b64 false", `{"alg":"ES256","typ":"at+jwt","kid":"es1","b64":false,"crit":["b64"]}`},
		{"b64 false uncritical", `{"alg":"ES256","typ":"at+jwt","kid":"es1","b64":false}`},
		{"alg twice", `{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"es1"}`},
		{"kid twice", `{"alg":"ES256","typ":"at+jwt","kid":"nobody","kid":"es1"}`},
		{"alg in another case", `{"alg":"ES256","Alg":"none","typ":"at+jwt","kid":"es1"}`},
		{"kid in another case", `{"alg":"ES256","typ":"at+jwt","kid":"es1","KID":"nobody"}`},
		{"alg twice by escape", `{"alg":"ES256","\u0061lg":"none","typ":"at+jwt","kid":"es1"}`},
		{"trailing JSON", w.header("es1") + `{}`},
		{"trailing comma", `{"alg":"ES256","typ":"at+jwt","kid":"es1",}`},
		{"BOM", "\ufeff" + w.header("es1")},
		{"list", `[` + w.header("es1") + `]`},
		{"null", `null`},
		{"comment", `{"alg":"ES256",/**/"typ":"at+jwt","kid":"es1"}`},
		{"single quotes", `{'alg':'ES256','typ':'at+jwt','kid':'es1'}`},
		{"broken UTF-8", "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"es1\",\"x\":\"\xff\"}"},
		{"nothing", ``},
		{"lone surrogate escape", `{"alg":"ES256","typ":"at+jwt","kid":"es1","x":"\ud800"}`},
	} {
		cases = append(cases,
			tokenCase{name: "header: " + c.name, token: w.raw(c.header, good, "es1"), reason: "malformed"})
	}
	return cases
}

func encodingTokens(w *tokenFixture) []tokenCase {
	token := w.mint("hs1", "alice", map[string]any{"pad": "ÿÿÿ?>~"})
	parts := strings.Split(token, ".")
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	// 32 bytes leave two unused bits in the last of 43 characters.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	stray := token[:len(token)-1] + string(alphabet[last|1])
	inner := w.mint("es1", "alice", nil)
	cases := []struct{ name, token string }{
		{"padding at the end", token + "="},
		{"padding in the payload", parts[0] + "." + parts[1] + "=." + parts[2]},
		{"stray bits", stray},
		{
			"standard alphabet",
			parts[0] + "." + parts[1] + "." +
				strings.TrimRight(base64.StdEncoding.EncodeToString(append(signature[:29:29], 0xfb, 0xff, 0xfe)), "="),
		},
		{"plus in the payload", parts[0] + ".+" + parts[1] + "." + parts[2]},
		{"slash in the header", parts[0] + "/" + "." + parts[1] + "." + parts[2]},
		{"space inside", parts[0] + ". " + parts[1] + "." + parts[2]},
		{"tab inside", parts[0] + ".\t" + parts[1] + "." + parts[2]},
		{"four segments", token + "." + parts[2]},
		{"two segments", parts[0] + "." + parts[1]},
		{"one segment", parts[0]},
		{"empty header", "." + parts[1] + "." + parts[2]},
		{"empty payload", parts[0] + ".." + parts[2]},
		{"empty signature", parts[0] + "." + parts[1] + "."},
		{"leading dot", "." + token},
		{
			"five segments as a JWE",
			"eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA",
		},
		{
			"JSON serialization",
			`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		},
		{"percent encoding", strings.Replace(token, ".", "%2e", 1)},
		{"nested", w.raw(`{"alg":"ES256","typ":"at+jwt","cty":"JWT","kid":"es1"}`, inner, "es1")},
		{
			"nested by name only",
			w.raw(`{"alg":"ES256","typ":"at+jwt","cty":"JWT","kid":"es1"}`, w.payload("alice", nil), "es1"),
		},
		{"payload is no JSON", w.raw(w.header("es1"), "hello", "es1")},
		{"payload is a list", w.raw(w.header("es1"), "["+w.payload("alice", nil)+"]", "es1")},
		{"payload with trailing", w.raw(w.header("es1"), w.payload("alice", nil)+"{}", "es1")},
		{"payload with BOM", w.raw(w.header("es1"), "\ufeff"+w.payload("alice", nil), "es1")},
		{
			"claim twice",
			w.raw(w.header("es1"), strings.Replace(w.payload("alice", nil), "{", `{"sub":"eve",`, 1), "es1"),
		},
		{
			"audience in another case",
			w.raw(w.header("es1"),
				strings.Replace(w.payload("alice", map[string]any{"aud": "web"}), "{", `{"Aud":"api",`, 1), "es1"),
		},
		{
			"exp in another case",
			w.raw(w.header("es1"), strings.Replace(w.payload("alice", nil), "{", `{"EXP":9999999999,`, 1), "es1"),
		},
		{
			"own claim twice",
			w.raw(w.header("es1"),
				strings.Replace(w.payload("alice", map[string]any{"role": "viewer"}), "{", `{"role":"admin",`, 1),
				"es1"),
		},
		{
			"nested claim twice",
			w.raw(w.header("es1"), strings.Replace(w.payload("alice", nil), "{", `{"o":{"r":1,"r":2},`, 1), "es1"),
		},
	}
	var all []tokenCase
	for _, c := range cases {
		all = append(all,
			tokenCase{name: "encoding: " + c.name, token: c.token, reason: "malformed|multiple_credentials"})
	}
	return all
}

func timeTokens(w *tokenFixture) []tokenCase {
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	type changes = map[string]any
	mint := func(c changes) string { return w.mint("es1", "alice", c) }
	text := func(old, new string) string {
		return w.raw(w.header("es1"), strings.Replace(w.payload("alice", changes{"exp": 1234567890}), old, new, 1),
			"es1")
	}
	const exp = `"exp":1234567890`
	return []tokenCase{
		{name: "exp missing", token: mint(changes{"exp": nil}), reason: "malformed"},
		{name: "exp null", token: text(exp, `"exp":null`), reason: "malformed"},
		{name: "exp 0", token: text(exp, `"exp":0`), reason: "malformed|expired"},
		{name: "exp a string", token: text(exp, `"exp":"9999999999"`), reason: "malformed"},
		{name: "exp negative", token: text(exp, `"exp":-1`), reason: "malformed|expired"},
		{name: "exp 1e300", token: text(exp, `"exp":1e300`), reason: "malformed"},
		{name: "exp over 64 bits", token: text(exp, `"exp":99999999999999999999999`), reason: "malformed"},
		{name: "exp true", token: text(exp, `"exp":true`), reason: "malformed"},
		{
			name:   "exp in milliseconds",
			token:  mint(changes{"exp": at(10*time.Minute) * 1000}),
			reason: "malformed|lifetime_too_long",
		},
		{
			name:   "exp in a hundred years",
			token:  mint(changes{"exp": at(100 * 365 * 24 * time.Hour)}),
			reason: "lifetime_too_long",
		},
		{
			name:   "lifetime just over a year",
			token:  mint(changes{"exp": at(367 * 24 * time.Hour)}),
			reason: "lifetime_too_long",
		},
		{
			name:   "long lifetime hidden by a late iat",
			token:  mint(changes{"iat": at(-2 * 365 * 24 * time.Hour)}),
			reason: "lifetime_too_long",
		},
		{name: "expired", token: mint(changes{"iat": at(-time.Hour), "exp": at(-time.Minute)}), reason: "expired"},
		{name: "expired within the leeway", token: mint(changes{"iat": at(-time.Hour), "exp": at(-15 * time.Second)})},
		{
			name:   "expired within the default leeway, gate without",
			site:   "strict",
			token:  mint(changes{"iat": at(-time.Hour), "exp": at(-5 * time.Second)}),
			reason: "expired",
		},
		{name: "nbf in the future", token: mint(changes{"nbf": at(time.Minute)}), reason: "not_yet_valid"},
		{name: "nbf within the leeway", token: mint(changes{"nbf": at(10 * time.Second)})},
		{
			name:   "nbf within the default leeway, gate without",
			site:   "strict",
			token:  mint(changes{"nbf": at(20 * time.Second)}),
			reason: "not_yet_valid",
		},
		{name: "nbf a string", token: mint(changes{"nbf": "1"}), reason: "malformed"},
		{name: "iat in the future", token: mint(changes{"iat": at(time.Minute)}), reason: "not_yet_valid"},
		{name: "iat within the leeway", token: mint(changes{"iat": at(10 * time.Second)})},
		{name: "iat a string", token: mint(changes{"iat": "1"}), reason: "malformed"},
		{name: "exp with a fraction", token: text(exp, `"exp":`+big.NewInt(at(time.Minute)).String()+`.5`)},
	}
}

func claimTokens(w *tokenFixture) []tokenCase {
	type changes = map[string]any
	mint := func(c changes) string { return w.mint("es1", "alice", c) }
	return []tokenCase{
		{name: "aud number", token: mint(changes{"aud": 1}), reason: "malformed|wrong_audience"},
		{name: "aud object", token: mint(changes{"aud": changes{"api": "api"}}), reason: "malformed|wrong_audience"},
		{
			name: "aud null",
			token: w.raw(w.header("es1"),
				strings.Replace(w.payload("alice", changes{"aud": "api"}), `"aud":"api"`, `"aud":null`, 1), "es1"),
			reason: "malformed|wrong_audience",
		},
		{name: "aud empty list", token: mint(changes{"aud": []string{}}), reason: "malformed|wrong_audience"},
		{name: "aud empty", token: mint(changes{"aud": ""}), reason: "malformed|wrong_audience"},
		{name: "aud mixed", token: mint(changes{"aud": []any{"api", 1}}), reason: "malformed|wrong_audience"},
		{name: "aud nested", token: mint(changes{"aud": []any{[]any{"api"}}}), reason: "malformed|wrong_audience"},
		{name: "aud missing", token: mint(changes{"aud": nil}), reason: "malformed|wrong_audience"},
		{name: "aud another", token: mint(changes{"aud": "web"}), reason: "wrong_audience"},
		{name: "aud in another case", token: mint(changes{"aud": "API"}), reason: "wrong_audience"},
		{name: "aud with several words in one", token: mint(changes{"aud": "web api"}), reason: "wrong_audience"},
		{name: "aud is a prefix", token: mint(changes{"aud": "api2"}), reason: "wrong_audience"},
		{name: "iss a list", token: mint(changes{"iss": []string{w.issuer}}), reason: "malformed|unknown_issuer"},
		{name: "iss missing", token: mint(changes{"iss": nil}), reason: "malformed|unknown_issuer"},
		{name: "iss empty", token: mint(changes{"iss": ""}), reason: "malformed|unknown_issuer"},
		{name: "iss another", token: mint(changes{"iss": "https://evil.example"}), reason: "unknown_issuer"},
		{name: "iss with a slash", token: mint(changes{"iss": w.issuer + "/"}), reason: "unknown_issuer"},
		{name: "iss in another case", token: mint(changes{"iss": strings.ToUpper(w.issuer)}), reason: "unknown_issuer"},
		{name: "sub a number", token: mint(changes{"sub": 1}), reason: "malformed"},
		{name: "sub an object", token: mint(changes{"sub": changes{"a": 1}}), reason: "malformed"},
		{name: "jti a number", token: mint(changes{"jti": 1}), reason: "malformed"},
		{name: "project another", token: mint(changes{"project": "acme"}), reason: "wrong_project"},
		{name: "project missing", token: mint(changes{"project": nil}), reason: "wrong_project|malformed"},
		{
			name:   "project a list",
			token:  mint(changes{"project": []string{"default"}}),
			reason: "malformed|wrong_project",
		},
		{name: "project of a gate that names one", site: "project", token: mint(changes{"project": "acme"})},
		{
			name:   "default project at a gate that names another",
			site:   "project",
			token:  mint(nil),
			reason: "wrong_project",
		},
		{name: "resource not named", site: "resource", token: mint(changes{"aud": "mcp"}), reason: "wrong_audience"},
		{
			name:   "resource alone",
			site:   "resource",
			token:  mint(changes{"aud": "https://mcp.example.com/mcp"}),
			reason: "wrong_audience",
		},
		{
			name:   "resource of another path",
			site:   "resource",
			token:  mint(changes{"aud": []string{"mcp", "https://mcp.example.com/mcp/2"}}),
			reason: "wrong_audience",
		},
		{
			name:  "resource and word",
			site:  "resource",
			token: mint(changes{"aud": []string{"mcp", "https://mcp.example.com/mcp"}}),
		},
		{name: "big number keeps its digits", token: mint(changes{"level": 1 << 62})},
	}
}

func typeTokens(w *tokenFixture) []tokenCase {
	var cases []tokenCase
	for _, typ := range []string{
		"JWT", "jwt", "id+jwt", "refresh+jwt", "rt+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt",
		"token-introspection+jwt", "at+jwt2", "",
	} {
		cases = append(cases, tokenCase{name: "typ " + typ, reason: "wrong_type",
			token: w.raw(`{"alg":"ES256","typ":"`+typ+`","kid":"es1"}`, w.payload("alice", nil), "es1")})
	}
	return append(cases,
		tokenCase{
			name:   "typ missing",
			token:  w.raw(`{"alg":"ES256","kid":"es1"}`, w.payload("alice", nil), "es1"),
			reason: "wrong_type",
		},
		tokenCase{
			name:   "typ a number",
			token:  w.raw(`{"alg":"ES256","typ":1,"kid":"es1"}`, w.payload("alice", nil), "es1"),
			reason: "malformed|wrong_type",
		},
		tokenCase{name: "ID token", reason: "wrong_type", token: w.raw(`{"alg":"ES256","typ":"JWT","kid":"es1"}`,
			w.payload("alice", map[string]any{"nonce": "n", "at_hash": "x", "auth_time": time.Now().Unix()}), "es1")})
}

func signatureTokens(w *tokenFixture) []tokenCase {
	past := map[string]any{"iat": time.Now().Add(-2 * time.Hour).Unix(), "exp": time.Now().Add(-time.Hour).Unix()}
	var cases []tokenCase
	for _, kid := range []string{"hs1", "rs1", "es1", "ed1"} {
		token := w.mint(kid, "alice", nil)
		at := strings.LastIndexByte(token, '.') + 1
		flipped := token[:at] + flip(token[at:at+1]) + token[at+1:]
		parts := strings.Split(token, ".")
		other := strings.Split(w.mint(kid, "eve", nil), ".")
		cases = append(cases,
			tokenCase{name: "signature changed, " + kid, token: flipped, reason: "bad_signature"},
			tokenCase{
				name:   "claims exchanged, " + kid,
				token:  parts[0] + "." + other[1] + "." + parts[2],
				reason: "bad_signature",
			},
			tokenCase{
				name:   "signature cut short, " + kid,
				token:  token[:len(token)-4],
				reason: "bad_signature|malformed",
			},
			tokenCase{
				name:   "expired and badly signed, " + kid,
				token:  spoil(w.mint(kid, "alice", past)),
				reason: "bad_signature",
			},
			tokenCase{name: "signature of zeros, " + kid, reason: "bad_signature|malformed",
				token: parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])/4*4)})
	}
	long := sha512.Sum512([]byte("long"))
	return append(cases,
		tokenCase{name: "ECDSA signature in DER", token: derSigned(w), reason: "bad_signature|malformed"},
		tokenCase{name: "HMAC longer than its hash", reason: "bad_signature|malformed",
			token: w.raw(w.header("hs1"), w.payload("alice", nil), "hs1") + base64url(string(long[:3]))})
}

func flip(c string) string {
	if c == "A" {
		return "B"
	}
	return "A"
}

// spoil changes a token's signature.
func spoil(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	return token[:at] + flip(token[at:at+1]) + token[at+1:]
}

// derSigned signs well but writes the signature in ASN.1, as OpenSSL does and JOSE does not.
func derSigned(w *tokenFixture) string {
	input := base64url(w.header("es1")) + "." + base64url(w.payload("alice", nil))
	flat := w.sign("es1", []byte(input))
	der, err := asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(flat[:32]), new(big.Int).SetBytes(flat[32:]),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.finish(input, der)
}

func policyTokens(w *tokenFixture) []tokenCase {
	role := func(role any) string { return w.mint("es1", "alice", map[string]any{"role": role}) }
	var cases []tokenCase
	for _, c := range []struct {
		name  string
		value any
	}{
		{"text with a comma", "x,admin"}, {"list of one text with a comma", []string{"user,admin"}}, {"number", 1},
		{"object", map[string]any{"admin": true}}, {"object with a name", map[string]any{"role": "admin"}},
		{"nested list", []any{[]any{"admin"}}}, {"another case", "Admin"}, {"with a space", "admin "}, {"true", true},
		{"empty", ""}, {"empty list", []string{}}, {"absent", nil}, {"prefix", "administrator"},
		{"JSON text", `["admin"]`},
	} {
		cases = append(cases,
			tokenCase{name: "role " + c.name, site: "role", token: role(c.value), reason: "claim_denied"})
	}
	level := func(n string) string {
		return w.raw(w.header("es1"), strings.Replace(w.payload("alice", nil), "{", `{"level":`+n+`,`, 1), "es1")
	}
	nested := func(roles any, role string) string {
		return w.mint("es1", "alice", map[string]any{"realm_access": map[string]any{"roles": roles}, "role": role})
	}
	scope := func(scope any) string { return w.mint("es1", "alice", map[string]any{"scope": scope}) }
	return append(cases,
		tokenCase{name: "role admin", site: "role", token: role("admin")},
		tokenCase{name: "role editor", site: "role", token: role("editor")},
		tokenCase{name: "role in a list", site: "role", token: role([]string{"user", "admin"})},
		tokenCase{
			name:   "denied role wins",
			site:   "role",
			token:  role([]string{"admin", "blocked"}),
			reason: "claim_denied",
		},
		tokenCase{name: "big number", site: "level", token: level("12345678901234567890")},
		tokenCase{
			name:   "big number, last digit differs",
			site:   "level",
			token:  level("12345678901234567891"),
			reason: "claim_denied",
		},
		tokenCase{name: "scope missing", site: "scope", token: scope(nil), reason: "insufficient_scope"},
		tokenCase{name: "one scope of two", site: "scope", token: scope("read"), reason: "insufficient_scope"},
		tokenCase{name: "scopes in one word", site: "scope", token: scope("read,write"), reason: "insufficient_scope"},
		tokenCase{name: "both scopes", site: "scope", token: scope("write other read")},
		tokenCase{name: "nested claim", site: "nested", token: nested([]string{"user", "admin"}, "admin")},
		tokenCase{
			name:   "nested claim, one line holds only",
			site:   "nested",
			token:  nested([]string{"user"}, "admin"),
			reason: "claim_denied",
		},
		tokenCase{
			name:   "nested claim spelled flat in a list",
			site:   "nested",
			token:  nested("user,admin", "admin"),
			reason: "claim_denied",
		})
}

func hugeTokens(w *tokenFixture) []tokenCase {
	deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	deepish := strings.Repeat("[", 2_000) + strings.Repeat("]", 2_000)
	with := func(value string) string {
		return w.raw(w.header("es1"), strings.Replace(w.payload("alice", nil), "{", `{"deep":`+value+`,`, 1), "es1")
	}
	return []tokenCase{
		{name: "300 kB of dots", token: strings.Repeat(".", 300_000), reason: "too_large"},
		{
			name:   "300 kB token",
			token:  w.mint("es1", "alice", map[string]any{"x": strings.Repeat("x", 220_000)}),
			reason: "too_large",
		},
		{name: "20 000 lists deep", token: with(deep), reason: "too_large"},
		{name: "2 000 lists deep", token: with(deepish), reason: "|malformed"},
		{name: "8 KiB of dots", token: strings.Repeat(".", 8192), reason: "malformed|too_large"},
		{
			name:   "just over 8 KiB",
			token:  w.mint("es1", "alice", map[string]any{"x": strings.Repeat("x", 6000)}),
			reason: "too_large",
		},
		{name: "just under 8 KiB", token: w.mint("es1", "alice", map[string]any{"x": strings.Repeat("x", 5600)})},
	}
}

// TestHugeTokensAreCheap: what is over the size limit is refused before it is decoded, and costs no
// memory.
func TestHugeTokensAreCheap(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, tokenSites)
	before := heapInUse()
	for _, c := range []struct{ name, token string }{
		{"1 MB of dots", strings.Repeat(".", 1_000_000)},
		{"1 MiB token", "eyJhbGciOiJIUzI1NiJ9." + strings.Repeat("A", 1<<20) + ".AAAA"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 10 {
				g.checkToken(t, protocols[0], "api", tokenCase{token: c.token, reason: "too_large"})
			}
			g.checkToken(t, protocols[1], "api", tokenCase{token: c.token, reason: "too_large"})
		})
	}
	if grown := heapInUse() - before; grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if got := g.get(t, "api", "/", g.tokens.mint("es1", "alice", nil)); got.status != http.StatusOK {
		t.Errorf("afterwards: status %d", got.status)
	}
}

// TestOneTokenAtManyGates: what one gate has verified, and remembers, another still judges by its
// own rules.
func TestOneTokenAtManyGates(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, tokenSites)
	token := g.tokens.mint("es1", "alice", map[string]any{"role": "viewer", "scope": "read"})
	for range 3 {
		for _, c := range []tokenCase{
			{site: "api"}, {site: "role", reason: "claim_denied"}, {site: "scope", reason: "insufficient_scope"},
			{site: "project", reason: "wrong_project"}, {site: "resource", reason: "wrong_audience"},
			{site: "nested", reason: "claim_denied"},
		} {
			c.token = token
			g.checkToken(t, protocols[0], c.site, c)
		}
	}
}

// TestUnverifiedClaimsStayInside: what a token says before its signature is checked appears in no
// answer and no log.
func TestUnverifiedClaimsStayInside(t *testing.T) {
	g := newGateway(t)
	g.load(standardAuth, tokenSites)
	canary := "canary" + rand.Text()
	g.secret("an unverified claim", canary)
	for _, c := range []struct{ name, token string }{
		{
			"bad signature",
			spoil(g.tokens.mint("es1", canary,
				map[string]any{"role": canary, "scope": canary, "aud": []string{canary, "api"}, "jti": canary})),
		},
		{"unknown issuer", g.tokens.mint("es1", canary, map[string]any{"iss": "https://" + canary + ".example"})},
		{
			"unknown key",
			g.tokens.mintHeader(map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": canary}, "es1", canary, nil),
		},
		{
			"unknown type",
			g.tokens.mintHeader(map[string]any{"alg": "ES256", "typ": canary, "kid": "es1"}, "es1", canary, nil),
		},
		{
			"unknown alg",
			g.tokens.mintHeader(map[string]any{"alg": canary, "typ": "at+jwt", "kid": "es1"}, "es1", canary, nil),
		},
		{
			"unknown crit",
			g.tokens.mintHeader(map[string]any{
				"alg":  "ES256",
				"typ":  "at+jwt",
				"kid":  "es1",
				"crit": []string{canary},
			}, "es1", canary, nil),
		},
		{"claim twice", g.tokens.raw(g.tokens.header("es1"), `{"`+canary+`":1,"`+canary+`":2}`, "es1")},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, tc := range []struct {
				site string
				more []string
			}{{"api", nil}, {"web", []string{navigation, "Sec-Fetch-Mode: navigate"}}} {
				t.Run(tc.site, func(t *testing.T) {
					got := g.get(t, tc.site, "/", c.token, tc.more...)
					if got.status == http.StatusOK {
						t.Errorf("%s: status 200", c.name)
					}
					for field, values := range got.header {
						if strings.Contains(strings.Join(values, " "), canary) {
							t.Errorf("%s: %s: %q", c.name, field, values)
						}
					}
					if strings.Contains(got.body, canary) {
						t.Errorf("%s: body %q", c.name, got.body)
					}
				})
			}
		})
	}
}
