package oauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestServerHandlesItsOwnPathsAlone(t *testing.T) {
	h := newFixture(t)
	for _, c := range []struct {
		path string
		want bool
	}{
		{"/auth/token", true}, {"/auth/revoke", true}, {"/auth/introspect", true}, {"/token", false},
		{"/auth/token/", false}, {"/auth", false}, {"/auth/", false}, {"/auth/tokens", false}, {"/authtoken", false},
		{"", false},
	} {
		t.Run(c.path, func(t *testing.T) {
			if h.Handles(c.path) != c.want {
				t.Errorf("Handles(%q) is %v", c.path, !c.want)
			}
		})
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "https://auth.example.com/auth/other", nil))
	if w.Code != 404 || len(h.events) != 0 {
		t.Errorf("%d, events %v", w.Code, h.events)
	}
}

func TestOnlyPostIsAnswered(t *testing.T) {
	h := newFixture(t)
	for _, c := range []struct{ path, allow string }{
		{"/token", "OPTIONS, POST"}, {"/revoke", "OPTIONS, POST"}, {"/introspect", "POST"},
	} {
		t.Run(c.path, func(t *testing.T) {
			for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "TRACE", "BREW"} {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(method, "https://auth.example.com/auth"+c.path, nil))
				if w.Code != 405 || w.Header().Get("Allow") != c.allow {
					t.Errorf("%s %s: %d, Allow %q", method, c.path, w.Code, w.Header().Get("Allow"))
				}
			}
		})
	}
	if len(h.events) != 0 {
		t.Errorf("events %v", h.events)
	}
}

func TestPagesOfAnyOriginMayAskForAndRevokeTokens(t *testing.T) {
	h := newFixture(t)
	for _, c := range []struct {
		path string
		want int
	}{{"/token", 204}, {"/revoke", 204}, {"/introspect", 405}} {
		t.Run(c.path, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodOptions, "https://auth.example.com/auth"+c.path, nil)
			r.Header.Set("Origin", "https://app.example")
			r.Header.Set("Access-Control-Request-Method", "POST")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.want || (w.Header().Get("Access-Control-Allow-Origin") == "*") != (c.want == 204) {
				t.Errorf("%s: %d, %v", c.path, w.Code, w.Header())
			}
			if c.want != 204 {
				return
			}
			allowed := strings.Split(w.Header().Get("Access-Control-Allow-Headers"), ", ")
			for _, name := range []string{"Authorization", "Content-Type", "MCP-Protocol-Version", "DPoP"} {
				if !slices.Contains(allowed, name) {
					t.Errorf("%s: %s is not allowed by %q", c.path, name, allowed)
				}
			}
			if w.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s: cookies are asked for", c.path)
			}
		})
	}
}

func TestCheckSaysWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Server)
	}{
		{"base", func(s *Server) { s.Base = nil }},
		{"scheme", func(s *Server) { s.Base = &url.URL{Scheme: "ftp", Host: "h"} }},
		{"trailing slash", func(s *Server) { s.Base = &url.URL{Scheme: "https", Host: "h", Path: "/"} }},
		{"query", func(s *Server) { s.Base = &url.URL{Scheme: "https", Host: "h", RawQuery: "x"} }},
		{"issuer", func(s *Server) { s.Issuer = "" }},
		{"keys", func(s *Server) { s.AnswerKey = nil }},
		{"sessions", func(s *Server) { s.Sessions = nil }},
		{"clients", func(s *Server) { s.Clients = nil }},
		{"issuing", func(s *Server) { s.Refresh = nil }},
		{"verifying", func(s *Server) { s.Verify = nil }},
		{"the deny list", func(s *Server) { s.Revoked = nil }},
		{"(nothing, good)", func(*Server) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			c.change(h.Server)
			if err := h.Validate(); (err == nil) != strings.HasPrefix(c.name, "(") {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
}

func TestEveryResultIsListed(t *testing.T) {
	for _, r := range []string{
		success, inactive, invalidRequest, invalidClient, invalidGrant, invalidScope, unsupportedGrantType,
		unsupportedTokenType, temporarilyUnavailable,
	} {
		if !slices.Contains(Results(), r) {
			t.Errorf("%s is not listed", r)
		}
	}
}

func TestPeerIsTheClientUnlessSomebodyKnowsBetter(t *testing.T) {
	h := newFixture(t)
	h.ClientIP, h.Events = nil, nil
	if ip := h.ClientIP.Of(&http.Request{RemoteAddr: "[2001:db8::1]:4711"}); ip != "2001:db8::1" {
		t.Error(ip)
	}
	if w := h.post("/token", nil); w.Code != 401 { // nobody observes
		t.Error(w.Code)
	}
}
