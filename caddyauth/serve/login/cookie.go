package login

import (
	"net/http"
	"time"
)

// MaxCookie is the longest name and value of a cookie together, in bytes: browsers drop cookies of
// more than 4096, attributes included.
const MaxCookie = 3800

// Cookies returns the cookies that carry what was issued, or with the zero value those that clear
// them: both have the same attributes. They never have a Domain, so that no other host, and no
// subdomain, ever sees them.
func (s *Server) Cookies(token Issued) []*http.Cookie {
	cookies := []*http.Cookie{s.cookie(s.CookieName, token.AccessToken, token.ExpiresIn)}
	if s.RefreshCookieName != "" {
		cookies = append(cookies, s.cookie(s.RefreshCookieName, token.RefreshToken, token.RefreshExpiresIn))
	}
	return cookies
}

func (s *Server) cookie(name, value string, lifetime time.Duration) *http.Cookie {
	maxAge := int(lifetime / time.Second)
	if value == "" {
		maxAge = -1
	}
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: s.SecureCookie, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func (s *Server) setCookies(w http.ResponseWriter, token Issued) {
	for _, cookie := range s.Cookies(token) {
		http.SetCookie(w, cookie)
	}
}

func (s *Server) fitsCookie(token string) bool {
	return len(s.CookieName)+len(token) <= MaxCookie
}

// subject returns the user who is signed in with the request's cookie; "" without one. An expired,
// malformed or duplicate cookie is ignored.
func (s *Server) subject(r *http.Request) string {
	subject, _ := s.signedIn(r)
	return subject
}

// signedIn returns who is signed in, and when the token in the cookie was issued.
func (s *Server) signedIn(r *http.Request) (subject string, since time.Time) {
	cookies := r.CookiesNamed(s.CookieName)
	if len(cookies) != 1 || !s.plausible(cookies[0]) {
		return "", time.Time{}
	}
	subject, since, err := s.Verify(r.Context(), cookies[0].Value)
	if err != nil {
		return "", time.Time{}
	}
	return subject, since
}

func (s *Server) plausible(c *http.Cookie) bool {
	return c.Value != "" && s.fitsCookie(c.Value)
}
