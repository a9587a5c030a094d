package token

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"hash"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

func fullClaims() Claims {
	return Claims{
		Issuer: ownName, Subject: "alice", Audience: []string{"web"},
		Expiry: instant.Add(15 * time.Minute), IssuedAt: instant,
		ID: "01JX4Q9Z7K3M5N6P7R8S9T0V1W", ClientID: "web", Project: "default", Session: "5f0c1b7e2a9d4c38",
		Scopes: []string{"openid", "profile", "reports:read"},
		Extra:  map[string]any{"role": "admin", "email": "alice@example.com"},
	}
}

func TestMintWritesClaimsInAFixedOrder(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	c := fullClaims()
	c.Audience = []string{"web", "https://mcp.example.com/"}
	c.IssuedAt = c.IssuedAt.Add(900 * time.Millisecond)
	c.Protocol = map[string]any{"nonce": "n", "cnf": map[string]any{"jkt": "x"}}
	c.Extra = map[string]any{
		"z": nil, "a": true, "big": Number("12345678901234567890"), "num": json.Number("1.50"), "i": -7,
		"u": uint64(math.MaxUint64),
		"f": 0.25, "huge": 1e300, "text": "<\"é\n\u2028>",
		"list": []any{"x", 1, []string{"y"}, map[string]any{"b": 1, "a": 2}}, "words": []string{},
	}
	const want = `{"iss":"https://auth.example.com","sub":"alice","aud":["web","https://mcp.example.com/"],` +
		`"exp":1790000900,"iat":1790000000,` +
		`"jti":"01JX4Q9Z7K3M5N6P7R8S9T0V1W","client_id":"web","project":"default","sid":"5f0c1b7e2a9d4c38",` +
		`"scope":"openid profile reports:read",` +
		`"cnf":{"jkt":"x"},"nonce":"n",` +
		`"a":true,"big":12345678901234567890,"f":0.25,"huge":1e+300,"i":-7,"list":["x",1,["y"],{"a":2,"b":1}],` +
		`"num":1.50,` +
		"\"text\":\"<\\\"é\\n\u2028>\",\"u\":18446744073709551615,\"words\":[],\"z\":null}"
	for range 10 {
		raw, err := Mint(key, "at+jwt", c)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(raw, ".")
		header, _ := base64.RawURLEncoding.DecodeString(parts[0])
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		if string(header) != `{"alg":"HS256","kid":"k","typ":"at+jwt"}` {
			t.Errorf("header %s", header)
		}
		if string(payload) != want {
			t.Errorf("payload\n%s, want\n%s", payload, want)
		}
	}
}

func TestMintedTokensVerify(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	raw, err := Mint(key, "at+jwt", fullClaims())
	if err != nil {
		t.Fatal(err)
	}
	tok, err := ownVerifier(t, key).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.CheckTime(instant, 0); err != nil {
		t.Error(err)
	}
	role, _ := tok.Claim("role")
	if tok.Session != "5f0c1b7e2a9d4c38" || len(tok.Scopes) != 3 || role != "admin" {
		t.Errorf("%+v", tok)
	}
}

