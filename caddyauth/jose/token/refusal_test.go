package token

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

func TestVerifyAcceptsWhatItShould(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	v := ownVerifier(t, key)
	for _, c := range []struct{ name, raw string }{
		{"plain", sign(t, key, headerOf(key), goodClaims)},
		{
			"white space",
			sign(t, key, "{ \"alg\" : \"HS256\",\n\"kid\":\"k\",\t\"typ\":\"at+jwt\" } ", " "+goodClaims+"\n"),
		},
		{"escaped names", sign(t, key, `{"\u0061lg":"HS256","kid":"\u006b","typ":"at+jwt"}`, goodClaims)},
		{"typ with prefix", sign(t, key, `{"alg":"HS256","kid":"k","typ":"Application/AT+JWT"}`, goodClaims)},
		{
			"ignored header",
			sign(t, key,
				`{"alg":"HS256","kid":"k","typ":"at+jwt","jku":"https://evil.example/jwks","jwk":{"kty":"oct",`+
					`"k":"AA"},"x5u":"https://evil.example","x5c":["AA"],"x5t#S256":"AA"}`, goodClaims),
		},
		{"other content type", sign(t, key, `{"alg":"HS256","kid":"k","typ":"at+jwt","cty":"json"}`, goodClaims)},
		{"aud list", sign(t, key, headerOf(key), with("aud", `["web","api"]`))},
		{"fractional exp", sign(t, key, headerOf(key), with("exp", "1790000900.5"))},
		{"exp with exponent", sign(t, key, headerOf(key), with("exp", "1.7900009e9"))},
		{"iat absent", sign(t, key, headerOf(key), with("iat", ""))},
		{"empty scope", sign(t, key, headerOf(key), with("scope", `""`))},
		{
			"deep but not nested",
			sign(t, key, headerOf(key), with("x", strings.Repeat("[", 15)+strings.Repeat("]", 15))),
		},
		{"cnf that names none", sign(t, key, headerOf(key), with("cnf", "null"))},
		{"mixed case name", sign(t, key, headerOf(key), with("displayName", `"A"`))},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, err := v.Verify(t.Context(), c.raw)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				return
			}
			if tok.Subject != "alice" || !tok.HasAudience("web") || tok.Raw() != c.raw || tok.Key != key || !tok.Own() {
				t.Errorf("%s: got %+v", c.name, tok)
			}
		})
	}
}

// forge signs with HMAC under any secret, as one does who has no key of ours.
func forge(secret []byte, header, payload string) string {
	input := segment(header) + "." + segment(payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestRefusalsByForm(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	good := sign(t, key, headerOf(key), goodClaims)
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
		signature[len(signature)-1])
	stray := signature[:len(signature)-1] +
		string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last|1])
	cases := []struct {
		name string
		raw  string
		want Reason
	}{
		{"empty", "", Malformed},
		{"no dots", "abc", Malformed},
		{"one dot", "abc.def", Malformed},
		{"three dots", good + ".AAAA", Malformed},
		{"JWE", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AA.AA.AA.AA", Malformed},
		{"empty header", "." + rest, Malformed},
		{"empty payload", head + ".." + signature, Malformed},
		{"empty signature", head + "." + payload + ".", Malformed},
		{"dots only", "..", Malformed},
		{"padding", good + "=", Malformed},
		{"padding inside", head + "=." + rest, Malformed},
		{"leading space", " " + good, Malformed},
		{"trailing newline", good + "\n", Malformed},
		{"newline in a segment", head + "\r\n." + rest, Malformed},
		{"newline in the middle", head + "." + payload[:8] + "\n" + payload[8:] + "." + signature, Malformed},
		{"standard alphabet", head + "." + payload + "." + signature[:10] + "+/" + signature[12:], Malformed},
		{"stray bits", head + "." + payload + "." + stray, Malformed},
		{"lone character", head + "." + payload + ".A", Malformed},
		{"NUL", head + "." + payload + ".AA\x00A", Malformed},
		{
			"JSON serialization",
			`{"payload":"` + payload + `","protected":"` + head + `","signature":"` + signature + `"}`, Malformed,
		},
		{"a megabyte of dots", strings.Repeat(".", 1<<20), TooLarge},
		{"a megabyte of token", head + "." + strings.Repeat("A", 1<<20) + "." + signature, TooLarge},
		{
			"one byte too many",
			head + "." + strings.Repeat("A", MaxSize-len(head)-len(signature)-1) + "." + signature, TooLarge,
		},
		{"8192 dots", strings.Repeat(".", MaxSize), Malformed},
		{"refresh token", "rt_1.family.3.bWFj", WrongType},
		{"shortened signature", head + "." + payload + "." + signature[:4], BadSignature},
		{"other signature", head + "." + payload + "." + segment(strings.Repeat("x", 32)), BadSignature},
		{"other payload", head + "." + segment(with("sub", `"bob"`)) + "." + signature, BadSignature},
	}
	v := ownVerifier(t, key)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tok, err := v.Verify(t.Context(), c.raw)
			if got := reasonOf(t, err); got != c.want || tok != nil {
				t.Errorf("%s: %v, want %s", c.name, err, c.want)
			}
		})
	}
}

