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
	h := newHouse(t)
	for path, want := range map[string]bool{
		"/auth/token": true, "/auth/revoke": true, "/auth/introspect": true,
		"/token": false, "/auth/token/": false, "/auth": false, "/auth/": false, "/auth/tokens": false, "/authtoken": false, "": false,
	} {
		if h.Handles(path) != want {
			t.Errorf("Handles(%q) is %v", path, !want)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "https://auth.example.com/auth/other", nil))
	if w.Code != 404 || len(h.events) != 0 {
		t.Errorf("%d, events %v", w.Code, h.events)
	}
}

func TestOnlyPostIsAnswered(t *testing.T) {
	h := newHouse(t)
	for path, allow := range map[string]string{"/token": "OPTIONS, POST", "/revoke": "OPTIONS, POST", "/introspect": "POST"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "TRACE", "BREW"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, "https://auth.example.com/auth"+path, nil))
			if w.Code != 405 || w.Header().Get("Allow") != allow {
				t.Errorf("%s %s: %d, Allow %q", method, path, w.Code, w.Header().Get("Allow"))
			}
		}
	}
	if len(h.events) != 0 {
		t.Errorf("events %v", h.events)
	}
}

func TestPagesOfAnyOriginMayAskForAndRevokeTokens(t *testing.T) {
	h := newHouse(t)
	for path, want := range map[string]int{"/token": 204, "/revoke": 204, "/introspect": 405} {
		r := httptest.NewRequest(http.MethodOptions, "https://auth.example.com/auth"+path, nil)
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want || (w.Header().Get("Access-Control-Allow-Origin") == "*") != (want == 204) {
			t.Errorf("%s: %d, %v", path, w.Code, w.Header())
		}
		if want != 204 {
			continue
		}
		allowed := strings.Split(w.Header().Get("Access-Control-Allow-Headers"), ", ")
		for _, name := range []string{"Authorization", "Content-Type", "MCP-Protocol-Version", "DPoP"} {
			if !slices.Contains(allowed, name) {
				t.Errorf("%s: %s is not allowed by %q", path, name, allowed)
			}
		}
		if w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: cookies are asked for", path)
		}
	}
}

func TestCheckSaysWhatIsMissing(t *testing.T) {
	for name, change := range map[string]func(*Server){
		"base":            func(s *Server) { s.Base = nil },
		"scheme":          func(s *Server) { s.Base = &url.URL{Scheme: "ftp", Host: "h"} },
		"trailing slash":  func(s *Server) { s.Base = &url.URL{Scheme: "https", Host: "h", Path: "/"} },
		"query":           func(s *Server) { s.Base = &url.URL{Scheme: "https", Host: "h", RawQuery: "x"} },
		"sessions":        func(s *Server) { s.Sessions = nil },
		"clients":         func(s *Server) { s.FindClient = nil },
		"issuing":         func(s *Server) { s.Issue = nil },
		"verifying":       func(s *Server) { s.Verify = nil },
		"the deny list":   func(s *Server) { s.Revoked = nil },
		"(nothing, good)": func(*Server) {},
	} {
		h := newHouse(t)
		change(h.Server)
		if err := h.Validate(); (err == nil) != strings.HasPrefix(name, "(") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryResultIsListed(t *testing.T) {
	for _, r := range []string{success, inactive, invalidRequest, invalidClient, invalidGrant, invalidScope, unsupportedGrantType, unsupportedTokenType, temporarilyUnavailable} {
		if !slices.Contains(Results(), r) {
			t.Errorf("%s is not listed", r)
		}
	}
}

func TestPeerIsTheClientUnlessSomebodyKnowsBetter(t *testing.T) {
	h := newHouse(t)
	h.ClientIP, h.Observe = nil, nil
	if ip := h.ClientIP.Of(&http.Request{RemoteAddr: "[2001:db8::1]:4711"}); ip != "2001:db8::1" {
		t.Error(ip)
	}
	if w := h.post("/token", nil); w.Code != 401 { // nobody observes
		t.Error(w.Code)
	}
}
