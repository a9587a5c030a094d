package integration

import (
	"crypto/rand"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

const assertionsAuth = `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	keys {env.TEST_KEYS} {
		active es1
		file es1 "{{keyfile "es1"}}"
	}
	store "{{.Store}}"
	secret seal:{{.Seal}}
	user alice {
		password_hash {{hash "alice"}}
	}
	user carol {
		password_hash {{hash "alice"}}
		disabled
	}
	client agent {
		secret {{.Secret}}
		grant_types jwt-bearer
		scope read write admin
		audience api
		resource https://files.example.com https://mail.example.com
	}
	client other {
		secret {{.Secret}}
		grant_types jwt-bearer
		scope read
	}
	client unlisted {
		secret {{.Secret}}
		grant_types jwt-bearer
		scope read
	}
	client machine {
		secret {{.Secret}}
		grant_types client_credentials
	}
	trust {{.IDP}} {
		jwks {{.IDP}}/jwks
		assertions {
			clients agent other
			user_claim sub
			user u-1 alice
			user u-2 carol
			user u-3 nobody
			scopes read write
			resources https://files.example.com
		}
	}
}`

const assertionsSites = authSite + metricsSite + `
{{url "api"}} {
	jwt_auth api {
		forward sub X-User-Id
	}
	reverse_proxy {{.Proxy}}
}
{{url "foreign"}} {
	jwt_auth api {
		issuer {{.IDP}}
	}
	reverse_proxy {{.Proxy}}
}
`

const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// assertionGateway is a server that trusts an identity provider, and the provider's key.
type assertionGateway struct {
	*grantsGateway
	idp string
	key *keyring.Key
}

func newAssertionGateway(t *testing.T, engine string) *assertionGateway {
	t.Helper()
	g := &assertionGateway{key: newClientKey(t)}
	g.grantsGateway = &grantsGateway{gateway: newGateway(t), clientSecret: "cacs_" + rand.Text() + rand.Text()}
	set := jwksOf(t, g.key)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(set))
	}))
	t.Cleanup(server.Close)
	g.idp = server.URL
	g.secret("a client's secret", g.clientSecret)
	g.secret("the sealing secret", goodSecret)
	store := "sqlite:" + filepath.Join(g.dir, "auth.db")
	if engine == "postgres" {
		store = pgtest.Server(t).URL(t)
	}
	maps.Copy(g.extra, map[string]any{"Store": store, "Secret": g.clientSecret, "IDP": g.idp, "Seal": goodSecret})
	g.load(assertionsAuth, assertionsSites)
	return g
}

// identityAssertion is a good assertion about alice with changes; a value of nil removes the claim.
func (g *assertionGateway) identityAssertion(
	t *testing.T, key *keyring.Key, typ string, changes map[string]any,
) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": g.idp, "sub": "u-1", "aud": g.url("auth"), "client_id": "agent", "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "scope": "read admin",
		"resource": "https://files.example.com",
	}
	for name, value := range changes {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	raw, err := token.Sign(key, typ, claims)
	if err != nil {
		t.Fatal(err)
	}
	g.tokens.remember(raw)
	return raw
}

func (g *assertionGateway) presents(t *testing.T, client, assertion, more string) answer {
	t.Helper()
	form, err := url.ParseQuery(more)
	if err != nil {
		t.Fatal(err)
	}
	form.Set("grant_type", jwtBearer)
	if assertion != "" {
		form.Set("assertion", assertion)
	}
	return g.asks(t, "/token", client, form)
}

// TestIdentityAssertions: assertions of a trusted issuer buy tokens here, on both databases.
func TestIdentityAssertions(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			g := newAssertionGateway(t, engine)
			t.Run("what is issued", g.issuesForAssertions)
			t.Run("what is refused", g.refusesAssertions)
			t.Run("one of many", g.takesAssertionOnce)
			t.Run("discovery", g.listsAssertions)
		})
	}
}

