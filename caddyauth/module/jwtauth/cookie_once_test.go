package jwtauth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// A browser's request is looked at twice, for the renewal of its session and by the gate. Its token
// is looked up once.
func TestSessionCookieIsVerifiedOncePerRequest(t *testing.T) {
	settings, guard := benchGate()
	guard.Audiences = []string{"web"}
	app, j := provisioned(t, settings, guard)
	if err := app.startAlone(); err != nil {
		t.Fatal(err)
	}
	raw := strings.TrimPrefix(tokensFor(t, app, "web", 1, "")[0], "Bearer ")
	verified := 0
	type verifier = func(context.Context, string) (*token.Token, error)
	count := func(verify verifier) verifier {
		return func(ctx context.Context, raw string) (*token.Token, error) {
			verified++
			return verify(ctx, raw)
		}
	}
	look := app.Gates().Sessions.Verify
	app.Gates().Sessions.Verify = func(r *http.Request, raw string) (*token.Token, error) {
		verified++
		return look(r, raw)
	}
	j.gate.Verify, j.gate.VerifySession = count(j.gate.Verify), count(j.gate.VerifySession)

	names := app.Gates().Cookies
	for _, c := range []struct{ name, cookie string }{
		{"session with a refresh token", names.Access + "=" + raw + "; " + names.Refresh + "=rt_x"},
		{"access token alone", names.Access + "=" + raw},
	} {
		t.Run(c.name, func(t *testing.T) {
			verified = 0
			r := caddyRequest()
			r.Header["Cookie"] = []string{c.cookie}
			passed := false
			next := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
				passed = r.Header.Get("X-User-Id") == "alice"
				return nil
			})
			if err := j.ServeHTTP(httptest.NewRecorder(), r, next); err != nil || !passed {
				t.Fatalf("passed: %v, %v", passed, err)
			}
			if verified != 1 {
				t.Errorf("verified %d times, want once", verified)
			}
		})
	}
}
