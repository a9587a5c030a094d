package login

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// TestWhoIsSentBackIsToldWhy: a session that stood before the gate sent the person was not accepted
// there. A later one may be.
func TestWhoIsSentBackIsToldWhy(t *testing.T) {
	at := func(d time.Duration) string { return strconv.FormatInt(signedInAt.Add(d).UnixMilli(), 10) }
	for _, c := range []struct {
		name, next, sent string
		refused          bool
		says             string
	}{
		{"signed in before", "/reports", at(time.Millisecond), true, "did not accept this sign-in"},
		{"signed in after", "/reports", at(-time.Millisecond), false, "Continue to auth.example.com"},
		{"signed in then", "/reports", at(0), false, "Continue to auth.example.com"},
		{"not sent", "/reports", "", false, "Continue to auth.example.com"},
		{"no number", "/reports", "yesterday", false, "Continue to auth.example.com"},
		{"too large a number", "/reports", "99999999999999999999", false, "Continue to auth.example.com"},
		{"another host", "https://app.example.com/", at(time.Hour), true, "cannot see this sign-in"},
		{
			"from where nobody may be sent back", "https://evil.example/", at(time.Hour), true,
			"The page that you came from",
		},
		{"from nowhere", "", at(time.Hour), true, "The page that you came from"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			var told []SentBack
			h.SentBack = func(_ *http.Request, b SentBack) { told = append(told, b) }
			w := h.do(request("GET", "/auth/login?next="+url.QueryEscape(c.next)+"&sent="+c.sent, "", "", "Cookie",
				cookieName+"=token.alice"))
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), c.says) ||
				strings.Contains(w.Body.String(), "evil") {
				t.Errorf("%d: no %q in %s", w.Code, c.says, w.Body)
			}
			if (len(told) == 1) != c.refused || c.refused && told[0].Subject != "alice" {
				t.Errorf("the operator is told %+v", told)
			}
		})
	}
}

// TestTheMarkIsOfMilliseconds: what a gate writes is what the page reads.
func TestTheMarkIsOfMilliseconds(t *testing.T) {
	_, sent, _ := strings.Cut(SentQuery(signedInAt.Add(time.Millisecond)), "sent=")
	if !sentAfter(sent, signedInAt) || sentAfter(sent, signedInAt.Add(time.Millisecond)) {
		t.Error(sent)
	}
}

// TestTheFormLeavesACookieAndWantsItBack: a browser that keeps none is told so before any password
// is looked at.
func TestTheFormLeavesACookieAndWantsItBack(t *testing.T) {
	h := newFixture(t)
	shown := h.do(request("GET", "/auth/login?next="+url.QueryEscape("https://auth.example.com:8443/some/page"), "",
		""))
	left := shown.Result().Cookies()
	if len(left) != 1 || left[0].Path != "/auth/login" || !left[0].HttpOnly || !left[0].Secure ||
		left[0].Domain != "" || strings.Contains(left[0].Value, "some") {
		t.Fatalf("%v", left)
	}
	if !strings.Contains(shown.Body.String(), `name="cookies" value="1"`) {
		t.Error("the form does not ask for it")
	}
	sent := []string{"username", "alice", "password", password, "cookies", "1", "next", "/reports"}
	w := h.do(postForm(form(sent...)))
	if w.Code != http.StatusBadRequest || h.lastResult(t) != "no_cookies" || h.Passwords.Computed() != 0 ||
		h.throttle.taken != 0 {
		t.Errorf("%d, %d hashes", w.Code, h.Passwords.Computed())
	}
	body := w.Body.String()
	if !strings.Contains(body, "Allow cookies") || !strings.Contains(body, "/reports") ||
		!strings.Contains(body, `value="alice"`) || len(w.Result().Cookies()) != 1 {
		t.Errorf("%v %s", w.Header(), body)
	}
	back := left[0].Name + "=" + left[0].Value
	if w := h.do(postForm(form(sent...), "Cookie", back)); w.Code != http.StatusSeeOther ||
		w.Header().Get("Location") != "https://auth.example.com/reports" {
		t.Errorf("%d to %s", w.Code, w.Header().Get("Location"))
	}
	if again := h.do(request("GET", "/auth/login", "", "", "Cookie", back)); !strings.Contains(again.Body.String(),
		`name="next" value="https://auth.example.com:8443/"`) {
		t.Errorf("where the person wanted to go is forgotten: %s", again.Body)
	}
}

// TestTheCookieOfTheFormLeadsOnlyWhereASignInMayLead: it is a client's word like any other.
func TestTheCookieOfTheFormLeadsOnlyWhereASignInMayLead(t *testing.T) {
	h := newFixture(t)
	for _, value := range []string{
		"https://evil.example", "//evil.example", "%2F%2Fevil.example", "https%3A%2F%2Fevil.example",
		"javascript:evil", "none", "", "%zz",
	} {
		w := h.do(request("GET", "/auth/login", "", "", "Cookie", returnCookieName+"="+value))
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `name="next"`) ||
			strings.Contains(w.Body.String(), "evil") {
			t.Errorf("%q: %d %s", value, w.Code, w.Body)
		}
	}
}

// TestHome: a sign-in that came from nowhere leads home, and pages offer it.
func TestHome(t *testing.T) {
	h := newFixture(t)
	h.Home = "https://auth.example.com:8443/home"
	for _, next := range []string{"", "https://evil.example/"} {
		if w := h.do(postForm(form("username", "alice", "password", password, "next", next))); w.Header().
			Get("Location") != h.Home {
			t.Errorf("%q: to %s", next, w.Header().Get("Location"))
		}
	}
	for _, c := range []struct {
		name string
		r    *http.Request
	}{
		{"start", request("GET", "/auth/", "", "")},
		{"signed in", request("GET", "/auth/", "", "", "Cookie", cookieName+"=token.alice")},
		{"refused", request("POST", "/auth/login", endpoint.FormType, "a=1&a=2", "Accept", "text/html")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if w := h.do(c.r); !strings.Contains(w.Body.String(), `href="https://auth.example.com:8443/home"`) {
				t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
			}
		})
	}
	for _, home := range []string{
		"https://evil.example/", "//evil.example", "/auth/login", "http://auth.example.com/", "javascript:alert(1)",
	} {
		h.Home = home
		if err := h.Validate(); err == nil {
			t.Errorf("%s may be home", home)
		}
	}
}
