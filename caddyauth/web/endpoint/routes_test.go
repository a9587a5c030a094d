package endpoint

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

var testRoutes = Routes[string]{
	{Method: http.MethodGet, Path: "/things", Handler: "list"},
	{Method: http.MethodPost, Path: "/things", Handler: "add"},
	{Method: http.MethodDelete, Path: "/things/{id}", Handler: "remove"},
	{Method: http.MethodPost, Path: "/things/purge", Handler: "purge"},
	{Method: http.MethodGet, Path: "/things/{id}/ttl", Handler: "ttl"},
	{Method: http.MethodPost, Path: "/token", Handler: "token", AnyOrigin: true},
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		method, path string
		handler, id  string
		status       int
		allow        string
	}{
		{"GET", "/auth/things", "list", "", 0, ""},
		{"HEAD", "/auth/things", "list", "", 0, ""},
		{"POST", "/auth/things", "add", "", 0, ""},
		{"PUT", "/auth/things", "", "", 405, "GET, HEAD, POST"},
		{"OPTIONS", "/auth/things", "", "", 405, "GET, HEAD, POST"},
		{"DELETE", "/auth/things/7", "remove", "7", 0, ""},
		{"POST", "/auth/things/purge", "purge", "", 0, ""},
		{"GET", "/auth/things/purge", "", "", 405, "DELETE, POST"},
		{"GET", "/auth/things/7/ttl", "ttl", "7", 0, ""},
		{"GET", "/auth/things//ttl", "", "", 404, ""},
		{"GET", "/auth/things/7/8/ttl", "", "", 404, ""},
		{"GET", "/auth/things/{id}/ttl", "ttl", "{id}", 0, ""},
		{"DELETE", "/auth/things/", "", "", 404, ""},
		{"GET", "/auth/things/", "", "", 404, ""},
		{"GET", "/things", "", "", 404, ""},
		{"GET", "/auth", "", "", 404, ""},
		{"POST", "/auth/token", "token", "", 0, ""},
		{"GET", "/auth/token", "", "", 405, "OPTIONS, POST"},
		{"OPTIONS", "/auth/token", "", "", 204, ""},
	} {
		t.Run(c.method+c.path, func(t *testing.T) {
			w, r := httptest.NewRecorder(), httptest.NewRequest(c.method, "https://h/", nil)
			r.URL.Path = c.path
			route, status := testRoutes.Match(w, r, "/auth")
			if route.Handler != c.handler || status != c.status || r.PathValue("id") != c.id ||
				w.Header().Get("Allow") != c.allow {
				t.Errorf("%q, %d, id %q, %v", route.Handler, status, r.PathValue("id"), w.Header())
			}
			if handles := testRoutes.Handles("/auth", c.path); handles != (c.status != 404) {
				t.Errorf("handles: %v", handles)
			}
			if shared := w.Header().Get("Access-Control-Allow-Origin") == "*"; shared != (c.path == "/auth/token") {
				t.Errorf("%v", w.Header())
			}
		})
	}
}

func TestHandlesAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { testRoutes.Handles("", "/application/things/7/ttl") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestHandlersAnswerWhatTheyDoNotTake(t *testing.T) {
	s := Handlers{Base: &url.URL{Path: "/auth"}, Routes: Routes[http.HandlerFunc]{
		{Method: http.MethodGet, Path: "/keys", Handler: func(w http.ResponseWriter, _ *http.Request) {
			WriteJSON(w, http.StatusOK, "keys")
		}},
		{Method: http.MethodPost, Path: "/ask", AnyOrigin: true, Handler: func(http.ResponseWriter, *http.Request) {}},
	}}
	for _, c := range []struct {
		method, path string
		status       int
		body, allow  string
	}{
		{"GET", "/auth/keys", 200, `"keys"`, ""},
		{"POST", "/auth/keys", 405, `{"error":"method_not_allowed"`, "GET, HEAD"},
		{"GET", "/auth/other", 404, `{"error":"not_found"`, ""},
		{"GET", "/keys", 404, `{"error":"not_found"`, ""},
		{"OPTIONS", "/auth/ask", 204, "", ""},
	} {
		t.Run(c.method+c.path, func(t *testing.T) {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(c.method, "https://h"+c.path, nil))
			if w.Code != c.status || !strings.HasPrefix(w.Body.String(), c.body) || w.Header().Get("Allow") != c.allow {
				t.Errorf("%d %s, %v", w.Code, w.Body, w.Header())
			}
			if handles := s.Handles(c.path); handles != (c.status != 404) {
				t.Errorf("handles: %v", handles)
			}
		})
	}
	want := []Rule{{Method: "GET", Path: "/keys"}, {Method: "POST", Path: "/ask", AnyOrigin: true}}
	if got := s.Rules(); !slices.Equal(got, want) {
		t.Errorf("rules: %v", got)
	}
}

// TestFindAnswersWhatIsForNoOperation: refusals and preflights are answered, without a body, and what is
// for an operation is left to it.
func TestFindAnswersWhatIsForNoOperation(t *testing.T) {
	routes := Routes[string]{
		{Method: http.MethodPost, Path: "/open", Handler: "open", AnyOrigin: true},
		{Method: http.MethodGet, Path: "/own", Handler: "own"},
	}
	for _, c := range []struct {
		method, path, want string
		status             int // of the answer; 0: there is none
	}{
		{"POST", "/auth/open", "open", 0},
		{"HEAD", "/auth/own", "own", 0},
		{"OPTIONS", "/auth/open", "", http.StatusNoContent},
		{"OPTIONS", "/auth/own", "", http.StatusMethodNotAllowed},
		{"GET", "/auth/open", "", http.StatusMethodNotAllowed},
		{"GET", "/auth/other", "", http.StatusNotFound},
		{"GET", "/own", "", http.StatusNotFound},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Code = 0
			route, ok := routes.Find(w, httptest.NewRequest(c.method, c.path, nil), "/auth")
			if route.Handler != c.want || ok != (c.status == 0) || w.Code != c.status || w.Body.Len() > 0 {
				t.Errorf("%q, %v, status %d, body %q", route.Handler, ok, w.Code, w.Body)
			}
		})
	}
}
