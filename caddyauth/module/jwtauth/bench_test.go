package jwtauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddyauth/gateway/bench/cputime"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/config"
)

// provisioned provisions a configuration of this app and one site with a gate and a proxy, without
// starting it.
func provisioned(tb testing.TB, app config.Settings, gate JWTAuth) (*testApp, *JWTAuth) {
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
	a := &testApp{loaded.(*auth.App), ctx}
	tb.Cleanup(func() { _ = a.Cleanup() })
	if err := gate.Provision(ctx); err != nil {
		tb.Fatal(err)
	}
	route := caddyhttp.Route{Handlers: []caddyhttp.MiddlewareHandler{&gate, new(reverseproxy.Handler)}}
	a.Gates().Survey.HTTP = func() *caddyhttp.App {
		return &caddyhttp.App{Servers: map[string]*caddyhttp.Server{"site": {Routes: caddyhttp.RouteList{route}}}}
	}
	return a, &gate
}

// testApp is an app that was provisioned.
type testApp struct {
	*auth.App
	ctx caddy.Context
}

// startAlone starts the app as Caddy does when every other app starts, too.
func (a *testApp) startAlone() error {
	if err := a.Start(); err != nil {
		return err
	}
	events, err := a.ctx.App("events")
	if err != nil {
		return err
	}
	events.(*caddyevents.App).Emit(a.ctx, "started", nil)
	return a.Ready(a.ctx)
}

// benchGate is the gate of the benchmarks.
func benchGate() (config.Settings, JWTAuth) {
	return config.Settings{
			Issuer: "https://auth.example.com",
			Keys:   &config.Keys{Texts: []config.SecretText{{ID: "k", Secret: "0123456789abcdef0123456789abcdef"}}},
		},
		JWTAuth{
			Audiences: []string{"api"},
			Forward: []Forward{
				{"sub", "X-User-Id"}, {"role", "X-User-Role"}, {"email", "X-User-Email"}, {"name", "X-User-Name"},
			},
		}
}

// BenchmarkJWTAuth measures the whole directive inside Caddy's own request context: `floor` is a
// handler that passes the same requests on; the difference is what a gate costs. This one also
// takes browsers' sessions.
func BenchmarkJWTAuth(b *testing.B) {
	settings, gate := benchGate()
	gate.Audiences = []string{"web", "api"}
	app, guard := provisioned(b, settings, gate)
	if err := app.startAlone(); err != nil {
		b.Fatal(err)
	}
	benchArms(b, app, guard)
}

func benchArms(b *testing.B, app *testApp, guard *JWTAuth) {
	app.Gates().Survey.Find()
	if !guard.place.Alone() {
		b.Fatal("the survey did not find the gate")
	}
	for _, n := range []int{1, 10_000} {
		lines := bearers(b, app, n, "")
		name := map[bool]string{true: "hot", false: strconv.Itoa(n)}[n == 1]
		b.Run(name+"/floor", func(b *testing.B) { serveInTurn(b, floor{}, lines) })
		b.Run(name+"/gate", func(b *testing.B) { serveInTurn(b, guard, lines) })
	}
}

// serveInTurn sends requests with the Authorization lines in turn; the first time round is not
// measured. Each request has a copy of its line, as a server reads it.
func serveInTurn(b *testing.B, handler caddyhttp.MiddlewareHandler, lines []string) {
	serve := serveAll(b, handler, lines)
	b.ReportAllocs()
	before := cputime.Now()
	i := 0
	for b.Loop() {
		serve(i)
		i++
	}
	b.ReportMetric(float64(cputime.Now()-before)/float64(i), "cpu-ns/op")
}

// serveAll sends one request with each line and returns what sends another.
func serveAll(b *testing.B, handler caddyhttp.MiddlewareHandler, lines []string) func(i int) {
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	w := httptest.NewRecorder()
	serve := func(i int) {
		r := caddyRequest()
		r.Header["Authorization"] = []string{strings.Clone(lines[i%len(lines)])}
		if err := handler.ServeHTTP(w, r, next); err != nil || w.Code != http.StatusOK {
			b.Fatal("refused", err, w.Code)
		}
	}
	for i := range lines {
		serve(i)
	}
	return serve
}

type floor struct{}

func (floor) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

func bearers(tb testing.TB, app *testApp, n int, filler string) []string {
	tb.Helper()
	return tokensFor(tb, app, "api", n, filler)
}

// tokensFor returns Authorization lines with tokens for an audience.
func tokensFor(tb testing.TB, app *testApp, audience string, n int, filler string) []string {
	tb.Helper()
	lines := make([]string, n)
	now := time.Now()
	for i := range lines {
		raw, err := token.Mint(app.Read().Ring.Active(), "at+jwt", token.Claims{
			Issuer:   app.Server().Issuer,
			Subject:  "alice",
			ClientID: clients.FirstParty,
			Audience: []string{audience},
			IssuedAt: now,
			Expiry:   now.Add(time.Hour),
			ID:       strconv.Itoa(i),
			Project:  "default",
			Extra: map[string]any{
				"role":   "admin",
				"email":  "alice@example.com",
				"name":   "Alice Example",
				"locale": "en",
				"groups": []string{"staff", "ops"},
				"filler": filler,
			},
		})
		if err != nil {
			tb.Fatal(err)
		}
		lines[i] = "Bearer " + raw
	}
	return lines
}

// caddyRequest is a browser's request with the context that Caddy's server gives it.
func caddyRequest() *http.Request {
	r := &http.Request{
		Method:     "GET",
		Host:       "app.example.com",
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Body:       http.NoBody,
		URL:        exampleURL,
		Header:     make(http.Header, 12),
	}
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
	{"Accept", []string{"*/*"}}, {"User-Agent", []string{"Mozilla/5.0 (X11; Linux x86_64)"}},
	{"Accept-Encoding", []string{"gzip"}}, {"Accept-Language", []string{"en"}}, {"X-Request-Id", []string{"1"}},
	{"Cookie", []string{"theme=dark; lang=en"}}, {"Referer", []string{"https://app.example.com/"}},
}

// BenchmarkTokenMemory reports how many bytes of live heap a token takes that has passed the gate
// once, beside the length of its text.
func BenchmarkTokenMemory(b *testing.B) {
	for _, filler := range []int{0, 210, 400} {
		b.Run(strconv.Itoa(filler), func(b *testing.B) {
			settings, gate := benchGate()
			app, guard := provisioned(b, settings, gate)
			if err := app.startAlone(); err != nil {
				b.Fatal(err)
			}
			const n = 10_000
			lines := bearers(b, app, n, strings.Repeat("x", filler))
			var before, after runtime.MemStats
			for b.Loop() {
				if err := app.Verification().Close(); err != nil { // which empties the cache
					b.Fatal(err)
				}
				readMemory(&before)
				serveAll(b, guard, lines)
				readMemory(&after)
			}
			b.ReportMetric(float64(len(lines[0])-len("Bearer ")), "token-bytes")
			b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/n, "heap-bytes/token")
			b.ReportMetric((float64(after.HeapObjects)-float64(before.HeapObjects))/n, "heap-objects/token")
		})
	}
}

func readMemory(into *runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(into)
}
