package token

import (
	"encoding/json"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const richClaims = `{"iss":"https://auth.example.com","sub":"ali\u0063e","aud":["web","api"],"exp":1790000900,` +
	`"iat":1790000000.25,` +
	`"jti":"j1","client_id":"c1","project":"acme","sid":"s1","scope":"read  write\tx","role":"x,admin",` +
	`"roles":["user,admin",7,true,null,{"a":"b"},["nested"]],"big":12345678901234567890123,"tiny":0.10,"yes":true,` +
	`"none":null,` +
	`"realm_access":{"roles":["a","b"],"deep":{"er":"v"}},"https://x.example/roles":["r"],` +
	`"https://x.example/app":{"tier.level":"gold"},` +
	`"a.b":"flat","a":{"b":"nested","c":"only nested"},"quote":"say \"hi\"\n","":"empty name",` +
	`"unicode":"J\u00fcrgen 😀"}`

func rich(t *testing.T) *Token {
	t.Helper()
	key := newMaterial(t, "k", "HS256").key
	tok, err := ownVerifier(t, key).Verify(t.Context(), sign(t, key, headerOf(key), richClaims))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestTokenFields(t *testing.T) {
	tok := rich(t)
	got := []string{
		tok.Issuer(), tok.Subject, tok.ID, tok.ClientID, tok.Project, tok.Session, tok.Key.ID(), tok.Key.Algorithm(),
		tok.Type(),
	}
	want := []string{ownName, "alice", "j1", "c1", "acme", "s1", "k", "HS256", "at+jwt"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if !slices.Equal(tok.Audience, []string{"web", "api"}) || !slices.Equal(tok.Scopes, []string{"read", "write\tx"}) {
		t.Errorf("aud %q, scope %q", tok.Audience, tok.Scopes)
	}
	if !tok.IssuedAt.Time().Equal(instant.Add(250*time.Millisecond)) ||
		!tok.Expiry.Time().Equal(instant.Add(15*time.Minute)) ||
		tok.NotBefore != 0 {
		t.Errorf("iat %v, exp %v, nbf %v", tok.IssuedAt, tok.Expiry, tok.NotBefore)
	}
	if !tok.HasAudience("x", "api") || tok.HasAudience("we", "WEB", "") || tok.HasAudience() {
		t.Error("HasAudience")
	}
}

func TestClaimByPath(t *testing.T) {
	tok := rich(t)
	for _, c := range []struct {
		path string
		want any
	}{
		{"iss", ownName}, {"sub", "alice"}, {"aud", []any{"web", "api"}}, {"exp", Number("1790000900")},
		{"iat", Number("1790000000.25")}, {"jti", "j1"}, {"client_id", "c1"}, {"project", "acme"}, {"sid", "s1"},
		{"scope", "read write\tx"}, {"role", "x,admin"}, {"big", Number("12345678901234567890123")},
		{"tiny", Number("0.10")}, {"yes", true}, {"none", nil}, {"realm_access.roles", []any{"a", "b"}},
		{"realm_access.deep.er", "v"}, {"realm_access.deep", map[string]any{"er": "v"}},
		{"https://x.example/roles", []any{"r"}}, {"https://x.example/app.tier.level", "gold"}, {"a.b", "flat"},
		{"a.c", "only nested"}, {"quote", "say \"hi\"\n"}, {"", "empty name"}, {"unicode", "Jürgen 😀"},
		{"roles", []any{"user,admin", Number("7"), true, nil, map[string]any{"a": "b"}, []any{"nested"}}},
	} {
		t.Run(c.path, func(t *testing.T) {
			got, ok := tok.Claim(c.path)
			if !ok || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: %#v, %v, want %#v", c.path, got, ok, c.want)
			}
		})
	}
	for _, path := range []string{
		"nbf", "nothing", "Role", "roles.0", "roles.a", "role.x", "realm_access.", ".realm_access",
		"realm_access.none", "sub.x", ".", "a..b", "none.x",
	} {
		if got, ok := tok.Claim(path); ok {
			t.Errorf("%s: %#v", path, got)
		}
	}
}

func TestStrings(t *testing.T) {
	tok := rich(t)
	for _, c := range []struct {
		path string
		want []string
	}{
		{"role", []string{"x,admin"}}, {"big", []string{"12345678901234567890123"}}, {"yes", []string{"true"}},
		{"none", []string{}}, {"roles", []string{"user,admin", "7", "true"}}, {"realm_access", []string{}},
		{"realm_access.roles", []string{"a", "b"}}, {"aud", []string{"web", "api"}},
	} {
		t.Run(c.path, func(t *testing.T) {
			v, _ := tok.Claim(c.path)
			if got := Strings(v); !slices.Equal(got, c.want) {
				t.Errorf("%s: %q, want %q", c.path, got, c.want)
			}
		})
	}
	if got := Strings(3); len(got) != 0 {
		t.Errorf("%q for a type that no claim has", got)
	}
}

func TestLoneAudienceIsAString(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	for _, aud := range []string{`"web"`, `["web"]`} {
		tok, err := ownVerifier(t, key).Verify(t.Context(), sign(t, key, headerOf(key), with("aud", aud)))
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := tok.Claim("aud"); got != "web" {
			t.Errorf("%s: %#v", aud, got)
		}
	}
}

func TestNumberMarshals(t *testing.T) {
	text, err := json.Marshal(map[string]any{"n": Number("12345678901234567890")})
	if err != nil || string(text) != `{"n":12345678901234567890}` {
		t.Errorf("%s, %v", text, err)
	}
	for _, bad := range []Number{"", "x", `"1"`, "1 2", "01"} {
		if _, err := bad.MarshalJSON(); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestTokenKeepsNothingOfTheRequest: what a token holds must survive the scratch being used again.
func TestTokenKeepsNothingOfTheRequest(t *testing.T) {
	tok := rich(t)
	key := newMaterial(t, "k", "HS256").key
	v := ownVerifier(t, key)
	other := sign(t, key, headerOf(key), with("filler", `"`+strings.Repeat("#", 1500)+`"`))
	for range 100 {
		if _, err := v.Verify(t.Context(), other); err != nil {
			t.Fatal(err)
		}
	}
	again := rich(t)
	again.Key, again.issuer, tok.Key, tok.issuer = nil, nil, nil, nil
	if !reflect.DeepEqual(tok, again) {
		t.Errorf("%+v\nis not\n%+v", tok, again)
	}
}

func TestInspect(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	raw := sign(t, key, `{"alg":"none","crit":["x"],"jwk":{"kty":"oct"}}`, `{"sub":7,"big":12345678901234567890}`)
	header, claims, err := Inspect(raw)
	if err != nil {
		t.Fatal(err)
	}
	if header["alg"] != "none" || !reflect.DeepEqual(header["jwk"], map[string]any{"kty": "oct"}) {
		t.Errorf("header %v", header)
	}
	if claims["sub"] != Number("7") || claims["big"] != Number("12345678901234567890") {
		t.Errorf("claims %v", claims)
	}
	for _, bad := range []string{
		"", "a.b", raw + "=", sign(t, key, `{}`, `{"a":1,"a":2}`), sign(t, key, `{"x":1}{}`, `{}`),
	} {
		if _, _, err := Inspect(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestTokenIsLean: ten thousand tokens of twelve claims and 700 bytes each have to fit into 15 MiB,
// cache included, which leaves 1,572 bytes for each. What a token takes beyond its text is the same
// for any algorithm.
func TestTokenIsLean(t *testing.T) {
	const count, limit = 2000, 700
	key := newMaterial(t, "key-2026-09", "ES256").key
	v := ownVerifier(t, key)
	raw, err := Mint(key, "at+jwt", fullClaims())
	if err != nil {
		t.Fatal(err)
	}
	tokens := make([]*Token, count)
	before := heap()
	for i := range tokens {
		if tokens[i], err = v.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	each := (heap() - before) / count
	runtime.KeepAlive(tokens)
	if t.Logf("%d bytes of token take %d of memory", len(raw), each); each > uint64(len(raw)+limit) {
		t.Errorf("%d bytes each, want at most %d beside the text", each, limit)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
