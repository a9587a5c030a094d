package integration

import (
	"strings"
	"testing"
)

// TestUserInfoDuties: what is refused, with its status and challenge (RFC 6750, section 3).
func TestUserInfoDuties(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	held := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
	bare := x.exchange(t, v.code(v.get(request(t, "scope=read"))), "")
	bearer := "Authorization: Bearer "
	for _, c := range []struct {
		name, method string
		lines        []string
		body         string
		status       int
		challenge    string // what it begins with
	}{
		{"no token", "GET", nil, "", 401, "Bearer"},
		{"no token by POST", "POST", nil, "", 401, "Bearer"},
		{"another scheme", "GET", []string{basic("rp", rpSecret)}, "", 401, "Bearer"},
		{"nonsense", "GET", []string{bearer + "x"}, "", 401, `Bearer error="invalid_token"`},
		{"an ID token", "GET", []string{bearer + held.ID}, "", 401, `Bearer error="invalid_token"`},
		{"a refresh token", "GET", []string{bearer + held.Refresh}, "", 401, `Bearer error="invalid_token"`},
		{"another signature", "GET", []string{bearer + held.Access[:len(held.Access)-8] + "AAAAAAAA"}, "", 401,
			`Bearer error="invalid_token"`},
		{"no signature", "GET", []string{bearer + unsigned(t, held.Access)}, "", 401, `Bearer error="invalid_token"`},
		{"without the scope openid", "GET", []string{bearer + bare.Access}, "", 403,
			`Bearer error="insufficient_scope"`},
		{"two headers", "GET", []string{bearer + held.Access, bearer + held.Access}, "", 400,
			`Bearer error="invalid_request"`},
		{"header and form", "POST", []string{formType, bearer + held.Access}, "access_token=" + held.Access, 400,
			`Bearer error="invalid_request"`},
		{"two in the form", "POST", []string{formType}, "access_token=x&access_token=y", 400,
			`Bearer error="invalid_request"`},
		{"PUT", "PUT", []string{bearer + held.Access}, "", 405, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := x.ask(t, "auth", call{method: c.method, target: "/userinfo", lines: c.lines, body: c.body})
			challenge := a.header.Get("WWW-Authenticate")
			if a.status != c.status || !strings.HasPrefix(challenge, c.challenge) ||
				strings.Contains(a.body, "alice") || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v: %s", a.status, a.header, a.body)
			}
			if c.challenge == "Bearer" && challenge != "Bearer" {
				t.Errorf("the challenge says more than how to authenticate: %s", challenge)
			}
		})
	}
	if a := x.get(t, "auth", "/userinfo?access_token=x", ""); a.status != 400 {
		t.Errorf("in the query: %d %s", a.status, a.body)
	}
	for _, lines := range [][]string{{bearer + held.Access}, {"authorization: bearer " + held.Access}} {
		claims, a := x.userInfo(t, call{lines: lines})
		if claims["sub"] != "alice" || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			t.Errorf("%d %v %v", a.status, a.header, claims)
		}
	}
}
