package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

func TestAFormSignsInAndLeadsBack(t *testing.T) {
	h := newFixture(t)
	w := h.do(postForm(form("username", "ALICE", "password", password, "next", "https://app.example.com/x?a=1&b=2#f")))
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "https://app.example.com/x?a=1&b=2#f" {
		t.Fatalf("%d to %q", w.Code, w.Header().Get("Location"))
	}
	if got, want := w.Header().Get("Set-Cookie"), cookieName+
		"=token.Alice.x; Path=/; Max-Age=900; HttpOnly; Secure; SameSite=Lax"; got != want {
		t.Errorf("cookie %q, want %q", got, want)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers %v", w.Header())
	}
	if req := h.issued[0]; req.Audience != "web" || req.Parties.Project.Slug != "default" ||
		req.Action != audit.Login ||
		req.Kind != issuance.BrowserGrant || req.Parties.User.Name != "Alice" ||
		req.Now.IsZero() {
		t.Errorf("issued for %+v", req)
	}
	if h.lastResult(t) != "success" {
		t.Error("not observed as a success")
	}
}

func TestAFormWithoutATargetLeadsToThePageThatSaysWho(t *testing.T) {
	h := newFixture(t)
	for _, next := range []string{"", "https://evil.example/"} {
		w := h.do(postForm(form("username", "alice", "password", password, "next", next)))
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/auth/login" {
			t.Errorf("%q: %d to %q", next, w.Code, w.Header().Get("Location"))
		}
	}
}

func TestJSONAtLoginAnswersWithTokenAndCookie(t *testing.T) {
	h := newFixture(t)
	w := h.do(postJSON(object("username", "alice", "password", password), "Sec-Fetch-Site", "same-origin"))
	if w.Code != http.StatusOK ||
		w.Body.String() != `{"access_token":"token.Alice.x","token_type":"Bearer","expires_in":900}`+"\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w.Header().Get("Set-Cookie") == "" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%v", w.Header())
	}
}

