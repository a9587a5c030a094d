package integration

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// chatAuth is another authorization server, which trusts the one of the test for its people.
const chatAuth = `
	auth {
		issuer {{url "chat"}}
		store "sqlite:{{.Dir}}/chat.db"
		secret seal:{{.Seal}}
		user alice-at-chat {
			password_hash {{hash "bob"}}
		}
		client wiki-at-chat {
			secret {{.RPSecret}}
			grant_types jwt-bearer
			scope chat.read chat.write
		}
		client twin {
			secret {{.RPSecret}}
			grant_types jwt-bearer
			scope chat.read
		}
		trust {{url "auth"}} {
			assertions {
				clients wiki-at-chat twin
				user_claim sub
				user alice alice-at-chat
				scopes chat.read chat.write
			}
		}
	}
`

const chatSite = `
	auth_server
	jwt_auth api {
		forward sub X-User-Id
	}
	respond "hello {header.X-User-Id}"
`

const (
	idJAGTokenType   = "urn:ietf:params:oauth:token-type:id-jag"
	idTokenType      = "urn:ietf:params:oauth:token-type:id_token"
	refreshTokenType = "urn:ietf:params:oauth:token-type:refresh_token"
)

// wikiClients are clients of the first server: wiki may have assertions for the chat and for files.
func wikiClients(x *authorizing) []relyingParty {
	const grants = "grant_types authorization_code refresh_token token-exchange\n"
	assertions := grants + `
		scope openid email read offline_access
		identity_assertion ` + x.url("chat") + ` {
			client_id wiki-at-chat
			scopes chat.read chat.write chat.admin
		}
		identity_assertion https://files.example {
			scopes files.read
			resources https://files.example/a https://files.example/b
		}`
	return []relyingParty{
		{ID: "wiki", More: assertions},
		{ID: "twin", More: assertions},
		{ID: "unlisted", More: grants + "scope openid read"},
		{ID: "rp", More: "scope openid read"},
		{ID: "spa", Redirects: "http://127.0.0.1/cb", Public: true, More: "scope openid read"},
		{ID: "bound", More: assertions + "\n\t\tdpop_bound_access_tokens"},
	}
}

// newWiki is the first server on one of the databases.
func newWiki(t *testing.T, engine string) *authorizing {
	t.Helper()
	x := prepareAuthorizing(t, engine)
	x.extra["Clients"], x.extra["Level"] = wikiClients(x), "INFO"
	x.load(wikiAuth(), authorizeSites)
	return x
}

// wikiAuth is authorizeAuth with scopes that each client has by itself.
func wikiAuth() string {
	return strings.Replace(authorizeAuth, "\n\t\tscope openid profile offline_access read", "", 1)
}

