package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

func TestTheLoginPageShowsTheForm(t *testing.T) {
	h := newFixture(t)
	w := h.do(request("GET", "/auth/login?next="+url.QueryEscape("https://app.example.com/x?a=1&b=2#f"), "", ""))
	body := w.Body.String()
	for _, want := range []string{
		`<form method="post" action="/auth/login">`, `name="next" value="https://app.example.com/x?a=1&amp;b=2#f"`,
		"<strong>app.example.com</strong>",
	} {
		if w.Code != 200 || !strings.Contains(body, want) {
			t.Errorf("%d, no %s", w.Code, want)
		}
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy,
		"form-action 'self' https://app.example.com;") {
		t.Error(policy)
	}
	if len(h.events) != 0 {
		t.Error("looking at the page is an event")
	}
}

func TestALivingSessionNeverBounces(t *testing.T) {
	h := newFixture(t)
	for _, c := range []struct {
		name   string
		next   string
		has    []string
		hasNot []string
	}{
		{
			"no target", "",
			[]string{
				"as <strong>alice</strong>", `action="/auth/logout"`, "Sign out", `href="https://auth.example.com/"`,
			},
			[]string{"cannot see"},
		},
		{
			"own path", "/reports?x=1", []string{`href="https://auth.example.com/reports?x=1"`, "Continue"},
			[]string{"cannot see"},
		},
		{
			"same host", "https://auth.example.com:8443/",
			[]string{`href="https://auth.example.com:8443/"`, "Continue"}, []string{"cannot see"},
		},
		{
			"other host", "https://app.example.com/x",
			[]string{"cannot see this sign-in", `href="https://app.example.com/x"`},
			[]string{"Continue", "auth_server"},
		},
		{"not listed", "https://evil.example/", []string{"as <strong>alice</strong>"}, []string{"evil"}},
		{
			"back to itself", "/auth/login", []string{"as <strong>alice</strong>"},
			[]string{`href="https://auth.example.com/auth/login"`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.do(request("GET", "/auth/login?next="+url.QueryEscape(c.next), "", "", "Cookie",
				cookieName+"=token.alice"))
			if w.Code != http.StatusOK || w.Header().Get("Location") != "" || w.Header().Get("Refresh") != "" {
				t.Errorf("%s: %d", c.name, w.Code)
			}
			for _, want := range c.has {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("%s: no %s", c.name, want)
				}
			}
			for _, bad := range c.hasNot {
				if strings.Contains(w.Body.String(), bad) {
					t.Errorf("%s: has %s", c.name, bad)
				}
			}
		})
	}
}

func TestBadCookiesLeadToANewLogin(t *testing.T) {
	h := newFixture(t)
	for _, c := range []struct{ name, cookie string }{
		{"garbage", cookieName + "=garbage"}, {"empty", cookieName + "="}, {"quoted", cookieName + `="token.alice"; x`},
		{"twice", cookieName + "=token.alice; " + cookieName + "=token.eve"},
		{"endless", cookieName + "=token." + strings.Repeat("a", 5000)}, {"another", "access_token=token.alice"},
		{"broken", ";;;=\x01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.do(request("GET", "/auth/login", "", "", "Cookie", c.cookie))
			if c.name != "quoted" && (w.Code != 200 || !strings.Contains(w.Body.String(), `id="password"`)) ||
				w.Code >= 400 {
				t.Errorf("%s: %d", c.name, w.Code)
			}
			w = h.do(postForm(form("username", "alice", "password", password), "Cookie", c.cookie))
			if w.Code != http.StatusSeeOther {
				t.Errorf("%s: signing in: %d", c.name, w.Code)
			}
			w = h.do(request("POST", "/auth/logout", endpoint.FormType, "", "Cookie", c.cookie))
			if w.Code != http.StatusSeeOther {
				t.Errorf("%s: signing out: %d", c.name, w.Code)
			}
		})
	}
}

