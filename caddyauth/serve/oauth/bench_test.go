package oauth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/bench/cputime"
	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// discard is an answer that nobody reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkClientCredentials is a token for a client, from the request behind the HTTP server to the
// answer, without signature: what this package, the client and the claims cost.
func BenchmarkClientCredentials(b *testing.B) {
	for _, format := range []string{"none", "opaque"} {
		b.Run(format, func(b *testing.B) {
			h := newFixture(b)
			h.Events = func(context.Context, audit.Event) {}
			if format == "none" {
				h.issuance.Opaque = func(token.Claims) (string, error) { return "at_none", nil }
			}
			c := known["opaque"]
			c.AuthMethod = clients.AuthSecretPost
			known["opaque-post"] = c
			defer delete(known, "opaque-post")
			form := url.Values{
				"grant_type": {"client_credentials"}, "scope": {"read"},
				"client_id": {"opaque-post"}, "client_secret": {secret},
			}.Encode()
			body := strings.NewReader(form)
			r := httptest.NewRequest(http.MethodPost, "https://auth.example.com/auth/token", body)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := &discard{header: make(http.Header)}
			before := cputime.Now()
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(form)
				clear(w.header)
				if h.ServeHTTP(w, r); w.status != http.StatusOK {
					b.Fatalf("status %d", w.status)
				}
			}
			b.ReportMetric(float64((cputime.Now()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}
