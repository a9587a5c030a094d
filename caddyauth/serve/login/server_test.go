package login

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

const (
	cookieName = "__Host-access_token"
	password   = "wonderland-CANARY"
)

var hashOnce = sync.OnceValue(func() string {
	hash, err := argon2id.CreateHash(password,
		&argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		panic(err)
	}
	return hash
})

// memoryThrottle is a store of attempts in memory.
type memoryThrottle struct {
	mu    sync.Mutex
	times map[string]time.Time // when the bucket is empty again
	known map[string]time.Time
	err   error
	taken int
}

func (m *memoryThrottle) TakeAttempt(_ context.Context, a identity.Attempt, now time.Time) (time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	buckets := slices.Clone(a.Buckets)
	if !m.known[a.Known].After(now) {
		buckets = append(buckets, a.Account)
	}
	var wait time.Duration
	for _, b := range buckets {
		room := b.Every * time.Duration(b.Burst-1)
		wait = max(wait, m.times[b.Key].Add(-room).Sub(now))
	}
	if m.err != nil || wait > 0 {
		return wait, m.err
	}
	for _, b := range buckets {
		start := m.times[b.Key]
		if start.Before(now) {
			start = now
		}
		m.times[b.Key] = start.Add(b.Every)
	}
	m.taken++
	return 0, nil
}

func (m *memoryThrottle) forgive(f identity.Forgiveness) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.times, f.Empty)
	if at, ok := m.times[f.Back.Key]; ok {
		m.times[f.Back.Key] = at.Add(-f.Back.Every)
	}
	m.known[f.Known] = f.Until
}

func (m *memoryThrottle) DeleteIdleAttempts(context.Context, time.Time, int) (int, error) {
	return 0, nil
}

// fixture is a server with its surroundings.
type fixture struct {
	*Server
	throttle *memoryThrottle
	events   []audit.Event
	issued   []issuance.SignIn
	users    identity.Directory
	revoked  []string
	ended    atomic.Bool // whether the last request ended a session
	mu       sync.Mutex
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	users, err := identity.NewDeclared([]identity.User{
		{Name: "Alice", Project: "default", PasswordHash: hashOnce()},
		{Name: "disabled", Project: "default", PasswordHash: hashOnce(), Disabled: true},
		{Name: "bare", Project: "default"},
		{Name: "alice", Project: "acme", PasswordHash: hashOnce()},
	})
	if err != nil {
		t.Fatal(err)
	}
	passwords := identity.NewPasswords(users.HashKinds())
	h := &fixture{users: users, throttle: &memoryThrottle{times: map[string]time.Time{}, known: map[string]time.Time{}}}
	h.Server = &Server{
		Base:      mustURL("https://auth.example.com/auth"),
		ReturnTo:  []string{"https://app.example.com", "https://auth.example.com:8443"},
		Passwords: passwords,
		Throttle:  &identity.Throttle{Store: h.throttle},
		Find:      h.find,
		SignIn:    h.signIn,
		Verify:    h.verify,
		Revoke: func(_ context.Context, accesses, refreshes []string) (bool, error) {
			tokens := slices.Concat(accesses, refreshes)
			h.revoked = append(h.revoked, tokens...)
			h.ended.Store(len(tokens) > 0)
			return len(tokens) > 0, nil
		},
		Events:       func(_ context.Context, e audit.Event) { h.observed(t, e) },
		CookieName:   cookieName,
		SecureCookie: true,
	}
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	return h
}

// find knows the projects default and acme.
func (h *fixture) find(ctx context.Context, id, name string) (p issuance.Parties, err error) {
	if id == "default" || id == "acme" {
		p.Project = project.Project{Slug: id, Active: true}
	}
	p.User, err = h.users.FindUser(ctx, id, name)
	if errors.Is(err, identity.ErrNoUser) {
		err = nil
	}
	return p, err
}

func (h *fixture) signIn(_ context.Context, in issuance.SignIn) (issuance.Issued, error) {
	h.throttle.forgive(in.Forgiveness)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.issued = append(h.issued, in)
	return issuance.Issued{
		AccessToken: "token." + in.Parties.User.Name + "." + strings.Repeat("x", len(h.issued)),
		AccessUntil: in.Now.Add(15 * time.Minute),
	}, nil
}

// signedInAt is since when the tokens of a fixture stand.
var signedInAt = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func (h *fixture) verify(_ context.Context, raw string) (string, time.Time, error) {
	rest, ok := strings.CutPrefix(raw, "token.")
	if !ok {
		return "", time.Time{}, errors.New("no session")
	}
	name, _, _ := strings.Cut(rest, ".")
	return name, signedInAt, nil
}

