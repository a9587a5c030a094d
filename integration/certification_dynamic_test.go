package integration

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// withPKCE is what the certification does not send, and clients that have registered themselves need.
const withPKCE = "&code_challenge=" + pkceChallenge + "&code_challenge_method=S256"

// dynamicModules are those of the plan dynamic that mean something here.
var dynamicModules = []module{
	{"server", "a client that registered itself gets tokens; it needs PKCE", func(c *certified) {
		r := c.registers(nil)
		tokens := r.signsIn("scope=openid+profile")
		if info, a := c.userInfo(c.t, call{lines: bearerLine(tokens.Access)}); info["name"] != "Alice Adams" {
			c.t.Errorf("UserInfo: %d %v", a.status, info)
		}
		c.fails(c.ask("client_id="+r.id), "invalid_request")
	}},
	{"idtoken-signature", "signed with the algorithm of the registration, RS256 by default", func(c *certified) {
		for _, alg := range []string{"", "RS256", "ES256", "EdDSA", "PS256"} {
			r := c.registers(map[string]any{"id_token_signed_response_alg": alg})
			want := alg
			if alg == "" {
				want = "RS256"
			}
			message, err := jws.ParseString(r.signsIn("").ID)
			if err != nil {
				c.t.Fatal(err)
			}
			if got := message.Signatures()[0].ProtectedHeaders(); got.Algorithm().String() != want ||
				got.KeyID() == "" || r.made["id_token_signed_response_alg"] != want {
				c.t.Errorf("%q: header %v, registration %v", alg, got, r.made)
			}
		}
	}},
	{"idtoken-unsigned", "`none` is no algorithm: invalid_client_metadata", func(c *certified) {
		c.notRegistered(map[string]any{"id_token_signed_response_alg": "none"}, "invalid_client_metadata")
	}},
	{"request-uri-unsigned", "request_uri_not_supported goes back to the client", func(c *certified) {
		address := "https://rp.example/request.jwt"
		r := c.registers(map[string]any{"request_uris": []string{address}})
		c.fails(c.ask("client_id="+r.id+withPKCE+"&request_uri="+address), "request_uri_not_supported")
	}},
	shownByNobody("logo-uri", "logo_uri", "https://rp.example/logo.png"),
	shownByNobody("policy-uri", "policy_uri", "https://rp.example/policy"),
	shownByNobody("tos-uri", "tos_uri", "https://rp.example/terms"),
	{"registration-jwks-uri", "registered; the keys are fetched from public hosts alone", func(c *certified) {
		before := dynamicKeys.fetches.Load()
		r := c.registers(map[string]any{
			"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": dynamicKeys.URL + "/jwks",
		})
		code := c.succeeds("client_id="+r.id+withPKCE, "login")
		a := c.presentsAssertion(dynamicKeys.key.Load(), r.id, codeForm(code))
		if a.status == http.StatusOK || dynamicKeys.fetches.Load() != before || r.made["jwks_uri"] == nil {
			c.t.Errorf("%d %s; %v", a.status, a.body, r.made)
		}
	}},
	{"registration-sector-uri", "ignored: subjects are the same for every client", func(c *certified) {
		r := c.registers(map[string]any{"sector_identifier_uri": dynamicKeys.URL + "/sector"})
		if r.made["sector_identifier_uri"] != nil {
			c.t.Errorf("%v", r.made)
		}
		r.signsIn("")
	}},
	{"registration-sector-bad", "ignored, and never fetched; pairwise subjects are invalid_client_metadata",
		func(c *certified) {
			before := dynamicKeys.fetches.Load()
			sector := map[string]any{"sector_identifier_uri": dynamicKeys.URL + "/none", "subject_type": "public"}
			c.registers(sector)
			sector["subject_type"] = "pairwise"
			c.notRegistered(sector, "invalid_client_metadata")
			if dynamicKeys.fetches.Load() != before {
				c.t.Error("the address was fetched")
			}
		}},
	{"redirect-uri-query-OK", "a code; the query stays", func(c *certified) {
		c.registers(nil).signsIn("") // rpCallback has one
	}},
	{"redirect-uri-query-mismatch", "a page", func(c *certified) {
		c.elsewhere("https://rp.example/cb?tenant=2")
	}},
	{"redirect-uri-query-added", "a page", func(c *certified) { c.elsewhere(rpCallback + "&foo=bar") }},
	{"redirect-uri-regfrag", "a fragment is invalid_redirect_uri", func(c *certified) {
		c.notRegistered(map[string]any{"redirect_uris": []string{rpCallback + "#foobar"}}, "invalid_redirect_uri")
	}},
	{"ensure-redirect-uri-in-authorization-request", "a page", func(c *certified) {
		c.showsPage(c.ask("client_id="+c.registers(nil).id+withPKCE+"&redirect_uri="), "invalid_request")
	}},
	{"refresh-token-rp-key-rotation", "the new key is taken at once: of `jwks_uri`, and of a changed registration",
		(*certified).changesItsKeys},
}

