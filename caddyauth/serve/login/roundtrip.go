package login

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A sign-in can go round in a circle: a gate sends the person here, they sign in, and the gate
// sends them again, because the session cookie does not get there or is not accepted. Two marks
// break the circle, and neither needs a store. The gate says in the address when it sent the
// person: a session that stood before has been there and was not accepted. And the form leaves a
// cookie of its own, which a browser that keeps none does not bring back.

// sentField is the parameter of /login in which a gate says when it sent the person, in
// milliseconds since 1970. Anybody can write it; all it does is to choose the page.
const sentField = "sent"

// SentQuery returns the parameter that a gate adds to the address of the login page.
func SentQuery(now time.Time) string { return sentField + "=" + strconv.FormatInt(now.UnixMilli(), 10) }

// sentAfter reports whether the person was sent here with a session that stood already.
func sentAfter(sent string, since time.Time) bool {
	ms, err := strconv.ParseInt(sent, 10, 64)
	return err == nil && time.UnixMilli(ms).After(since)
}

// SentBack is a person whose sign-in was not accepted where they came from.
type SentBack struct {
	// Subject is the person.
	Subject string

	// Host is the host of the return target; empty without one.
	Host string

	// Unreachable says that the session cookie, which belongs to the server's own host, cannot get
	// there.
	Unreachable bool
}

// returnCookieName is the cookie that the form leaves. Its value is the origin of where the person
// wanted to go: who signs out and in again gets back there. It holds no path, which would tell the
// next person at this browser what the last one looked at.
const returnCookieName = "login_return"

// returnCookieAge is for how long a form may stand open. Seconds.
const returnCookieAge = 24 * 60 * 60

// returnCookie goes to the login page alone, never to an application.
func (s *Server) returnCookie(next target) *http.Cookie {
	value := "none"
	if next.origin != "" && !s.unreachable(next) {
		value = url.QueryEscape(next.origin)
	}
	return &http.Cookie{
		Name: returnCookieName, Value: value, Path: s.url("/login"), MaxAge: returnCookieAge,
		Secure: s.SecureCookie, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func hasReturnCookie(r *http.Request) bool { return len(r.CookiesNamed(returnCookieName)) > 0 }

// lastTarget returns the root of where the person wanted to go last time; zero when that is not
// known.
func (s *Server) lastTarget(r *http.Request) target {
	for _, c := range r.CookiesNamed(returnCookieName) {
		origin, err := url.QueryUnescape(c.Value)
		if err != nil || origin == "" {
			continue
		}
		if t, ok := s.target(origin + "/"); ok {
			return s.rootOf(t)
		}
	}
	return target{}
}
