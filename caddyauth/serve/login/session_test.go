package login

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// browser is a session as the face would keep it: one token, one end.
type browser struct {
	*Session
	expires time.Time // of the access token; zero without one
	err     error     // of the next renewal
	renewed int
}

func newBrowser(t *testing.T, left time.Duration) *browser {
	t.Helper()
	b := &browser{expires: time.Now().Add(left)}
	b.Session = &Session{
		Base: mustURL("https://auth.example.com/auth"),
		Current: func(*http.Request) (string, time.Time, bool) {
			return "alice", b.expires, b.expires.After(time.Now())
		},
		Renew: func(w http.ResponseWriter, _ *http.Request) (string, time.Time, error) {
			if b.err != nil {
				return "", time.Time{}, b.err
			}
			b.renewed++
			b.expires = time.Now().Add(15 * time.Minute)
			http.SetCookie(w, &http.Cookie{Name: "access_token", Value: "new"})
			return "alice", b.expires, nil
		},
	}
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) do(method, path string, headers ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.ServeHTTP(w, request(method, path, "", "", headers...))
	return w
}

func decoded(t *testing.T, w *httptest.ResponseRecorder) (a sessionAnswer) {
	t.Helper()
	for _, c := range []struct{ header, want string }{
		{"Content-Type", endpoint.JSONType}, {"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
	} {
		if got := w.Header().Get(c.header); got != c.want {
			t.Errorf("%s: %q, want %q", c.header, got, c.want)
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return a
}

func TestSessionsMayEachHaveTheirPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrowser(t, 10*time.Minute)
		window := 20 * time.Minute
		b.Window = time.Minute // Pace goes before it
		b.RenewalTimes = func(*http.Request) (time.Duration, time.Duration) { return window, 7 * time.Second }
		if a := decoded(t, b.do("GET", "/auth/session")); a.RefreshWindow != 1200 || a.CheckEvery != 7 {
			t.Errorf("%+v", a)
		}
		for _, c := range []struct {
			window  time.Duration
			renewed int
		}{{5 * time.Minute, 0}, {20 * time.Minute, 1}} {
			window = c.window
			if a := decoded(t, b.do("POST", "/auth/session/refresh")); b.renewed != c.renewed ||
				a.RefreshWindow != int64(c.window/time.Second) {
				t.Errorf("%v: renewed %d times, %+v", c.window, b.renewed, a)
			}
		}
	})
}

func TestTheSessionIsDescribed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrowser(t, 10*time.Minute)
		w := b.do("GET", "/auth/session")
		now := time.Now().Unix()
		want := `{"signed_in":true,"subject":"alice","expires_at":` + strconv.FormatInt(now+600, 10) +
			`,"refresh_window":300,"check_every":60,"server_time":` + strconv.FormatInt(now, 10) + "}\n"
		if decoded(t, w); w.Body.String() != want {
			t.Errorf("%s, want %s", w.Body, want)
		}
		b.expires = time.Time{}
		b.Window, b.Every = time.Minute, 5*time.Second
		w = b.do("GET", "/auth/session")
		want = `{"signed_in":false,"refresh_window":60,"check_every":5,"server_time":` + strconv.FormatInt(now, 10) +
			"}\n"
		if decoded(t, w); w.Body.String() != want {
			t.Errorf("%s, want %s", w.Body, want)
		}
		for _, renewable := range []bool{false, true} {
			b.Renewable = func(*http.Request) bool { return renewable }
			if a := decoded(t, b.do("GET", "/auth/session")); a.Renewable == nil || *a.Renewable != renewable {
				t.Errorf("renewable: %v, want %v", a.Renewable, renewable)
			}
		}
		if b.renewed != 0 {
			t.Error("a GET renewed")
		}
	})
}

func TestASessionIsRenewedInsideTheWindowOnly(t *testing.T) {
	for _, c := range []struct {
		left time.Duration
		want int
	}{
		{15 * time.Minute, 0}, {5*time.Minute + time.Second, 0}, {5 * time.Minute, 1}, {time.Second, 1}, {0, 1},
		{-time.Hour, 1},
	} {
		t.Run(fmt.Sprint(c.left), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBrowser(t, c.left)
				w := b.do("POST", "/auth/session/refresh")
				a := decoded(t, w)
				if b.renewed != c.want || !a.SignedIn || a.Subject != "alice" || a.ExpiresAt != b.expires.Unix() ||
					a.ServerTime != time.Now().Unix() {
					t.Errorf("%v before the end: renewed %d times, %+v", c.left, b.renewed, a)
				}
				if got := len(w.Header().Values("Set-Cookie")); got != c.want {
					t.Errorf("%v before the end: %d cookies", c.left, got)
				}
			})
		})
	}
}