// assert asks for an assertion. changes are parameters of a query; one without a value is left out.
func (x *authorizing) assert(t *testing.T, client, subject, kind, changes string) (tokenAnswer, answer) {
	t.Helper()
	form := url.Values{
		"grant_type":           {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"requested_token_type": {idJAGTokenType},
		"subject_token":        {subject},
		"subject_token_type":   {kind},
		"audience":             {x.url("chat")},
	}
	values, err := url.ParseQuery(changes)
	if err != nil {
		t.Fatal(err)
	}
	for name, list := range values {
		form[name] = slices.DeleteFunc(list, func(v string) bool { return v == "" })
	}
	return x.posts(t, "auth", client, form)
}

// posts sends a form to /token of a site.
func (x *authorizing) posts(t *testing.T, site, client string, form url.Values) (tokenAnswer, answer) {
	t.Helper()
	lines := []string{"Content-Type: application/x-www-form-urlencoded"}
	if client == "spa" {
		form.Set("client_id", client)
	} else {
		lines = append(lines, "Authorization: Basic "+
			base64.StdEncoding.EncodeToString([]byte(client+":"+url.QueryEscape(rpSecret))))
	}
	a := x.ask(t, site, call{method: "POST", target: "/token", lines: lines, body: form.Encode()})
	got := tokenAnswer{status: a.status, Error: errorWord(a)}
	body := membersOf(t, a)
	got.Access, _ = body["access_token"].(string)
	got.Scope, _ = body["scope"].(string)
	if got.Access != "" {
		x.tokens.remember(got.Access)
	}
	return got, a
}

// buys presents an assertion at the chat.
func (x *authorizing) buys(t *testing.T, client, assertion string) tokenAnswer {
	t.Helper()
	got, _ := x.posts(t, "chat", client, url.Values{"grant_type": {jwtBearer}, "assertion": {assertion}})
	return got
}

// TestIdentityAssertionsBetweenServers: a person signs in at one server; the client exchanges what it
// got there for an assertion, buys a token at the other server with it, and uses that at its gate.
func TestIdentityAssertionsBetweenServers(t *testing.T) {
	x := newWiki(t, "sqlite")
	before := x.issuedAssertions(t)
	v := x.visitor(t)
	code := v.code(v.signIn(v.get(request(t, "client_id=wiki&scope=openid+email+read")), "alice", alicePassword))
	held := x.token(t, "wiki", rpSecret, "", codeForm(code))
	x.startProcess(t, "chat", chatAuth, chatSite).awaitReady(t) // it fetches keys: those of ID tokens are there now
	awaitNextSecond(t)

	for _, c := range []struct{ name, subject, kind string }{
		{"an ID token", held.ID, idTokenType}, {"a refresh token", held.Refresh, refreshTokenType},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, a := x.assert(t, "wiki", c.subject, c.kind, "scope=chat.read+chat.admin")
			body := membersOf(t, a)
			if got.status != 200 || body["issued_token_type"] != idJAGTokenType || body["token_type"] != "N_A" ||
				body["refresh_token"] != nil || body["scope"] != "chat.read chat.admin" ||
				body["expires_in"].(float64) > 300 || a.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %v", got.status, body)
			}
			x.isWikiAssertion(t, got.Access)
			if bought := x.buys(t, "twin", got.Access); bought.Error != "invalid_grant" {
				t.Errorf("another client: %+v", bought)
			}
			bought := x.buys(t, "wiki-at-chat", got.Access)
			if bought.status != 200 || bought.Scope != "chat.read" {
				log, _ := os.ReadFile(filepath.Join(x.dir, "chat.log"))
				t.Fatalf("%+v %s", bought, last(log))
			}
			if a := x.get(t, "chat", "/", bought.Access); a.status != 200 || a.body != "hello alice-at-chat" {
				t.Errorf("the gate: %d %s", a.status, a.body)
			}
			if again := x.buys(t, "wiki-at-chat", got.Access); again.Error != "invalid_grant" {
				t.Errorf("used again: %+v", again)
			}
			x.isNoAccessToken(t, v, got.Access)
		})
	}
	renewed := x.token(t, "wiki", rpSecret, "", url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {held.Refresh},
	})
	if renewed.status != 200 {
		t.Errorf("the refresh token was used up: %+v", renewed)
	}
	x.recordsAssertions(t, before)
}

// awaitNextSecond waits until assertions are later than what a server has just done to its users: `iat`
// has whole seconds.
func awaitNextSecond(t *testing.T) {
	t.Helper()
	begun := time.Now().Unix()
	eventually(t, 2*time.Second, func() string {
		if time.Now().Unix() == begun {
			return "the second is not over"
		}
		return ""
	})
}

