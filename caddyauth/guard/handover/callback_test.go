package handover

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// newServer is a server for one application, whose codes are all good.
func newServer(t *testing.T) *Server {
	t.Helper()
	base, err := url.Parse("https://auth.example")
	if err != nil {
		t.Fatal(err)
	}
	return &Server{
		Base:     base,
		Issuer:   base.String(),
		Path:     "/.auth",
		ClientID: "web",
		Origins:  func() []string { return []string{"https://a.example"} },
		States:   states("1"),
		Ready:    func(context.Context) error { return nil },
		Redeem: func(context.Context, Code) (Session, error) {
			return Session{Cookies: []*http.Cookie{{Name: "session", Value: "x"}}, Subject: "alice"}, nil
		},
		Renew:   func(http.ResponseWriter, *http.Request) (bool, error) { return false, nil },
		Subject: func(*http.Request) string { return "" },
		Secure:  true,
	}
}

// get asks for an address of the application with the cookies that earlier answers have set.
func (s *Server) get(uri string, jar map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "https://a.example"+uri, nil)
	r.Header.Set("Accept", "text/html")
	for name, value := range jar {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	s.Serve(w, r, "https://a.example")
	for _, c := range w.Result().Cookies() {
		if jar[c.Name] = c.Value; c.MaxAge < 0 {
			delete(jar, c.Name)
		}
	}
	return w
}

// location is where an answer leads.
func location(w *httptest.ResponseRecorder) string { return w.Result().Header.Get("Location") }

// TestAnswersComeInTime: an answer counts for ten minutes, on nodes whose clocks differ, too; a later one
// ends on a page whose link leads to where the person wanted to go.
func TestAnswersComeInTime(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration
		good  bool
	}{
		{"at once", 0, true},
		{"after ten minutes", attemptAge, true},
		{"later", attemptAge + time.Millisecond, false},
		{"a day later", 24 * time.Hour, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, jar := newServer(t), map[string]string{}
				to, err := url.Parse(location(s.get("/.auth/login?next=%2Fwanted%3Fa%3D1", jar)))
				if err != nil || len(jar) != 1 {
					t.Fatalf("%v, %v", err, jar)
				}
				time.Sleep(c.after)
				got := s.get("/.auth/callback?code=x&iss="+url.QueryEscape(s.Issuer)+"&state="+
					url.QueryEscape(to.Query().Get("state")), jar)
				_, signedIn := jar["session"]
				if signedIn != c.good || c.good != (location(got) == "https://a.example/wanted?a=1") {
					t.Errorf("status %d to %s: %v", got.Code, location(got), jar)
				}
				if body := got.Body.String(); !c.good && (got.Code != http.StatusBadRequest ||
					!strings.Contains(body, "<code>expired</code>") ||
					!strings.Contains(body, `href="/.auth/login?next=%2Fwanted%3Fa%3D1"`)) {
					t.Errorf("status %d: %s", got.Code, body)
				}
			})
		})
	}
}

// TestCirclesAreCountedForAMinute: the third round within a minute ends on a page, and those before that
// do not count. Sign-ins and what links lead to are counted apart.
func TestCirclesAreCountedForAMinute(t *testing.T) {
	for _, c := range []struct {
		name   string
		living bool
		pause  time.Duration
		next   func(round int) string
		ends   bool
	}{
		{"sign-ins", false, time.Second, func(int) string { return "/x" }, true},
		{"sign-ins for a page whose hash ends in a dash", false, time.Second,
			func(int) string { return endingInDash(signInFor) }, true},
		{"a link to a page whose hash ends in a dash", true, time.Second,
			func(int) string { return endingInDash(tripTo) }, true},
		{"slow sign-ins", false, 31 * time.Second, func(int) string { return "/x" }, false},
		{"a link with a session", true, time.Second, func(int) string { return "/x" }, true},
		{"a link now and then", true, 31 * time.Second, func(int) string { return "/x" }, false},
		{"links to several pages", true, time.Second,
			func(round int) string { return "/" + string(rune('a'+round)) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, jar := newServer(t), map[string]string{}
				s.Renew = func(http.ResponseWriter, *http.Request) (bool, error) { return c.living, nil }
				for round := range 6 {
					got := s.get("/.auth/login?next="+url.QueryEscape(c.next(round)), jar)
					if ended := got.Code == http.StatusUnauthorized; ended != (c.ends && round%3 == 2) {
						t.Errorf("round %d: status %d: %v", round, got.Code, jar)
					}
					if to, err := url.Parse(location(got)); err == nil && to.Query().Has("state") {
						s.get("/.auth/callback?code=x&iss="+url.QueryEscape(s.Issuer)+"&state="+
							url.QueryEscape(to.Query().Get("state")), jar)
					}
					time.Sleep(c.pause)
				}
			})
		})
	}
}

// endingInDash is a target whose hash ends in a dash.
func endingInDash(hash func(target string) string) string {
	for i := 0; ; i++ {
		if target := fmt.Sprint("/", i); strings.HasSuffix(hash(target), "-") {
			return target
		}
	}
}

// TestSignInsLeaveCookiesOfApplicationsAlone that are called like those of sign-ins, as they may be on http.
func TestSignInsLeaveCookiesOfApplicationsAlone(t *testing.T) {
	s, jar := newServer(t), map[string]string{}
	s.Secure = false
	for _, id := range []string{"a", "b", "c", "d", "e", "count"} {
		jar["sign_in_"+id] = "theirs"
	}
	got := s.get("/.auth/login?next=/x", jar)
	if cookies := got.Result().Cookies(); len(cookies) != 1 || cookies[0].MaxAge < 0 {
		t.Errorf("%v", cookies)
	}
}
