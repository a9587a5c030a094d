package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// foreignIssuer publishes key sets, good and bad, each under its own path, and counts who asks.
type foreignIssuer struct {
	server *httptest.Server
	over   chan struct{} // closed at the end of the test: slow answers give up

	mu      sync.Mutex
	fetches map[string]int
}

func newForeignIssuer(t *testing.T) *foreignIssuer {
	t.Helper()
	f := &foreignIssuer{over: make(chan struct{}), fetches: map[string]int{}}
	f.server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(func() {
		close(f.over)
		f.server.Close()
	})
	return f
}

// jwks is a good set of the shared RSA key and an EC key; further keys come behind.
func (f *foreignIssuer) jwks(keys ...map[string]any) string {
	text, _ := json.Marshal(map[string]any{"keys": keys})
	return string(text)
}

func (f *foreignIssuer) good() string {
	var t testing.T // a JWK of these two cannot fail
	return f.jwks(publicJWK(&t, "f-rs", sharedRSA()),
		map[string]any{"kty": "OKP", "crv": "unknown", "kid": "odd", "x": "AA"})
}

func (f *foreignIssuer) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.fetches[r.URL.Path]++
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/good":
		io.WriteString(w, f.good())
	case "/500":
		http.Error(w, f.good(), http.StatusInternalServerError)
	case "/html":
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<!doctype html><title>Sign in</title>")
	case "/cut":
		text := f.good()
		io.WriteString(w, text[:len(text)/2])
	case "/10mb":
		fmt.Fprintf(w, `{"pad":"%s",%s`, strings.Repeat("x", 10<<20), f.good()[1:])
	case "/slow":
		select {
		case <-f.over:
		case <-r.Context().Done():
		}
	case "/to-file":
		w.Header().Set("Location", "file:///etc/passwd")
		w.WriteHeader(http.StatusFound)
	case "/to-link-local":
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
	case "/loop":
		http.Redirect(w, r, "/loop", http.StatusFound)
	case "/symmetric":
		io.WriteString(w,
			f.jwks(map[string]any{"kty": "oct", "kid": "f-hs", "alg": "HS256", "k": base64url(publishedSecret)}))
	case "/weak":
		var t testing.T
		io.WriteString(w, f.jwks(publicJWK(&t, "f-weak", weakRSA())))
	default:
		http.NotFound(w, r)
	}
}

const publishedSecret = "a secret that everybody may read here"

func (f *foreignIssuer) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fetches[path]
}

// issuer is the issuer whose keys are under path.
func (f *foreignIssuer) issuer(path string) string { return f.server.URL + path }

// trust is the block that trusts it.
func (f *foreignIssuer) trust(path string) string {
	return fmt.Sprintf("\ttrust %s {\n\t\tjwks %s\n\t\taudiences api\n\t\talgorithms RS256 ES256\n\t\ttypes "+
		"at+jwt JWT\n\t}\n", f.issuer(
		path,
	), f.issuer(
		path,
	))
}

// foreign mints a token of that issuer with the shared RSA key.
func (f *foreignIssuer) mint(w *tokenFixture, path, kid string) string {
	return w.mintHeader(map[string]any{"alg": "RS256", "typ": "JWT", "kid": kid}, "rs1", "carol",
		map[string]any{"iss": f.issuer(path), "project": nil, "client_id": nil})
}

// withTrust puts trust blocks into the standard auth block.
func withTrust(blocks string) string { return strings.TrimSuffix(standardAuth, "}") + blocks + "}" }

// foreignSites: `both` accepts our own issuer and all foreign ones; `own` only ours.
func foreignSites(issuers ...string) string {
	return authSite + `
{{url "own"}} {
	jwt_auth api {
		forward sub X-User-Id
	}
	reverse_proxy {{.Proxy}}
}
{{url "both"}} {
	jwt_auth api {
		issuer {{url "auth"}} ` + strings.Join(issuers, " ") + `
		forward sub X-User-Id
	}
	reverse_proxy {{.Proxy}}
}
`
}