// headerRefusals are headers that our own key signed, over good claims.
var headerRefusals = []struct {
	header string
	want   Reason
}{
	{`{"alg":"none","kid":"k","typ":"at+jwt"}`, BadAlgorithm},
	{`{"alg":"None","kid":"k","typ":"at+jwt"}`, BadAlgorithm},
	{`{"alg":"none"}`, BadAlgorithm},
	{`{"alg":"","kid":"k"}`, BadAlgorithm},
	{`{"alg":"hs256","kid":"k"}`, BadAlgorithm},
	{`{"alg":"HS384","kid":"k","typ":"at+jwt"}`, BadAlgorithm},
	{`{"alg":"RS256","kid":"k","typ":"at+jwt"}`, BadAlgorithm},
	{`{"alg":"ES512","kid":"k","typ":"at+jwt"}`, BadAlgorithm},
	{`{"alg":"dir","kid":"k","typ":"at+jwt"}`, BadAlgorithm},
	{`{"kid":"k","typ":"at+jwt"}`, Malformed},
	{`{"alg":null,"kid":"k"}`, Malformed},
	{`{"alg":256,"kid":"k"}`, Malformed},
	{`{"alg":["HS256"],"kid":"k"}`, Malformed},
	{`{"alg":"HS256","typ":"at+jwt"}`, UnknownKey},
	{`{"alg":"HS256","kid":"","typ":"at+jwt"}`, UnknownKey},
	{`{"alg":"HS256","kid":1,"typ":"at+jwt"}`, Malformed},
	{`{"alg":"HS256","kid":null}`, Malformed},
	{`{"alg":"HS256","kid":"../../dev/null","typ":"at+jwt"}`, UnknownKey},
	{`{"alg":"HS256","kid":"' OR 1=1 --","typ":"at+jwt"}`, UnknownKey},
	{`{"alg":"HS256","kid":"K","typ":"at+jwt"}`, UnknownKey},
	{`{"alg":"HS256","kid":"k\u0000","typ":"at+jwt"}`, UnknownKey},
	{`{"alg":"HS256","kid":"` + strings.Repeat("k", 257) + `","typ":"at+jwt"}`, UnknownKey},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","crit":["exp"],"exp":1}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","crit":["x-unknown"]}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","crit":[]}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","crit":null}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","crit":["b64"],"b64":false}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","b64":false}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","b64":true}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","enc":"A256GCM"}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","zip":"DEF"}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","cty":"JWT"}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","cty":"application/jwt"}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","cty":1}`, Malformed},
	{`{"alg":"HS256","alg":"HS256","kid":"k","typ":"at+jwt"}`, Malformed},
	{`{"alg":"none","alg":"HS256","kid":"k","typ":"at+jwt"}`, Malformed},
	{`{"alg":"HS256","kid":"k","kid":"k","typ":"at+jwt"}`, Malformed},
	{`{"alg":"HS256","kid":"k","k\u0069d":"k","typ":"at+jwt"}`, Malformed},
	{`{"alg":"HS256","Alg":"none","kid":"k","typ":"at+jwt"}`, Malformed},
	{`{"alg":"HS256","kid":"k","KID":"z","typ":"at+jwt"}`, Malformed},
	{`{"alg":"HS256","kid":"k","` + "\u212a" + `id":"z","typ":"at+jwt"}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","Crit":["x"]}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","B64":false}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","x":1,"X":2}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt"}{}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt"} x`, Malformed},
	{"\ufeff" + `{"alg":"HS256","kid":"k","typ":"at+jwt"}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt",}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt"`, Malformed},
	{`{'alg':'HS256'}`, Malformed},
	{`{"alg":"HS256","kid":"\ud800","typ":"at+jwt"}`, Malformed},
	{"{\"alg\":\"HS256\",\"kid\":\"\xff\"}", Malformed},
	{`["HS256"]`, Malformed},
	{`"HS256"`, Malformed},
	{`null`, Malformed},
	{` `, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","x":` + nest(4) + `}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt","x":` + nest(1000) + `}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":"JWT"}`, WrongType},
	{`{"alg":"HS256","kid":"k","typ":"id+jwt"}`, WrongType},
	{`{"alg":"HS256","kid":"k","typ":"logout+jwt"}`, WrongType},
	{`{"alg":"HS256","kid":"k","typ":"dpop+jwt"}`, WrongType},
	{`{"alg":"HS256","kid":"k","typ":"at+jwt "}`, WrongType},
	{`{"alg":"HS256","kid":"k","typ":""}`, WrongType},
	{`{"alg":"HS256","kid":"k"}`, WrongType},
	{`{"alg":"HS256","kid":"k","typ":null}`, Malformed},
	{`{"alg":"HS256","kid":"k","typ":["at+jwt"]}`, Malformed},
	{`{"alg":"RS256","kid":"k","jku":"https://evil.example/jwks","typ":"at+jwt"}`, BadAlgorithm},
	{`{"alg":"HS256","kid":"z","jwk":{"kty":"oct","kid":"z","k":"AA"},"typ":"at+jwt"}`, UnknownKey},
}

