package integration

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// authorizeAuth is standardAuth with relying parties, on a store that is named.
var authorizeAuth = strings.TrimSuffix(standardAuth, "}") + `
	secret seal:{{.Seal}}
	store "{{.Store}}"
	project default {
		revoke_refresh_on_password_change on
	}
	{{range .Clients}}
	client {{.ID}} {
		redirect_uri {{if .Redirects}}{{.Redirects}}{{else}}https://rp.example/cb?tenant=1{{end}}
		scope openid profile offline_access read
		audience api
		{{if not .Public}}secret {{$.RPSecret}}{{end}}
		{{if not .Asks}}consent off{{end}}
		{{.More}}
	}
	{{end}}
}`

// relyingParty is a client of the tests. One that does not ask is allowed everything.
type relyingParty struct {
	ID           string
	Redirects    string // default: rpCallback
	Public, Asks bool
	More         string
}

var relyingParties = []relyingParty{
	{ID: "rp", More: "introspection api https://films.example"},
	{ID: "other", More: "introspection api"},
	{ID: "spa", Redirects: "http://127.0.0.1/cb com.example.app:/cb", Public: true},
	{ID: "here", Redirects: "http://[::1]:7/cb http://localhost/cb", Public: true},
	{ID: "legacy", More: "pkce optional"},
	{ID: "asking", Asks: true},
	{ID: "pushing", More: "require_pushed_authorization_requests"},
	{ID: "resources", More: "resource https://a.example https://b.example/mcp"},
	{ID: "tv", Public: true, More: "name \"The Television\"\n\t\tgrant_types device_code refresh_token\n\t\t" +
		"resource https://films.example"},
	{ID: "brief", More: "lifetimes {\n\t\t\tauthorization_code 10s\n\t\t}"},
	{ID: "radio", Public: true, More: "grant_types device_code refresh_token"},
	{ID: "box", More: "grant_types device_code"},
	{ID: "strict", More: "refresh_reuse_interval 0s"},
	{ID: "fixed", More: "refresh_rotation off"},
	{ID: "plainly", More: "response_modes query"},
	{ID: "machine", Redirects: "https://rp.example/cb?tenant=1", More: "grant_types client_credentials"},
}

const authorizeSites = authSite + metricsSite + `
{{url "api"}} {
	jwt_auth api
	respond "hello"
}
`

// RFC 7636, appendix B.
const (
	pkceVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	pkceChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

	rpCallback = "https://rp.example/cb?tenant=1"
	rpSecret   = "cacs_the-secret-of-the-relying-party"
)

// authorizing is a server with relying parties.
type authorizing struct {
	*gateway
	storeURL string
}

func newAuthorizing(t *testing.T, engine string) *authorizing {
	t.Helper()
	x := prepareAuthorizing(t, engine)
	x.extra["Clients"] = relyingParties
	x.load(authorizeAuth, authorizeSites)
	return x
}

// prepareAuthorizing has the store and the secrets; Clients and load are left to the caller.
func prepareAuthorizing(t *testing.T, engine string) *authorizing {
	t.Helper()
	x := &authorizing{gateway: newGateway(t)}
	x.storeURL = "sqlite:" + filepath.Join(x.dir, "auth.db")
	if engine == "postgres" {
		x.storeURL = pgtest.Server(t).URL(t)
	}
	x.extra["Store"], x.extra["Seal"], x.extra["RPSecret"] = x.storeURL, goodSecret, rpSecret
	x.secret("the sealing secret", goodSecret)
	x.secret("the client's secret", rpSecret)
	return x
}

// visitor is a person's browser without JavaScript: it keeps cookies, and follows redirects only as
// far as it is told.
type visitor struct {
	*authorizing
	t *testing.T
	http.Client
}

func newJar(t *testing.T) http.CookieJar {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return jar
}