func TestMintLeavesOutWhatIsEmpty(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	raw, err := Mint(key, "",
		Claims{Issuer: "i", Subject: "s", Audience: []string{"a"}, Expiry: instant.Add(time.Minute), IssuedAt: instant})
	if err != nil {
		t.Fatal(err)
	}
	header, payload, err := Inspect(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(header) != 2 || len(payload) != 5 {
		t.Errorf("%v %v", header, payload)
	}
}

func TestMintRefuses(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	for _, tc := range []struct {
		name   string
		change func(*Claims)
	}{
		{"no issuer", func(c *Claims) { c.Issuer = "" }},
		{"no subject", func(c *Claims) { c.Subject = "" }},
		{"no audience", func(c *Claims) { c.Audience = nil }},
		{"empty audience", func(c *Claims) { c.Audience = []string{"web", ""} }},
		{"no expiry", func(c *Claims) { c.Expiry = time.Time{} }},
		{"no time of issue", func(c *Claims) { c.IssuedAt = time.Time{} }},
		{"expiry before issue", func(c *Claims) { c.Expiry = c.IssuedAt }},
		{"over a year", func(c *Claims) { c.Expiry = c.IssuedAt.Add(MaxLifetime + time.Second) }},
		{"scope with a space", func(c *Claims) { c.Scopes = []string{"a b"} }},
		{"empty scope", func(c *Claims) { c.Scopes = []string{""} }},
		{"scope with a quote", func(c *Claims) { c.Scopes = []string{`a"`} }},
		{"reserved", func(c *Claims) { c.Extra = map[string]any{"sub": "root"} }},
		{"reserved by case", func(c *Claims) { c.Extra = map[string]any{"Aud": "api"} }},
		{"reserved by folding", func(c *Claims) { c.Extra = map[string]any{"\u017fub": "root"} }},
		{"project", func(c *Claims) { c.Extra = map[string]any{"PROJECT": "b"} }},
		{"session", func(c *Claims) { c.Extra = map[string]any{"sid": "b"} }},
		{"of a protocol", func(c *Claims) { c.Extra = map[string]any{"cnf": "b"} }},
		{"no protocol's", func(c *Claims) { c.Protocol = map[string]any{"role": "b"} }},
		{"field as protocol's", func(c *Claims) { c.Protocol = map[string]any{"sub": "b"} }},
		{"two of one name", func(c *Claims) { c.Extra = map[string]any{"role": "a", "Role": "b"} }},
		{"empty name", func(c *Claims) { c.Extra = map[string]any{"": "a"} }},
		{"bad UTF-8", func(c *Claims) { c.Subject = "\xff" }},
		{"bad UTF-8 in extra", func(c *Claims) { c.Extra = map[string]any{"a": []any{"\xff"}} }},
		{"bad UTF-8 in name", func(c *Claims) { c.Extra = map[string]any{"\xff": 1} }},
		{"not a number", func(c *Claims) { c.Extra = map[string]any{"a": math.NaN()} }},
		{"infinite", func(c *Claims) { c.Extra = map[string]any{"a": math.Inf(1)} }},
		{"number that is none", func(c *Claims) { c.Extra = map[string]any{"a": Number(`1,"sub":2`)} }},
		{"a struct", func(c *Claims) { c.Extra = map[string]any{"a": struct{}{}} }},
		{"too deep", func(c *Claims) { c.Extra = map[string]any{"a": nestedList(16)} }},
		{"too large", func(c *Claims) { c.Extra = map[string]any{"a": strings.Repeat("x", MaxSize)} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := fullClaims()
			tc.change(&c)
			if raw, err := Mint(key, "at+jwt", c); err == nil || raw != "" {
				t.Errorf("%s is minted", tc.name)
			}
		})
	}
}

func nestedList(depth int) any {
	var v any = "x"
	for range depth {
		v = []any{v}
	}
	return v
}

func TestDeepestMintedClaimVerifies(t *testing.T) {
	key := newMaterial(t, "k", "HS256").key
	c := fullClaims()
	c.Extra = map[string]any{"a": nestedList(15)}
	raw, err := Mint(key, "at+jwt", c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ownVerifier(t, key).Verify(t.Context(), raw); err != nil {
		t.Error(err)
	}
}

// TestMintedBytesAreThoseOfAPlainWriter: whatever was minted or refused before, by whichever key
// and type.
func TestMintedBytesAreThoseOfAPlainWriter(t *testing.T) {
	keys := []*keyring.Key{
		newMaterial(t, "k", "HS256").key, newMaterial(t, "k", "HS512").key,
		newMaterial(t, "a \"key\"\u00e9", "HS256").key, newMaterial(t, "k", "RS256").key,
		newMaterial(t, "k", "EdDSA").key,
	}
	claims := []Claims{fullClaims(), fullClaims(), fullClaims()}
	claims[1].ClientID, claims[1].Scopes, claims[1].Extra = "a\"b\u00e9", nil, nil
	claims[2].Audience, claims[2].Protocol = []string{"web", "api"}, map[string]any{"epoch": 7, "nonce": "n"}
	for i := range 12 { // more names than are sorted without memory of their own
		claims[2].Extra[string(rune('z'-i))] = i
	}
	type minting struct {
		key  *keyring.Key
		typ  string
		c    Claims
		want string
	}
	var mintings []minting
	for _, typ := range []string{"at+jwt", "JWT", ""} {
		for _, key := range keys {
			for _, c := range claims {
				mintings = append(mintings, minting{key, typ, c, plainToken(t, key, typ, c)})
			}
		}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for _, m := range mintings {
				if raw, err := Mint(m.key, m.typ, m.c); err != nil || raw != m.want {
					t.Errorf("%v, %q: %v\n%s, want\n%s", m.key, m.typ, err, raw, m.want)
					return
				}
				for range 2 {
					if _, err := Mint(m.key, "\xff", m.c); err == nil {
						t.Error("a type of invalid UTF-8 is minted")
						return
					}
				}
			}
		})
	}
	all.Wait()
}