// observed keeps an event. What costs whoever sends it nothing is not recorded: a flood would fill
// the audit trail. The entry of a sign-in that succeeded is stored with its session.
func (h *fixture) observed(t *testing.T, e audit.Event) {
	recorded := e.Result == "bad_credentials"
	if e.Kind == audit.Logout {
		recorded = e.Result == "success" && (e.User != "" || h.ended.Load())
	}
	if e.Recorded != recorded {
		t.Errorf("recorded: %v, want %v: %+v", e.Recorded, recorded, e)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// lastResult returns the word of the only event since the last call.
func (h *fixture) lastResult(t *testing.T) string {
	t.Helper()
	if len(h.events) != 1 {
		t.Fatalf("%d events, want one", len(h.events))
	}
	e := h.events[0]
	h.events = nil
	return e.Result
}

func (h *fixture) do(r *http.Request) *httptest.ResponseRecorder {
	h.ended.Store(false)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func request(method, address, contentType, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "https://auth.example.com"+address, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func object(pairs ...string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	b, _ := json.Marshal(m)
	return string(b)
}

func postForm(body string, headers ...string) *http.Request {
	return request("POST", "/auth/login", endpoint.FormType, body, headers...)
}

func postJSON(body string, headers ...string) *http.Request {
	return request("POST", "/auth/login", endpoint.JSONType, body, headers...)
}

func postAPI(project, body string, headers ...string) *http.Request {
	return request("POST", "/auth/api/"+project+"/auth/login", endpoint.JSONType, body, headers...)
}

// errorWord returns the word of a JSON refusal.
func errorWord(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Description == "" {
		t.Fatalf("not a refusal in JSON: %s", w.Body)
	}
	if w.Header().Get("Content-Type") != endpoint.JSONType || w.Header().Get("Cache-Control") != "no-store" ||
		w.Header().Get("Cross-Origin-Resource-Policy") != "same-origin" {
		t.Errorf("headers of a refusal: %v", w.Header())
	}
	return body.Error
}

func TestRoutesLieBelowTheBase(t *testing.T) {
	h := newFixture(t)
	for _, c := range []struct {
		path string
		want bool
	}{
		{"/auth/login", true}, {"/auth/logout", true}, {"/auth/api/default/auth/login", true},
		{"/auth/api/x-1/auth/login", true}, {"/login", false}, {"/auth", true}, {"/auth/", true},
		{"/auth/login/", false}, {"/auth/Login", false}, {"/authlogin", false}, {"/auth/api//auth/login", false},
		{"/auth/api/a/b/auth/login", false}, {"/auth/api/auth/login", false}, {"/auth/healthz", false}, {"", false},
	} {
		t.Run(c.path, func(t *testing.T) {
			if got := h.Handles(c.path); got != c.want {
				t.Errorf("%s: %v", c.path, got)
			}
			if strings.HasPrefix(c.path, "/") && !c.want &&
				h.do(request("GET", c.path, "", "")).Code != http.StatusNotFound {
				t.Errorf("%s is not handled but answered", c.path)
			}
		})
	}
	h.Base = mustURL("https://auth.example.com")
	if !h.Handles("/login") || h.Handles("/auth/login") || h.Handles("/") {
		t.Error("a base without a path")
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	h := newFixture(t)
	for _, c := range []struct{ path, allow string }{
		{"/auth/login", "GET, HEAD, POST"}, {"/auth/logout", "GET, HEAD, POST"},
		{"/auth/api/default/auth/login", "POST"},
	} {
		t.Run(c.path, func(t *testing.T) {
			for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "get"} {
				w := h.do(request(method, c.path, "", ""))
				if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != c.allow {
					t.Errorf("%s %s: %d, Allow %q", method, c.path, w.Code, w.Header().Get("Allow"))
				}
			}
		})
	}
	if w := h.do(request("GET", "/auth/api/default/auth/login", "", "")); w.Code != http.StatusMethodNotAllowed ||
		errorWord(t, w) != "method_not_allowed" {
		t.Errorf("GET of the API: %d", w.Code)
	}
	if w := h.do(request("HEAD", "/auth/login", "", "")); w.Code != http.StatusOK {
		t.Errorf("HEAD: %d", w.Code)
	}
	if len(h.events) != 0 {
		t.Errorf("events: %v", h.events)
	}
}

func TestCheckNamesWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		want  string
		spoil func(*Server)
	}{
		{"Base: not an", func(s *Server) { s.Base = nil }},
		{"trailing slash", func(s *Server) { s.Base = mustURL("https://auth.example.com/") }},
		{"an http or https", func(s *Server) { s.Base = mustURL("ftp://auth.example.com") }},
		{"required", func(s *Server) { s.Throttle = nil }},
		{"CookieName", func(s *Server) { s.CookieName = "" }},
		{"only when it is secure", func(s *Server) { s.SecureCookie = false }},
		{"https://APP is not", func(s *Server) { s.ReturnTo = []string{"https://APP"} }},
		{"https://app:443 is not", func(s *Server) { s.ReturnTo = []string{"https://app:443"} }},
		{"https://auth.example.com:44", func(s *Server) { s.Base = mustURL("https://auth.example.com:443") }},
	} {
		t.Run(c.want, func(t *testing.T) {
			h := newFixture(t)
			c.spoil(h.Server)
			if err := h.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