// isWikiAssertion holds an assertion against the draft, section 3.1.
func (x *authorizing) isWikiAssertion(t *testing.T, raw string) {
	t.Helper()
	header, claims, err := token.Inspect(raw)
	number := func(name string) int64 {
		n, _ := claims[name].(token.Number)
		at, _ := time.ParseDuration(string(n) + "s")
		return int64(at / time.Second)
	}
	if err != nil || header["typ"] != "oauth-id-jag+jwt" || header["alg"] != "RS256" ||
		claims["iss"] != x.url("auth") || claims["aud"] != x.url("chat") || claims["sub"] != "alice" ||
		claims["client_id"] != "wiki-at-chat" || claims["scope"] != "chat.read chat.admin" ||
		claims["resource"] != nil || claims["email"] != "alice@example.com" || claims["acr"] != "pwd" ||
		claims["jti"] == "" || number("exp")-number("iat") > 300 || number("auth_time") == 0 ||
		claims["sid"] != nil || claims["epoch"] != nil || claims["project"] != nil || claims["role"] != nil {
		t.Errorf("%v: %v %v", err, header, claims)
	}
}

// isNoAccessToken tries an assertion wherever a token is taken.
func (x *authorizing) isNoAccessToken(t *testing.T, v *visitor, raw string) {
	t.Helper()
	for _, site := range []string{"api", "chat"} {
		if a := x.get(t, site, "/", raw); a.status != 401 || a.reason(t) != "wrong_type" {
			t.Errorf("the gate %s: %d %s", site, a.status, a.reason(t))
		}
	}
	if a := x.get(t, "auth", "/userinfo", raw); a.status != 401 {
		t.Errorf("/userinfo: %d %s", a.status, a.body)
	}
	told := x.ask(t, "auth", call{method: "POST", target: "/introspect", lines: []string{
		"Content-Type: application/x-www-form-urlencoded",
	}, body: url.Values{"token": {raw}, "client_id": {"wiki"}, "client_secret": {rpSecret}}.Encode()})
	if told.status != 200 || strings.TrimSpace(told.body) != `{"active":false}` {
		t.Errorf("/introspect: %d %s", told.status, told.body)
	}
	if got, _ := x.assert(t, "wiki", raw, idTokenType, ""); got.Error != "invalid_request" {
		t.Errorf("as an ID token: %+v", got)
	}
	if got, _ := x.posts(t, "auth", "wiki", url.Values{"grant_type": {jwtBearer}, "assertion": {raw}}); got.Error !=
		"unsupported_grant_type" {
		t.Errorf("at the server that made it: %+v", got)
	}
	for _, args := range [][]string{{}, {"--json"}} {
		out, _, err := command(raw, append([]string{"token", "inspect"}, args...)...)
		if err != nil || !strings.Contains(out, "this is an identity assertion (ID-JAG)") {
			t.Errorf("token inspect %v: %v %s", args, err, out)
		}
	}
	uri := x.push(t, "rp", "prompt=none&id_token_hint="+raw)
	p := v.in(t).get("/authorize?client_id=rp&request_uri=" + url.QueryEscape(uri))
	if p.location.Query().Get("error") != "invalid_request" {
		t.Errorf("as a hint: %d %v", p.status, p.location)
	}
}

// recordsAssertions: each is in the audit trail, in the log and in the counters.
func (x *authorizing) recordsAssertions(t *testing.T, before [3]float64) {
	t.Helper()
	lines := x.logged(t, "token request")
	i := slices.IndexFunc(lines, func(l map[string]any) bool { return l["action"] == "identity_assertion" })
	if i < 0 || lines[i]["audience"] != x.url("chat") || lines[i]["user_id"] != "alice" ||
		lines[i]["client_id"] != "wiki" || lines[i]["result"] != "success" {
		t.Errorf("%v", lines)
	}
	if got := x.issuedAssertions(t); got != [3]float64{before[0] + 2, before[1] + 2, before[2] + 2} {
		t.Errorf("counted %v, before %v", got, before)
	}
	d := x.metadata(t, "/.well-known/oauth-authorization-server")
	if types, _ := d["identity_chaining_requested_token_types_supported"].([]any); !slices.Equal(types,
		[]any{idJAGTokenType}) {
		t.Errorf("%v", types)
	}
	if err := stopServer(); err != nil {
		t.Fatal(err)
	}
	admin := x.addAPIToken(t, "", []string{"admin"}, false)
	x.load(wikiAuth(), authorizeSites)
	trail := x.manage(t, "GET", "/api/audit?action=identity_assertion", admin, "")
	if n := strings.Count(trail.body, `"actor":"user:alice"`); n != 2 {
		t.Errorf("%d entries: %s", n, trail.body)
	}
}