func (g *assertionGateway) issuesForAssertions(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes map[string]any
		more    string
		scope   string
	}{
		{"the scope of all", nil, "", "read"},
		{"no scope in the assertion", map[string]any{"scope": nil}, "", "read write"},
		{"narrowed by the request", map[string]any{"scope": "read write"}, "scope=write+unknown", "write"},
		{"a list of resources", map[string]any{"resource": []string{"https://files.example.com/"}}, "", "read"},
		{"no resource in the assertion", map[string]any{"resource": nil}, "", "read"},
		{"the resource in the request", nil, "resource=https://files.example.com", "read"},
		{"a clock a little ahead", map[string]any{"iat": time.Now().Add(3 * time.Second).Unix()}, "", "read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			assertion := g.identityAssertion(t, g.key, "oauth-id-jag+jwt", c.changes)
			raw, body := g.granted(t, g.presents(t, "agent", assertion, c.more))
			_, claims, err := token.Inspect(raw)
			if err != nil || body["scope"] != c.scope || body["id_token"] != nil || claims["sub"] != "alice" ||
				claims["client_id"] != "agent" || claims["aud"] != "https://files.example.com" || claims["sid"] != nil {
				t.Errorf("%v: %v, %v", err, body, claims)
			}
			g.isRefused(t, "it is for another resource", "api", raw, http.StatusUnauthorized, "wrong_audience")
		})
	}
}

// refusesAssertions changes one thing of a good assertion at a time: the word, and why it is in the
// log.
func (g *assertionGateway) refusesAssertions(t *testing.T) {
	const typ = "oauth-id-jag+jwt"
	stranger := newClientKey(t)
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for _, c := range []struct {
		name, client, typ string
		key               *keyring.Key
		changes           map[string]any
		more, code        string
		reason            string
	}{
		{"a key that nobody published", "agent", typ, stranger, nil, "", "invalid_grant", "unknown_key"},
		{"a type of access tokens", "agent", "at+jwt", g.key, nil, "", "invalid_grant", "wrong_type"},
		{"a type of ID tokens", "agent", "JWT", g.key, nil, "", "invalid_grant", "wrong_type"},
		{"another issuer", "agent", typ, g.key, map[string]any{"iss": "https://x.example"}, "", "invalid_grant",
			"unknown_issuer"},
		{"another audience", "agent", typ, g.key, map[string]any{"aud": "https://x.example"}, "", "invalid_grant",
			"wrong_audience"},
		{"the token endpoint as audience", "agent", typ, g.key, map[string]any{"aud": g.url("auth") + "/token"}, "",
			"invalid_grant", "wrong_audience"},
		{"the audience as a list", "agent", typ, g.key, map[string]any{"aud": []string{g.url("auth")}}, "",
			"invalid_grant", "wrong_audience"},
		{"two audiences", "agent", typ, g.key, map[string]any{"aud": []string{g.url("auth"), "x"}}, "",
			"invalid_grant", "wrong_audience"},
		{"of another client", "agent", typ, g.key, map[string]any{"client_id": "other"}, "", "invalid_grant",
			"wrong_client"},
		{"of no client", "agent", typ, g.key, map[string]any{"client_id": nil}, "", "invalid_grant", "wrong_client"},
		{"a client that is not listed", "unlisted", typ, g.key, map[string]any{"client_id": "unlisted"}, "",
			"invalid_grant", "wrong_client"},
		{"a client without the grant", "machine", typ, g.key, map[string]any{"client_id": "machine"}, "",
			"unauthorized_client", ""},
		{"expired", "agent", typ, g.key, map[string]any{"iat": at(-10 * time.Minute), "exp": at(-6 * time.Minute)}, "",
			"invalid_grant", "expired"},
		{"for an hour", "agent", typ, g.key, map[string]any{"exp": at(time.Hour)}, "", "invalid_grant",
			"lifetime_too_long"},
		{"far ahead", "agent", typ, g.key, map[string]any{"iat": at(time.Hour), "exp": at(time.Hour + time.Minute)}, "",
			"invalid_grant", "not_yet_valid"},
		{"not yet", "agent", typ, g.key, map[string]any{"nbf": at(4 * time.Minute)}, "", "invalid_grant",
			"not_yet_valid"},
		{"no iat", "agent", typ, g.key, map[string]any{"iat": nil}, "", "invalid_grant", "incomplete"},
		{"no exp", "agent", typ, g.key, map[string]any{"exp": nil}, "", "invalid_grant", "malformed"},
		{"no jti", "agent", typ, g.key, map[string]any{"jti": nil}, "", "invalid_grant", "incomplete"},
		{"no subject", "agent", typ, g.key, map[string]any{"sub": nil}, "", "invalid_grant", "malformed"},
		{"a subject that is not mapped", "agent", typ, g.key, map[string]any{"sub": "alice"}, "", "invalid_grant",
			"unknown_user"},
		{"a user who does not exist", "agent", typ, g.key, map[string]any{"sub": "u-3"}, "", "invalid_grant",
			"unknown_user"},
		{"a disabled user", "agent", typ, g.key, map[string]any{"sub": "u-2"}, "", "invalid_grant", "not_allowed"},
		{"bound to a key", "agent", typ, g.key, map[string]any{"cnf": map[string]any{"jkt": "x"}}, "", "invalid_grant",
			"wrong_type"},
		{"bound to a certificate", "agent", typ, g.key,
			map[string]any{"cnf": map[string]any{"x5t#S256": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, "",
			"invalid_grant", "wrong_type"},
		{"details that nobody would hold", "agent", typ, g.key, map[string]any{"authorization_details": []any{}}, "",
			"invalid_grant", "not_supported"},
		{"a scope that the issuer may not give", "agent", typ, g.key, map[string]any{"scope": "admin"}, "",
			"invalid_scope", ""},
		{"an empty scope", "agent", typ, g.key, map[string]any{"scope": ""}, "", "invalid_scope", ""},
		{"a wider scope", "agent", typ, g.key, nil, "scope=write", "invalid_scope", ""},
		{"a resource that the issuer may not give", "agent", typ, g.key,
			map[string]any{"resource": "https://mail.example.com"}, "", "invalid_target", ""},
		{"an empty list of resources", "agent", typ, g.key, map[string]any{"resource": []string{}}, "",
			"invalid_target", ""},
		{"another resource in the request", "agent", typ, g.key, nil, "resource=https://mail.example.com",
			"invalid_target", ""},
		{"no assertion", "agent", "", nil, nil, "", "invalid_request", ""},
		{"no token", "agent", "", nil, nil, "assertion=x", "invalid_grant", "malformed"},
		{"two assertions", "agent", "", nil, nil, "assertion=x&assertion=y", "invalid_request", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := ""
			if c.key != nil {
				raw = g.identityAssertion(t, c.key, c.typ, c.changes)
			}
			a := g.presents(t, c.client, raw, c.more)
			lines := g.logged(t, "token request")
			last := lines[len(lines)-1]
			reason, _ := last["reason"].(string)
			if a.status != http.StatusBadRequest || errorWord(a) != c.code || reason != c.reason ||
				a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("status %d, reason %q: %s", a.status, reason, a.body)
			}
		})
	}
	raw := g.identityAssertion(t, g.key, typ, nil)
	g.isRefused(t, "an assertion is no token", "foreign", raw, http.StatusUnauthorized, "wrong_type")
}