// rotationModules begin with a key of the operator's, which no module has had replaced by a generated one.
var rotationModules = []module{
	{"server-rotate-keys", "the new key signs, and the old one is still published", (*certified).meetsANewKey},
}

// shownByNobody is a module with a member of the registration that has no meaning here.
func shownByNobody(name, member, address string) module {
	return module{"registration-" + name, "registered without it, and no page shows it", func(c *certified) {
		r := c.registers(map[string]any{member: address})
		if r.made[member] != nil {
			c.t.Errorf("%v", r.made)
		}
		p := c.ask("client_id=" + r.id + withPKCE)
		if form := c.get(p.location.String()); form.status != 200 || strings.Contains(form.body, address) {
			c.t.Errorf("%d %s", form.status, form.body)
		}
		c.finish(p)
	}}
}

// keyPublisher is where a client publishes its keys, over https.
type keyPublisher struct {
	*httptest.Server
	key     atomic.Pointer[keyring.Key]
	fetches atomic.Int64
}

var dynamicKeys *keyPublisher // of clients, while the test runs

func newKeyPublisher(t *testing.T) *keyPublisher {
	p := new(keyPublisher)
	p.key.Store(newClientKey(t))
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.fetches.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(jwksOf(t, p.key.Load())))
	}))
	t.Cleanup(p.Close)
	return p
}

// registered is a client that has registered itself.
type registered struct {
	*certified
	id, secret string
	made       map[string]any
}

// metadataWith is a registration as the certification sends it, with changes.
func metadataWith(t *testing.T, changes map[string]any) string {
	t.Helper()
	metadata := map[string]any{
		"client_name":                "certification",
		"redirect_uris":              []string{rpCallback},
		"grant_types":                []string{"authorization_code", "refresh_token"},
		"response_types":             []string{"code"},
		"token_endpoint_auth_method": "client_secret_post",
		"contacts":                   []string{"certification@oidf.org"},
	}
	maps.Copy(metadata, changes)
	maps.DeleteFunc(metadata, func(_ string, v any) bool { return v == "" })
	return encode(t, metadata)
}

func (c *certified) registers(changes map[string]any) registered {
	c.t.Helper()
	status, made := c.register(c.t, metadataWith(c.t, changes))
	if status != http.StatusCreated {
		c.t.Fatalf("%d %v", status, made)
	}
	id, _ := made["client_id"].(string)
	secret, _ := made["client_secret"].(string)
	return registered{c, id, secret, made}
}

func (c *certified) notRegistered(changes map[string]any, want string) {
	c.t.Helper()
	if status, got := c.register(c.t, metadataWith(c.t, changes)); status != 400 || got["error"] != want {
		c.t.Errorf("%d %v, want %s", status, got, want)
	}
}

// signsIn goes through a request to the client's tokens.
func (r registered) signsIn(changes string) tokenAnswer {
	r.t.Helper()
	code := r.succeedsAnyhow("client_id=" + r.id + withPKCE + "&" + changes)
	got := r.token(r.t, r.id, r.secret, "", codeForm(code))
	if got.status != http.StatusOK {
		r.t.Fatalf("%+v", got)
	}
	r.idToken(r.t, got.ID, r.id)
	return got
}

// succeedsAnyhow is succeeds, whatever pages there are.
func (c *certified) succeedsAnyhow(changes string) string {
	c.t.Helper()
	answer, pages := c.finish(c.ask(changes))
	if answer.Get("code") == "" || answer.Get("state") != "the state" || answer.Get("iss") != c.url("auth") {
		c.t.Fatalf("the answer %v after %q", answer, pages)
	}
	c.secret("a code", answer.Get("code"))
	return answer.Get("code")
}

// elsewhere asks for an answer at an address that the client has not registered.
func (c *certified) elsewhere(redirect string) {
	c.t.Helper()
	r := c.registers(nil)
	c.showsPage(c.ask("client_id="+r.id+withPKCE+"&redirect_uri="+url.QueryEscape(redirect)), "invalid_redirect_uri")
}

