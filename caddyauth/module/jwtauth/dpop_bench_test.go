package jwtauth

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/bench/cputime"
	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// BenchmarkJWTAuthDPoP is what a request with a DPoP proof costs: its verification, and one write in
// the store, which 64 requests at a time share. Run it with a fixed number, as each request needs a
// proof that is signed before: -benchtime 5000x.
func BenchmarkJWTAuthDPoP(b *testing.B) {
	settings, gate := benchGate()
	app, guard := provisioned(b, settings, gate)
	if err := app.startAlone(); err != nil {
		b.Fatal(err)
	}
	client := dpoptest.New(b, "ES256")
	now := time.Now()
	raw, err := token.Mint(app.Read().Ring.Active(), "at+jwt", token.Claims{
		Issuer:   app.Server().Issuer,
		Subject:  "alice",
		Audience: []string{"api"},
		IssuedAt: now,
		Expiry:   now.Add(time.Hour),
		Project:  "default",
		Protocol: map[string]any{"cnf": map[string]any{"jkt": client.Thumbprint}},
	})
	if err != nil {
		b.Fatal(err)
	}
	proofs := make([]string, b.N)
	for i := range proofs {
		proofs[i] = client.Proof(b, "GET", "http://app.example.com/x", raw, time.Now(), nil)
	}
	var next atomic.Int64
	done := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	b.ReportAllocs()
	b.SetParallelism(32)
	b.ResetTimer()
	before := cputime.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, w := caddyRequest(), httptest.NewRecorder()
			r.Header["Authorization"] = []string{"DPoP " + raw}
			r.Header["Dpop"] = []string{proofs[next.Add(1)-1]}
			if err := guard.ServeHTTP(w, r, done); err != nil || w.Code != http.StatusOK {
				b.Error("refused", err, w.Code, w.Body)
			}
		}
	})
	b.ReportMetric(float64(cputime.Now()-before)/float64(b.N), "cpu-ns/op")
}
