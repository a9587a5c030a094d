package login

import (
	"net/http"
	"time"
)

// maxCookie is the longest name and value of a cookie together, in bytes: browsers drop cookies of
// more than 4096, attributes included.
const maxCookie = 3800

// cookie returns the session cookie with the attributes that setting and clearing must share. It never
// has a Domain, so that no other host, and no subdomain, ever sees it.
func (s *Server) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: s.CookieName, Value: value, Path: "/", MaxAge: maxAge,
		Secure: s.SecureCookie, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func (s *Server) setCookie(w http.ResponseWriter, token Issued) {
	http.SetCookie(w, s.cookie(token.AccessToken, int(token.ExpiresIn/time.Second)))
}

func (s *Server) clearCookie(w http.ResponseWriter) {
	http.SetCookie(w, s.cookie("", -1))
}

func (s *Server) fitsCookie(token string) bool {
	return len(s.CookieName)+len(token) <= maxCookie
}

// subject returns who is signed in with the request's cookie; "" when nobody is. A cookie that is stale,
// garbage or there twice is none.
func (s *Server) subject(r *http.Request) string {
	cookies := r.CookiesNamed(s.CookieName)
	if len(cookies) != 1 || !s.plausible(cookies[0]) {
		return ""
	}
	subject, err := s.Verify(r.Context(), cookies[0].Value)
	if err != nil {
		return ""
	}
	return subject
}

func (s *Server) plausible(c *http.Cookie) bool {
	return c.Value != "" && s.fitsCookie(c.Value)
}