// plainToken is a token by other means: encoding/json, and a new HMAC for each.
func plainToken(t *testing.T, key *keyring.Key, typ string, c Claims) string {
	header := []any{"alg", key.Algorithm(), "kid", key.ID()}
	if typ != "" {
		header = append(header, "typ", typ)
	}
	var audience any = c.Audience
	if len(c.Audience) == 1 {
		audience = c.Audience[0]
	}
	payload := []any{
		"iss", c.Issuer, "sub", c.Subject, "aud", audience, "exp", c.Expiry.Unix(), "iat", c.IssuedAt.Unix(), "jti",
		c.ID, "client_id", c.ClientID, "project", c.Project, "sid", c.Session,
	}
	if len(c.Scopes) > 0 {
		payload = append(payload, "scope", strings.Join(c.Scopes, " "))
	}
	for _, further := range []map[string]any{c.Protocol, c.Extra} {
		for _, name := range slices.Sorted(maps.Keys(further)) {
			payload = append(payload, name, further[name])
		}
	}
	input := segment(plainObject(t, header)) + "." + segment(plainObject(t, payload))
	return input + "." + segment(string(plainSignature(t, key, []byte(input))))
}

func plainSignature(t *testing.T, key *keyring.Key, input []byte) []byte {
	newHash := map[string]func() hash.Hash{"HS256": sha256.New, "HS512": sha512.New}[key.Algorithm()]
	if newHash == nil {
		signature, err := key.Sign(input)
		if err != nil {
			t.Error(err)
		}
		return signature
	}
	mac := hmac.New(newHash, []byte(secret))
	mac.Write(input)
	return mac.Sum(nil)
}

// plainObject writes names and values in turn, as encoding/json does with nothing escaped for HTML.
func plainObject(t *testing.T, namesAndValues []any) string {
	var text strings.Builder
	for i, v := range namesAndValues {
		var one bytes.Buffer
		e := json.NewEncoder(&one)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			t.Error(err)
		}
		text.WriteByte("{:,"[min(i, 2-i%2)])
		text.WriteString(strings.TrimSuffix(one.String(), "\n"))
	}
	return text.String() + "}"
}

func TestMintNeedsAKeyThatSigns(t *testing.T) {
	m := newMaterial(t, "k", "ES256")
	if _, err := Mint(publicOf(t, m), "at+jwt", fullClaims()); err == nil {
		t.Error("a public key signs")
	}
}

func TestReserved(t *testing.T) {
	for _, name := range []string{
		"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "project", "sid", "scope", "scp", "Sub", "AUD",
		"\u017fub", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash", "s_hash", "_claim_names",
		"_claim_sources", "act", "may_act", "cnf", "htm", "htu", "ath", "events", "toe", "txn", "sub_id",
		"authorization_details", "token_use", "epoch", "Epoch",
	} {
		if !Reserved(name) {
			t.Errorf("%q is not reserved", name)
		}
	}
	for _, name := range []string{"role", "email", "name", "groups", "subject", "iss ", "", "preferred_username"} {
		if Reserved(name) {
			t.Errorf("%q is reserved", name)
		}
	}
}