// issuedAssertions are the counters of assertions, and of good and bad exchanges.
func (x *authorizing) issuedAssertions(t *testing.T) (counted [3]float64) {
	t.Helper()
	const series = `caddy_auth_token_requests_total{grant_type="urn:ietf:params:oauth:grant-type:token-exchange",` +
		`result=`
	for i, name := range []string{
		`caddy_auth_tokens_issued_total{kind="identity_assertion"}`,
		series + `"success"}`,
		series + `"invalid_request"}`,
	} {
		counted[i], _ = strconv.ParseFloat(x.metric(t, name), 64)
	}
	return counted
}

// TestIdentityAssertionsThatAreNotIssued: with which word, and why, on both databases.
func TestIdentityAssertionsThatAreNotIssued(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) { newWiki(t, engine).refusesToAssert(t) })
	}
}

// signedInto is what a client gets at a sign-in of alice, or from her session.
func (x *authorizing) signedInto(t *testing.T, v *visitor, client, scope string) tokenAnswer {
	t.Helper()
	changes := "client_id=" + client + "&scope=" + url.QueryEscape(scope)
	if client == "spa" {
		changes += "&redirect_uri=http://127.0.0.1/cb"
	}
	p := v.get(request(t, changes))
	if p.status == http.StatusSeeOther && p.location.Path == "/login" {
		p = v.signIn(p, "alice", alicePassword)
	}
	form, secret := codeForm(v.code(p)), rpSecret
	if client == "spa" {
		secret = ""
		form.Set("redirect_uri", "http://127.0.0.1/cb")
	}
	return x.token(t, client, secret, "", form)
}