// TestForeignIssuer: its tokens pass where it is listed, with its own keys and nobody else's.
func TestForeignIssuer(t *testing.T) {
	f := newForeignIssuer(t)
	g := newGateway(t)
	paths := []string{"/good", "/symmetric", "/weak"}
	var blocks string
	var issuers []string
	for _, path := range paths {
		blocks += f.trust(path)
		issuers = append(issuers, f.issuer(path))
	}
	g.load(withTrust(blocks), foreignSites(issuers...))
	w := g.tokens
	asHS := w.hmacWith(`{"alg":"HS256","typ":"JWT","kid":"f-hs"}`,
		w.payload("carol", map[string]any{"iss": f.issuer("/symmetric")}), []byte(publishedSecret))
	weak := `{"alg":"RS256","typ":"JWT","kid":"f-weak"}`
	weakInput := base64url(weak) + "." + base64url(w.payload("carol", map[string]any{"iss": f.issuer("/weak")}))
	for _, c := range []tokenCase{
		{name: "listed", site: "both", token: f.mint(w, "/good", "f-rs")},
		{name: "our own beside it", site: "both", token: w.mint("es1", "alice", nil)},
		{name: "not listed", site: "own", token: f.mint(w, "/good", "f-rs"), reason: "unknown_issuer"},
		{name: "kid of our ring", site: "both", token: f.mint(w, "/good", "rs1"), reason: "unknown_key"},
		{
			name:   "foreign kid in our name",
			site:   "both",
			token:  w.mintHeader(map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": "f-rs"}, "rs1", "alice", nil),
			reason: "unknown_key",
		},
		{
			name:   "kid of another issuer's set",
			site:   "both",
			token:  f.mint(w, "/weak", "f-rs"),
			reason: "unknown_key|keys_unavailable",
		},
		{name: "audience that it may not use", site: "both", reason: "wrong_audience", token: w.mintHeader(
			map[string]any{"alg": "RS256", "typ": "JWT", "kid": "f-rs"}, "rs1", "carol", map[string]any{
				"iss": f.issuer("/good"),
				"aud": "web",
			})},
		{name: "algorithm that it may not use", site: "both", reason: "bad_algorithm", token: w.mintHeader(
			map[string]any{"alg": "PS256", "typ": "JWT", "kid": "f-rs"}, "rs1", "carol", map[string]any{
				"iss": f.issuer("/good"),
			})},
		{name: "type that it may not use", site: "both", reason: "wrong_type", token: w.mintHeader(
			map[string]any{"alg": "RS256", "typ": "logout+jwt", "kid": "f-rs"}, "rs1", "carol", map[string]any{
				"iss": f.issuer("/good"),
			})},
		{
			name:   "bound to a key",
			site:   "both",
			reason: "wrong_type",
			token: w.mintHeader(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "f-rs"}, "rs1",
				"carol", map[string]any{
					"iss": f.issuer("/good"),
					"cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
				}),
		},
		{name: "our own, bound to a certificate", site: "both", reason: "certificate_binding",
			token: w.mint("es1", "alice",
				map[string]any{"cnf": map[string]any{"x5t#S256": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})},
		{name: "our own, bound to no thumbprint", site: "both", reason: "wrong_type",
			token: w.mint("es1", "alice",
				map[string]any{"cnf": map[string]any{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}})},
		{
			name:   "secret in a published set",
			site:   "both",
			token:  asHS,
			reason: "unknown_key|bad_algorithm|keys_unavailable",
		},
		{
			name:   "RSA of 1024 bits in a published set",
			site:   "both",
			token:  weakInput + "." + base64url(string(signWith(t, weakRSA(), []byte(weakInput)))),
			reason: "unknown_key|keys_unavailable",
		},
		{
			name:   "our type rules for our own tokens",
			site:   "both",
			token:  w.raw(`{"alg":"ES256","typ":"JWT","kid":"es1"}`, w.payload("alice", nil), "es1"),
			reason: "wrong_type",
		},
	} {
		t.Run(c.name, func(t *testing.T) { g.checkToken(t, protocols[0], c.site, c) })
	}
}

// TestForeignKeysThatFail: an issuer whose keys cannot be had takes down its own tokens, with the
// right word, and nothing else; not even the server's start.
func TestForeignKeysThatFail(t *testing.T) {
	f := newForeignIssuer(t)
	g := newGateway(t)
	down := "http://127.0.0.1:" + strconv.Itoa(freePort(t))
	failing := []string{"/500", "/html", "/cut", "/10mb", "/slow", "/to-file", "/to-link-local", "/loop", "/nowhere"}
	blocks := f.trust("/good") + fmt.Sprintf("\ttrust %s {\n\t\taudiences api\n\t\ttypes JWT\n\t}\n", down)
	issuers := []string{f.issuer("/good"), down}
	for _, path := range failing {
		blocks += f.trust(path)
		issuers = append(issuers, f.issuer(path))
	}
	started := time.Now()
	g.load(withTrust(blocks), foreignSites(issuers...))
	if took := time.Since(started); took > 4*time.Second {
		t.Errorf("the server took %v to start", took)
	}
	downToken := g.tokens.mintHeader(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "f-rs"}, "rs1", "carol",
		map[string]any{"iss": down})
	t.Run("all at once", func(t *testing.T) {
		for _, path := range failing {
			t.Run(path, func(t *testing.T) {
				t.Parallel()
				checkKeysUnavailable(t, g, f.mint(g.tokens, path, "f-rs"))
			})
		}
		t.Run("down", func(t *testing.T) {
			t.Parallel()
			checkKeysUnavailable(t, g, downToken)
		})
	})
	if seen := g.proxy.take(); len(seen) > 0 {
		t.Errorf("the application saw %q", seen[0].raw)
	}
	for _, c := range []struct{ name, token string }{
		{"our own", g.tokens.mint("es1", "alice", nil)}, {"the good one", f.mint(g.tokens, "/good", "f-rs")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := g.get(t, "both", "/", c.token); got.status != http.StatusOK {
				t.Errorf("%s: status %d: %s", c.name, got.status, got.body)
			}
		})
	}
}

