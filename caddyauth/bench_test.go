package caddyauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/token"
)

// provisioned provisions a configuration of this app and one gate, without starting it.
func provisioned(tb testing.TB, app Settings, gate JWTAuth) (*App, *JWTAuth) {
	tb.Helper()
	tb.Setenv("XDG_DATA_HOME", tb.TempDir())
	raw, err := json.Marshal(app)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&caddy.Config{AppsRaw: caddy.ModuleMap{"auth": raw}})
	if err != nil {
		tb.Fatal(err)
	}
	loaded, err := ctx.AppIfConfigured("auth")
	if err != nil {
		tb.Fatal(err)
	}
	a := loaded.(*App)
	tb.Cleanup(func() { _ = a.Cleanup() })
	if err := gate.Provision(ctx); err != nil {
		tb.Fatal(err)
	}
	return a, &gate
}

// BenchmarkJWTAuth measures the whole directive inside Caddy's own request context: `floor` is a handler that passes on; the difference
// is what a gate costs.
func BenchmarkJWTAuth(b *testing.B) {
	app, gate := provisioned(b,
		Settings{Issuer: "https://auth.example.com", Keys: &Keys{Texts: []SecretText{{ID: "k", Secret: "0123456789abcdef0123456789abcdef"}}}},
		JWTAuth{Audiences: []string{"web", "api"}, Forward: []Forward{{"sub", "X-User-Id"}, {"role", "X-User-Role"}, {"email", "X-User-Email"}, {"name", "X-User-Name"}}})
	if err := app.Start(); err != nil {
		b.Fatal(err)
	}
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	pass := caddyhttp.MiddlewareHandler(floor{})
	for _, arm := range []struct {
		name    string
		handler caddyhttp.MiddlewareHandler
		tokens  int
	}{{"floor", pass, 1}, {"hot", gate, 1}, {"10000", gate, 10_000}} {
		b.Run(arm.name, func(b *testing.B) {
			lines := bearers(b, app, arm.tokens)
			w := httptest.NewRecorder()
			serve := func(i int) {
				r := caddyRequest()
				r.Header["Authorization"] = lines[i%len(lines)]
				if err := arm.handler.ServeHTTP(w, r, next); err != nil || w.Code != http.StatusOK {
					b.Fatal("refused", err, w.Code)
				}
			}
			for i := range lines {
				serve(i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				serve(i)
				i++
			}
		})
	}
}

type floor struct{}

func (floor) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

func bearers(tb testing.TB, app *App, n int) [][]string {
	tb.Helper()
	lines := make([][]string, n)
	now := time.Now()
	for i := range lines {
		raw, err := token.Mint(app.ring.Load().Active(), "at+jwt", token.Claims{
			Issuer: app.issuer, Subject: "alice", Audience: []string{"api"}, IssuedAt: now, Expiry: now.Add(time.Hour), ID: strconv.Itoa(i), Project: "default",
			Extra: map[string]any{"role": "admin", "email": "alice@example.com", "name": "Alice Example", "locale": "en", "groups": []string{"staff", "ops"}},
		})
		if err != nil {
			tb.Fatal(err)
		}
		lines[i] = []string{"Bearer " + raw}
	}
	return lines
}

// caddyRequest is a browser's request with the context that Caddy's server gives it.
func caddyRequest() *http.Request {
	r := &http.Request{Method: "GET", Host: "app.example.com", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, URL: exampleURL, Header: make(http.Header, 12)}
	for _, h := range exampleHeaders {
		r.Header[h.name] = h.value
	}
	repl := caddy.NewReplacer()
	repl.Map(func(string) (any, bool) { return nil, false }) // Caddy's server adds its own here
	ctx := context.WithValue(context.Background(), caddy.ReplacerCtxKey, repl)
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: "127.0.0.1"})
	return r.WithContext(ctx)
}

var exampleURL = httptest.NewRequest("GET", "/x", nil).URL

var exampleHeaders = []struct {
	name  string
	value []string
}{
	{"Accept", []string{"*/*"}}, {"User-Agent", []string{"Mozilla/5.0 (X11; Linux x86_64)"}}, {"Accept-Encoding", []string{"gzip"}},
	{"Accept-Language", []string{"en"}}, {"X-Request-Id", []string{"1"}}, {"Cookie", []string{"theme=dark; lang=en"}}, {"Referer", []string{"https://app.example.com/"}},
}