func TestTheAPIAnswersWithATokenAndNoCookie(t *testing.T) {
	for _, c := range []struct{ audience, want string }{
		{"", "api"}, {"api", "api"}, {"web", "web"}, {"a2a", "a2a"}, {"mcp", "mcp"},
	} {
		t.Run(c.audience, func(t *testing.T) {
			h := newFixture(t)
			members := []string{"username", "alice", "password", password}
			if c.audience != "" {
				members = append(members, "audience", c.audience)
			}
			w := h.do(postAPI("acme", object(members...), "Accept", "text/html"))
			var body struct {
				AccessToken string `json:"access_token"`
				TokenType   string `json:"token_type"`
				ExpiresIn   int    `json:"expires_in"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != 200 ||
				body.TokenType != "Bearer" || body.ExpiresIn != 900 || body.AccessToken == "" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if w.Header().Get("Set-Cookie") != "" {
				t.Error("the API set a cookie")
			}
			if req := h.issued[0]; req.Audience != c.want || req.Parties.Project.Slug != "acme" ||
				req.Parties.User.Project != "acme" || req.Action != audit.APILogin || req.Kind != issuance.APIGrant ||
				req.MaxToken != 0 {
				t.Errorf("issued for %+v", req)
			}
			if e := h.events[0]; e.Kind != audit.APILogin || e.Project != "acme" || e.Audience != c.want ||
				e.User != "alice" {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestTheAPIRefuses(t *testing.T) {
	h := newFixture(t)
	good := object("username", "alice", "password", password)
	for _, c := range []struct {
		name    string
		request *http.Request
		status  int
		word    string
	}{
		{"unknown project", postAPI("nowhere", good), 404, "unknown_project"},
		{
			"unknown audience",
			postAPI("default", object("username", "alice", "password", password, "audience", "all")), 400,
			"invalid_request",
		},
		{
			"four audiences",
			postAPI("default", object("username", "alice", "password", password, "audience", "web api a2a mcp")), 400,
			"invalid_request",
		},
		{
			"list of them", postAPI("default", `{"username":"alice","password":"x","audience":["web","api"]}`), 400,
			"invalid_request",
		},
		{
			"empty audience", postAPI("default", object("username", "alice", "password", password, "audience", "")),
			400, "invalid_request",
		},
		{
			"a form",
			request("POST", "/auth/api/default/auth/login", endpoint.FormType,
				form("username", "alice", "password", password)),
			415, "unsupported_media_type",
		},
		{"text", request("POST", "/auth/api/default/auth/login", "text/plain", good), 415, "unsupported_media_type"},
		{"no type", request("POST", "/auth/api/default/auth/login", "", good), 415, "unsupported_media_type"},
		{"another site", postAPI("default", good, "Sec-Fetch-Site", "cross-site"), 403, "cross_origin"},
		{"a sibling", postAPI("default", good, "Sec-Fetch-Site", "same-site"), 403, "cross_origin"},
		{"an old browser", postAPI("default", good, "Origin", "https://evil.example"), 403, "cross_origin"},
		{"Origin null", postAPI("default", good, "Origin", "null"), 403, "cross_origin"},
		{"wrong password", postAPI("default", object("username", "alice", "password", "x")), 401, "bad_credentials"},
		{
			"other project", postAPI("acme", object("username", "disabled", "password", password)), 401,
			"bad_credentials",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.do(c.request)
			if w.Code != c.status || errorWord(t, w) != c.word || h.lastResult(t) != c.word {
				t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
			}
		})
	}
	if len(h.issued) != 0 {
		t.Error("a token was issued")
	}
	if w := h.do(postAPI("default", good, "Origin", "https://auth.example.com")); w.Code != 200 {
		t.Errorf("its own origin: %d", w.Code)
	}
}

func TestMalformedBodiesAreRefused(t *testing.T) {
	h := newFixture(t)
	big := strings.Repeat("a", maxBody)
	for _, c := range []struct {
		name              string
		contentType, body string
		status            int
	}{
		{"no password", endpoint.FormType, form("username", "alice"), 400},
		{"no name", endpoint.FormType, form("password", "x"), 400},
		{"name twice", endpoint.FormType, form("username", "alice", "username", "bob", "password", "x"), 400},
		{"password twice", endpoint.FormType, form("username", "alice", "password", "x", "password", password), 400},
		{
			"next twice", endpoint.FormType,
			form("username", "alice", "password", password, "next", "/a", "next", "/b"), 400,
		},
		{
			"unknown field twice", endpoint.FormType,
			form("username", "alice", "password", password, "z", "", "z", ""), 400,
		},
		{"bad escape", endpoint.FormType, "username=alice&password=%zz", 400},
		{"semicolon", endpoint.FormType, "username=alice;password=x", 400},
		{"multipart", "multipart/form-data; boundary=x", "--x--", 415},
		{"text", "text/plain", object("username", "alice", "password", password), 415},
		{"broken type", "application/json; charset", object("username", "alice", "password", password), 415},
		{"empty", endpoint.JSONType, "", 400},
		{"null", endpoint.JSONType, "null", 400},
		{"array", endpoint.JSONType, `["alice","x"]`, 400},
		{"cut", endpoint.JSONType, `{"username":"alice","password":"x"`, 400},
		{"trailing", endpoint.JSONType, object("username", "alice", "password", password) + "{}", 400},
		{"twice", endpoint.JSONType, `{"username":"alice","password":"x","password":"` + password + `"}`, 400},
		{
			"twice, escaped", endpoint.JSONType,
			`{"username":"alice","password":"x","p\u0061ssword":"` + password + `"}`, 400,
		},
		{"unknown twice", endpoint.JSONType, `{"username":"alice","password":"` + password + `","z":1,"z":2}`, 400},
		{"other case only", endpoint.JSONType, `{"Username":"alice","Password":"` + password + `"}`, 400},
		{"number", endpoint.JSONType, `{"username":"alice","password":1}`, 400},
		{"null password", endpoint.JSONType, `{"username":"alice","password":null}`, 400},
		{"not UTF-8", endpoint.JSONType, "{\"username\":\"alice\",\"password\":\"\xff\"}", 400},
		{"byte order mark", endpoint.JSONType, "\ufeff" + object("username", "alice", "password", password), 400},
		{"large form", endpoint.FormType, form("username", "alice", "password", big), 413},
		{"large JSON", endpoint.JSONType, object("username", "alice", "password", big), 413},
		{"deep", endpoint.JSONType, `{"z":` + strings.Repeat("[", 12000) + "}", 400},
		{"credentials in query", endpoint.FormType, "", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.do(request("POST", "/auth/login?username=alice&password="+password, c.contentType, c.body, "Accept",
				endpoint.JSONType))
			if w.Code != c.status {
				t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
			}
			if word := errorWord(t, w); word != h.lastResult(t) {
				t.Errorf("%s: the event says something else than %s", c.name, word)
			}
		})
	}
	if len(h.issued) != 0 || h.throttle.taken != 0 || h.Passwords.Computed() != 0 {
		t.Errorf("%d issued, %d counted, %d hashed", len(h.issued), h.throttle.taken, h.Passwords.Computed())
	}
}

func TestUnknownMembersAreIgnored(t *testing.T) {
	h := newFixture(t)
	w := h.do(postJSON(`{"extra":{"a":[1,{"b":null}]},"username":"alice","Password":"no","password":"` + password +
		`","remember":true}`))
	if w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// failures are the ways not to get in that must look alike.
func failures() map[string][2]string {
	return map[string][2]string{
		"wrong password":   {"alice", "wrong"},
		"unknown":          {"nobody", password},
		"disabled":         {"disabled", password},
		"without password": {"bare", password},
		"empty password":   {"alice", ""},
		"empty name":       {"", password},
		"no valid name":    {"al ice\x00", password},
		"endless name":     {strings.Repeat("a", 4000), password},
		"NUL":              {"alice", password + "\x00"},
		"long password":    {"alice", strings.Repeat("p", 8000)},
		"not UTF-8":        {"alice", "p\xff"},
	}
}

var varying = regexp.MustCompile(`nonce-[A-Z2-7]+|nonce="[A-Z2-7]+"|value="[^"]*"`)

func TestAllFailuresLookAlikeAndCostTheSame(t *testing.T) {
	type look struct {
		status  int
		body    string
		headers string
	}
	for _, tc := range []struct {
		kind string
		ask  func(c [2]string) *http.Request
	}{
		{"page", func(c [2]string) *http.Request { return postForm(form("username", c[0], "password", c[1])) }},
		{"JSON", func(c [2]string) *http.Request {
			return postForm(form("username", c[0], "password", c[1]), "Accept", endpoint.JSONType)
		}},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			var first *look
			for name, c := range failures() {
				h := newFixture(t)
				w := h.do(tc.ask(c))
				headers := maps.Clone(w.Header())
				delete(headers, "Content-Length") // the name stands in the form again
				got := look{
					w.Code, varying.ReplaceAllString(w.Body.String(), ""),
					varying.ReplaceAllString(fmt.Sprint(headers), ""),
				}
				if c[0] == "" {
					got.body = strings.Replace(got.body, "aria-describedby=\"problem\" autofocus>",
						"aria-describedby=\"problem\">", 1)
					got.body = strings.Replace(got.body, "required aria-describedby=\"problem\"><button",
						"required aria-describedby=\"problem\" autofocus><button", 1)
				}
				if first == nil {
					first = &got
				}
				if got != *first || got.status != http.StatusUnauthorized {
					t.Errorf("%s, %s: %+v\nwant %+v", tc.kind, name, got, *first)
				}
				if h.Passwords.Computed() != 1 || h.throttle.taken != 1 {
					t.Errorf("%s, %s: %d hashes, %d counted", tc.kind, name, h.Passwords.Computed(), h.throttle.taken)
				}
				if strings.Contains(w.Body.String(), "CANARY") || w.Header().Get("Set-Cookie") != "" {
					t.Errorf("%s, %s: the answer gives something away", tc.kind, name)
				}
				if e := h.events[0]; e.Result != "bad_credentials" || e.User != "" && h.nobody(c[0]) {
					t.Errorf("%s, %s: event %+v", tc.kind, name, e)
				}
			}
		})
	}
}

func (h *fixture) nobody(name string) bool {
	_, err := h.users.FindUser(context.Background(), "default", name)
	return err != nil
}

// directory answers with one user or an error.
type directory struct {
	user *identity.User
	err  error
}

func (d directory) FindUser(context.Context, string, string) (*identity.User, error) {
	return d.user, d.err
}

func TestAnUnusableHashLooksLikeAWrongPassword(t *testing.T) {
	h := newFixture(t)
	h.users = directory{user: &identity.User{Name: "x", PasswordHash: "$2a$31$" + strings.Repeat("a", 53)}}
	w := h.do(postJSON(object("username", "x", "password", password)))
	if w.Code != http.StatusUnauthorized || errorWord(t, w) != "bad_credentials" || h.Passwords.Computed() != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if e := h.events[0]; !errors.Is(e.Err, identity.ErrBadHash) {
		t.Errorf("the operator is not told: %+v", e)
	}
}

func TestAFailedFormIsShownAgain(t *testing.T) {
	h := newFixture(t)
	w := h.do(postForm(form("username", "alice", "password", "wrong-CANARY", "next",
		"https://app.example.com/x?a=1&b=2#f")))
	body := w.Body.String()
	for _, want := range []string{
		`value="alice"`, `value="https://app.example.com/x?a=1&amp;b=2#f"`, "The user name or the password is wrong.",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if strings.Contains(body, "CANARY") {
		t.Error("the password stands in the page")
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy,
		"form-action 'self' https://app.example.com;") {
		t.Errorf("the form may not lead to the target: %s", policy)
	}
}

func TestAttemptsAreCountedBeforeHashing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFixture(t)
		for range 5 {
			if w := h.do(postJSON(object("username", "alice", "password", "x"))); w.Code != http.StatusUnauthorized {
				t.Fatalf("%d", w.Code)
			}
		}
		h.events = nil
		time.Sleep(30500 * time.Millisecond)
		w := h.do(postJSON(object("username", "alice", "password", password)))
		if w.Code != http.StatusTooManyRequests || errorWord(t, w) != "throttled" ||
			w.Header().Get("Retry-After") != "30" {
			t.Errorf("%d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
		if h.Passwords.Computed() != 5 || h.lastResult(t) != "throttled" {
			t.Errorf("%d hashes", h.Passwords.Computed())
		}
		w = h.do(postForm(form("username", "alice", "password", password)))
		if w.Code != http.StatusTooManyRequests || !strings.Contains(w.Body.String(), "try again in 30 seconds") ||
			w.Header().Get("Retry-After") != "30" {
			t.Errorf("page: %d", w.Code)
		}
		time.Sleep(30 * time.Second)
		if w := h.do(postJSON(object("username", "alice", "password", password))); w.Code != http.StatusOK {
			t.Errorf("after the wait: %d", w.Code)
		}
		for i := range 4 {
			if w := h.do(postJSON(object("username", "alice", "password", "x"))); w.Code != http.StatusUnauthorized {
				t.Errorf("after a success, attempt %d: %d", i, w.Code)
			}
		}
	})
}

func TestParallelAttemptsDoNotSlipPast(t *testing.T) {
	h := newFixture(t)
	var wg sync.WaitGroup
	statuses := make(chan int, 60)
	for range cap(statuses) {
		wg.Go(func() { statuses <- h.do(postAPI("default", object("username", "alice", "password", "x"))).Code })
	}
	wg.Wait()
	close(statuses)
	counts := map[int]int{}
	for status := range statuses {
		counts[status]++
	}
	if counts[401] != 5 || counts[429] != 55 || h.Passwords.Computed() != 5 {
		t.Errorf("%v, %d hashes", counts, h.Passwords.Computed())
	}
}

func TestSpellingsOfANameShareTheirAttempts(t *testing.T) {
	h := newFixture(t)
	for _, name := range []string{"alice", "ALICE", "Alice", "Ａlice", " alice "} {
		h.do(postJSON(object("username", name, "password", "x")))
	}
	if w := h.do(postJSON(object("username", "aLICE", "password", "x"))); w.Code != http.StatusTooManyRequests {
		t.Errorf("%d", w.Code)
	}
	r := postJSON(object("username", "alice", "password", password))
	r.RemoteAddr = "[2001:db8::1]:1234"
	if w := h.do(r); w.Code != http.StatusOK {
		t.Errorf("from elsewhere: %d", w.Code)
	}
}

func TestTheClientAddressIsTheFaceToSay(t *testing.T) {
	h := newFixture(t)
	h.ClientIP = func(*http.Request) string { return "192.0.2.7" }
	h.do(postJSON(object("username", "alice", "password", "x"), "X-Forwarded-For", "10.0.0.1"))
	if ip := h.events[0].ClientIP; ip != "192.0.2.7" {
		t.Errorf("counted by %s", ip)
	}
}

func TestWithoutTheStoreNobodySignsIn(t *testing.T) {
	down := errors.New("database is down")
	for _, c := range []struct {
		name  string
		spoil func(*fixture)
	}{
		{"throttle", func(h *fixture) { h.throttle.err = down }},
		{"directory", func(h *fixture) { h.users = directory{err: down} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			c.spoil(h)
			for _, r := range []*http.Request{
				postJSON(object("username", "alice", "password", password)),
				postForm(form("username", "alice", "password", password)),
				postAPI("default", object("username", "alice", "password", password)),
			} {
				w := h.do(r)
				if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "5" ||
					strings.Contains(w.Body.String(), "database") {
					t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
				}
				if e := h.events[0]; !errors.Is(e.Err, down) || h.lastResult(t) != "store_unavailable" {
					t.Errorf("%s: %+v", c.name, e)
				}
			}
			if h.Passwords.Computed() != 0 || len(h.issued) != 0 {
				t.Errorf("%s: work was done", c.name)
			}
		})
	}
	h := newFixture(t)
	h.users = directory{err: down}
	w := h.do(postAPI("default", object("username", "alice", "password", password)))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("projects: %d", w.Code)
	}
}

func TestAudienceOfNoProjectIsTheCallersMistake(t *testing.T) {
	h := newFixture(t)
	h.SignIn = func(context.Context, issuance.SignIn) (issuance.Issued, error) {
		return issuance.Issued{}, fmt.Errorf("acme: %w", issuance.ErrAudience)
	}
	w := h.do(postForm(form("username", "alice", "password", password)))
	if w.Code != http.StatusBadRequest || w.Header().Get("Set-Cookie") != "" || w.Header().Get("Retry-After") != "" ||
		strings.Contains(w.Body.String(), "acme") || h.lastResult(t) != "invalid_request" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestIssuingThatFailsSetsNoCookie(t *testing.T) {
	h := newFixture(t)
	h.SignIn = func(context.Context, issuance.SignIn) (issuance.Issued, error) {
		return issuance.Issued{}, errors.New("secret reason")
	}
	w := h.do(postForm(form("username", "alice", "password", password)))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Set-Cookie") != "" ||
		w.Header().Get("Retry-After") != "5" ||
		strings.Contains(w.Body.String(), "secret") || h.lastResult(t) != "issue_failed" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestATokenThatBrowsersWouldDropIsAnError(t *testing.T) {
	h := newFixture(t)
	signIn := h.SignIn
	h.SignIn = func(ctx context.Context, in issuance.SignIn) (issuance.Issued, error) {
		if in.MaxToken != 0 && in.MaxToken+len(cookieName) <= MaxCookie {
			return issuance.Issued{}, fmt.Errorf("4000 bytes: %w", issuance.ErrTooLarge)
		}
		return signIn(ctx, in)
	}
	w := h.do(postForm(form("username", "alice", "password", password)))
	if w.Code != http.StatusInternalServerError || w.Header().Get("Set-Cookie") != "" ||
		h.lastResult(t) != "token_too_large" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := h.do(postAPI("default", object("username", "alice", "password", password))); w.Code != http.StatusOK {
		t.Errorf("the API has no such limit: %d", w.Code)
	}
}

func TestABusyServerSaysWhenToComeBack(t *testing.T) {
	h := newFixture(t)
	v := verdict{result: refusalFor(t.Context(), identity.ErrBusy)}
	w := httptest.NewRecorder()
	h.refuseLogin(w, postJSON("{}"), fields{}, v)
	if w.Code != http.StatusServiceUnavailable || errorWord(t, w) != "busy" || w.Header().Get("Retry-After") != "5" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestAGoneClientIsNobodysFailure(t *testing.T) {
	h := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := h.do(postJSON(object("username", "alice", "password", password)).WithContext(ctx))
	if w.Code != endpoint.StatusClientGone || h.lastResult(t) != "canceled" || len(h.issued) != 0 {
		t.Errorf("%d", w.Code)
	}
}

// TestWhatFailsForAGoneClientIsNoError: whichever step it was, the event has no error, and what
// failed while the client was there keeps it.
func TestWhatFailsForAGoneClientIsNoError(t *testing.T) {
	down := errors.New("database is down")
	for _, c := range []struct {
		name  string
		spoil func(h *fixture, leave func())
		there string // the result for a client that stays
	}{
		{"find", func(h *fixture, leave func()) {
			h.Find = func(context.Context, string, string) (issuance.Parties, error) {
				leave()
				return issuance.Parties{}, down
			}
		}, "store_unavailable"},
		{"issue", func(h *fixture, leave func()) {
			h.SignIn = func(context.Context, issuance.SignIn) (issuance.Issued, error) {
				leave()
				return issuance.Issued{}, down
			}
		}, "issue_failed"},
		{"throttle", func(h *fixture, leave func()) { h.throttle.err = down; leave() }, "store_unavailable"},
	} {
		for _, tc := range []struct {
			name string
			r    func() *http.Request
		}{
			{"form", func() *http.Request { return postForm(form("username", "alice", "password", password)) }},
			{
				"API",
				func() *http.Request { return postAPI("default", object("username", "alice", "password", password)) },
			},
		} {
			t.Run(c.name+"/"+tc.name, func(t *testing.T) {
				for _, end := range []struct {
					gone bool
					want string
				}{{true, "canceled"}, {false, c.there}} {
					h := newFixture(t)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					c.spoil(h, map[bool]func(){true: cancel, false: func() {}}[end.gone])
					w := h.do(tc.r().WithContext(ctx))
					if e := h.events[0]; e.Result != end.want || (e.Err == nil) != end.gone ||
						(w.Code < 500) != end.gone {
						t.Errorf("gone %v: %s, %v, status %d", end.gone, e.Result, e.Err, w.Code)
					}
				}
			})
		}
	}
}

func TestRequestsFromOtherSitesAreRefused(t *testing.T) {
	h := newFixture(t)
	for _, c := range []struct {
		name    string
		headers []string
	}{
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}},
		{"a sibling", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://app.example.com"}},
		{"a listed origin", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example.com"}},
		{"an old browser", []string{"Origin", "https://evil.example"}},
		{"a sandboxed page", []string{"Origin", "null"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []*http.Request{
				postForm(form("username", "alice", "password", password), c.headers...),
				postJSON(object("username", "alice", "password", password), c.headers...),
				request("POST", "/auth/logout", endpoint.FormType, "",
					append(c.headers, "Cookie", cookieName+"=token.alice")...),
			} {
				w := h.do(r)
				if w.Code != http.StatusForbidden || w.Header().Get("Set-Cookie") != "" ||
					!strings.Contains(w.Body.String(), "another site") {
					t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
				}
				if h.lastResult(t) != "cross_origin" {
					t.Errorf("%s: not observed", c.name)
				}
			}
		})
	}
	if h.throttle.taken != 0 || len(h.issued)+len(h.revoked) != 0 {
		t.Error("something happened")
	}
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "same-origin", "Origin", "null"}, {"Sec-Fetch-Site", "none"},
		{"Origin", "https://auth.example.com"},
	} {
		w := h.do(postForm(form("username", "alice", "password", password), headers...))
		if w.Code != http.StatusSeeOther {
			t.Errorf("%v: %d", headers, w.Code)
		}
	}
}

func TestTheAnswerHasTheFormThatIsAskedFor(t *testing.T) {
	const page, data = "text/html; charset=utf-8", endpoint.JSONType
	for _, c := range []struct{ contentType, accept, want string }{
		{endpoint.FormType, "", page},
		{endpoint.FormType, "*/*", page},
		{endpoint.FormType, "text/html,application/xhtml+xml,*/*;q=0.8", page},
		{endpoint.FormType, "application/json", data},
		{endpoint.FormType, "application/json, text/plain, */*", data},
		{endpoint.FormType, "text/html;q=0.1, application/json;q=0.9", data},
		{endpoint.JSONType, "", data},
		{endpoint.JSONType, "*/*", data},
		{endpoint.JSONType, "text/html", page},
		{endpoint.JSONType, "text/html;q=0.2, application/*", data},
		{endpoint.JSONType, "image/png", data},
		{endpoint.FormType, "application/json;q=0", page},
		{endpoint.FormType, "APPLICATION/JSON", data},
		{endpoint.FormType, "application/json;q=x", data},
	} {
		h := newFixture(t)
		body := form("username", "alice", "password", "x")
		if c.contentType == endpoint.JSONType {
			body = object("username", "alice", "password", "x")
		}
		r := request("POST", "/auth/login", c.contentType, body)
		if c.accept != "" {
			r.Header.Set("Accept", c.accept)
		}
		if w := h.do(r); w.Code != 401 || w.Header().Get("Content-Type") != c.want {
			t.Errorf("%+v: %d %s", c, w.Code, w.Header().Get("Content-Type"))
		}
	}
}

func TestACookieOfBeforeIsNotTheSessionAfter(t *testing.T) {
	h := newFixture(t)
	w := h.do(postForm(form("username", "alice", "password", password), "Cookie", cookieName+"=token.attacker.1"))
	if got := w.Header().Get("Set-Cookie"); w.Code != http.StatusSeeOther ||
		!strings.HasPrefix(got, cookieName+"=token.Alice.") {
		t.Errorf("%d %s", w.Code, got)
	}
}

func TestLoopbackCookiesHaveAPlainName(t *testing.T) {
	h := newFixture(t)
	h.Base, h.CookieName, h.SecureCookie = mustURL("http://localhost:8081"), "access_token", false
	r := httptest.NewRequest("POST", "http://localhost:8081/login",
		strings.NewReader(form("username", "alice", "password", password)))
	r.Header.Set("Content-Type", endpoint.FormType)
	if got, want := h.do(r).Header().Get("Set-Cookie"), "access_token=token.Alice.x; Path=/; Max-Age=900; HttpOnly; "+
		"SameSite=Lax"; got != want {
		t.Errorf("%s", got)
	}
}

func TestNoEventHoldsASecret(t *testing.T) {
	h := newFixture(t)
	h.do(postForm(form("username", "alice", "password", password)))
	h.do(postForm(form("username", password, "password", "x"))) // typed into the wrong field
	h.do(postJSON(object("username", "alice", "password", "x-CANARY")))
	h.do(request("POST", "/auth/logout", "", "", "Cookie", cookieName+"=token.CANARY"))
	for _, e := range h.events {
		if e.Kind == audit.Logout {
			e.User = ""
		}
		if text := fmt.Sprintf("%+v", e); strings.Contains(text, "CANARY") || strings.Contains(text, "token.") {
			t.Error(text)
		}
	}
	if len(h.events) != 4 {
		t.Errorf("%d events", len(h.events))
	}
}

func TestEveryResultHasAnAnswer(t *testing.T) {
	for _, word := range Results() {
		if a := answers[result(word)]; word != "success" && (a.status < 400 || a.text == "" || a.title == "") {
			t.Errorf("%s: %+v", word, a)
		}
	}
}