func TestNothingReflectedRuns(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	h := newFixture(t)
	for _, c := range []struct {
		name string
		r    *http.Request
	}{
		{"name", postForm(form("username", evil, "password", "x"))},
		{"target", postForm(form("username", "a", "password", "x", "next", "https://app.example.com/"+evil))},
		{
			"target, query",
			request("GET", "/auth/login?next="+url.QueryEscape("https://app.example.com/?"+evil), "", ""),
		},
		{"target, frag", request("GET", "/auth/login?next="+url.QueryEscape("/#"+evil), "", "")},
		{"any query", request("GET", "/auth/login?"+url.QueryEscape(evil)+"="+url.QueryEscape(evil), "", "")},
		{"subject", request("GET", "/auth/login", "", "", "Cookie", cookieName+"=token.<script>alert(1)</script>")},
		{
			"sign-out",
			request("GET", "/auth/logout?next="+url.QueryEscape("/?"+evil), "", "", "Cookie",
				cookieName+"=token.<script>alert(1)</script>"),
		},
		{"project", request("GET", "/auth/api/"+url.PathEscape("<script>alert(1)<")+"/auth/login", "", "")},
		{"JSON", postJSON(object("username", evil, "password", "x"))},
		{"host", request("GET", "/auth/login", "", "", "X-Forwarded-Host", evil)},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.do(c.r)
			if strings.Contains(w.Body.String(), "<script>alert") {
				t.Errorf("%s: %s", c.name, w.Body)
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: sniffable", c.name)
			}
		})
	}
}

func TestLogoutAsksFirst(t *testing.T) {
	h := newFixture(t)
	w := h.do(request("GET", "/auth/logout?next=%2Freports", "", "", "Cookie", cookieName+"=token.alice"))
	body := w.Body.String()
	for _, want := range []string{
		"<strong>alice</strong>", `<form method="post" action="/auth/logout">`,
		`href="/auth/login?next=https%3A%2F%2Fauth.example.com%2Freports"`,
	} {
		if w.Code != 200 || !strings.Contains(body, want) {
			t.Errorf("%d, no %s in %s", w.Code, want, body)
		}
	}
	if w.Header().Get("Set-Cookie") != "" || len(h.revoked)+len(h.events) != 0 {
		t.Error("a GET signed out")
	}
}

func TestLogoutClearsWhatLoginSet(t *testing.T) {
	h := newFixture(t)
	set := h.do(postForm(form("username", "alice", "password", password))).Result().Cookies()[0]
	h.events = nil
	w := h.do(request("POST", "/auth/logout", endpoint.FormType, form("next", "https://app.example.com/x#f"), "Cookie",
		cookieName+"="+set.Value))
	cleared := w.Result().Cookies()[0]
	if cleared.Name != set.Name || cleared.Path != set.Path || cleared.Domain != "" || set.Domain != "" ||
		cleared.Secure != set.Secure ||
		cleared.HttpOnly != set.HttpOnly || cleared.SameSite != set.SameSite || cleared.Value != "" ||
		cleared.MaxAge >= 0 {
		t.Errorf("%v after %v", cleared, set)
	}
	if len(h.revoked) != 1 || h.revoked[0] != set.Value {
		t.Errorf("revoked %v", h.revoked)
	}
	if w.Code != http.StatusSeeOther ||
		w.Header().Get("Location") != "/auth/login?next=https%3A%2F%2Fapp.example.com%2Fx%23f&signed_out=1" {
		t.Errorf("%d to %s", w.Code, w.Header().Get("Location"))
	}
	if e := h.events[0]; e.Kind != audit.Logout || e.User != "Alice" || h.lastResult(t) != "success" {
		t.Errorf("%+v", e)
	}
	page := h.do(request("GET", w.Header().Get("Location"), "", ""))
	if !strings.Contains(page.Body.String(), "You are signed out.") {
		t.Error("the person is not told")
	}
}

