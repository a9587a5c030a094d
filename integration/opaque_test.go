package integration

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// opaqueAuth has a client whose tokens are opaque, one more of its project, and one of another
// project.
const opaqueAuth = `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	keys {env.TEST_KEYS}
	store "sqlite:{{.Dir}}/auth.db"
	user alice {
		password_hash {{hash "alice"}}
		claim role admin
	}
	project acme
	client reports {
		secret {{index .Secrets "reports"}}
		access_token_format opaque
		introspection api
		claim tier gold
	}
	client peer {
		secret {{index .Secrets "peer"}}
		introspection api
	}
	client stranger {
		project acme
		secret {{index .Secrets "stranger"}}
		introspection api
	}
	client spa
}`

const opaqueSites = authSite + `
{{url "api"}} {
	log
	jwt_auth api {
		forward sub X-User-Id
		forward role X-User-Role
		forward tier X-User-Tier
	}
	reverse_proxy {{.Proxy}}
}
{{url "web"}} {
	log
	jwt_auth web
	reverse_proxy {{.Proxy}}
}
{{url "acme"}} {
	log
	jwt_auth api {
		project acme
	}
	reverse_proxy {{.Proxy}}
}
`

// opaqueGateway is a running server with an admin endpoint, where operators have tokens made.
type opaqueGateway struct {
	*gateway
	secrets map[string]string // of clients
}

func newOpaqueGateway(t *testing.T) *opaqueGateway {
	t.Helper()
	g := &opaqueGateway{newGateway(t), map[string]string{}}
	for _, id := range []string{"reports", "peer", "stranger"} {
		g.secrets[id] = id + "-" + strings.Repeat("secret-", 5)
		g.secret("a client's secret", g.secrets[id])
	}
	g.extra["Secrets"] = g.secrets
	text := strings.Replace(g.caddyfile(opaqueAuth, opaqueSites), "admin off", "admin "+g.addr("admin"), 1)
	if err := loadText(text); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the endpoint would outlive the test
		if err := caddy.Load([]byte(`{"admin":{"disabled":true,"config":{"persist":false}}}`), true); err != nil {
			t.Error(err)
		}
	})
	return g
}

// mint has a token made as `caddy auth token mint` does, and returns it with its id.
func (g *opaqueGateway) mint(t *testing.T, body string) (raw, id string) {
	t.Helper()
	a := sendHTTP1(t, g.addr("admin"), call{
		method: http.MethodPost,
		target: "/auth/api/mint",
		host:   g.addr("admin"),
		lines:  []string{"Content-Type: application/json"},
		body:   body,
	})
	var minted struct {
		Token string `json:"access_token"`
		ID    string `json:"token_id"`
	}
	if err := json.Unmarshal([]byte(a.body), &minted); err != nil || a.status != http.StatusCreated || minted.ID == "" {
		t.Fatalf("minting: status %d: %s %v", a.status, a.body, a.broken)
	}
	if strings.HasPrefix(minted.Token, "at_") {
		g.secret("an opaque token", minted.Token)
	} else {
		g.tokens.remember(minted.Token)
	}
	return minted.Token, minted.ID
}

// post sends a form about a token to one of the server's endpoints, as a client, or as nobody.
func (g *opaqueGateway) post(t *testing.T, target, client, raw string) answer {
	t.Helper()
	lines := []string{"Content-Type: application/x-www-form-urlencoded"}
	if client != "" {
		pair := base64.StdEncoding.EncodeToString([]byte(client + ":" + g.secrets[client]))
		lines = append(lines, "Authorization: Basic "+pair)
	}
	return g.ask(t, "auth",
		call{method: http.MethodPost, target: target, lines: lines, body: url.Values{"token": {raw}}.Encode()})
}

// described is what introspection says to a client.
func (g *opaqueGateway) described(t *testing.T, client, raw string) map[string]any {
	t.Helper()
	a := g.post(t, "/introspect", client, raw)
	var body map[string]any
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != http.StatusOK ||
		a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("introspection by %s: status %d, %v: %s", client, a.status, a.header, a.body)
	}
	return body
}

// isNothing demands the whole answer about a token that is none of the client's business.
func (g *opaqueGateway) isNothing(t *testing.T, when, client, raw string) {
	t.Helper()
	if d := g.described(t, client, raw); len(d) != 1 || d["active"] != false {
		t.Errorf("%s: introspection by %s says %v", when, client, d)
	}
}

