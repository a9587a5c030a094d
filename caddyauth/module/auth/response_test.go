package auth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/stream"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

func TestApplicationsCannotSetTheGatewaysCookies(t *testing.T) {
	theirs := []string{
		"__Host-access_token=evil; Path=/; Secure", "theirs=1", " __Host-access_token = evil", "=__Host-access_token=evil", "__Host-access_token", "access_token=fine",
		"__Host-access_token2=fine", "__HOST-access_token=evil", "__host-Refresh_Token=evil", "=__hOST-ACCESS_TOKEN=evil", "__Host-__Host-access_token=fine",
	}
	want := []string{"theirs=1", "__Host-access_token2=fine", "__Host-__Host-access_token=fine"}
	for _, c := range []struct {
		name string
		send func(w http.ResponseWriter)
	}{
		{"header", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }},
		{"body", func(w http.ResponseWriter) { _, _ = w.Write([]byte("x")) }},
		{"copy", func(w http.ResponseWriter) { _, _ = w.(*response).ReadFrom(strings.NewReader("x")) }},
		{"flush", func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			w := guardResponse(recorder, nil)
			w.Header()["Set-Cookie"] = slices.Clone(theirs)
			c.send(w)
			if got := recorder.Result().Header["Set-Cookie"]; !slices.Equal(got, want) {
				t.Errorf("%s: the browser gets %q, want %q", c.name, got, want)
			}
		})
	}
}

func TestTheGatewaysCookiesGoOutWithTheFinalAnswerAndAreNotCached(t *testing.T) {
	app := &App{base: &url.URL{Scheme: "https", Host: "app.example.com"}}
	app.login = app.loginServer()
	server := httptest.NewServer(http.HandlerFunc(func(plain http.ResponseWriter, _ *http.Request) {
		w := guardResponse(plain, nil)
		if again := guardResponse(w, nil); again != w {
			t.Error("guarded twice")
		}
		w.setCookies(app.cookies(login.Issued{}))
		w.Header().Set("Cache-Control", "public, max-age=60")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
	}))
	defer server.Close()
	answer, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if got := answer.Header["Set-Cookie"]; len(got) != 2 || !strings.HasPrefix(got[0], "__Host-access_token=;") {
		t.Errorf("the browser gets %q", got)
	}
	if got := answer.Header.Get("Cache-Control"); got != "private, no-store" {
		t.Errorf("Cache-Control %q", got)
	}
}

// What does not ask for a stream and does not become one costs no allocation.
func TestOrdinaryAnswersAreNotStreams(t *testing.T) {
	app := &App{}
	j := &JWTAuth{app: app, gate: &gate.Gate{}, streams: new(stream.Policy)}
	admission := &gate.Admission{Token: &token.Token{Expiry: time.Now()}}
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
	w, quiet := httptest.NewRecorder(), caddyhttp.Handler(caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil }))
	if n := testing.AllocsPerRun(1000, func() { _ = j.serveNext(w, r, admission, quiet) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestAResponseIsUsedOnce(t *testing.T) {
	first, second := httptest.NewRecorder(), httptest.NewRecorder()
	kept := newResponse(first)
	kept.retire()
	for range 40 {
		if again := newResponse(second); again == kept {
			t.Fatal("it was used twice")
		}
	}
	kept.WriteHeader(http.StatusTeapot)
	if _, err := kept.Write([]byte("x")); err == nil || kept.Header() == nil || first.Body.Len()+second.Body.Len() > 0 {
		t.Errorf("after the end it was written: %v", err)
	}
}
