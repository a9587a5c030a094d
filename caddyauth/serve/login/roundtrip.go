package login

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A sign-in can loop: a gate sends the person here, they sign in, and the gate sends them here
// again, because the session cookie does not reach it or is not accepted. Two marks detect the loop
// without a store. The gate puts the time into the address: a session that began before was
// presented to the gate and not accepted. And the form sets a cookie of its own, which a browser
// that rejects cookies does not send back.

// sentField is the parameter of /login in which a gate says when it sent the person, in
// milliseconds since 1970. Anybody can set it; it only selects the page.
const sentField = "sent"

// SentQuery returns the parameter that a gate adds to the address of the login page.
func SentQuery(now time.Time) string { return sentField + "=" + strconv.FormatInt(now.UnixMilli(), 10) }

// sentAfter reports whether the person already had the session when they were sent here.
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

// returnCookieName is the cookie that the form sets. Its value is the origin that the person wanted
// to go to, so that signing out and in again leads back there. It contains no path, which would
// show the next person at this browser what the last one looked at.
const returnCookieName = "login_return"

// returnCookieAge is how long a form may stay open, in seconds.
const returnCookieAge = 24 * 60 * 60

// returnCookie is sent to the login page only, never to an application.
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

// lastTarget returns the root of the person's last target; zero if it is unknown.
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
