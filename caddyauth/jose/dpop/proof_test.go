package dpop

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

const (
	target = "https://api.example.com/v1/items"
	access = "an-access-token"
)

var now = time.Unix(1_790_000_000, 0)

func request() Request {
	return Request{Method: "GET", URL: target, AccessToken: access, Now: now}
}

func refusal(t *testing.T, err error) *Refusal {
	t.Helper()
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		t.Fatalf("error %v is no refusal", err)
	}
	return r
}

func TestProofsOfEveryAlgorithm(t *testing.T) {
	for _, algorithm := range Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			c := dpoptest.New(t, algorithm)
			p, err := Verify(c.Proof(t, "GET", target, access, now, map[string]any{"jti": "one"}), request())
			if err != nil {
				t.Fatal(err)
			}
			if p.Thumbprint != c.Thumbprint || p.ID != "one" || !p.IssuedAt.Equal(now) ||
				!keyring.IsThumbprint(p.Thumbprint) {
				t.Errorf("%+v, want the thumbprint %s", p, c.Thumbprint)
			}
		})
	}
}

// What a proof may be and say, and what it may not.
func TestClaimsOfProofs(t *testing.T) {
	c := dpoptest.New(t, "ES256")
	seconds := func(d time.Duration) map[string]any { return map[string]any{"iat": now.Add(d).Unix()} }
	with := func(name string, value any) map[string]any { return map[string]any{name: value} }
	for _, row := range []struct {
		name   string
		claims map[string]any
		want   string // part of the detail; empty for a good proof
	}{
		{"good", nil, ""},
		{"10 s old", seconds(-10 * time.Second), ""},
		{"10 s ahead", seconds(10 * time.Second), ""},
		{"as old as may be", seconds(-MaxAge), ""},
		{"as far ahead as may be", seconds(MaxAhead), ""},
		{"older", seconds(-MaxAge - time.Second), "old"},
		{"further ahead", seconds(MaxAhead + time.Second), "in the future"},
		{"a fraction of a second", with("iat", float64(now.Unix())+0.5), ""},
		{"nbf ahead", with("nbf", now.Add(8*time.Second).Unix()), ""},
		{"exp", with("exp", now.Add(time.Minute).Unix()), ""},
		{"unknown claim", with("purpose", map[string]any{"a": 1}), ""},
		{"a nonce nobody asked for", with("nonce", "x"), ""},
		{"no iat", with("iat", nil), "iat is missing"},
		{"iat as text", with("iat", "1790000000"), "iat is missing"},
		{"iat null", with("iat", json.RawMessage("null")), "iat is missing"},
		{"iat 0", with("iat", 0), "iat is missing"},
		{"iat negative", with("iat", -5), "iat is missing"},
		{"iat in milliseconds", with("iat", now.UnixMilli()), "iat is missing"},
		{"iat beyond numbers", with("iat", json.RawMessage("1e400")), "iat is missing"},
		{"no jti", with("jti", nil), "jti"},
		{"empty jti", with("jti", ""), "jti"},
		{"longest jti", with("jti", strings.Repeat("x", 256)), ""},
		{"longer jti", with("jti", strings.Repeat("x", 257)), "jti"},
		{"jti number", with("jti", 7), "wrong type"},
		{"no htm", with("htm", nil), "htm"},
		{"other htm", with("htm", "POST"), "htm"},
		{"htm in lower case", with("htm", "get"), "htm"},
		{"no htu", with("htu", nil), "htu"},
		{"htu list", with("htu", []string{target}), "wrong type"},
		{"other path", with("htu", target+"/1"), "htu"},
		{"trailing slash", with("htu", target+"/"), "htu"},
		{"other host", with("htu", "https://evil.example.com/v1/items"), "htu"},
		{"other scheme", with("htu", "http://api.example.com/v1/items"), "htu"},
		{"other port", with("htu", "https://api.example.com:8443/v1/items"), "htu"},
		{"a user", with("htu", "https://me@api.example.com/v1/items"), "htu"},
		{"path alone", with("htu", "/v1/items"), "htu"},
		{"with query and fragment", with("htu", target+"?a=b#c"), ""},
		{"default port", with("htu", "https://api.example.com:443/v1/items"), ""},
		{"upper case", with("htu", "HTTPS://API.Example.com/v1/items"), ""},
		{"escaped", with("htu", "https://api.example.com/%761/items"), ""},
		{"path in upper case", with("htu", "https://api.example.com/V1/items"), "htu"},
		{"no ath", with("ath", nil), "ath"},
		{"ath of another token", with("ath", Hash("another")), "ath"},
		{"ath padded", with("ath", Hash(access)+"="), "ath"},
		{"ath number", with("ath", 1), "wrong type"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Verify(c.Proof(t, "GET", target, access, now, row.claims), request())
			if row.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if r := refusal(t, err); r.Code != InvalidProof || !strings.Contains(r.Detail, row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

func TestAtATokenEndpointThereIsNoAccessToken(t *testing.T) {
	c := dpoptest.New(t, "EdDSA")
	r := Request{Method: "POST", URL: target, Now: now}
	if _, err := Verify(c.Proof(t, "POST", target, "", now, nil), r); err != nil {
		t.Error(err)
	}
}

func TestHeadersOfProofs(t *testing.T) {
	c, other := dpoptest.New(t, "ES256"), dpoptest.New(t, "ES256")
	rsa, p384 := dpoptest.New(t, "PS256"), dpoptest.New(t, "ES384")
	oct := json.RawMessage(`{"kty":"oct","k":"` + strings.Repeat("A", 43) + `"}`)
	member := func(name string, value any) map[string]any { return map[string]any{name: value} }
	extended := func(key json.RawMessage, members string) json.RawMessage {
		return json.RawMessage(strings.TrimSuffix(string(key), "}") + "," + members + "}")
	}
	for _, row := range []struct {
		name   string
		header map[string]any
		want   string
	}{
		{"good", nil, ""},
		{"kid, jku and x5u mean nothing", map[string]any{"kid": "x", "jku": "https://evil.example", "x5u": "y"}, ""},
		{"key with use and kid", member("jwk", extended(c.PublicJWK, `"use":"sig","kid":"x","alg":"ES256"`)), ""},
		{"no typ", member("typ", nil), "typ"},
		{"typ JWT", member("typ", "JWT"), "typ"},
		{"typ of an access token", member("typ", "at+jwt"), "typ"},
		{"typ in upper case", member("typ", "DPOP+JWT"), "typ"},
		{"no alg", member("alg", nil), "alg"},
		{"alg none", member("alg", "none"), "alg"},
		{"alg HS256", member("alg", "HS256"), "alg"},
		{"HS256 with the public key's kind", map[string]any{"alg": "HS256", "jwk": oct}, "alg"},
		{"alg of another key", member("alg", "EdDSA"), "jwk"},
		{"alg not offered", map[string]any{"alg": "ES384", "jwk": p384.PublicJWK}, "alg"},
		{"no jwk", member("jwk", nil), "jwk"},
		{"jwk null", member("jwk", json.RawMessage("null")), "jwk"},
		{"jwk list", member("jwk", []string{"x"}), "jwk"},
		{"jwk text", member("jwk", "x"), "jwk"},
		{"another's jwk", member("jwk", other.PublicJWK), "signature"},
		{"private key", member("jwk", c.PrivateJWK), "jwk"},
		{"private RSA key", map[string]any{"alg": "PS256", "jwk": rsa.PrivateJWK}, "jwk"},
		{"symmetric key", member("jwk", oct), "jwk"},
		{"key and a secret", member("jwk", extended(c.PublicJWK, `"k":"AAAA"`)), "jwk"},
		{"key for encryption", member("jwk", extended(c.PublicJWK, `"use":"enc"`)), "jwk"},
		{"key for another algorithm", member("jwk", extended(c.PublicJWK, `"alg":"ES512"`)), "jwk"},
		{"key with a duplicate member", member("jwk", extended(c.PublicJWK, `"kty":"EC"`)), "strict"},
		{"point off the curve", member("jwk", json.RawMessage(`{"kty":"EC","crv":"P-256","x":"`+
			strings.Repeat("A", 43)+`","y":"`+strings.Repeat("A", 43)+`"}`)), "jwk"},
		{"short RSA key", map[string]any{"alg": "RS256", "jwk": json.RawMessage(`{"kty":"RSA","e":"AQAB","n":"` +
			strings.Repeat("_", 171) + `"}`)}, "jwk"},
		{"crit", member("crit", []string{"exp"}), "extension"},
		{"b64", member("b64", false), "extension"},
		{"enc", member("enc", "A128GCM"), "extension"},
		{"zip", member("zip", "DEF"), "extension"},
	} {
		t.Run(row.name, func(t *testing.T) {
			header := c.Header()
			maps.Copy(header, row.header)
			maps.DeleteFunc(header, func(_ string, v any) bool { return v == nil })
			text, err := json.Marshal(header)
			if strings.HasPrefix(row.name, "key with a duplicate") {
				text = []byte(
					`{"typ":"dpop+jwt","alg":"ES256","jwk":` + string(row.header["jwk"].(json.RawMessage)) + `}`,
				)
			} else if err != nil {
				t.Fatal(err)
			}
			_, err = Verify(c.Sign(t, string(text), claimsText), request())
			if row.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if r := refusal(t, err); !strings.Contains(r.Detail, row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

var claimsText = `{"jti":"x","htm":"GET","htu":"` + target + `","iat":1790000000,"ath":"` + Hash(access) + `"}`

func TestFormsOfProofs(t *testing.T) {
	c := dpoptest.New(t, "ES256")
	good := c.Proof(t, "GET", target, access, now, nil)
	header, _ := json.Marshal(c.Header())
	signed := func(claims string) string { return c.Sign(t, string(header), claims) }
	first, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for _, row := range []struct{ name, proof string }{
		{"empty", ""},
		{"dots", strings.Repeat(".", 1000)},
		{"two segments", first + "." + payload},
		{"four segments", good + ".x"},
		{"no signature", first + "." + payload + "."},
		{"padded", good + "="},
		{"line break", first + ".\n" + payload + "." + signature},
		{"standard base64", first + "." + payload + "." + strings.Repeat("+/", 43)},
		{"another signature", first + "." + payload + "." + strings.Repeat("A", 86)},
		{"changed claims", first + "." + payload[:len(payload)-4] + "AAAA." + signature},
		{"too large", good + strings.Repeat("A", MaxSize)},
		{"JSON form", `{"payload":"` + payload + `","protected":"` + first + `","signature":"` + signature + `"}`},
		{"duplicate claim", signed(strings.TrimSuffix(claimsText, "}") + `,"jti":"y"}`)},
		{"claims as list", signed(`[` + claimsText + `]`)},
		{"something behind the claims", signed(claimsText + `{}`)},
		{"names in another case", signed(strings.ReplaceAll(claimsText, `"htu"`, `"HTU"`))},
		{"no claims", signed(`null`)},
		{"a byte order mark", signed("\ufeff" + claimsText)},
		{"nested deeply", signed(strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000))},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Verify(row.proof, request())
			if r := refusal(t, err); r.Code != InvalidProof {
				t.Error(err)
			}
		})
	}
	if _, err := Verify(good, request()); err != nil {
		t.Errorf("the proof that they are made of: %v", err)
	}
}

func TestOneHeaderWithOneProof(t *testing.T) {
	for _, row := range []struct {
		name  string
		lines []string
		good  bool
	}{
		{"one", []string{"a.b.c"}, true},
		{"none", nil, false},
		{"empty", []string{""}, false},
		{"two lines", []string{"a.b.c", "a.b.c"}, false},
		{"a list", []string{"a.b.c,d.e.f"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			proof, err := FromHeader(row.lines)
			if (err == nil) != row.good || row.good && proof != "a.b.c" {
				t.Errorf("%q, %v", proof, err)
			}
		})
	}
}

func subkeys(keys ...string) []keyring.Subkey {
	var all []keyring.Subkey
	for _, k := range keys {
		all = append(all, keyring.Subkey{ID: k, Key: []byte(strings.Repeat(k, 32))})
	}
	return all
}

func TestNoncesAreAskedForOnDemand(t *testing.T) {
	c := dpoptest.New(t, "ES256")
	nonces := &Nonces{Keys: subkeys("b", "a")}
	older, foreign := &Nonces{Keys: subkeys("a")}, &Nonces{Keys: subkeys("c")}
	current := nonces.Current(now)
	for _, row := range []struct {
		name  string
		nonce any
		good  bool
	}{
		{"current", current, true},
		{"of a node with the secret before", older.Current(now), true},
		{"as old as may be", nonces.Current(now.Add(-NonceAge + nonceStep)), true},
		{"older", nonces.Current(now.Add(-NonceAge - nonceStep)), false},
		{"far in the future", nonces.Current(now.Add(5 * time.Minute)), false},
		{"of another server", foreign.Current(now), false},
		{"none", nil, false},
		{"changed", current[:16] + "AAAA" + current[20:], false},
		{"a time alone", current[:11], false},
		{"long", strings.Repeat(current, 200), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := request()
			r.Nonces = nonces
			_, err := Verify(c.Proof(t, "GET", target, access, now, map[string]any{"nonce": row.nonce}), r)
			if row.good {
				if err != nil {
					t.Error(err)
				}
				return
			}
			want := UseNonce
			if row.name == "long" { // the whole proof is too large
				want = InvalidProof
			}
			if r := refusal(t, err); r.Code != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

// Who is told to use a nonce has nothing else to mend.
func TestOtherFaultsComeBeforeTheNonce(t *testing.T) {
	c := dpoptest.New(t, "ES256")
	r := request()
	r.Nonces = &Nonces{Keys: subkeys("a")}
	_, err := Verify(c.Proof(t, "POST", target, access, now, nil), r)
	if r := refusal(t, err); r.Code != InvalidProof {
		t.Error(err)
	}
}

func TestTargets(t *testing.T) {
	for _, row := range []struct {
		htu, request string
		same         bool
	}{
		{"https://a.example", "https://a.example/", true},
		{"https://a.example/?x", "https://a.example", true},
		{"http://a.example:80/x", "http://A.example/x", true},
		{"http://a.example:443/x", "http://a.example/x", false},
		{"https://[2001:DB8::1]/x", "https://[2001:db8::1]:443/x", true},
		{"https://a.example/%7euser", "https://a.example/~user", true},
		{"https://a.example/a%2fb", "https://a.example/a%2Fb", true},
		{"https://a.example/a%2fb", "https://a.example/a/b", false},
		{"https://a.example/a/../b", "https://a.example/b", false},
		{"https://a.example//b", "https://a.example/b", false},
		{"ftp://a.example/b", "ftp://a.example/b", false},
		{"https:a.example/b", "https:a.example/b", false},
		{"", "", false},
		{"https:///b", "https:///b", false},
		{"https://a.example/%zz", "https://a.example/%zz", false},
	} {
		t.Run(row.htu, func(t *testing.T) {
			if got := sameTarget(row.htu, row.request); got != row.same {
				t.Errorf("%q for %q: %v", row.htu, row.request, got)
			}
		})
	}
}

// FuzzVerify: no text is a proof but the one that the client signed.
func FuzzVerify(f *testing.F) {
	c := dpoptest.New(f, "ES256")
	header, _ := json.Marshal(c.Header())
	good := c.Proof(f, "GET", target, access, now, nil)
	other := c.Sign(f, string(header), claimsText)
	f.Add(good)
	f.Add(other)
	f.Add(c.Sign(f, `{"alg":"ES256"}`, `{}`))
	f.Add("a.b.c")
	f.Add("")
	f.Fuzz(func(t *testing.T, proof string) {
		p, err := Verify(proof, request())
		if err == nil {
			// The corpus has proofs of other processes, whose keys are others.
			input := proof[:strings.LastIndexByte(proof, '.')+1]
			ours := strings.HasPrefix(good, input) || strings.HasPrefix(other, input)
			if p.ID == "" || len(p.ID) > maxID || ours != (p.Thumbprint == c.Thumbprint) {
				t.Fatalf("%+v", p)
			}
			return
		}
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != InvalidProof || p != (Proof{}) {
			t.Fatalf("%v, %+v", err, p)
		}
	})
}

// FuzzSignedProof: whatever a client signs is a proof of its own key for this request, now.
func FuzzSignedProof(f *testing.F) {
	c := dpoptest.New(f, "ES256")
	header, _ := json.Marshal(c.Header())
	keyless := func(more string) string { return `{"typ":"dpop+jwt","alg":"ES256"` + more }
	good := fmt.Sprintf(`{"jti":"1","htm":"GET","htu":%q,"iat":%d,"ath":%q}`, target, now.Unix(), Hash(access))
	issued := fmt.Sprintf(`"iat":%d`, now.Unix())
	f.Add("", good)
	for _, change := range [][2]string{ // one member each: a second one of the name is refused for that
		{issued, `"iat":1e3`}, {issued, `"iat":1.79e9`}, {issued, `"iat":1789999900`}, {issued, `"iat":1790000100`},
		{target, "HTTPS://API.example.com:443/v1/%69tems?x#y"}, {target, "https://api.example.com/v1/other"},
		{`"GET"`, `"get"`}, {`"GET"`, `"POST"`}, {`"jti":`, `"JTI":`}, {`"jti":"1"`, `"jti":""`},
		{Hash(access), Hash("another")}, {`,"ath"`, `,"nonce":"1","ath"`},
	} {
		f.Add("", strings.Replace(good, change[0], change[1], 1))
	}
	for _, more := range []string{``, `,"crit":[]`, `,"kid":"x"`} {
		f.Add(more, good)
	}
	f.Fuzz(func(t *testing.T, more, text string) {
		head := string(header)
		if more != "" {
			head = keyless(`,"jwk":` + string(c.PublicJWK) + more + `}`)
		}
		p, err := Verify(c.Sign(t, head, text), request())
		if err != nil {
			return
		}
		var claims, said map[string]any
		if json.Unmarshal([]byte(text), &claims) != nil || json.Unmarshal([]byte(head), &said) != nil {
			t.Fatalf("%s.%s is no JSON", head, text)
		}
		issued, _ := claims["iat"].(float64)
		address, _ := claims["htu"].(string)
		age := float64(now.Unix()) - issued
		u, err := url.Parse(address)
		if err != nil || !strings.EqualFold(u.Scheme+"://"+u.Hostname(), "https://api.example.com") ||
			u.Path != "/v1/items" || claims["htm"] != "GET" || claims["ath"] != Hash(access) ||
			claims["jti"] != p.ID || p.ID == "" || age > MaxAge.Seconds() || age < -MaxAhead.Seconds() ||
			said["typ"] != "dpop+jwt" || p.Thumbprint != c.Thumbprint {
			t.Fatalf("%s.%s is %+v", head, text, p)
		}
	})
}

func FuzzTargets(f *testing.F) {
	f.Add("https://a.example/%7euser?x#y")
	f.Add("http://[::1]:80/%2f%")
	f.Fuzz(func(t *testing.T, text string) {
		once, ok := normalize(text)
		if !ok {
			return
		}
		if twice, ok := normalize(once); !ok || twice != once {
			t.Fatalf("%q, then %q", once, twice)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range Algorithms() {
		b.Run(algorithm, func(b *testing.B) {
			proof := dpoptest.New(b, algorithm).Proof(b, "GET", target, access, now, nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Verify(proof, request()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
