package integration

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/secrets"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// authorizeAuth is standardAuth on a store that is named.
var authorizeAuth = strings.TrimSuffix(standardAuth, "}") + `
	secret seal:{{.Seal}}
	store "{{.Store}}"
}`

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

// relyingParties are the clients of the tests. All scopes are allowed without asking but those of
// "asking".
func relyingParties() []clients.Client {
	secret := []clients.Secret{{Number: 1, Hash: secrets.Hash(rpSecret)}}
	settings := clients.Settings{RedirectURIs: []string{rpCallback}, Consent: clients.ConsentOff}
	with := func(change func(s *clients.Settings)) clients.Settings {
		s := settings
		change(&s)
		return s
	}
	return []clients.Client{
		{ID: "rp", Secrets: secret, Settings: settings},
		{ID: "other", Secrets: secret, Settings: settings},
		{ID: "spa", Settings: with(func(s *clients.Settings) {
			s.RedirectURIs = []string{"http://127.0.0.1/cb", "com.example.app:/cb"}
		})},
		{ID: "legacy", Secrets: secret, Settings: with(func(s *clients.Settings) { s.PKCEOptional = true })},
		{ID: "asking", Secrets: secret, Settings: with(func(s *clients.Settings) { s.Consent = clients.ConsentOnce })},
		{ID: "pushing", Secrets: secret, Settings: with(func(s *clients.Settings) { s.PARRequired = true })},
		{ID: "resources", Secrets: secret, Settings: with(func(s *clients.Settings) {
			s.Resources = []string{"https://a.example", "https://b.example/mcp"}
		})},
	}
}

func newAuthorizing(t *testing.T, engine string) *authorizing {
	t.Helper()
	x := &authorizing{gateway: newGateway(t)}
	x.storeURL = "sqlite:" + filepath.Join(x.dir, "auth.db")
	if engine == "postgres" {
		x.storeURL = pgtest.Server(t).URL(t)
	}
	x.extra["Store"], x.extra["Seal"] = x.storeURL, goodSecret
	x.secret("the sealing secret", goodSecret)
	x.secret("the client's secret", rpSecret)
	x.load(authorizeAuth, authorizeSites)
	if err := stopServer(); err != nil {
		t.Fatal(err)
	}
	x.inStore(t, func(ctx context.Context, s *sqlstore.Store) error {
		for _, c := range relyingParties() {
			c.Project, c.Active, c.Created = "default", true, time.Now()
			c.Audience, c.Scopes = []string{"api"}, []string{"openid", "profile", "offline_access", "read"}
			if err := s.AddClient(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
	x.load(authorizeAuth, authorizeSites)
	return x
}

// inStore changes the store while no server runs, or looks into it.
func (x *authorizing) inStore(t *testing.T, do func(ctx context.Context, s *sqlstore.Store) error) {
	t.Helper()
	store, err := sqlstore.New(x.storeURL)
	if err == nil {
		err = store.Open(t.Context())
	}
	if err == nil {
		err = do(t.Context(), store)
	}
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// visitor is a person's browser without JavaScript: it keeps cookies, and follows redirects only as
// far as it is told.
type visitor struct {
	*authorizing
	t *testing.T
	http.Client
}

func (x *authorizing) visitor(t *testing.T) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{authorizing: x, t: t, Client: http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// page is an answer that a visitor got.
type page struct {
	status   int
	header   http.Header
	body     string
	location *url.URL // of a redirect
}

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
	p := page{status: resp.StatusCode, header: resp.Header, body: string(text)}
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
	return x.token(t, "rp", rpSecret, changes, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {rpCallback}, "code_verifier": {pkceVerifier},
	})
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
