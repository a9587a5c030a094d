package integration

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// everyTokenAuth is what authorizeAuth needs besides, so that the server makes and reads every kind of
// token.
const everyTokenAuth = `
	registration {
		initial_access_token {{.Initial}}
		scopes openid read
	}
	egress {
		allow 127.0.0.0/8
	}
	client opaquely {
		secret {{.RPSecret}}
		grant_types client_credentials
		access_token_format opaque
	}
	client bound {
		secret {{.RPSecret}}
		grant_types client_credentials
		dpop_bound_access_tokens
	}
	client orders {
		secret {{.RPSecret}}
		grant_types token-exchange
		token_exchange rp caddyauth opaquely machine orders signer
		scope openid read
	}
	client agent {
		secret {{.RPSecret}}
		grant_types jwt-bearer
	}
	client signer {
		token_endpoint_auth_method private_key_jwt
		grant_types client_credentials
		jwks ` + "`{{.ClientJWKS}}`" + `
	}
	trust {{.IDP}} {
		jwks {{.IDP}}/jwks
		assertions {
			clients agent
			user_claim sub
		}
	}
}`

// everyTokenSites have no access log: Caddy writes there what a request holds in its address.
const everyTokenSites = `
{{url "auth"}} {
	auth_server
}
{{url "api"}} {
	jwt_auth api
	respond "hello"
}
{{url "web"}} {
	jwt_auth web
	respond "hello"
}
{{url "foreign"}} {
	jwt_auth api {
		issuer {{.IDP}}
	}
	respond "hello"
}
`

// mixing is a server that makes every kind of token, with one of each.
type mixing struct {
	*authorizing
	notices  *receiver
	idp      string
	idpKey   *keyring.Key
	signer   *keyring.Key
	dpop     *dpoptest.Client
	browser  *visitor // signed in
	clientID string   // of the registered client
	kinds    []kind
}

// kind is a token of one kind.
type kind struct{ name, value string }

func newMixing(t *testing.T) *mixing {
	t.Helper()
	m := &mixing{
		notices: newReceiver(t), idpKey: newClientKey(t), signer: newClientKey(t), dpop: dpoptest.New(t, "ES256"),
	}
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(jwksOf(t, m.idpKey)))
	}))
	t.Cleanup(idp.Close)
	m.idp = idp.URL
	auth, parties := authorizeAuth, relyingParties
	t.Cleanup(func() { authorizeAuth, relyingParties = auth, parties })
	relyingParties = slices.Clone(parties)
	relyingParties[0].More = "introspection api web\n\t\tbackchannel_logout_uri " + m.notices.URL + "/told"
	m.authorizing = &authorizing{gateway: newGateway(t)}
	m.storeURL = "sqlite:" + m.dir + "/auth.db"
	initial := "initial-" + rand.Text() + rand.Text()
	m.secret("a secret", initial, goodSecret, rpSecret)
	for name, value := range map[string]any{
		"Store": m.storeURL, "Seal": goodSecret, "Clients": relyingParties, "RPSecret": rpSecret, "Initial": initial,
		"ClientJWKS": jwksOf(t, m.signer), "IDP": m.idp,
	} {
		m.extra[name] = value
	}
	authorizeAuth = strings.TrimSuffix(authorizeAuth, "}") + everyTokenAuth
	authorizeAuth = strings.Replace(authorizeAuth, "user alice {", "user alice {\n\t\tadmin", 1)
	m.load(authorizeAuth, everyTokenSites)
	m.makeEach(t, initial)
	return m
}

// makeEach makes one token of each kind.
func (m *mixing) makeEach(t *testing.T, initial string) {
	t.Helper()
	asClient := func(id string) tokenAnswer {
		return m.token(t, id, rpSecret, "", url.Values{"grant_type": {"client_credentials"}})
	}
	m.kinds = append(m.kinds, kind{"logout token", m.logoutToken(t)})
	m.browser = m.visitor(t)
	asking := request(t, "scope=openid+read+offline_access")
	of := m.exchange(t, m.browser.code(m.browser.signIn(m.browser.get(asking), "alice", alicePassword)), "")
	if of.Access == "" || of.Refresh == "" || of.ID == "" {
		t.Fatalf("%+v", of)
	}
	cookies := map[string]string{}
	base, err := url.Parse(m.url("auth"))
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range m.browser.Jar.Cookies(base) {
		cookies[cookie.Name] = cookie.Value
	}
	machine := asClient("machine").Access
	bound, tv := m.boundToken(t), m.device(t, "tv", "")
	m.kinds = append(m.kinds,
		kind{"session cookie", cookies["access_token"]},
		kind{"session's refresh token", cookies["refresh_token"]},
		kind{"access token of the login API", m.login(t, "alice", alicePassword)},
		kind{"access token of a code", of.Access},
		kind{"refresh token", of.Refresh},
		kind{"ID token", of.ID},
		kind{"code", m.browser.code(m.browser.get(request(t, "")))},
		kind{"token of a client", machine},
		kind{"opaque token", asClient("opaquely").Access},
		kind{"exchanged token", m.token(t, "orders", rpSecret, "", url.Values{
			"grant_type": {clients.GrantExchange}, "subject_token": {of.Access}, "subject_token_type": {accessTokenURN},
		}).Access},
		kind{"bound token", bound},
		kind{"device code", tv.Device},
		kind{"user code", tv.User},
		kind{"request_uri", m.pushedURI(t)},
		kind{"API token", m.anAPIToken(t)},
		kind{"registration access token", m.registrationToken(t, initial)},
		kind{"initial access token", initial},
		kind{"client secret", rpSecret},
		kind{"introspection answer", m.introspectionJWT(t, machine)},
		kind{"client assertion", m.signed(t, m.signer, "JWT", map[string]any{
			"iss": "signer", "sub": "signer", "aud": m.url("auth"),
		})},
		kind{"identity assertion", m.signed(t, m.idpKey, "oauth-id-jag+jwt", map[string]any{
			"iss": m.idp, "sub": "alice", "aud": m.url("auth"), "client_id": "agent",
		})},
		kind{"foreign access token", m.signed(t, m.idpKey, "at+jwt", map[string]any{
			"iss": m.idp, "sub": "alice", "aud": "api", "client_id": "agent",
		})},
		kind{"DPoP proof", m.dpop.Proof(t, "GET", m.url("api")+"/", bound, time.Now(), nil)},
	)
	for _, k := range m.kinds {
		if k.value == "" {
			t.Fatalf("no %s", k.name)
		}
	}
}

