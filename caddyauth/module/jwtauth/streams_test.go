package jwtauth

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/stream"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// What does not ask for a stream and does not become one costs its response writer and nothing
// else.
func TestOrdinaryAnswersAreNotStreams(t *testing.T) {
	j := &JWTAuth{gate: &gate.Gate{}, streams: new(stream.Policy)}
	admission := &gate.Admission{Token: &token.Token{Expiry: token.NewNumericDate(time.Now())}}
	r := caddyRequest()
	for _, c := range []struct {
		name string
		next caddyhttp.HandlerFunc
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) error { return nil }},
		{"a body", func(w http.ResponseWriter, _ *http.Request) error { _, err := w.Write([]byte("x")); return err }},
		{"a length", func(w http.ResponseWriter, _ *http.Request) error {
			w.Header()["Content-Length"] = []string{"1"}
			w.WriteHeader(http.StatusOK)
			return http.NewResponseController(w).Flush()
		}},
		{"no stream asked for", func(w http.ResponseWriter, got *http.Request) error {
			if got != r {
				t.Error("the request was copied")
			}
			w.Header()["Content-Type"] = []string{"text/html"}
			w.WriteHeader(http.StatusOK)
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := j.serveNext(httptest.NewRecorder(), r, admission, c.next); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
	w, quiet := httptest.NewRecorder(), caddyhttp.Handler(caddyhttp.HandlerFunc(
		func(http.ResponseWriter, *http.Request) error { return nil },
	))
	if n := testing.AllocsPerRun(1000, func() { _ = j.serveNext(w, r, admission, quiet) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