func (x *authorizing) visitor(t *testing.T) *visitor {
	return &visitor{authorizing: x, t: t, Client: http.Client{
		Transport:     x.transport(),
		Jar:           newJar(t),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// in is the same browser in a test within the test.
func (v *visitor) in(t *testing.T) *visitor {
	same := *v
	same.t = t
	return &same
}

// page is an answer that a visitor got.
type page struct {
	status   int
	header   http.Header
	body     string
	location *url.URL // of a redirect; empty without one
}

// leads reports whether it is a redirect.
func (p page) leads() bool { return *p.location != (url.URL{}) }

func (v *visitor) do(method, address, contentType, body string, more ...string) page {
	v.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = v.url("auth") + address
	}
	r, err := http.NewRequestWithContext(v.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for _, line := range more {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	resp, err := v.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	p := page{status: resp.StatusCode, header: resp.Header, body: string(text), location: new(url.URL)}
	if to := resp.Header.Get("Location"); to != "" {
		if p.location, err = r.URL.Parse(to); err != nil {
			v.t.Fatal(err)
		}
	}
	for _, c := range resp.Cookies() {
		v.tokens.remember(c.Value)
	}
	return p
}

func (v *visitor) get(address string) page { v.t.Helper(); return v.do("GET", address, "", "") }

func (v *visitor) post(address string, form url.Values) page {
	v.t.Helper()
	return v.do("POST", address, "application/x-www-form-urlencoded", form.Encode())
}

// signIn fills in the login page that a redirect leads to, and follows the way back.
func (v *visitor) signIn(p page, name, password string) page {
	v.t.Helper()
	if p.status != http.StatusSeeOther || p.location.Path != "/login" {
		v.t.Fatalf("not sent to the login page: %d to %v: %s", p.status, p.location, p.body)
	}
	form := v.get(p.location.String())
	if form.status != http.StatusOK || !strings.Contains(form.body, `name="password"`) {
		v.t.Fatalf("the login page: %d %s", form.status, form.body)
	}
	back := v.post("/login", url.Values{
		"username": {name}, "password": {password}, "next": {p.location.Query().Get("next")}, "cookies": {"1"},
	})
	if back.status != http.StatusSeeOther {
		v.t.Fatalf("signing in: %d %s", back.status, back.body)
	}
	return v.get(back.location.String())
}

// request is the address of an authorization request, changed as a query says; a name alone takes a
// parameter out.
func request(t *testing.T, changes string) string {
	t.Helper()
	q := url.Values{
		"response_type":         {"code"},
		"client_id":             {"rp"},
		"redirect_uri":          {rpCallback},
		"scope":                 {"openid read"},
		"state":                 {"the state"},
		"nonce":                 {"the-nonce"},
		"code_challenge":        {pkceChallenge},
		"code_challenge_method": {"S256"},
	}
	values, err := url.ParseQuery(changes)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(q, values)
	maps.DeleteFunc(q, func(_ string, v []string) bool { return len(v) == 1 && v[0] == "" })
	return "/authorize?" + q.Encode()
}

// code returns the code of an answer that was sent to the redirect URI.
func (v *visitor) code(p page) string {
	v.t.Helper()
	if p.status != http.StatusSeeOther || p.location.Query().Get("code") == "" {
		v.t.Fatalf("no code: %d to %v: %s", p.status, p.location, p.body)
	}
	code := p.location.Query().Get("code")
	v.secret("a code", code)
	return code
}

// tokenAnswer is the answer of /token.
type tokenAnswer struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
	ID      string `json:"id_token"`
	Error   string `json:"error"`
	status  int
}

// token asks /token as a client. A client without a secret is public.
func (x *authorizing) token(t *testing.T, client, secret, changes string, form url.Values) tokenAnswer {
	t.Helper()
	values, err := url.ParseQuery(changes)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(form, values)
	form.Set("client_id", client)
	if secret != "" {
		form.Set("client_secret", secret)
	}
	maps.DeleteFunc(form, func(_ string, v []string) bool { return len(v) == 1 && v[0] == "" })
	a := x.ask(t, "auth", call{
		method: "POST", target: "/token", lines: []string{"Content-Type: application/x-www-form-urlencoded"},
		body: form.Encode(),
	})
	var got tokenAnswer
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", a.header)
	}
	got.status = a.status
	for _, secret := range []string{got.Access, got.Refresh, got.ID} {
		if secret != "" {
			x.tokens.remember(secret)
		}
	}
	return got
}

// exchange presents a code.
func (x *authorizing) exchange(t *testing.T, code, changes string) tokenAnswer {
	t.Helper()
	return x.token(t, "rp", rpSecret, changes, codeForm(code))
}

// refresh uses a refresh token.
func (x *authorizing) refresh(t *testing.T, token, changes string) tokenAnswer {
	t.Helper()
	return x.token(t, "rp", rpSecret, changes, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// onEngines runs a test on both databases.
func onEngines(t *testing.T, test func(t *testing.T, x *authorizing)) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) { test(t, newAuthorizing(t, engine)) })
	}
}

// TestCodeFlow from the application to its tokens and back: a person who is not signed in, the code,
// the tokens, their renewal, and the end of it all when the code is used again.
func TestCodeFlow(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		v := x.visitor(t)
		answer := v.signIn(v.get(request(t, "")), "alice", alicePassword)
		code := v.code(answer)
		q := answer.location.Query()
		if got := answer.location; got.Host != "rp.example" || got.Path != "/cb" || q.Get("tenant") != "1" ||
			q.Get("state") != "the state" || q.Get("iss") != x.url("auth") {
			t.Errorf("sent to %v", got)
		}
		if h := answer.header; h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("headers %v", h)
		}

		first := x.exchange(t, code, "")
		if first.status != 200 || first.Refresh == "" || first.Scope != "openid read" {
			t.Fatalf("%+v", first)
		}
		if a := x.get(t, "api", "/", first.Access); a.status != 200 {
			t.Errorf("the gate: %d %s", a.status, a.body)
		}
		second := x.refresh(t, first.Refresh, "scope=read")
		if second.status != 200 || second.Scope != "read" {
			t.Fatalf("%+v", second)
		}

		// The person is signed in now: no page.
		again := v.code(v.get(request(t, "prompt=none")))
		if got := x.exchange(t, again, ""); got.status != 200 {
			t.Errorf("%+v", got)
		}

		if got := x.exchange(t, code, ""); got.status != 400 || got.Error != "invalid_grant" {
			t.Errorf("used again: %+v", got)
		}
		for _, access := range []string{first.Access, second.Access} {
			if a := x.get(t, "api", "/", access); a.status != 401 || a.reason(t) != "revoked" {
				t.Errorf("what it bought, at the gate: %d %s", a.status, a.reason(t))
			}
		}
		if got := x.refresh(t, second.Refresh, ""); got.status != 400 || got.Error != "invalid_grant" {
			t.Errorf("what it bought: %+v", got)
		}
	})
}
