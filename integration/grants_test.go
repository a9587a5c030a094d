package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const grantsAuth = `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	keys {env.TEST_KEYS} {
		active es1
		file es1 "{{keyfile "es1"}}"
	}
	store "sqlite:{{.Dir}}/auth.db"
	egress {
		allow 127.0.0.0/8
	}
	user alice {
		password_hash {{hash "alice"}}
	}
	client machine {
		secret {{.Secret}}
		grant_types client_credentials
		scope read write openid
		audience api
		resource https://files.example.com
		introspection api
	}
	client signer {
		token_endpoint_auth_method private_key_jwt
		grant_types client_credentials
		jwks ` + "`{{.JWKS}}`" + `
	}
	client publisher {
		token_endpoint_auth_method private_key_jwt
		grant_types client_credentials
		jwks_uri {{.JWKSURI}}
	}
	client orders {
		secret {{.Secret}}
		grant_types token-exchange
		token_exchange caddyauth machine twin
		introspection api
		scope read
	}
	client alice {
		secret {{.Secret}}
		grant_types client_credentials
	}
	client twin {
		secret {{.Secret}}
		grant_types client_credentials
	}
	client spa
}`

const grantsSites = authSite + `
{{url "api"}} {
	log
	jwt_auth api {
		forward sub X-User-Id
	}
	reverse_proxy {{.Proxy}}
}
{{url "metrics"}} {
	metrics
}
`

// grantsGateway is a running server with clients of every kind, and the keys of those that sign.
type grantsGateway struct {
	*gateway
	clientSecret string
	signer       *keyring.Key

	mu        sync.Mutex
	published *keyring.Key // what the client publisher publishes
	fetches   int
}

func newGrantsGateway(t *testing.T) *grantsGateway {
	t.Helper()
	g := &grantsGateway{
		gateway:      newGateway(t),
		clientSecret: "machine+" + strings.Repeat("secret/", 5),
		signer:       newClientKey(t),
		published:    newClientKey(t),
	}
	server := httptest.NewServer(http.HandlerFunc(g.publish))
	t.Cleanup(server.Close)
	g.secret("a client's secret", g.clientSecret)
	g.extra["Secret"], g.extra["JWKS"], g.extra["JWKSURI"] = g.clientSecret, jwksOf(t, g.signer), server.URL+"/jwks"
	g.load(grantsAuth, grantsSites)
	return g
}