func TestRefusalsByHeader(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	v := ownVerifier(t, key)
	for _, c := range headerRefusals {
		t.Run(fmt.Sprintf("%.60q", c.header), func(t *testing.T) {
			_, err := v.Verify(t.Context(), sign(t, key, c.header, goodClaims))
			if got := reasonOf(t, err); got != c.want {
				t.Errorf("%.120q: %v, want %s", c.header, err, c.want)
			}
		})
	}
}

func nest(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// claimRefusals are payloads that our own key signed.
var claimRefusals = []struct {
	payload string
	want    Reason
}{
	{with("exp", ""), Malformed},
	{with("exp", "0"), Malformed},
	{with("exp", `"1790000900"`), Malformed},
	{with("exp", "-1"), Malformed},
	{with("exp", "1e300"), Malformed},
	{with("exp", "1e999"), Malformed},
	{with("exp", "0.5"), Malformed},
	{with("exp", "1790000900000"), Malformed}, // milliseconds
	{with("exp", "9223372036854775808"), Malformed},
	{with("exp", "null"), Malformed},
	{with("exp", "true"), Malformed},
	{with("exp", "[1790000900]"), Malformed},
	{with("exp", "NaN"), Malformed},
	{with("exp", "01790000900"), Malformed},
	{with("cnf", `{"jkt":"x"}`), WrongType},
	{with("cnf", `{"jkt":"`+thumbprint+`","x5t#S256":"x"}`), WrongType},
	{with("cnf", `{"jkt":"`+thumbprint+`="}`), WrongType},
	{with("cnf", `{"jkt":["`+thumbprint+`"]}`), WrongType},
	{with("cnf", `{"JKT":"`+thumbprint+`"}`), WrongType},
	{with("cnf", `{"x5t#S256":"x"}`), WrongType},
	{with("cnf", `{"jwk":{"kty":"EC"}}`), WrongType},
	{with("cnf", `{"kid":"x"}`), WrongType},
	{with("cnf", `{}`), WrongType},
	{with("cnf", `"x"`), WrongType},
	{with("cnf", `false`), WrongType},
	{with("cnf", `[]`), WrongType},
	{with("c\\u006ef", `{"jkt":"x"}`), WrongType},
	{with("Cnf", `{"jkt":"x"}`), Malformed},
	{with("nbf", `"1"`), Malformed},
	{with("nbf", "null"), Malformed},
	{with("nbf", "-5"), Malformed},
	{with("iat", `"1790000000"`), Malformed},
	{with("iat", "{}"), Malformed},
	{with("iat", "1790000000000"), Malformed},
	{with("iss", ""), Malformed},
	{with("iss", `""`), Malformed},
	{with("iss", `["https://auth.example.com"]`), Malformed},
	{with("iss", "null"), Malformed},
	{with("iss", `"https://auth.example.com/"`), UnknownIssuer},
	{with("iss", `"https://evil.example"`), UnknownIssuer},
	{with("sub", ""), Malformed},
	{with("sub", `""`), Malformed},
	{with("sub", "7"), Malformed},
	{with("sub", "null"), Malformed},
	{with("sub", `["alice"]`), Malformed},
	{with("aud", ""), WrongAudience},
	{with("aud", "[]"), WrongAudience},
	{with("aud", `""`), Malformed},
	{with("aud", `[""]`), Malformed},
	{with("aud", "1"), Malformed},
	{with("aud", "null"), Malformed},
	{with("aud", `{"web":true}`), Malformed},
	{with("aud", `["web",1]`), Malformed},
	{with("aud", `["web",null]`), Malformed},
	{with("aud", `["web",["api"]]`), Malformed},
	{with("jti", "1"), Malformed},
	{with("client_id", "null"), Malformed},
	{with("project", `["a"]`), Malformed},
	{with("sid", "{}"), Malformed},
	{with("scope", `["a","b"]`), Malformed},
	{with("scope", "1"), Malformed},
	{with("Aud", `"api"`), Malformed},
	{with("EXP", `1890000900`), Malformed},
	{with("\u017fub", `"root"`), Malformed}, // long s folds to s
	{with("Project", `"b"`), Malformed},
	{with("Client_ID", `"b"`), Malformed},
	{with("Nonce", `"b"`), Malformed},
	{with("aud", `"web","aud":"api"`), Malformed},
	{with("sub", `"alice","sub":"root"`), Malformed},
	{with("x", `{"a":1,"a":2}`), Malformed},
	{with("role", `"user","Role":"admin"`), Malformed},
	{with("x", nest(16)), Malformed},
	{with("x", nest(2500)), Malformed},
	{with("x", strings.Repeat(`{"a":`, 900)+"1"+strings.Repeat("}", 900)), Malformed},
	{goodClaims + "{}", Malformed},
	{goodClaims + "\x00", Malformed},
	{"\ufeff" + goodClaims, Malformed},
	{goodClaims[:len(goodClaims)-1], Malformed},
	{"[" + goodClaims + "]", Malformed},
	{`"` + segment(goodClaims) + `"`, Malformed},
	{"foo", Malformed},
	{"null", Malformed},
	{"{}", Malformed},
	{"\xff", Malformed},
	{with("name", `"\ud800"`), Malformed},
	{with("name", "\"a\nb\""), Malformed},
	{forge([]byte(secret), `{"alg":"HS256","kid":"k","typ":"at+jwt"}`, goodClaims), Malformed}, // nested
}

func TestRefusalsByClaims(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	v := ownVerifier(t, key)
	for _, c := range claimRefusals {
		t.Run(fmt.Sprintf("%.60q", c.payload), func(t *testing.T) {
			tok, err := v.Verify(t.Context(), sign(t, key, headerOf(key), c.payload))
			if got := reasonOf(t, err); got != c.want || tok != nil {
				t.Errorf("%.120q: %v, want %s", c.payload, err, c.want)
			}
		})
	}
}

// TestOneReasonBeforeAnother holds the order of the checks where more than one thing is wrong.
func TestOneReasonBeforeAnother(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	v := ownVerifier(t, key)
	evil := []byte(strings.Repeat("e", 32))
	for _, c := range []struct {
		name string
		raw  string
		want Reason
	}{
		{"expired and badly signed", forge(evil, headerOf(key), with("exp", "1000")), BadSignature},
		{"malformed claims and badly signed", forge(evil, headerOf(key), `{"sub":7}`), BadSignature},
		{"no JSON and badly signed", forge(evil, headerOf(key), "foo"), BadSignature},
		{"unknown issuer and badly signed", forge(evil, headerOf(key), with("iss", `"x"`)), BadSignature},
		{"wrong type and badly signed", forge(evil, `{"alg":"HS256","kid":"k","typ":"JWT"}`, goodClaims), BadSignature},
		{"wrong type and no claims", sign(t, key, `{"alg":"HS256","kid":"k","typ":"JWT"}`, with("sub", "")), WrongType},
		{
			"unknown kid and unknown issuer",
			forge(evil, `{"alg":"HS256","kid":"z","typ":"at+jwt"}`, with("iss", `"x"`)), UnknownIssuer,
		},
		{"unknown kid", forge(evil, `{"alg":"HS256","kid":"z","typ":"at+jwt"}`, goodClaims), UnknownKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := v.Verify(t.Context(), c.raw)
			if got := reasonOf(t, err); got != c.want {
				t.Errorf("%s: %v, want %s", c.name, err, c.want)
			}
		})
	}
}