const accessTokenURN = "urn:ietf:params:oauth:token-type:access_token"

// signed is a JWT of somebody else.
func (m *mixing) signed(t *testing.T, key *keyring.Key, typ string, claims map[string]any) string {
	t.Helper()
	now := time.Now()
	claims["jti"], claims["iat"], claims["exp"] = rand.Text(), now.Unix(), now.Add(4*time.Minute).Unix()
	raw, err := token.Sign(key, typ, claims)
	if err != nil {
		t.Fatal(err)
	}
	m.tokens.remember(raw)
	return raw
}

// logoutToken is what the client rp was told when somebody had signed out.
func (m *mixing) logoutToken(t *testing.T) string {
	t.Helper()
	v := m.visitor(t)
	m.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
	v.post("/logout", url.Values{})
	eventually(t, 10*time.Second, func() string {
		if tokens, _ := m.notices.got(); len(tokens) == 0 {
			return "the client was not told"
		}
		return ""
	})
	tokens, _ := m.notices.got()
	m.tokens.remember(tokens[0])
	return tokens[0]
}

func (m *mixing) boundToken(t *testing.T) string {
	t.Helper()
	a := m.sends(t, "auth", "/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"bound"}, "client_secret": {rpSecret},
	}, "DPoP: "+m.dpop.Proof(t, "POST", m.url("auth")+"/token", "", time.Now(), nil))
	raw, _ := membersOf(t, a)["access_token"].(string)
	m.tokens.remember(raw)
	return raw
}

func (m *mixing) pushedURI(t *testing.T) string {
	t.Helper()
	form, err := url.ParseQuery(strings.TrimPrefix(request(t, ""), "/authorize?"))
	if err != nil {
		t.Fatal(err)
	}
	form.Set("client_secret", rpSecret)
	uri, _ := membersOf(t, m.sends(t, "auth", "/par", form))["request_uri"].(string)
	return uri
}

func (m *mixing) registrationToken(t *testing.T, initial string) string {
	t.Helper()
	a := m.ask(t, "auth", call{
		method: "POST", target: "/register", body: `{"redirect_uris":["` + rpCallback + `"]}`,
		lines: append(bearerLine(initial), "Content-Type: application/json"),
	})
	made := membersOf(t, a)
	m.clientID, _ = made["client_id"].(string)
	raw, _ := made["registration_access_token"].(string)
	secret, _ := made["client_secret"].(string)
	m.secret("what a client was given", raw, secret)
	return raw
}

func (m *mixing) introspectionJWT(t *testing.T, about string) string {
	t.Helper()
	a := m.sends(t, "auth", "/introspect", url.Values{
		"token": {about}, "client_id": {"other"}, "client_secret": {rpSecret},
	}, "Accept: application/token-introspection+jwt")
	m.tokens.remember(a.body)
	return strings.TrimSpace(a.body)
}

// sends posts a form.
func (m *mixing) sends(t *testing.T, site, target string, form url.Values, more ...string) answer {
	t.Helper()
	lines := append([]string{"Content-Type: application/x-www-form-urlencoded"}, more...)
	return m.ask(t, site, call{method: "POST", target: target, lines: lines, body: form.Encode()})
}

// membersOf are those of an answer in JSON.
func membersOf(t *testing.T, a answer) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(a.body), &members); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return members
}

// anAPIToken is made by alice, an administrator.
func (m *mixing) anAPIToken(t *testing.T) string {
	t.Helper()
	p := m.browser.do("POST", "/api/tokens", "application/json", `{"name":"t","abilities":["read"]}`,
		"Origin: "+m.url("auth"), "Sec-Fetch-Site: same-origin")
	var made struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal([]byte(p.body), &made); err != nil {
		t.Fatalf("%d %s", p.status, p.body)
	}
	m.secret("an API token", made.Token)
	return made.Token
}