func (x *authorizing) refusesToAssert(t *testing.T) {
	v := x.visitor(t)
	wiki := x.signedInto(t, v, "wiki", "openid read")
	plain := x.signedInto(t, v, "wiki", "read")
	twin, unlisted := x.signedInto(t, v, "twin", "openid"), x.signedInto(t, v, "unlisted", "openid")
	spa := x.signedInto(t, v, "spa", "openid")
	foreign, err := token.Sign(newClientKey(t), "JWT", map[string]any{
		"iss": x.url("auth"), "aud": "wiki", "sub": "alice", "iat": time.Now().Unix(),
		"exp": time.Now().Add(time.Minute).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	x.tokens.remember(foreign)
	for _, c := range []struct{ name, client, subject, kind, changes, code, reason string }{
		{"another audience", "wiki", wiki.ID, idTokenType, "audience=https://other.example", "invalid_target", ""},
		{"the audience with a slash", "wiki", wiki.ID, idTokenType, "audience=" + x.url("chat") + "/",
			"invalid_target", ""},
		{"this server as audience", "wiki", wiki.ID, idTokenType, "audience=" + x.url("auth"), "invalid_target", ""},
		{"two audiences", "wiki", wiki.ID, idTokenType, "audience=https://files.example&audience=" + x.url("chat"),
			"invalid_target", ""},
		{"no audience", "wiki", wiki.ID, idTokenType, "audience=", "invalid_request", ""},
		{"a client with no audience", "unlisted", unlisted.ID, idTokenType, "", "invalid_target", ""},
		{"a client without the grant", "rp", wiki.ID, idTokenType, "", "unauthorized_client", ""},
		{"a public client", "spa", spa.ID, idTokenType, "", "unauthorized_client", ""},
		{"a wider scope", "wiki", wiki.ID, idTokenType, "scope=chat.read+chat.root", "invalid_scope", ""},
		{"a scope of this server", "wiki", wiki.ID, idTokenType, "scope=openid", "invalid_scope", ""},
		{"a resource where there is none", "wiki", wiki.ID, idTokenType, "resource=https://files.example/a",
			"invalid_target", ""},
		{"another resource", "wiki", wiki.ID, idTokenType,
			"audience=https://files.example&resource=https://files.example/c", "invalid_target", ""},
		{"an ID token of another client", "wiki", twin.ID, idTokenType, "", "invalid_request", "wrong_client"},
		{"an ID token of another issuer's key", "wiki", foreign, idTokenType, "", "invalid_request", "unknown_key"},
		{"a refresh token of another client", "wiki", twin.Refresh, refreshTokenType, "", "invalid_request",
			"other_client"},
		{"a refresh token without openid", "wiki", plain.Refresh, refreshTokenType, "", "invalid_request", "no_openid"},
		{"an access token", "wiki", wiki.Access, "urn:ietf:params:oauth:token-type:access_token", "",
			"invalid_request", ""},
		{"an access token as an ID token", "wiki", wiki.Access, idTokenType, "", "invalid_request", "wrong_type"},
		{"an access token of another client", "wiki", twin.Access, idTokenType, "", "invalid_request", "wrong_type"},
		{"a refresh token as an ID token", "wiki", wiki.Refresh, idTokenType, "", "invalid_request", "wrong_type"},
		{"an ID token as a refresh token", "wiki", wiki.ID, refreshTokenType, "", "invalid_request", "malformed"},
		{"no subject token", "wiki", "", idTokenType, "subject_token=", "invalid_request", ""},
		{"no type", "wiki", wiki.ID, "", "subject_token_type=", "invalid_request", ""},
		{"an actor", "wiki", wiki.ID, idTokenType, "actor_token=x", "invalid_request", ""},
	} {
		t.Run(c.name, func(t *testing.T) { x.notAsserted(t, c.client, c.subject, c.kind, c.changes, c.code, c.reason) })
	}
	t.Run("what may be named", func(t *testing.T) { x.narrowsAssertions(t, wiki) })
	x.endsAssertions(t)
}

// notAsserted demands a refusal, and its reason in the log.
func (x *authorizing) notAsserted(t *testing.T, client, subject, kind, changes, code, reason string) {
	t.Helper()
	got, a := x.assert(t, client, subject, kind, changes)
	lines := x.logged(t, "token request")
	logged, _ := lines[len(lines)-1]["reason"].(string)
	if got.status != 400 || got.Error != code || logged != reason || got.Access != "" {
		t.Errorf("status %d, reason %q: %s", got.status, logged, a.body)
	}
}

// narrowsAssertions: what an assertion names, and that its e-mail address was granted.
func (x *authorizing) narrowsAssertions(t *testing.T, held tokenAnswer) {
	for _, c := range []struct {
		name, changes, scope string
		resource             any
	}{
		{"nothing asked", "", "chat.read chat.write chat.admin", nil},
		{"all resources", "audience=https://files.example", "files.read",
			[]any{"https://files.example/a", "https://files.example/b"}},
		{"one resource", "audience=https://files.example&resource=https://files.example/b", "files.read",
			"https://files.example/b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, a := x.assert(t, "wiki", held.ID, idTokenType, c.changes)
			_, claims, err := token.Inspect(got.Access)
			list, _ := claims["resource"].([]any)
			want, _ := c.resource.([]any)
			if err != nil || got.Scope != c.scope || claims["scope"] != c.scope || claims["email"] != nil ||
				!slices.Equal(list, want) || want == nil && claims["resource"] != c.resource {
				t.Errorf("%v: %s %v", err, a.body, claims)
			}
		})
	}
}

// endsAssertions: what ends the client's grant ends assertions, however good the ID token is.
func (x *authorizing) endsAssertions(t *testing.T) {
	for _, c := range []struct {
		name   string
		end    func(t *testing.T, v *visitor, held tokenAnswer)
		reason string // of the ID token; that of a refresh token may be another
	}{
		{"the client has revoked its token", func(t *testing.T, _ *visitor, held tokenAnswer) {
			x.ask(t, "auth", call{method: "POST", target: "/revoke", lines: []string{
				"Content-Type: application/x-www-form-urlencoded",
			}, body: url.Values{"token": {held.Refresh}, "client_id": {"wiki"}, "client_secret": {rpSecret}}.Encode()})
		}, "revoked"},
		{"the person has signed out", func(t *testing.T, v *visitor, _ tokenAnswer) {
			if p := v.in(t).post("/logout", url.Values{}); p.status != http.StatusSeeOther {
				t.Fatalf("%d %s", p.status, p.body)
			}
		}, "revoked"},
		{"the person is disabled", func(*testing.T, *visitor, tokenAnswer) {
			x.load(strings.Replace(wikiAuth(), "user alice {", "user alice {\n\t\tdisabled", 1), authorizeSites)
		}, "revoked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := x.visitor(t)
			held := x.signedInto(t, v, "wiki", "openid read")
			if got, a := x.assert(t, "wiki", held.ID, idTokenType, ""); got.status != 200 {
				t.Fatalf("before: %d %s", got.status, a.body)
			}
			c.end(t, v, held)
			x.notAsserted(t, "wiki", held.ID, idTokenType, "", "invalid_request", c.reason)
			x.notAsserted(t, "wiki", held.Refresh, refreshTokenType, "", "invalid_request", "revoked")
		})
	}
}