// takesAssertionOnce: of many at the same time one is exchanged, also after a reload; what was refused
// before was not used up; what was issued ends with the revocation of the user.
func (g *assertionGateway) takesAssertionOnce(t *testing.T) {
	raw := g.identityAssertion(t, g.key, "oauth-id-jag+jwt", nil)
	if a := g.presents(t, "agent", raw, "scope=write"); errorWord(a) != "invalid_scope" {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	counts := map[string]int{}
	for range 200 {
		all.Go(func() {
			a := g.presents(t, "agent", raw, "")
			mu.Lock()
			defer mu.Unlock()
			counts[errorWord(a)]++
		})
	}
	all.Wait()
	if counts[""] != 1 || counts["invalid_grant"] != 199 {
		t.Errorf("%v", counts)
	}
	g.load(assertionsAuth, assertionsSites)
	if a := g.presents(t, "agent", raw, ""); errorWord(a) != "invalid_grant" {
		t.Errorf("after a reload: status %d: %s", a.status, a.body)
	}
	series := `caddy_auth_token_requests_total{grant_type="` + jwtBearer + `",result="success"}`
	if g.metric(t, series) == "" {
		t.Error("no metric")
	}

	// Without resources of the issuer a token is for the client's audience.
	words := strings.Replace(assertionsAuth, "resources https://files.example.com", "", 1)
	g.load(words, assertionsSites)
	about := map[string]any{"resource": nil}
	access, _ := g.granted(t, g.presents(t, "agent", g.identityAssertion(t, g.key, "oauth-id-jag+jwt", about), ""))
	if a := g.presents(t, "agent", g.identityAssertion(t, g.key, "oauth-id-jag+jwt", nil), ""); errorWord(a) !=
		"invalid_target" {
		t.Errorf("a resource: status %d: %s", a.status, a.body)
	}
	g.isForwarded(t, "api", access, map[string]string{"x-user-id": "alice"})
	early := g.identityAssertion(t, g.key, "oauth-id-jag+jwt", about)
	disabled := strings.Replace(words, "user alice {", "user alice {\n\t\tdisabled", 1)
	g.load(disabled, assertionsSites)
	g.isRefused(t, "of a disabled user", "api", access, http.StatusUnauthorized, "revoked")
	again := g.identityAssertion(t, g.key, "oauth-id-jag+jwt", about)
	if a := g.presents(t, "agent", again, ""); errorWord(a) != "invalid_grant" {
		t.Errorf("for a disabled user: status %d: %s", a.status, a.body)
	}

	// What was asserted before a revocation buys nothing after it, also where the user is active again.
	g.load(words, assertionsSites)
	a := g.presents(t, "agent", early, "")
	lines := g.logged(t, "token request")
	if errorWord(a) != "invalid_grant" || lines[len(lines)-1]["reason"] != "revoked" {
		t.Errorf("from before the revocation: status %d, %v: %s", a.status, lines[len(lines)-1], a.body)
	}
	late := maps.Clone(about)
	late["iat"] = time.Now().Add(2 * time.Second).Unix() // in a second after that of the revocation
	g.granted(t, g.presents(t, "agent", g.identityAssertion(t, g.key, "oauth-id-jag+jwt", late), ""))
}

// listsAssertions: the grant is in the metadata and at /token only where some issuer may make
// assertions.
func (g *assertionGateway) listsAssertions(t *testing.T) {
	for _, c := range []struct {
		name, auth string
		listed     bool
	}{
		{"with assertions", assertionsAuth, true},
		{"without", assertionsAuth[:strings.Index(assertionsAuth, "\t\tassertions {")] + "\t}\n}", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.load(c.auth, assertionsSites)
			d := g.metadata(t, "/.well-known/oauth-authorization-server")
			grants, _ := d["grant_types_supported"].([]any)
			profiles, _ := d["authorization_grant_profiles_supported"].([]any)
			if slices.Contains(grants, any(jwtBearer)) != c.listed ||
				slices.Contains(profiles, any("urn:ietf:params:oauth:grant-profile:id-jag")) != c.listed {
				t.Errorf("%v %v", grants, profiles)
			}
			late := map[string]any{"iat": time.Now().Add(2 * time.Second).Unix()} // users have just been changed
			a := g.presents(t, "agent", g.identityAssertion(t, g.key, "oauth-id-jag+jwt", late), "")
			if (a.status == http.StatusOK) != c.listed || !c.listed && errorWord(a) != "unsupported_grant_type" {
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
}

// TestClientsThatAssertionsMiss: a client that has the grant and that no issuer names, or the other way
// round, is named by check and at a load.
func TestClientsThatAssertionsMiss(t *testing.T) {
	g := newAssertionGateway(t, "sqlite")
	const (
		unnamed = `client "unlisted": it has the grant jwt-bearer, and no `
		without = `client "other": ` + "`assertions`" + ` of a trusted issuer name it, and it lacks the grant`
	)
	for _, c := range []struct {
		name, from, to string
		want           []string
	}{
		{"one is not listed", "", "", []string{unnamed}},
		{"one lacks the grant", "client other {\n\t\tsecret {{.Secret}}\n\t\tgrant_types jwt-bearer",
			"client other {\n\t\tsecret {{.Secret}}", []string{unnamed, without}},
		{"all are listed", "clients agent other", "clients agent other unlisted", nil},
		{"a client of the store", "clients agent other", "clients agent other unlisted stored", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			auth := strings.Replace(assertionsAuth, c.from, c.to, 1)
			out, _, err := command("", "check", "--config", g.configFile(auth, assertionsSites))
			if err != nil || strings.Count(out, "that way") != len(c.want) {
				t.Errorf("%v\n%s", err, out)
			}
			before := len(g.logged(t, "a client cannot exchange identity assertions as the configuration has it"))
			g.load(auth, assertionsSites)
			lines := g.logged(t, "a client cannot exchange identity assertions as the configuration has it")[before:]
			if len(lines) != len(c.want) {
				t.Errorf("logged %v", lines)
			}
			for _, want := range c.want {
				where, _, _ := strings.Cut(want, ":")
				if !strings.Contains(out, "warning: "+want) || !slices.ContainsFunc(lines,
					func(l map[string]any) bool { return l["where"] == where }) {
					t.Errorf("want %s\n%s\n%v", want, out, lines)
				}
			}
		})
	}
}
