package token

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"
)

// FuzzVerify: nothing panics, and what is accepted is what jwx finds signed by our key too, saying
// the same.
func FuzzVerify(f *testing.F) {
	key := newMaterial(f, "k", "HS256").key
	v := ownVerifier(f, key)
	minted, err := Mint(key, "at+jwt", fullClaims())
	if err != nil {
		f.Fatal(err)
	}
	head, rest, _ := strings.Cut(minted, ".")
	for _, seed := range []string{
		minted, minted + ".", head + ".." + rest, minted + "=", minted[:len(minted)-1],
		strings.Replace(minted, ".", "\n.", 1), "", ".", "..", "...", "rt_a.b.c", strings.Repeat(".", MaxSize),
		"e30.e30.e30", "eyJhbGciOiJub25lIn0.e30.AA", sign(f, key, headerOf(key), richClaims),
		sign(f, key, headerOf(key), with("aud", "[]")),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		tok, err := v.Verify(t.Context(), raw)
		if err != nil {
			if reasonOf(t, err) == "" || tok != nil {
				t.Fatalf("%v, %v", tok, err)
			}
			return
		}
		sameAsJWX(t, tok, raw)
	})
}

// FuzzHeader signs any header. What is accepted says, to a second reader, that it is of our key and
// algorithm.
func FuzzHeader(f *testing.F) {
	key := newMaterial(f, "k", "HS256").key
	v := ownVerifier(f, key)
	for _, seed := range []string{
		headerOf(key), `{"alg":"none"}`, `{"alg":"HS256","Alg":"none","kid":"k","typ":"at+jwt"}`, `{}`, `[]`, "",
		"\ufeff{}", `{"crit":[]}`, `{"alg":"HS256","kid":"k","typ":"application/AT+jwt","x":[[[1]]]}`,
		`{"\u0061lg":"HS256","kid":"k","typ":"at+jwt"}`, `{"alg":"HS256","kid":"k","typ":"at+jwt"}{}`,
		`{"alg":"HS256","kid":"k","kid":"k"}`, "{\"kid\":\"\xff\"}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if header == "" {
			return
		}
		raw := sign(t, key, header, goodClaims)
		_, _, _ = Inspect(raw)
		tok, err := v.Verify(t.Context(), raw)
		if err != nil {
			return
		}
		sameAsJWX(t, tok, raw)
		var seen map[string]any
		if err := json.Unmarshal([]byte(header), &seen); err != nil {
			t.Fatalf("%q: %v", header, err)
		}
		typ, _ := seen["typ"].(string)
		if seen["alg"] != "HS256" || seen["kid"] != "k" ||
			!strings.EqualFold(strings.TrimPrefix(strings.ToLower(typ), "application/"), "at+jwt") {
			t.Errorf("%q is accepted", header)
		}
		for _, name := range []string{"crit", "b64", "enc", "zip"} {
			if _, ok := seen[name]; ok {
				t.Errorf("%q is accepted", header)
			}
		}
	})
}

// FuzzClaims signs any payload. What is accepted means the same to encoding/json, claim by claim,
// and to jwx.
func FuzzClaims(f *testing.F) {
	key := newMaterial(f, "k", "HS256").key
	v := ownVerifier(f, key)
	for _, seed := range []string{
		goodClaims, richClaims, foreignClaims(""), with("exp", "1e300"), with("exp", "1.79e9"),
		with("aud", `["a","b"]`), with("Aud", `"x"`), with("scope", `"a  b"`), with("x", nest(15)), with("x", nest(16)),
		with("x", `{"a":{"a":1}}`), with("\u017fub", `"x"`), "", "{}", "null", with("nbf", "1790000000.999999999"),
		with("x", `"\ud83d\ude00"`), with("x", `"\ud83d"`), goodClaims + " ",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		if payload == "" {
			return
		}
		raw := sign(t, key, headerOf(key), payload)
		_, _, _ = Inspect(raw)
		tok, err := v.Verify(t.Context(), raw)
		if err != nil {
			return
		}
		sameAsJWX(t, tok, raw)
		sameAsJSON(t, tok, payload)
		_ = tok.CheckTime(instant, time.Minute)
	})
}

// sameAsJWX reads an accepted token again with jwx. Where jwx cannot read the claims (it knows no
// exponents in dates), its verdict on the signature is all there is to compare.
func sameAsJWX(t *testing.T, tok *Token, raw string) {
	t.Helper()
	if tok.Raw() != raw {
		t.Fatal("Raw is not what was verified")
	}
	payload, err := jws.Verify([]byte(raw), jws.WithKey(jwa.HS256, []byte(secret)))
	if err != nil {
		t.Fatalf("accepted, but not by jwx: %v", err)
	}
	second, err := jwt.ParseInsecure(payload)
	if err != nil {
		return
	}
	if second.Issuer() != tok.Issuer() || second.Subject() != tok.Subject || second.JwtID() != tok.ID ||
		!slices.Equal(second.Audience(), tok.Audience) {
		t.Errorf("%+v\nis not\n%+v", tok, second)
	}
	if d := second.Expiration().Sub(tok.Expiry.Time()).Abs(); d > time.Second {
		t.Errorf("exp differs by %v", d)
	}
}

func sameAsJSON(t *testing.T, tok *Token, payload string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewBufferString(payload))
	d.UseNumber()
	var seen map[string]any
	if err := d.Decode(&seen); err != nil {
		t.Fatalf("%q: %v", payload, err)
	}
	for name, want := range seen {
		got, ok := tok.Claim(name)
		switch name {
		case "aud", "scope", "exp", "nbf", "iat": // given out in one form, whichever the token has
			if !ok && !(name == "scope" && want == "") {
				t.Errorf("%s is lost", name)
			}
			continue
		}
		if !ok || !reflect.DeepEqual(got, numbers(want)) {
			t.Errorf("%q: %#v, want %#v", name, got, want)
		}
	}
}

// numbers turns encoding/json's numbers into ours.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return Number(v)
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}
