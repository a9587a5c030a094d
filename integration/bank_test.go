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

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// bank is a client of the FAPI 2.0 security profile with its keys.
type bank struct {
	*certified
	id    string
	key   *keyring.Key
	proof *dpoptest.Client
}

// bankKeys are the keys of the clients bank and broker, while a test runs.
var bankKeys map[string]*keyring.Key

func newBank(c *certified) *bank { return c.bank("bank") }

// bank is one of the clients, with a new key for its proofs.
func (c *certified) bank(id string) *bank {
	return &bank{c, id, bankKeys[id], dpoptest.New(c.t, "ES256")}
}

// banks are the clients in the configuration: bank and broker with keys for ES256, and rsa with one that
// does not say what it is for.
func banks(t *testing.T) (text string) {
	t.Helper()
	key, err := jwk.FromRaw(sharedRSA().Public())
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string]string{"rsa": `{"keys":[` + encode(t, key) + `]}`}
	bankKeys = map[string]*keyring.Key{}
	for _, id := range []string{"bank", "broker"} {
		bankKeys[id] = newClientKey(t)
		sets[id] = jwksOf(t, bankKeys[id])
	}
	for id, set := range sets {
		text += `client ` + id + ` {
		redirect_uri https://rp.example/cb?tenant=1
		preset fapi2
		token_endpoint_auth_method private_key_jwt
		jwks ` + "`" + set + "`" + `
		scope openid offline_access read
	}
	`
	}
	return text
}

// now is the time of the server.
func (c *certified) now() time.Time {
	if c.clock == nil {
		return time.Now()
	}
	return time.Now().Add(c.clock.passed)
}

// assertion is one of the client, whose claims are changed; nil takes one away.
func (b *bank) assertion(changes map[string]any) string {
	b.t.Helper()
	raw, err := token.Sign(b.key, "JWT", b.assertionClaims(changes))
	if err != nil {
		b.t.Fatal(err)
	}
	b.tokens.remember(raw)
	return raw
}

func (b *bank) assertionClaims(changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": b.id, "sub": b.id, "aud": b.url("auth"), "jti": rand.Text(),
		"iat": b.now().Unix(), "exp": b.now().Add(time.Minute).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

// proves is a proof for a POST to the server, whose claims are changed.
func (b *bank) proves(path string, changes map[string]any) string {
	b.t.Helper()
	return b.proof.Proof(b.t, "POST", b.url("auth")+path, "", b.now(), changes)
}

// sends posts a form with an assertion, whose claims are changed, and a proof of possession.
func (b *bank) sends(path string, form url.Values, changes map[string]any) (int, map[string]any) {
	b.t.Helper()
	return b.posts(path, form, b.assertion(changes), b.proves(path, nil))
}

// posts posts a form with an assertion and a proof; either may be empty.
func (b *bank) posts(path string, form url.Values, assertion, proof string) (int, map[string]any) {
	b.t.Helper()
	form = maps.Clone(form)
	if assertion != "" {
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	}
	lines := []string{"Content-Type: application/x-www-form-urlencoded"}
	if proof != "" {
		lines = append(lines, "DPoP: "+proof)
	}
	a := b.authorizing.ask(b.t, "auth", call{method: "POST", target: path, lines: lines, body: form.Encode()})
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

// form is a request to be pushed, changed as a query says.
func (b *bank) form(changes string) url.Values {
	b.t.Helper()
	q := url.Values{"client_id": {b.id}, "scope": {"openid offline_access"}}
	changed, err := url.ParseQuery(changes)
	if err != nil {
		b.t.Fatal(err)
	}
	maps.Copy(q, changed)
	_, query, _ := strings.Cut(request(b.t, q.Encode()), "?")
	form, err := url.ParseQuery(query)
	if err != nil {
		b.t.Fatal(err)
	}
	return form
}

// pushes pushes a request, changed as a query says.
func (b *bank) pushes(changes string, claims map[string]any) (int, map[string]any) {
	b.t.Helper()
	return b.sends("/par", b.form(changes), claims)
}

// pushed is where a browser goes with a good request that was pushed.
func (b *bank) pushed(changes string) string {
	b.t.Helper()
	return b.visits(b.pushes(changes, nil))
}

// visits is where a browser goes after an answer of /par.
func (b *bank) visits(status int, body map[string]any) string {
	b.t.Helper()
	reference, _ := body["request_uri"].(string)
	if status != http.StatusCreated || reference == "" || body["expires_in"] == nil {
		b.t.Fatalf("%d %v", status, body)
	}
	return "/authorize?client_id=" + b.id + "&request_uri=" + url.QueryEscape(reference)
}

// refused holds a pushed request to an error.
func (b *bank) refused(changes string, claims map[string]any, status int, want string) {
	b.t.Helper()
	got, body := b.pushes(changes, claims)
	b.isRefused(got, body, status, want)
}

func (b *bank) isRefused(got int, body map[string]any, status int, want string) {
	b.t.Helper()
	if got != status || body["error"] != want {
		b.t.Errorf("%d %v, want %d %s", got, body, status, want)
	}
}

// code goes through a request that was pushed to its code.
func (b *bank) code(address string) url.Values {
	b.t.Helper()
	answer, _ := b.finish(b.get(address))
	if answer.Get("iss") != b.url("auth") || answer.Get("code") == "" {
		b.t.Fatalf("the answer %v", answer)
	}
	b.secret("a code", answer.Get("code"))
	return codeForm(answer.Get("code"))
}

// goes goes through a whole request to its tokens.
func (b *bank) goes() map[string]any {
	b.t.Helper()
	return b.granted(b.sends("/token", b.code(b.pushed("")), nil))
}

// granted holds an answer of /token to tokens that are bound to the key.
func (b *bank) granted(status int, body map[string]any) map[string]any {
	b.t.Helper()
	if status != http.StatusOK || body["token_type"] != "DPoP" || body["refresh_token"] == nil ||
		body["access_token"] == nil {
		b.t.Fatalf("%d %v", status, body)
	}
	return body
}

// refreshToken goes through a whole request to its refresh token.
func (b *bank) refreshToken() string {
	b.t.Helper()
	refresh, _ := b.goes()["refresh_token"].(string)
	return refresh
}