// TestRefusalsQuoteNothing gives every check unverified text to leak.
func TestRefusalsQuoteNothing(t *testing.T) {
	const canary = "CANARY"
	key := newMaterial(t, "k", "HS256").key
	v := ownVerifier(t, key)
	for _, raw := range []string{
		canary, canary + "." + canary + "." + canary, "rt_" + canary,
		sign(t, key, `{"alg":"CANARY","kid":"k"}`, goodClaims),
		sign(t, key, `{"alg":"HS256","kid":"CANARY"}`, goodClaims),
		sign(t, key, `{"alg":"HS256","kid":"k","typ":"CANARY"}`, goodClaims),
		sign(t, key, `{"alg":"HS256","CANARY":1,"CANARY":2}`, goodClaims),
		sign(t, key, `{"alg":"HS256","kid":"k","cty":"CANARY+jwt"}`, goodClaims),
		sign(t, key, headerOf(key), with("iss", `"CANARY"`)),
		sign(t, key, headerOf(key), with("exp", `"CANARY"`)),
		sign(t, key, headerOf(key), with("CANARY", `1,"CANARY":2`)),
		sign(t, key, headerOf(key), with("x", `CANARY`)),
	} {
		_, err := v.Verify(t.Context(), raw)
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%v", err)
		}
	}
}