func TestProgramsSignOutToo(t *testing.T) {
	h := newFixture(t)
	for _, c := range []struct {
		name string
		r    *http.Request
	}{
		{"nothing", request("POST", "/auth/logout", "", "")},
		{"JSON", request("POST", "/auth/logout", endpoint.JSONType, "{}")},
		{"accept", request("POST", "/auth/logout", endpoint.FormType, "", "Accept", endpoint.JSONType)},
		{"any type", request("POST", "/auth/logout", "", "", "Accept", "*/*")},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.r.Header.Set("Cookie", cookieName+"=token.alice")
			if w := h.do(c.r); w.Code != http.StatusNoContent || len(w.Result().Cookies()) != 1 ||
				w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %v", c.name, w.Code, w.Header())
			}
		})
	}
	for _, c := range []struct {
		name              string
		contentType, body string
		status            int
	}{
		{"text", "text/plain", "x", 415}, {"twice", endpoint.FormType, "next=/a&next=/b", 400},
		{"large", endpoint.FormType, strings.Repeat("a", maxBody+1), 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.events = nil
			if w := h.do(request("POST", "/auth/logout", c.contentType, c.body)); w.Code != c.status ||
				h.lastResult(t) == "success" {
				t.Errorf("%s: %d", c.name, w.Code)
			}
		})
	}
}

// TestASignOutWithoutANameIsRecorded: a token that has expired says no more whose it is, and ends a session
// all the same.
func TestASignOutWithoutANameIsRecorded(t *testing.T) {
	h := newFixture(t)
	h.do(request("POST", "/auth/logout", "", "", "Cookie", cookieName+"=expired"))
	if len(h.events) != 1 || h.events[0].User != "" || !h.events[0].Recorded {
		t.Errorf("%+v", h.events)
	}
}

func TestEveryCopyInTheRequestIsRevoked(t *testing.T) {
	h := newFixture(t)
	h.do(request("POST", "/auth/logout", "", "", "Cookie", cookieName+"=token.a; "+cookieName+"=token.b"))
	if strings.Join(h.revoked, " ") != "token.a token.b" {
		t.Errorf("%v", h.revoked)
	}
	h.revoked = nil
	h.do(request("POST", "/auth/logout", "", "", "Cookie", strings.Repeat(cookieName+"=x; ", 100)))
	if len(h.revoked) != maxRevoked {
		t.Errorf("%d", len(h.revoked))
	}
}

func TestALogoutTheStoreMissedIsNoSuccess(t *testing.T) {
	h := newFixture(t)
	h.Revoke = func(context.Context, []string, []string) (bool, error) { return false, errors.New("database is down") }
	for _, c := range []struct{ accept, want string }{
		{"text/html", "This browser is signed out."}, {endpoint.JSONType, "store_unavailable"},
	} {
		t.Run(c.accept, func(t *testing.T) {
			h.events = nil
			w := h.do(request("POST", "/auth/logout", endpoint.FormType, "", "Accept", c.accept, "Cookie",
				cookieName+"=token.alice"))
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "5" ||
				!strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if len(w.Result().Cookies()) != 1 || h.lastResult(t) != "store_unavailable" {
				t.Error("this browser keeps the cookie")
			}
		})
	}
	h.Revoke = nil
	if w := h.do(request("POST", "/auth/logout", "", "", "Cookie", cookieName+
		"=token.alice")); w.Code != http.StatusNoContent {
		t.Errorf("without a way to revoke: %d", w.Code)
	}
}

func TestTheRefreshTokenTravelsInACookieOfItsOwn(t *testing.T) {
	h := newFixture(t)
	h.RefreshCookieName = "__Host-refresh_token"
	signIn := h.SignIn
	h.SignIn = func(ctx context.Context, in issuance.SignIn) (issuance.Issued, error) {
		issued, err := signIn(ctx, in)
		issued.RefreshToken, issued.Grant.IdleEnds = "rt_1.family.0.mac", in.Now.Add(time.Hour)
		return issued, err
	}
	w := h.do(postForm(form("username", "alice", "password", password)))
	var found bool
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Host-refresh_token" {
			found = c.Value == "rt_1.family.0.mac" && c.MaxAge == 3600 && c.HttpOnly && c.Secure && c.Path == "/" &&
				c.Domain == ""
		}
	}
	if !found {
		t.Errorf("cookies %v", w.Result().Cookies())
	}
	body := h.do(postAPI("default", object("username", "alice", "password", password))).Body.String()
	if !strings.Contains(body, `"refresh_token":"rt_1.family.0.mac","refresh_expires_in":3600`) {
		t.Errorf("the API answers %s", body)
	}
}