func newClientKey(t *testing.T) *keyring.Key {
	t.Helper()
	key, err := keyring.Generate("ES256", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func jwksOf(t *testing.T, key *keyring.Key) string {
	t.Helper()
	ring, err := keyring.NewRing([]*keyring.Key{key}, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(ring.JWKS())
}

func (g *grantsGateway) publish(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fetches++
	_, _ = w.Write([]byte(jwksOf(g.t, g.published)))
}

// asks sends a form to an endpoint; the client may be empty.
func (g *grantsGateway) asks(t *testing.T, target, client string, form url.Values, more ...string) answer {
	t.Helper()
	lines := append([]string{"Content-Type: application/x-www-form-urlencoded"}, more...)
	if client != "" {
		pair := url.QueryEscape(client) + ":" + url.QueryEscape(g.clientSecret)
		lines = append(lines, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	}
	return g.ask(t, "auth", call{method: http.MethodPost, target: target, lines: lines, body: form.Encode()})
}

// granted is the access token in an answer of /token.
func (g *grantsGateway) granted(t *testing.T, a answer) (raw string, body map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != http.StatusOK {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	raw, _ = body["access_token"].(string)
	g.tokens.remember(raw)
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" ||
		a.header.Get("Content-Type") != "application/json" || body["token_type"] != "Bearer" ||
		body["refresh_token"] != nil {
		t.Errorf("%v %v", a.header, body)
	}
	return raw, body
}

func (g *grantsGateway) assertion(t *testing.T, key *keyring.Key, client, id string) url.Values {
	t.Helper()
	return g.assertionFor(t, key, client, id, g.url("auth"))
}

// assertionFor is an assertion that names an endpoint in place of the issuer.
func (g *grantsGateway) assertionFor(t *testing.T, key *keyring.Key, client, id, audience string) url.Values {
	t.Helper()
	raw, err := token.Sign(key, "JWT", map[string]any{
		"iss": client, "sub": client, "aud": audience, "jti": id, "exp": time.Now().Add(time.Minute).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	g.tokens.remember(raw)
	return url.Values{
		"grant_type":            {"client_credentials"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {raw},
	}
}

var forItself = url.Values{"grant_type": {"client_credentials"}}

// TestGrantsOfPrograms goes through what programs get without a person: for themselves, by a secret
// or a signature, and for a person whose token they have received.
func TestGrantsOfPrograms(t *testing.T) {
	g := newGrantsGateway(t)
	t.Run("client credentials", g.clientCredentials)
	t.Run("a key that is registered", g.signsItself)
	t.Run("a key that is published", g.publishesItsKey)
	t.Run("an assertion for the endpoint", g.signsForEndpoints)
	t.Run("token exchange", g.exchanges)
	t.Run("introspection", g.introspects)
	t.Run("refusals", g.refuses)
	t.Run("metrics", g.counts)
}

func (g *grantsGateway) clientCredentials(t *testing.T) {
	raw, body := g.granted(t, g.asks(t, "/token", "machine", forItself))
	if body["scope"] != "read write" || body["expires_in"] != 900.0 {
		t.Errorf("%v", body)
	}
	g.isForwarded(t, "api", raw, map[string]string{"x-user-id": "machine"})

	elsewhere := url.Values{"grant_type": {"client_credentials"}, "resource": {"https://files.example.com/"}}
	raw, _ = g.granted(t, g.asks(t, "/token", "machine", elsewhere))
	g.isRefused(t, "a token for another resource", "api", raw, http.StatusUnauthorized, "wrong_audience")
}

func (g *grantsGateway) signsItself(t *testing.T) {
	form := g.assertion(t, g.signer, "signer", "one")
	raw, _ := g.granted(t, g.asks(t, "/token", "", form))
	g.isForwarded(t, "api", raw, map[string]string{"x-user-id": "signer"})
	for _, c := range []struct {
		name string
		form url.Values
	}{
		{"a second time", form},
		{"the key of another client", g.assertion(t, g.published, "signer", "two")},
		{"the key for another client", g.assertion(t, g.signer, "machine", "three")},
	} {
		if a := g.asks(
			t,
			"/token",
			"",
			c.form,
		); a.status != http.StatusUnauthorized ||
			errorWord(a) != "invalid_client" {
			t.Errorf("%s: status %d: %s", c.name, a.status, a.body)
		}
	}
	g.load(grantsAuth, grantsSites) // what was used stays used
	if a := g.asks(t, "/token", "", form); a.status != http.StatusUnauthorized {
		t.Errorf("after a reload: status %d: %s", a.status, a.body)
	}
	if a := g.asks(t, "/token", "signer", forItself); a.status != http.StatusUnauthorized {
		t.Errorf("by a secret: status %d: %s", a.status, a.body)
	}
}

// signsForEndpoints has the client name the endpoint that it asks (RFC 9126, section 2), wherever
// clients authenticate: what is refused then is the request and not the client.
func (g *grantsGateway) signsForEndpoints(t *testing.T) {
	endpoints := []string{"/token", "/revoke", "/introspect", "/par", "/device_authorization"}
	for i, endpoint := range endpoints {
		t.Run(endpoint, func(t *testing.T) {
			form := g.assertionFor(t, g.signer, "signer", "for"+endpoint, g.url("auth")+endpoint)
			if a := g.asks(t, endpoint, "", form); a.status == http.StatusUnauthorized || a.status >= 500 {
				t.Errorf("for itself: status %d: %s", a.status, a.body)
			}
			other := endpoints[1:][(i+1)%(len(endpoints)-1)] // any takes that of /token
			form = g.assertionFor(t, g.signer, "signer", "not for"+endpoint, g.url("auth")+other)
			a := g.asks(t, endpoint, "", form)
			if a.status != http.StatusUnauthorized || errorWord(a) != "invalid_client" {
				t.Errorf("for %s: status %d: %s", other, a.status, a.body)
			}
		})
	}
}

func (g *grantsGateway) publishesItsKey(t *testing.T) {
	for i := range 3 {
		g.granted(t, g.asks(t, "/token", "", g.assertion(t, g.published, "publisher", fmt.Sprint(i))))
	}
	replaced := newClientKey(t) // right after the other one was fetched
	g.publishesNow(replaced)
	g.granted(t, g.asks(t, "/token", "", g.assertion(t, replaced, "publisher", "replaced")))
	unknown := newClientKey(t)
	for i := range 20 { // a flood of unknown keys
		if a := g.asks(t, "/token", "", g.assertion(t, unknown, "publisher", fmt.Sprint("x", i))); a.status != 401 {
			t.Errorf("an unknown key: status %d: %s", a.status, a.body)
		}
	}
	// Once for the first assertion, and once for the key that was not in the set. That is all for 30 s.
	fetches := g.publishesNow(replaced)
	if fetches != 2 {
		t.Errorf("the keys were fetched %d times", fetches)
	}

	// Where the operator does not allow the address, it is not asked, and what it has said is forgotten.
	g.load(strings.Replace(grantsAuth, "allow 127.0.0.0/8", "allow 10.0.0.0/8", 1), grantsSites)
	for _, key := range []*keyring.Key{unknown, replaced} {
		a := g.asks(t, "/token", "", g.assertion(t, key, "publisher", "not allowed"))
		if a.status != http.StatusServiceUnavailable || errorWord(a) != "temporarily_unavailable" {
			t.Errorf("an address that is not allowed: status %d: %s", a.status, a.body)
		}
	}
	if now := g.publishesNow(replaced); now != fetches {
		t.Errorf("the keys were fetched %d times from an address that is not allowed", now-fetches)
	}
	if log := g.log(); !strings.Contains(log, "leads to this machine") {
		t.Error("the log does not say why the keys cannot be had")
	}
	g.load(grantsAuth, grantsSites)
}

// publishesNow changes what the client publisher publishes, and returns how often it was asked for.
func (g *grantsGateway) publishesNow(key *keyring.Key) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.published = key
	return g.fetches
}

func exchangeOf(raw string, more ...string) url.Values {
	return withPairs(url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {raw},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
	}, more...)
}

func (g *grantsGateway) exchanges(t *testing.T) {
	a := g.tryLogin(t, "alice", alicePassword)
	var session struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &session); err != nil {
		t.Fatal(err)
	}
	g.tokens.remember(session.Access)
	g.secret("a refresh token", session.Refresh)
	raw, body := g.granted(t, g.asks(t, "/token", "orders", exchangeOf(session.Access)))
	if body["issued_token_type"] != "urn:ietf:params:oauth:token-type:access_token" {
		t.Errorf("%v", body)
	}
	g.isForwarded(t, "api", raw, map[string]string{"x-user-id": "alice"})
	var told map[string]any
	if err := json.Unmarshal([]byte(g.asks(t, "/introspect", "machine", url.Values{"token": {raw}}).body),
		&told); err != nil || fmt.Sprint(told["act"]) != "map[sub:orders]" || told["acr"] != "pwd" ||
		told["client_id"] != "orders" {
		t.Errorf("%v, %v", told, err)
	}

	// The token of a client is exchanged, too, and only for what it is.
	machine, _ := g.granted(t, g.asks(t, "/token", "machine", forItself))
	if _, body := g.granted(t, g.asks(t, "/token", "orders", exchangeOf(machine))); body["scope"] != "read" {
		t.Errorf("%v", body)
	}
	for _, c := range []struct {
		name, code string
		form       url.Values
	}{
		{"a wider scope", "invalid_scope", exchangeOf(machine, "scope", "write")},
		{"another audience", "invalid_target", exchangeOf(machine, "audience", "billing")},
		{"of a client that is not in the list", "invalid_request", exchangeOf(raw)},
		{"a refresh token", "invalid_request", exchangeOf(session.Refresh)},
	} {
		if a := g.asks(t, "/token", "orders", c.form); a.status != http.StatusBadRequest || errorWord(a) != c.code {
			t.Errorf("%s: status %d: %s", c.name, a.status, a.body)
		}
	}

	// A person who has got the name of the client since: nobody can tell whose token it is.
	twin, _ := g.granted(t, g.asks(t, "/token", "twin", forItself))
	g.granted(t, g.asks(t, "/token", "orders", exchangeOf(twin)))
	g.load(strings.Replace(grantsAuth, "user alice {", `user twin {
		password_hash {{hash "bob"}}
		claim role admin
	}
	user alice {`, 1), grantsSites)
	if a := g.asks(t, "/token", "orders", exchangeOf(twin)); errorWord(a) != "invalid_request" {
		t.Errorf("a person has the name of the client: status %d: %s", a.status, a.body)
	}
	g.load(grantsAuth, grantsSites)

	// What was exchanged ends with the session, and nothing is exchanged afterwards.
	gone := g.asks(t, "/revoke", "", url.Values{"token": {session.Refresh}, "client_id": {"caddyauth"}})
	if gone.status != http.StatusOK {
		t.Fatalf("status %d: %s", gone.status, gone.body)
	}
	g.isRefused(t, "after the sign-out", "api", raw, http.StatusUnauthorized, "revoked")
	if a := g.asks(t, "/token", "orders", exchangeOf(session.Access)); errorWord(a) != "invalid_request" {
		t.Errorf("after the sign-out: status %d: %s", a.status, a.body)
	}
}

func (g *grantsGateway) introspects(t *testing.T) {
	raw, _ := g.granted(t, g.asks(t, "/token", "machine", forItself))
	a := g.asks(t, "/introspect", "orders", url.Values{"token": {raw}}, "Accept: application/token-introspection+jwt")
	header, claims, err := token.Inspect(a.body)
	told, _ := claims["token_introspection"].(map[string]any)
	if err != nil || a.header.Get("Content-Type") != "application/token-introspection+jwt" ||
		header["typ"] != "token-introspection+jwt" || header["alg"] != "RS256" || claims["aud"] != "orders" ||
		claims["iss"] != g.url("auth") ||
		told["active"] != true || told["sub"] != "machine" {
		t.Errorf("%v %v, %v: %s", header, claims, err, a.body)
	}
	g.tokens.remember(a.body)
	g.isRefused(t, "an answer is no token", "api", a.body, http.StatusUnauthorized, "wrong_type")
	if a := g.asks(t, "/revoke", "orders", url.Values{"token": {raw}}); errorWord(a) != "invalid_grant" {
		t.Errorf("revocation by another client: status %d: %s", a.status, a.body)
	}
	if a := g.asks(t, "/revoke", "machine", url.Values{"token": {raw}}); a.status != http.StatusOK {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	a = g.asks(t, "/introspect", "orders", url.Values{"token": {raw}})
	if strings.TrimSpace(a.body) != `{"active":false}` {
		t.Errorf("after its revocation: %s", a.body)
	}
}

// refuses are the duties of RFC 6749, sections 3.2 and 5.2, on the wire.
func (g *grantsGateway) refuses(t *testing.T) {
	const form = "Content-Type: application/x-www-form-urlencoded"
	machine := "Authorization: Basic " + base64.StdEncoding.EncodeToString(
		[]byte("machine:"+url.QueryEscape(g.clientSecret)))
	for _, c := range []struct {
		name, method, target, body string
		lines                      []string
		status                     int
		code                       string
	}{
		{"GET", "GET", "/token", "", []string{machine}, 405, ""},
		{"JSON", "POST", "/token", `{"grant_type":"client_credentials"}`,
			[]string{machine, "Content-Type: application/json"}, 400, "invalid_request"},
		{"no content type", "POST", "/token", "grant_type=client_credentials", []string{machine}, 400,
			"invalid_request"},
		{"a query", "POST", "/token?grant_type=client_credentials", "", []string{machine, form}, 400,
			"invalid_request"},
		{"a repeated parameter", "POST", "/token", "grant_type=client_credentials&scope=read&scope=read",
			[]string{machine, form}, 400, "invalid_request"},
		{"two ways at once", "POST", "/token", "grant_type=client_credentials&client_secret=x",
			[]string{machine, form}, 400, "invalid_request"},
		{"two headers", "POST", "/token", "grant_type=client_credentials", []string{machine, machine, form}, 400,
			"invalid_request"},
		{"no grant type", "POST", "/token", "", []string{machine, form}, 400, "invalid_request"},
		{"the password grant", "POST", "/token", "grant_type=password", []string{machine, form}, 400,
			"unsupported_grant_type"},
		{"a grant type that the client does not have", "POST", "/token", "grant_type=refresh_token",
			[]string{machine, form}, 400, "unauthorized_client"},
		{"an unknown scope", "POST", "/token", "grant_type=client_credentials&scope=admin", []string{machine, form},
			400, "invalid_scope"},
		{"an unknown resource", "POST", "/token", "grant_type=client_credentials&resource=https://x.example",
			[]string{machine, form}, 400, "invalid_target"},
		{"a wrong secret", "POST", "/token", "grant_type=client_credentials",
			[]string{"Authorization: Basic bWFjaGluZTp4", form}, 401, "invalid_client"},
		{"an unknown client", "POST", "/token", "grant_type=client_credentials&client_id=nobody", []string{form}, 401,
			"invalid_client"},
		{"a public client", "POST", "/token", "grant_type=client_credentials&client_id=spa", []string{form}, 400,
			"unauthorized_client"},
		{"a public client that introspects", "POST", "/introspect", "token=x&client_id=spa", []string{form}, 401,
			"invalid_client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := g.ask(t, "auth", call{method: c.method, target: c.target, lines: c.lines, body: c.body})
			if a.status != c.status || errorWord(a) != c.code || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("status %d, %v: %s", a.status, a.header, a.body)
			}
			basic := c.status == 401 && strings.HasPrefix(c.lines[0], "Authorization")
			if basic != strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("challenge %q", a.header.Get("WWW-Authenticate"))
			}
		})
	}
	if a := g.asks(t, "/token", "alice", forItself); a.status != 400 || errorWord(a) != "unauthorized_client" {
		t.Errorf("a client with the name of a user: status %d: %s", a.status, a.body)
	}
}

func (g *grantsGateway) counts(t *testing.T) {
	text := g.get(t, "metrics", "/", "").body
	for _, want := range []string{
		`caddy_auth_token_requests_total{grant_type="client_credentials",result="success"}`,
		`caddy_auth_token_requests_total{grant_type="client_credentials",result="invalid_target"}`,
		`caddy_auth_token_requests_total{grant_type="urn:ietf:params:oauth:grant-type:token-exchange",` +
			`result="success"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
}