// TestPublicKeyIsNoSecret signs with HMAC under what everyone knows of an asymmetric key.
func TestPublicKeyIsNoSecret(t *testing.T) {
	for _, algorithm := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		m := newMaterial(t, "k", algorithm)
		v := ownVerifier(t, m.key)
		der, err := x509.MarshalPKIXPublicKey(m.private.Public())
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		ring, err := keyring.NewRing([]*keyring.Key{m.key}, "")
		if err != nil {
			t.Fatal(err)
		}
		secrets := map[string][]byte{
			"PEM": text, "PEM without newline": text[:len(text)-1], "DER": der, "JWKS": ring.JWKS(), "empty": nil,
		}
		if k, ok := m.private.Public().(*ecdsa.PublicKey); ok {
			if secrets["point"], err = k.Bytes(); err != nil {
				t.Fatal(err)
			}
		}
		for name, secret := range secrets {
			for _, header := range []string{`{"alg":"HS256","kid":"k","typ":"at+jwt"}`, headerOf(m.key)} {
				_, err := v.Verify(t.Context(), forge(secret, header, goodClaims))
				want := BadAlgorithm
				if header == headerOf(m.key) {
					want = BadSignature
				}
				if got := reasonOf(t, err); got != want {
					t.Errorf("%s, %s, %s: %v, want %s", algorithm, name, header, err, want)
				}
			}
		}
	}
}