// presentsAssertion sends a form to /token with an assertion of the client.
func (c *certified) presentsAssertion(key *keyring.Key, client string, form url.Values) answer {
	c.t.Helper()
	raw, err := token.Sign(key, "JWT", map[string]any{
		"iss": client, "sub": client, "aud": c.url("auth"), "jti": rand.Text(), "iat": time.Now().Unix(),
		"exp": time.Now().Add(time.Minute).Unix(),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.tokens.remember(raw)
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", raw)
	a := c.authorizing.ask(c.t, "auth", call{
		method: "POST", target: "/token", lines: []string{"Content-Type: application/x-www-form-urlencoded"},
		body: form.Encode(),
	})
	var got tokenAnswer
	if json.Unmarshal([]byte(a.body), &got) == nil {
		for _, secret := range []string{got.Access, got.Refresh, got.ID} {
			if secret != "" {
				c.tokens.remember(secret)
			}
		}
	}
	return a
}

// changesItsKeys refreshes with a new key of the client, and not with the old one any more.
func (c *certified) changesItsKeys() {
	inline := newClientKey(c.t)
	r := c.registers(map[string]any{
		"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(jwksOf(c.t, inline)),
	})
	for _, client := range []struct {
		id  string
		key *keyring.Key
		set func(key *keyring.Key)
	}{
		{"publisher", dynamicKeys.key.Load(), func(key *keyring.Key) { dynamicKeys.key.Store(key) }},
		{r.id, inline, func(key *keyring.Key) {
			metadata := metadataWith(c.t, map[string]any{
				"client_id": r.id, "token_endpoint_auth_method": "private_key_jwt",
				"jwks": json.RawMessage(jwksOf(c.t, key)),
			})
			a := c.authorizing.ask(c.t, "auth", call{
				method: "PUT", target: "/register/" + r.id, lines: []string{
					"Authorization: Bearer " + r.made["registration_access_token"].(string),
					"Content-Type: application/json",
				}, body: metadata,
			})
			if a.status != http.StatusOK {
				c.t.Fatalf("%d %s", a.status, a.body)
			}
		}},
	} {
		code := c.succeedsAnyhow("client_id=" + client.id + withPKCE + "&scope=openid+offline_access&prompt=consent")
		var got tokenAnswer
		a := c.presentsAssertion(client.key, client.id, codeForm(code))
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 || got.Refresh == "" {
			c.t.Fatalf("%s: %d %s %v", client.id, a.status, a.body, err)
		}
		refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}}
		next := newClientKey(c.t)
		client.set(next)
		if a := c.presentsAssertion(next, client.id, refresh); a.status != 200 {
			c.t.Errorf("%s, the new key: %d %s", client.id, a.status, a.body)
		}
		a = c.presentsAssertion(client.key, client.id, refresh)
		if a.status != 401 || errorWord(a) != "invalid_client" {
			c.t.Errorf("%s, the old key: %d %s", client.id, a.status, a.body)
		}
	}
}

// meetsANewKey has the operator put another key in the place of the one that signs.
func (c *certified) meetsANewKey() {
	c.extra["Active"] = "rs1" // it signs ID tokens, too
	c.loadCertified()
	r := c.registers(nil)
	before := r.signsIn("").ID
	c.extra["Active"] = "rs2\n\t\tfile rs2 " + writeKey(c.t, c.dir, "rs2", newRSA(2048))
	c.loadCertified()
	after := r.signsIn("").ID
	if old, now := signedWith(c.t, before), signedWith(c.t, after); old != "rs1" || now != "rs2" {
		c.t.Errorf("signed with %s and then with %s", old, now)
	}
	c.idToken(c.t, before, r.id) // it still verifies
	c.publishesPublicKeys()
}

// TestCertificationDynamic is the plan dynamic, as far as clients may register themselves here.
func TestCertificationDynamic(t *testing.T) {
	dynamicKeys = newKeyPublisher(t)
	newCertified(t, everythingOn+egressTo(t, dynamicKeys.Server)+`
	client publisher {
		redirect_uri https://rp.example/cb?tenant=1
		token_endpoint_auth_method private_key_jwt
		jwks_uri `+dynamicKeys.URL+`/jwks
		scope openid offline_access
	}`).runModules(t, "", dynamicModules)
}

// TestCertificationRotation is the module of the plan dynamic in which the operator changes the keys.
func TestCertificationRotation(t *testing.T) {
	newCertified(t, everythingOn).runModules(t, "", rotationModules)
}
