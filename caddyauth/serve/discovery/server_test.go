package discovery

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
)

func newServer(t *testing.T, issuer, base string) *Server {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Issuer: issuer, Base: u}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPaths are every form under which a client looks for the documents.
func TestPaths(t *testing.T) {
	for _, c := range []struct {
		name, issuer, base string
		paths              []string
	}{
		{"root", "https://as.example", "https://as.example", []string{
			"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
		}},
		{"slash", "https://as.example/", "https://as.example", []string{
			"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
		}},
		{"path", "https://as.example/auth", "https://as.example/auth", []string{
			"/auth/.well-known/openid-configuration", "/.well-known/openid-configuration/auth",
			"/auth/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/auth",
		}},
		{"another path", "https://as.example/a", "https://as.example/b", []string{
			"/b/.well-known/openid-configuration", "/.well-known/openid-configuration/a",
			"/b/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/a",
		}},
		{"not a URL", "gateway", "https://as.example", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, c.issuer, c.base)
			for _, path := range c.paths {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
				var d Document
				if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || d.Issuer != c.issuer ||
					d.TokenEndpoint != c.base+"/token" {
					t.Errorf("%s: %d %s", path, w.Code, w.Body)
				}
			}
			for _, path := range []string{"/.well-known/", "/.well-known/jwks.json",
				"/x/.well-known/openid-configuration",
				"/.well-known/openid-configuration/", "/.well-known/openid-configuration/x", openIDName} {
				if s.Handles(path) && !slices.Contains(c.paths, path) {
					t.Errorf("it handles %s", path)
				}
			}
		})
	}
}

// TestAnyOriginMayRead: clients in pages ask with headers of their own, so that browsers send a
// preflight first.
func TestAnyOriginMayRead(t *testing.T) {
	s := newServer(t, "https://as.example", "https://as.example")
	for _, c := range []struct {
		method string
		status int
		found  bool
	}{
		{http.MethodGet, 200, true},
		{http.MethodHead, 200, true},
		{http.MethodOptions, 204, false},
		{http.MethodPost, 405, false},
	} {
		t.Run(c.method, func(t *testing.T) {
			w, r := httptest.NewRecorder(), httptest.NewRequest(c.method, openIDName, nil)
			r.Header.Set("Origin", "https://page.example")
			r.Header.Set("Authorization", "Bearer nonsense")
			s.ServeHTTP(w, r)
			h := w.Header()
			if w.Code != c.status || h.Get("Access-Control-Allow-Origin") != "*" ||
				(w.Body.Len() > 0) == (c.status == 204) {
				t.Errorf("%d %v %s", w.Code, h, w.Body)
			}
			if c.found && (h.Get("Cache-Control") != maxAge || h.Get("Content-Type") != "application/json") {
				t.Errorf("%v", h)
			}
		})
	}
}

// TestCertificatesInMetadata: what clients can use with the certificates that sites ask for.
func TestCertificatesInMetadata(t *testing.T) {
	for _, c := range []struct {
		name            string
		asked, verified bool
		want            []string
	}{
		{"none", false, false, nil},
		{"asked for", true, false, []string{"self_signed_tls_client_auth"}},
		{"verified", true, true, []string{"tls_client_auth", "self_signed_tls_client_auth"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, "https://as.example", "https://as.example")
			s.Certificates = func() (bool, bool) { return c.asked, c.verified }
			d := s.document(false)
			want := append([]string{"client_secret_basic", "client_secret_post", "private_key_jwt"}, c.want...)
			if !slices.Equal(d.IntrospectionEndpointAuthMethods, want) ||
				!slices.Equal(d.TokenEndpointAuthMethods, append(want, "none")) || d.CertificateBoundTokens != c.asked {
				t.Errorf("%+v", d)
			}
		})
	}
}

// TestIdentityAssertionsAreListedWhileSomebodyGetsThem: as the server says at each request.
func TestIdentityAssertionsAreListedWhileSomebodyGetsThem(t *testing.T) {
	asserting := false
	for _, c := range []struct {
		name string
		ask  func(context.Context) bool
		now  bool
		want int
	}{
		{"nobody is asked", nil, true, 0},
		{"nobody gets them", func(context.Context) bool { return asserting }, false, 0},
		{"somebody gets them", func(context.Context) bool { return asserting }, true, 1},
		{"nobody any more", func(context.Context) bool { return asserting }, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, "https://as.example", "https://as.example")
			s.Asserting, asserting = c.ask, c.now
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, openIDName, nil))
			var d map[string]any
			err := json.Unmarshal(w.Body.Bytes(), &d)
			listed, there := d["identity_chaining_requested_token_types_supported"].([]any)
			if err != nil || len(listed) != c.want || there != (c.want > 0) {
				t.Errorf("%v %s", err, w.Body)
			}
		})
	}
}