func checkKeysUnavailable(t *testing.T, g *gateway, token string) {
	t.Helper()
	for range 2 {
		got := g.get(t, "both", "/", token)
		if got.status != http.StatusServiceUnavailable || got.reason(t) != "keys_unavailable" {
			t.Errorf("status %d, reason %q, %v", got.status, got.reason(t), got.broken)
		}
	}
}

// TestUnknownKeyFlood: ten thousand made-up key ids cost one fetch and no memory.
func TestUnknownKeyFlood(t *testing.T) {
	const flood, clients = 10_000, 8
	f := newForeignIssuer(t)
	g := newGateway(t)
	g.load(withTrust(f.trust("/good")), foreignSites(f.issuer("/good")))
	if got := g.get(t, "both", "/", f.mint(g.tokens, "/good", "f-rs")); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	before := heapInUse()
	payload := base64url(g.tokens.payload("carol", map[string]any{"iss": f.issuer("/good")}))
	signature := base64url(strings.Repeat("s", 256))
	var wait sync.WaitGroup
	for n := range clients {
		wait.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: clientPatience}
			defer client.CloseIdleConnections()
			for i := range flood / clients {
				kid := fmt.Sprintf(`{"alg":"RS256","typ":"JWT","kid":"made-up-%d-%d"}`, n, i)
				if status := floodOnce(client, g.url("both"), base64url(kid)+"."+payload+"."+
					signature); status != http.StatusUnauthorized {
					t.Errorf("status %d", status)
					return
				}
			}
		})
	}
	wait.Wait()
	if n := f.count("/good"); n > 2 {
		t.Errorf("%d fetches", n)
	}
	if grown := heapInUse() - before; grown > 20<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if got := g.get(t, "both", "/", f.mint(g.tokens, "/good", "f-rs")); got.status != http.StatusOK {
		t.Errorf("afterwards: status %d", got.status)
	}
}

func floodOnce(client *http.Client, to, token string) int {
	req, err := http.NewRequest(http.MethodGet, to, nil)
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestForeignClaimsOfOurs: what a trusted issuer writes into claims whose meaning is ours reaches
// neither headers, rules nor placeholders.
func TestForeignClaimsOfOurs(t *testing.T) {
	f := newForeignIssuer(t)
	g := newGateway(t)
	gateText := "jwt_auth api {\n\t\tissuer {{url \"auth\"}} " + f.issuer("/good") +
		"\n\t\tforward sub X-User-Id\n\t\tforward project X-User-Project\n" +
		"\t\tforward sid X-User-Session\n\t\tforward epoch X-User-Epoch\n\t\tforward client_id X-User-Client\n" +
		"%s\t}\n\trequest_header X-Seen \"{http.auth.user.project}|{http.auth.user.sid}\""
	g.load(withTrust(f.trust("/good")), authSite+twoSites("forward", fmt.Sprintf(gateText, ""))+
		twoSites("ruled", fmt.Sprintf(gateText, "\t\trequire project default\n")))
	foreign := g.tokens.mintHeader(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "f-rs"}, "rs1", "carol",
		map[string]any{"iss": f.issuer("/good"), "project": "default", "sid": "s1", "epoch": 7, "client_id": "app"})
	tokens := map[string]string{"foreign": foreign, "own": g.tokens.mint("es1", "alice", map[string]any{"sid": "s1"})}
	for _, c := range []gateCase{
		{name: "foreign", site: "forward", call: call{lines: lines("Authorization: Bearer <foreign>")}, user: "carol",
			identity: []string{"X-User-Client: app", "X-User-Id: carol"}, contains: []string{"X-Seen: |"}},
		{name: "own", site: "forward", call: call{lines: lines("Authorization: Bearer <own>")}, user: "alice",
			identity: []string{
				"X-User-Client: first-party", "X-User-Id: alice", "X-User-Project: default", "X-User-Session: s1",
			},
			contains: []string{"X-Seen: default|s1"}},
		{
			name:   "foreign",
			site:   "ruled",
			call:   call{lines: lines("Authorization: Bearer <foreign>")},
			reason: "claim_denied",
		},
	} {
		t.Run(c.site+"/"+c.name, func(t *testing.T) {
			for _, app := range []string{"proxy", "php"} {
				g.runCase(t, c, protocols[0], app, tokens)
			}
		})
	}
}