func TestASessionThatCannotBeRenewed(t *testing.T) {
	b := newBrowser(t, time.Minute)
	b.err = errors.Join(errors.New("wrapped"), ErrSessionOver)
	if w := b.do("POST", "/auth/session/refresh"); w.Code != http.StatusUnauthorized ||
		errorWord(t, w) != "session_over" {
		t.Errorf("over: %d %s", w.Code, w.Body)
	}
	b.err = errors.New("database CANARY is away")
	w := b.do("POST", "/auth/session/refresh")
	if w.Code != http.StatusServiceUnavailable || errorWord(t, w) != "store_unavailable" ||
		w.Header().Get("Retry-After") != "5" {
		t.Errorf("store away: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	if strings.Contains(w.Body.String(), "CANARY") {
		t.Error("the error of the store is told")
	}
}

func TestOtherSitesRenewNothing(t *testing.T) {
	b := newBrowser(t, time.Minute)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example.com"}, {"Origin", "null"}, {"Origin", "https://app.auth.example.com"},
	} {
		if w := b.do("POST", "/auth/session/refresh", headers...); w.Code != http.StatusForbidden ||
			errorWord(t, w) != "cross_origin" {
			t.Errorf("%v: %d", headers, w.Code)
		}
	}
	if b.renewed != 0 {
		t.Errorf("renewed %d times", b.renewed)
	}
	for _, headers := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Origin", "https://auth.example.com"}, nil} {
		b.expires = time.Now()
		if w := b.do("POST", "/auth/session/refresh", headers...); w.Code != http.StatusOK {
			t.Errorf("%v: %d", headers, w.Code)
		}
	}
	if b.renewed != 3 {
		t.Errorf("renewed %d times", b.renewed)
	}
}

func TestTheSessionsRoutesLieBelowTheBase(t *testing.T) {
	b := newBrowser(t, time.Hour)
	for _, c := range []struct {
		path string
		want bool
	}{
		{"/auth/session", true}, {"/auth/session/refresh", true}, {"/auth/session.js", true},
		{"/auth/session.mjs", true}, {"/session", false}, {"/auth", false}, {"/auth/", false},
		{"/auth/session/", false}, {"/auth/sessions", false}, {"/auth/Session", false}, {"/authsession", false},
		{"/auth/session/refresh/", false}, {"/auth/session.json", false}, {"", false},
	} {
		t.Run(c.path, func(t *testing.T) {
			if got := b.Handles(c.path); got != c.want {
				t.Errorf("%s: %v", c.path, got)
			}
			if strings.HasPrefix(c.path, "/") && !c.want {
				if w := b.do("GET", c.path); w.Code != http.StatusNotFound || errorWord(t, w) != "not_found" {
					t.Errorf("%s is not handled but answered: %d", c.path, w.Code)
				}
			}
		})
	}
	b.Base = mustURL("https://auth.example.com")
	if !b.Handles("/session.js") || b.Handles("/auth/session.js") {
		t.Error("a base without a path")
	}
}

func TestTheSessionsRoutesRefuseOtherMethods(t *testing.T) {
	b := newBrowser(t, time.Minute)
	for _, c := range []struct{ path, allow string }{
		{"/auth/session", "GET, HEAD"}, {"/auth/session/refresh", "POST"}, {"/auth/session.js", "GET, HEAD"},
		{"/auth/session.mjs", "GET, HEAD"},
	} {
		t.Run(c.path, func(t *testing.T) {
			for _, method := range []string{
				"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "get",
			} {
				w := b.do(method, c.path)
				allowed := strings.Contains(", "+c.allow+", ", ", "+method+", ")
				if allowed && w.Code != http.StatusOK {
					t.Errorf("%s %s: %d", method, c.path, w.Code)
				}
				if !allowed &&
					(w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != c.allow ||
						errorWord(t, w) != "method_not_allowed") {
					t.Errorf("%s %s: %d, Allow %q", method, c.path, w.Code, w.Header().Get("Allow"))
				}
			}
		})
	}
	if b.renewed != 1 {
		t.Errorf("renewed %d times", b.renewed)
	}
}

func TestTheScriptIsServedBesideTheSession(t *testing.T) {
	b := newBrowser(t, time.Hour)
	for _, c := range []struct{ path, want string }{
		{"/auth/session.js", "document.currentScript"}, {"/auth/session.mjs", "import.meta.url"},
	} {
		t.Run(c.path, func(t *testing.T) {
			w := b.do("GET", c.path)
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), c.want) ||
				w.Header().Get("Cache-Control") != "public, max-age=3600" {
				t.Errorf("%s: %d, %v", c.path, w.Code, w.Header())
			}
		})
	}
}

func TestCheckOfASessionNamesWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		want  string
		spoil func(*Session)
	}{
		{"Base: ", func(s *Session) { s.Base = nil }},
		{"trailing slash", func(s *Session) { s.Base = mustURL("https://auth.example.com/") }},
		{"Current and Renew are", func(s *Session) { s.Renew = nil }},
		{"are required", func(s *Session) { s.Current = nil }},
		{"Window is negative: -1s", func(s *Session) { s.Window = -time.Second }},
		{"Every is under a second: 1", func(s *Session) { s.Every = time.Millisecond }},
	} {
		t.Run(c.want, func(t *testing.T) {
			b := newBrowser(t, time.Hour)
			c.spoil(b.Session)
			if err := b.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