// isRefused demands a refusal with its word, and that the application saw nothing.
func (g *gateway) isRefused(t *testing.T, when, site, raw string, status int, reason string) {
	t.Helper()
	a := g.get(t, site, "/", raw)
	if a.status != status || a.reason(t) != reason {
		t.Errorf("%s: status %d, reason %q, want %d %q: %s", when, a.status, a.reason(t), status, reason, a.body)
	}
	if seen := g.proxy.take(); len(seen) != 0 {
		t.Errorf("%s: the application saw %q", when, seen[0].raw)
	}
}

// isForwarded demands that a token passes and that the application learns exactly these values.
func (g *gateway) isForwarded(t *testing.T, site, raw string, want map[string]string) {
	t.Helper()
	a := g.get(t, site, "/", raw, "X-User-Tier: forged", "X-User-Id: forged")
	seen := g.proxy.take()
	if a.status != http.StatusOK || len(seen) != 1 {
		t.Fatalf("%s: status %d, reason %q, the application saw %d requests", site, a.status, a.reason(t), len(seen))
	}
	for name, value := range want {
		if got := seen[0].values(name); !slices.Equal(got, []string{value}) {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if strings.Contains(seen[0].raw, raw) {
		t.Error("the application saw the token")
	}
}

// TestOpaqueTokens follows an opaque token from its making to its end.
func TestOpaqueTokens(t *testing.T) {
	g := newOpaqueGateway(t)
	raw, id := g.mint(t, `{"user":"alice","client":"reports"}`)
	if !strings.HasPrefix(raw, "at_") || strings.Contains(raw, ".") {
		t.Fatalf("minted a token of %d bytes that begins with %.3q", len(raw), raw)
	}
	t.Run("passes", func(t *testing.T) { g.passes(t, raw) })
	t.Run("introspection", func(t *testing.T) { g.describes(t, raw, id) })
	t.Run("revocation", func(t *testing.T) { g.revokes(t, raw) })
	t.Run("expiry", func(t *testing.T) { g.expires(t) })
	t.Run("garbage", func(t *testing.T) { g.knowsNoOther(t) })
	t.Run("other clients", func(t *testing.T) { g.keepsFormats(t) })
}

func (g *opaqueGateway) passes(t *testing.T, raw string) {
	for range 3 { // asked about, then remembered
		g.isForwarded(t, "api", raw,
			map[string]string{"x-user-id": "alice", "x-user-role": "admin", "x-user-tier": "gold"})
	}
	g.isRefused(t, "another audience", "web", raw, http.StatusUnauthorized, "wrong_audience")
	g.isRefused(t, "another project", "acme", raw, http.StatusUnauthorized, "wrong_project")
}

func (g *opaqueGateway) describes(t *testing.T, raw, id string) {
	for _, client := range []string{"reports", "peer"} {
		d := g.described(t, client, raw)
		for _, c := range []struct {
			name string
			want any
		}{
			{"active", true}, {"client_id", "reports"}, {"token_type", "Bearer"}, {"sub", "alice"},
			{"iss", g.url("auth")}, {"jti", id},
		} {
			if d[c.name] != c.want {
				t.Errorf("to %s: %s is %v, want %v", client, c.name, d[c.name], c.want)
			}
		}
		exp, _ := d["exp"].(float64)
		iat, _ := d["iat"].(float64)
		if fmt.Sprint(d["aud"]) != "[api]" || exp-iat != 300 || iat > float64(time.Now().Unix()) || d["role"] != nil ||
			d["tier"] != nil {
			t.Errorf("to %s: %v", client, d)
		}
	}
	g.isNothing(t, "another project's client", "stranger", raw)
	for _, client := range []string{"", "spa", "nobody"} {
		if a := g.post(t, "/introspect", client, raw); a.status != http.StatusUnauthorized ||
			strings.Contains(a.body, "active") {
			t.Errorf("introspection by %q: status %d: %s", client, a.status, a.body)
		}
	}
	if a := g.post(t, "/revoke", "peer", raw); a.status != http.StatusBadRequest || errorWord(a) != "invalid_grant" {
		t.Errorf("revocation by another client: status %d: %s", a.status, a.body)
	}
	g.isForwarded(t, "api", raw, nil)
}

// revokes: what the gate remembers for a minute does not outlive the revocation by more
// than a second.
func (g *opaqueGateway) revokes(t *testing.T, raw string) {
	if a := g.post(t, "/revoke", "reports", raw); a.status != http.StatusOK {
		t.Fatalf("revocation: status %d: %s", a.status, a.body)
	}
	eventually(t, time.Second, func() string {
		a := g.get(t, "api", "/", raw)
		g.proxy.take()
		if a.status != http.StatusUnauthorized || a.reason(t) != "revoked" {
			return fmt.Sprintf("status %d, reason %q", a.status, a.reason(t))
		}
		return ""
	})
	g.isNothing(t, "revoked", "reports", raw)
	if a := g.post(t, "/revoke", "reports", raw); a.status != http.StatusOK {
		t.Errorf("revocation once more: status %d: %s", a.status, a.body)
	}
}

// expires brings a token that ended two minutes ago, made by the code that issues them.
func (g *opaqueGateway) expires(t *testing.T) {
	raw := g.sealed(t, g.opaqueSalt(t), time.Now().Add(-2*time.Minute))
	g.isRefused(t, "expired", "api", raw, http.StatusUnauthorized, "expired")
	g.isNothing(t, "expired", "reports", raw)
}

// opaqueSalt is what the server's store has for opaque tokens.
func (g *opaqueGateway) opaqueSalt(t *testing.T) string {
	t.Helper()
	store, err := sqlstore.New("sqlite:" + filepath.Join(g.dir, "auth.db"))
	if err == nil {
		err = store.Open(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	salt, err := store.Meta(t.Context(), "opaque_salt")
	if err := errors.Join(err, store.Close()); err != nil || len(salt) != 52 {
		t.Fatalf("the salt has %d characters, %v", len(salt), err)
	}
	return salt
}

// sealed is a token that the server's secret makes with a salt.
func (g *opaqueGateway) sealed(t *testing.T, salt string, expiry time.Time) string {
	t.Helper()
	o := &opaque.Tokens{
		Secrets: g.opaqueSecrets(t, salt),
		Issuer:  token.Issuer{Name: g.url("auth"), Own: true},
	}
	raw, err := o.Issue(token.Claims{
		Issuer:   g.url("auth"),
		Subject:  "alice",
		Audience: []string{"api"},
		IssuedAt: expiry.Add(-8 * time.Minute),
		Expiry:   expiry,
		ID:       "made",
		ClientID: "reports", Project: "default", Protocol: map[string]any{"epoch": time.Now().UnixMilli()},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.secret("an opaque token", raw)
	return raw
}

// opaqueSecrets are those of the server, whose secret is in its data directory, and the salt in its store.
func (g *opaqueGateway) opaqueSecrets(t *testing.T, salt string) (secrets []keyring.Subkey) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(g.dir, "data", "caddy", "auth", "secret.key"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.ParseSecretRing(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return append(secrets, ring.DeriveWith(opaque.Label, []byte(salt))...)
}

func (g *opaqueGateway) knowsNoOther(t *testing.T) {
	g.isForwarded(t, "api", g.sealed(t, g.opaqueSalt(t), time.Now().Add(time.Minute)), nil)
	for _, c := range []struct {
		name        string
		raw, reason string
	}{
		{"unknown", "at_" + strings.Repeat("A", 64), "inactive"},
		{"of the secret alone", g.sealed(t, "", time.Now().Add(time.Minute)), "inactive"},
		{"of another store", g.sealed(t, rand.Text()+rand.Text(), time.Now().Add(time.Minute)), "inactive"},
		{"of 32 bytes, as they once were", "at_" + strings.Repeat("A", 43), "malformed"},
		{"short", "at_abc", "malformed"}, {"only a prefix", "at_", "malformed"},
		{"long", "at_" + strings.Repeat("A", 5000), "inactive"},
		{"too long", "at_" + strings.Repeat("A", 8190), "malformed"},
		{"alphabet", "at_" + strings.Repeat("A", 63) + "+", "malformed"},
	} {
		g.isRefused(t, c.name, "api", c.raw, http.StatusUnauthorized, c.reason)
		g.isNothing(t, c.name, "reports", c.raw)
	}
}

// keepsFormats: a client without the setting gets a JWT, which introspection describes as well; so
// does the operator without a client.
func (g *opaqueGateway) keepsFormats(t *testing.T) {
	for _, c := range []struct{ body, client string }{
		{`{"user":"alice","client":"peer"}`, "peer"}, {`{"user":"alice"}`, "caddyauth"},
	} {
		raw, id := g.mint(t, c.body)
		if strings.Count(raw, ".") != 2 {
			t.Errorf("%s: no JWT", c.body)
		}
		g.isForwarded(t, "api", raw, map[string]string{"x-user-id": "alice"})
		if d := g.described(t, "reports", raw); d["active"] != true || d["client_id"] != c.client || d["jti"] != id {
			t.Errorf("%s: %v", c.body, d)
		}
	}
}

// introspector is a foreign issuer that knows some opaque tokens.
type introspector struct {
	*httptest.Server
	mu    sync.Mutex
	asked map[string]int
	wrong []string // requests that are not as RFC 7662 has them
	down  bool
}

func newIntrospector(t *testing.T) *introspector {
	i := &introspector{asked: map[string]int{}}
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	return i
}

func (i *introspector) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/introspect" {
		http.NotFound(w, r)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	raw := r.PostFormValue("token")
	i.asked[raw]++
	if r.Method != http.MethodPost || id != "gateway" || secret != "gateway-secret" {
		i.wrong = append(i.wrong, r.Method+" by "+id)
	}
	if i.down {
		http.Error(w, "away", http.StatusBadGateway)
		return
	}
	answer := map[string]any{"active": false}
	if name, known := strings.CutPrefix(raw, "opaque-of-"); known {
		now := time.Now()
		answer = map[string]any{
			"active": true,
			"sub":    name,
			"aud":    "api",
			"iat":    now.Unix(),
			"exp":    now.Add(time.Hour).Unix(),
			"jti":    raw,
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// count is how often the token was asked about.
func (i *introspector) count(raw string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[raw]
}

func (i *introspector) fail(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// TestForeignOpaqueTokens: the tokens of an issuer that is asked pass where it is listed, and it is
// asked once about each.
func TestForeignOpaqueTokens(t *testing.T) {
	g, i := newGateway(t), newIntrospector(t)
	g.secret("a foreign token", "opaque-of-carol", "opaque-of-dave", "gateway-secret")
	g.load(withTrust("\ttrust "+i.URL+" {\n\t\tintrospection "+i.URL+
		"/introspect gateway gateway-secret\n\t\taudiences api\n\t}\n"), foreignSites(
		i.URL,
	))
	for range 5 {
		g.isForwarded(t, "both", "opaque-of-carol", map[string]string{"x-user-id": "carol"})
	}
	g.isRefused(t, "not listed", "own", "opaque-of-carol", http.StatusUnauthorized, "malformed")
	if n := i.count("opaque-of-carol"); n != 1 {
		t.Errorf("asked %d times about one token", n)
	}
	for range 3 {
		g.isRefused(t, "inactive", "both", "some-other-token", http.StatusUnauthorized, "inactive")
	}
	if n := i.count("some-other-token"); n != 1 {
		t.Errorf("asked %d times about a token that is not active", n)
	}
	i.fail(true)
	g.isRefused(t, "away", "both", "opaque-of-dave", http.StatusServiceUnavailable, "keys_unavailable")
	g.isForwarded(t, "both", "opaque-of-carol", nil)
	i.fail(false)
	g.isForwarded(t, "both", "opaque-of-dave", map[string]string{"x-user-id": "dave"})
	for _, ours := range []string{"at_" + strings.Repeat("A", 64), g.tokens.mint("hs1", "alice", nil)} {
		g.get(t, "both", "/", ours)
		g.proxy.take()
		if i.count(ours) != 0 {
			t.Errorf("told of a token of ours, %.3q", ours)
		}
	}
	if len(i.wrong) > 0 {
		t.Errorf("asked by %q", i.wrong)
	}
}

// TestOpaqueTokensStayBehindStackedGates: nothing tells an opaque token of another issuer from the
// application's own text, so what one gate has concealed may not come back at a later one.
func TestOpaqueTokensStayBehindStackedGates(t *testing.T) {
	g, i := newGateway(t), newIntrospector(t)
	g.secret("a foreign token", "opaque-of-carol", "gateway-secret")
	reads := func(lines string) string { return "jwt_auth api {\n\tissuer " + i.URL + "\n" + lines + "\n}\n" }
	const off = "jwt_auth off\n"
	first := reads("")
	optional, reports := reads("mode optional\nfrom cookie appcookie"), reads("mode report_only\nfrom cookie appcookie")
	places := []struct{ name, gates, behind string }{
		{"optional", first + optional, ""},
		{"reports", first + reports, ""},
		{"reports-bearer", first + reads("mode report_only"), ""},
		{"header", first + reads("mode optional\nfrom header X-Api-Token"), ""},
		{"query", first + reads("mode optional\nfrom insecure_query t"), ""},
		{"off-optional", first + off + optional + off, ""},
		{"all", first + optional + reports + off + reports + optional, ""},
		{"again", first + optional + reads(""), ""},
		{"again-report", first + reports + reads("mode optional") + optional, ""},
		{"optional-first", optional + first + optional, ""},
		{"errors", first + optional + reads("from cookie appcookie\nrequire role nobody"), "handle_errors {\nAPP\n}\n"},
		{"errors-report", first + reports + reads("require role nobody"), "handle_errors {\nAPP\n}\n"},
		{"preflight", reads("preflight") + optional + reads("mode optional"), ""},
	}
	sites := authSite
	for _, place := range places {
		sites += twoSites(place.name, "route {\n"+place.gates+"APP\n}\n"+place.behind)
	}
	trust := "\ttrust " + i.URL + " {\n\t\tintrospection " + i.URL +
		"/introspect gateway gateway-secret\n\t\taudiences api\n\t}\n"
	g.loadFiltered(withTrust(trust), sites)
	for _, place := range places {
		for _, beside := range []string{
			"Cookie: appcookie_=zz; foo=1", "Cookie: x=appcookie", "Cookie: access_token=zz; foo=1",
			"X-Api-Token: opaque-of-carol", "X-None: 1",
		} {
			t.Run(place.name+"/"+beside, func(t *testing.T) {
				request := call{target: "/x?a=1", lines: lines("Authorization: Bearer opaque-of-carol", beside)}
				if place.name == "preflight" {
					request.method = http.MethodOptions
					request.lines = lines("Authorization: Negotiate opaque-of-carol", beside,
						"Origin: http://app.example",
						"Access-Control-Request-Method: GET")
				}
				for _, app := range []string{"proxy", "php"} {
					site := place.name + "-" + app
					request.host = g.host(site)
					got := sendHTTP1(t, g.addr(site), request)
					seen := slices.Concat(g.proxy.take(), g.php.take())
					if len(seen) != 1 {
						t.Fatalf("status %d: %s; the application saw %d requests", got.status, got.body, len(seen))
					}
					if all := seen[0].everything(); strings.Contains(all, "opaque-of-carol") {
						t.Errorf("the application saw the token: %s", all)
					}
				}
			})
		}
	}
}

// TestSessionCookiesAreToldToNobody: whatever stands in the session's cookies, no other issuer is
// asked about it, at gates and at the server's own routes; nor about what is sent to a gate that
// does not accept that issuer.
func TestSessionCookiesAreToldToNobody(t *testing.T) {
	g, i := newGateway(t), newIntrospector(t)
	g.secret("a foreign token", "opaque-of-carol", "gateway-secret")
	g.load(withTrust("\ttrust "+i.URL+" {\n\t\tintrospection "+i.URL+"/introspect gateway gateway-secret\n\t}\n"),
		authSite+`
{{url "web"}} {
	log
	jwt_auth web api {
		issuer {{url "auth"}} `+i.URL+`
	}
	reverse_proxy {{.Proxy}}
}
{{url "own"}} {
	log
	jwt_auth api
	reverse_proxy {{.Proxy}}
}
`)
	cookies := "Cookie: access_token=opaque-of-carol; refresh_token=opaque-of-carol"
	origin := "Origin: " + g.url("auth")
	for _, c := range []struct {
		site string
		call call
	}{
		{"web", call{lines: lines(cookies)}},
		{"web", call{lines: lines("Cookie: access_token=opaque-of-carol")}},
		{"web", call{lines: lines(cookies, navigation, "Sec-Fetch-Mode: navigate")}},
		{"own", call{lines: lines("Authorization: Bearer opaque-of-carol")}},
		{"auth", call{target: "/login", lines: lines(cookies)}},
		{"auth", call{target: "/logout", lines: lines(cookies)}},
		{"auth", call{target: "/logout", method: "POST", lines: lines(cookies, origin, "Sec-Fetch-Site: same-origin")}},
		{"auth", call{target: "/session", lines: lines(cookies)}},
		{
			"auth",
			call{
				target: "/session/refresh",
				method: "POST",
				lines:  lines(cookies, origin, "Sec-Fetch-Site: same-origin"),
			},
		},
		{"auth", call{target: "/session.js", lines: lines(cookies)}},
		{"auth", call{target: "/api/projects", lines: lines(cookies, origin, "Sec-Fetch-Site: same-origin")}},
	} {
		got := g.ask(t, c.site, c.call)
		if seen := g.proxy.take(); len(seen) > 0 {
			t.Errorf("%s %s: status %d, the application saw %q", c.site, c.call.target, got.status, seen[0].raw)
		}
		if n := i.count("opaque-of-carol"); n != 0 {
			t.Fatalf("%s %s: the issuer was told of the cookie", c.site, c.call.target)
		}
	}
	g.isForwarded(t, "web", "opaque-of-carol", nil)
	if n := i.count("opaque-of-carol"); n != 1 {
		t.Errorf("asked %d times about a bearer token", n)
	}
}
