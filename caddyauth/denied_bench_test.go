package caddyauth

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/session"
)

// BenchmarkJWTAuthBesideDenials is the directive as it runs in a server: started, with 100 000 tokens revoked and one order to end all
// of a user's sessions, which is newer than every token, so that each is looked at for its owners, too. `floor` is a handler that
// passes on; the difference is what a gate costs.
func BenchmarkJWTAuthBesideDenials(b *testing.B) {
	app, gate := provisioned(b,
		Settings{Issuer: "https://auth.example.com", Keys: &Keys{Texts: []SecretText{{ID: "k", Secret: "0123456789abcdef0123456789abcdef"}}}},
		JWTAuth{Audiences: []string{"api"}, Forward: []Forward{{"sub", "X-User-Id"}, {"role", "X-User-Role"}, {"email", "X-User-Email"}, {"name", "X-User-Name"}}})
	if err := app.Start(); err != nil {
		b.Fatal(err)
	}
	denyMany(app)
	for _, arm := range []struct {
		name    string
		handler caddyhttp.MiddlewareHandler
		tokens  int
	}{{"floor", floor{}, 1}, {"hot", gate, 1}, {"10000", gate, 10_000}} {
		b.Run(arm.name, func(b *testing.B) { serveInTurn(b, arm.handler, bearers(b, app, arm.tokens)) })
	}
}

func denyMany(app *App) {
	until := time.Now().Add(24 * time.Hour)
	for i := range 100_000 {
		app.store.denied.Add(session.Denial{Kind: session.TokenKind, Scope: app.issuer, ID: "denied-" + strconv.Itoa(i), Until: until})
	}
	app.store.denied.Add(session.Denial{Kind: session.UserKind, Scope: "default", ID: "mallory", Epoch: time.Now().UnixMilli(), Until: until})
}

// serveInTurn sends the Authorization lines in turn; the first time round is not measured.
func serveInTurn(b *testing.B, handler caddyhttp.MiddlewareHandler, lines [][]string) {
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	w := httptest.NewRecorder()
	serve := func(i int) {
		r := caddyRequest()
		r.Header["Authorization"] = lines[i%len(lines)]
		if err := handler.ServeHTTP(w, r, next); err != nil || w.Code != http.StatusOK {
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
}
