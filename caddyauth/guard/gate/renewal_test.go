package gate

import (
	"net/http"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// What Renewable refuses, Admit refuses with whatever session cookie, and for the same reason.
func TestRenewable(t *testing.T) {
	w := newTokenFixture(t)
	good, session := w.mint(t, nil), Source{Cookie, cookieName}
	change := func(changes ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			r.Host = "app.example.com"
			for _, c := range changes {
				c(r)
			}
		}
	}
	method := func(name string) func(*http.Request) { return func(r *http.Request) { r.Method = name } }
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	elsewhere := header("Origin", "https://evil.example.com")
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		may    bool
		reason token.Reason
	}{
		{"a page", change(), true, ""},
		{"with a cookie", change(cookie("garbage")), true, ""},
		{"a form of the application's", change(method("POST"), header("Origin", "https://app.example.com")), true, ""},
		{"a form of a listed origin", change(method("POST"), header("Origin", "https://admin.example.com")), true, ""},
		{"a form of a program", change(method("POST")), true, ""},
		{"a form of another site", change(method("POST"), elsewhere), false, CrossOrigin},
		{"a WebSocket of another site", change(header("Upgrade", "websocket"), elsewhere), false, CrossOrigin},
		{"another site's, with a good cookie", change(method("DELETE"), elsewhere, cookie(good)), false, CrossOrigin},
		{"a path of two meanings", change(func(r *http.Request) { r.URL.Path = "/public/../x" }), false, AmbiguousPath},
		{"a bearer", change(bearer(good)), false, ""},
		{"a bearer, from another site", change(method("POST"), elsewhere, bearer(good)), false, ""},
		{"another scheme", change(header("Authorization", "Basic YTpi")), false, ""},
		{"two sessions", change(header("Cookie", cookieName+"=a; "+cookieName+"=b")), false, ""},
		{
			"a preflight", change(method("OPTIONS"), elsewhere, header("Access-Control-Request-Method", "POST")),
			false, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := w.gate(t, func(g *Gate) { g.Preflight, g.Origins = true, []string{"https://admin.example.com"} })
			may, err := g.Renewable(request(c.change), session)
			if may != c.may || (err == nil) != (c.reason == "") || err != nil && ReasonOf(err) != c.reason {
				t.Errorf("%s: %v, %v", c.name, may, err)
			}
			if err == nil {
				return
			}
			r := request(c.change)
			cookie(good)(r)
			if _, admitted := g.Admit(r, nil, now); admitted == nil || ReasonOf(admitted) != c.reason {
				t.Errorf("%s: with a good cookie: %v, without any %v", c.name, admitted, err)
			}
		})
	}
}

func TestRefusedRequestsCarryNothing(t *testing.T) {
	w := newTokenFixture(t)
	g := w.gate(t, nil)
	r := request(cookie("secret"))
	r.Header.Set("X_User_Id", "admin")
	r.Header.Set("Authorization", "Bearer secret")
	g.Refuse(r, nil)
	if len(r.Header) != 1 || r.Header.Get("Cookie") != "theme=dark; lang=en" {
		t.Errorf("it carries %q", r.Header)
	}
}