var documentedBlock = regexp.MustCompile("(?ms)^```(?:caddyfile|sh)\n(.*?)^```$")

// TestDocumentedIdentityAssertions runs the section of docs/clients.md: its settings at two servers,
// and its commands.
func TestDocumentedIdentityAssertions(t *testing.T) {
	requireProgram(t, "curl")
	requireProgram(t, "jq")
	text, err := os.ReadFile("../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## An application that acts at another server\n")
	section, _, _ = strings.Cut(section, "\n## ")
	x := newWiki(t, "sqlite")
	section = strings.NewReplacer("https://auth.example.com", x.url("auth"), "https://chat.example.net", x.url("chat"),
		"name \"The assistant\"", "consent off").Replace(section)
	blocks := documentedBlock.FindAllStringSubmatch(section, -1)
	if len(blocks) != 3 {
		t.Fatalf("%d blocks", len(blocks))
	}
	secrets := []string{"ASSISTANT_SECRET=" + rpSecret, "CHAT_SECRET=" + rpSecret}
	t.Setenv("ASSISTANT_SECRET", rpSecret)
	x.extra["Clients"] = []relyingParty{}
	x.load(strings.TrimSuffix(wikiAuth(), "}")+blocks[0][1]+"}", authorizeSites)
	v := x.visitor(t)
	const callback = "https://assistant.example.com/callback"
	asked := request(t, "client_id=assistant&scope=openid&redirect_uri="+url.QueryEscape(callback))
	form := codeForm(v.code(v.signIn(v.get(asked), "alice", alicePassword)))
	form.Set("redirect_uri", callback)
	held := x.token(t, "assistant", rpSecret, "", form)
	x.startProcess(t, "chat", strings.Replace(blocks[1][1], "auth {", `auth {
	store "sqlite:{{.Dir}}/chat.db"
	secret seal:{{.Seal}}
	user alice {
		password_hash {{hash "bob"}}
	}`, 1), chatSite, secrets...).awaitReady(t)
	awaitNextSecond(t)
	shell := exec.Command("sh", "-c", blocks[2][1])
	shell.Env = append(append(os.Environ(), secrets...), "ID_TOKEN="+held.ID)
	out, err := shell.CombinedOutput()
	access := strings.TrimSpace(string(out))
	x.tokens.remember(access)
	if a := x.get(t, "chat", "/", access); err != nil || a.status != 200 || a.body != "hello alice" {
		t.Errorf("%v: %d %s", err, a.status, a.body)
	}
}
