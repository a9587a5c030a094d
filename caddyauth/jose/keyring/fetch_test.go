package keyring

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serveIssuer starts a server on loopback and a Remote that is told of it.
func serveIssuer(t *testing.T, h http.HandlerFunc) *Remote {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return &Remote{Issuer: "idp", JWKSURL: srv.URL + "/jwks.json"}
}

func TestKeysAreFetchedOverTheNetwork(t *testing.T) {
	k := mustGenerate(t, "ES256")
	var fetches atomic.Int32
	r := serveIssuer(t, func(w http.ResponseWriter, req *http.Request) {
		fetches.Add(1)
		_, _ = w.Write(marshalJWKS([]*Key{k}))
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	got := wantKey(t, r, k)
	if err := got.Verify(testInput, mustSign(t, k, testInput)); err != nil {
		t.Error(err)
	}
	for i := range 10_000 {
		wantError(t, r, "unknown"+strconv.Itoa(i), ErrUnknownKey)
	}
	cancel()
	<-done
	if fetches.Load() != 1 {
		t.Errorf("%d fetches", fetches.Load())
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, to, http.StatusFound) }
	}
	write := func(b []byte, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			_, _ = w.Write(b)
		}
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 10<<20))
	_ = z.Close()
	for _, c := range []struct {
		name string
		h    http.HandlerFunc
		want string
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "answered 500"},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "answered 204"},
		{"HTML", write([]byte("<!doctype html>CANARY")), "not a JSON object"},
		{"10 MB", write(make([]byte, 10<<20)), "larger than 1048576 bytes"},
		{"10 MB compressed", write(bomb.Bytes(), "Content-Encoding", "gzip"), "larger than 1048576 bytes"},
		{"deep", write([]byte(`{"keys":` + strings.Repeat("[", 20_000))), "not valid JSON"},
		{"a key, no set", write([]byte(privateJWK(mustGenerate(t, "ES256")))), "no list named keys"},
		{"big header", write(nil, "X-Big", strings.Repeat("x", 100<<10)), "exceeded"},
		{"redirect to a file", redirect("file:///etc/passwd"), "has no host"},
		{"redirect to a link-local address", redirect("http://169.254.169.254/latest"), "is not https"},
		{
			"redirect to a link-local address with TLS", redirect("https://169.254.169.254/latest"),
			"address 169.254.169.254:443 is not allowed",
		},
		{"redirect to a private address", redirect("https://10.0.0.1/"), "address 10.0.0.1:443 is not allowed"},
		{"redirect to a mapped private address", redirect("https://[::ffff:10.0.0.1]/"), "is not allowed"},
		{"redirect to http", redirect("http://example.com/"), "is not https"},
		{"redirect to itself", redirect("/jwks.json"), "more than 3 redirects"},
		{"redirect with a user", redirect("https://a:b@example.com/"), "a user name in the URL"},
		{"slow", func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, "deadline exceeded"},
		{"slow body", func(w http.ResponseWriter, req *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[`))
			w.(http.Flusher).Flush()
			<-req.Context().Done()
		}, "deadline exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := serveIssuer(t, c.h)
			patience := 5 * time.Second
			if strings.HasPrefix(c.name, "slow") {
				patience = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := r.fetch(ctx)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestRedirectOnLoopbackIsFollowedFromLoopback(t *testing.T) {
	k := mustGenerate(t, "ES256")
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(marshalJWKS([]*Key{k}))
	}))
	defer other.Close()
	r := serveIssuer(t,
		func(w http.ResponseWriter, req *http.Request) { http.Redirect(w, req, other.URL, http.StatusFound) })
	set, err := r.fetch(t.Context())
	if err != nil || len(set.keys) != 1 {
		t.Error(err)
	}
}
