package endpoint

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestAnswersArePrivate(t *testing.T) {
	w := httptest.NewRecorder()
	WriteError(w, http.StatusConflict, "taken", "the name is in use")
	if w.Code != 409 || w.Body.String() != `{"error":"taken","error_description":"the name is in use"}`+"\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, c := range []struct{ name, want string }{
		{"Content-Type", "application/json"},
		{"Cache-Control", "no-store"},
		{"X-Content-Type-Options", "nosniff"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Access-Control-Allow-Origin", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := w.Header().Get(c.name); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		})
	}

	w = httptest.NewRecorder()
	WriteJSON(w, http.StatusOK, json.RawMessage("{\"a\": 1 }"))
	if w.Body.String() != "{\"a\": 1 }" || w.Header().Get("Content-Type") != "application/json" ||
		w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%v %s", w.Header(), w.Body)
	}

	w = httptest.NewRecorder()
	allowAnyOrigin(w.Header())
	WriteJSON(w, http.StatusNoContent, nil)
	if w.Header().Get("Cross-Origin-Resource-Policy") != "cross-origin" || w.Header().Get("Content-Type") != "" ||
		w.Body.Len() > 0 {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	for _, c := range []struct {
		wait time.Duration
		want string
	}{{0, ""}, {time.Millisecond, "1"}, {time.Second, "1"}, {1001 * time.Millisecond, "2"}, {-time.Second, ""}} {
		h := http.Header{}
		if SetRetryAfter(h, c.wait); h.Get("Retry-After") != c.want {
			t.Errorf("%v: %v", c.wait, h)
		}
	}
}

func TestClientIP(t *testing.T) {
	for _, c := range []struct{ remote, want string }{
		{"192.0.2.1:80", "192.0.2.1"},
		{"[2001:db8::1]:4711", "2001:db8::1"},
		{"@", ""},
		{"", ""},
		{"host:80", ""},
	} {
		if got := ClientIP(nil).Of(&http.Request{RemoteAddr: c.remote}); got != c.want {
			t.Errorf("%q: %q, want %q", c.remote, got, c.want)
		}
	}
}