// TestAlgorithmIsPinnedWithinAFamily uses the very key under its sister algorithms.
func TestAlgorithmIsPinnedWithinAFamily(t *testing.T) {
	for _, pair := range [][2]string{
		{"RS256", "PS256"}, {"RS256", "RS512"}, {"PS384", "RS384"}, {"HS256", "HS512"}, {"HS512", "HS256"},
	} {
		ours, theirs := newMaterial(t, "k", pair[0]).key, newMaterial(t, "k", pair[1]).key
		_, err := ownVerifier(t, ours).Verify(t.Context(), sign(t, theirs, headerOf(theirs), goodClaims))
		if got := reasonOf(t, err); got != BadAlgorithm {
			t.Errorf("%s for a key of %s: %v", pair[1], pair[0], err)
		}
	}
}

// TestRefusingIsCheap: nothing of a huge or hostile text is copied or kept. The counts leave room
// for a fresh scratch, which the race detector makes frequent.
func TestRefusingIsCheap(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	v := ownVerifier(t, key)
	for _, c := range []struct {
		name string
		raw  string
		max  float64
	}{
		{"dots", strings.Repeat(".", 1<<20), 6},
		{"token", "eyJ." + strings.Repeat("A", 1<<20) + ".AA", 6},
		{"deep", sign(t, key, headerOf(key), strings.Repeat(`{"a":`, 1000)), 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := testing.AllocsPerRun(20, func() { _, _ = v.Verify(t.Context(), c.raw) })
			if got > c.max {
				t.Errorf("%s: %v allocations, want at most %v", c.name, got, c.max)
			}
		})
	}
}

func TestVerifyEveryAlgorithm(t *testing.T) {
	for _, algorithm := range keyring.Algorithms() {
		key := newMaterial(t, "k-"+algorithm, algorithm).key
		v := ownVerifier(t, key)
		raw, err := Mint(key, "at+jwt", fullClaims())
		if err != nil {
			t.Fatal(err)
		}
		tok, err := v.Verify(t.Context(), raw)
		if err != nil {
			t.Errorf("%s: %v", algorithm, err)
			continue
		}
		if tok.Key.Algorithm() != algorithm || tok.Key.ID() != key.ID() || tok.Type() != "at+jwt" {
			t.Errorf("%s: %+v", algorithm, tok)
		}
		damaged := []byte(raw)
		damaged[len(raw)-20] ^= 1
		if _, err := v.Verify(t.Context(), string(damaged)); reasonOf(t, err) != BadSignature &&
			reasonOf(t, err) != Malformed {
			t.Errorf("%s, damaged: %v", algorithm, err)
		}
	}
}

func TestRefusalText(t *testing.T) {
	for _, c := range []struct {
		want string
		r    *Refusal
	}{
		{"expired", &Refusal{Reason: Expired}},
		{"expired: exp is over", &Refusal{Reason: Expired, Detail: "exp is over"}},
	} {
		t.Run(c.want, func(t *testing.T) {
			if got := fmt.Sprint(error(c.r)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
