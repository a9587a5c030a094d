package login

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// maxRevoked bounds how many cookies of our name one sign-out revokes.
const maxRevoked = 4

// getLogout asks whether the person wants to sign out: a GET changes nothing, so no foreign page
// can do it with an image.
//
// After signing out and in again, a person returns to the root of the site that they came from: a
// full address would show the next person at this browser what the last one looked at.
//
// A client sends people here with parameters of its own (endsession.go).
func (s *Server) getLogout(w http.ResponseWriter, r *http.Request) {
	if params, valid := s.endQuery(r); len(params) > 0 {
		s.endSession(w, r, params, valid, false)
		return
	}
	from, next := s.referer(r), s.queryTarget(r)
	if next.url == "" {
		next = s.rootOf(from)
	}
	page := ui.SignOut{
		Site:    s.Base.Host,
		Subject: s.subject(r),
		Action:  s.url("/logout"),
		Back:    s.loginURL(next, false),
		Next:    next.url,
	}
	if page.Subject != "" && from.url != "" {
		page.Back = from.url
	}
	ui.Render(w, http.StatusOK, page)
}

// referer returns the page that the link was followed from, if a sign-in may lead there and it is
// not a page of this server.
func (s *Server) referer(r *http.Request) target {
	t, _ := s.target(r.Referer())
	if t.origin == s.origin() && s.Base.Path != "" && strings.TrimSuffix(pathOf(t), "/") == s.Base.Path {
		return target{} // the start page; target refuses the other pages
	}
	return t
}

// rootOf returns the root of a target's origin: home, if that has the same origin or there is no
// target.
func (s *Server) rootOf(t target) target {
	if home := s.home(); t.origin == "" || home.origin == t.origin {
		return home
	}
	root, _ := s.target(t.origin + "/")
	return root
}

func pathOf(t target) string {
	u, err := url.Parse(t.url)
	if err != nil {
		return ""
	}
	return u.Path
}

// postLogout ends the session: it revokes the token and clears the cookie. If the store cannot
// write the revocation, the cookie is cleared nevertheless, and the answer says that copies of it
// remain valid. Without a session the request is a success, and the page does not say that one was
// ended: what other browsers and other hosts have goes on.
func (s *Server) postLogout(w http.ResponseWriter, r *http.Request) {
	foreign := s.protection.Check(r) != nil
	f, refusal := readLogout(w, r)
	params := s.endParams(f)
	switch {
	case len(params) > 0 && (foreign || f[confirmed] == ""):
		s.askAgain(w, params)
		return
	case foreign:
		refusal = crossOrigin
	case len(params) > 0 || f[confirmed] != "":
		s.endSession(w, r, params, true, true)
		return
	}
	if refusal != "" {
		s.logoutEvent(r, "", false, verdict{result: refusal})
		s.refuse(w, r, verdict{result: refusal})
		return
	}
	subject, v := s.nameSigningOut(r), verdict{result: success}
	ended, err := s.revokeAll(r)
	if err != nil {
		v = verdict{result: storeUnavailable, err: err}
	}
	s.logoutEvent(r, subject, ended, v)
	s.setCookies(w, Issued{})
	s.answerLogout(w, r, f, ended, v)
}

// readLogout reads the form, if there is one: a program may post an empty body.
func readLogout(w http.ResponseWriter, r *http.Request) (fields, result) {
	if r.Header.Get("Content-Type") == "" && r.ContentLength == 0 {
		return fields{}, ""
	}
	return readFields(w, r, endpoint.FormType, endpoint.JSONType)
}

// nameSigningOut returns the name of the user who signs out, from the access token or else the
// refresh token.
func (s *Server) nameSigningOut(r *http.Request) string {
	subject := s.subject(r)
	if subject != "" || s.Owner == nil || s.RefreshCookieName == "" {
		return subject
	}
	for _, refresh := range s.cookieValues(r, s.RefreshCookieName) {
		if subject = s.Owner(r.Context(), refresh); subject != "" {
			break
		}
	}
	return subject
}

// revokeAll reports whether there was a session to end.
func (s *Server) revokeAll(r *http.Request) (ended bool, err error) {
	if s.Revoke == nil {
		return s.subject(r) != "", nil
	}
	return s.Revoke(r.Context(), s.cookieValues(r, s.CookieName), s.cookieValues(r, s.RefreshCookieName))
}

// cookieValues returns the values of the request's cookies of one name; none for no name.
func (s *Server) cookieValues(r *http.Request, name string) []string {
	var values []string
	cookies := r.CookiesNamed(name)
	for _, c := range cookies[:min(len(cookies), maxRevoked)] {
		if s.plausible(c) {
			values = append(values, c.Value)
		}
	}
	return values
}

func (s *Server) answerLogout(w http.ResponseWriter, r *http.Request, f fields, ended bool, v verdict) {
	switch {
	case v.result != success && s.wantsJSON(r):
		refuseJSON(w, v)
	case v.result != success:
		setRetryAfter(w, v)
		ui.Render(w, answers[v.result].status, ui.Message{
			Site: s.Base.Host, Title: "Signed out here only", Code: string(v.result),
			Text: "This browser is signed out. The server could not be told, so a copy of the sign-in, " +
				"if there is one, works until it expires.",
			Links: append([]ui.Link{{Text: "Go to the sign-in page", URL: s.url("/login")}}, s.homeLink()...),
		})
	case s.wantsPage(r):
		next, _ := s.target(f["next"])
		redirect(w, r, s.loginURL(next, ended))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// wantsPage says whether a success is answered with a redirect: for forms and for clients that
// accept pages. Other programs get 204.
func (s *Server) wantsPage(r *http.Request) bool {
	if endpoint.MediaType(r) == endpoint.FormType {
		return !s.wantsJSON(r)
	}
	return preference(r) > 0
}

// switchURL returns the URL of the form for a user who is already signed in.
func (s *Server) switchURL(next target) string {
	query := url.Values{"switch": {"1"}}
	if next.url != "" {
		query.Set("next", next.url)
	}
	return s.url("/login") + "?" + query.Encode()
}

// loginURL returns the address of the sign-in page.
func (s *Server) loginURL(next target, signedOut bool) string {
	query := url.Values{}
	if next.url != "" {
		query.Set("next", next.url)
	}
	if signedOut {
		query.Set("signed_out", "1")
	}
	if len(query) == 0 {
		return s.url("/login")
	}
	return s.url("/login") + "?" + query.Encode()
}

// logoutEvent reports a sign-out. It is recorded where it has ended something, also if the tokens are
// too old to say whose that was.
func (s *Server) logoutEvent(r *http.Request, subject string, ended bool, v verdict) {
	s.Events.Report(r.Context(), audit.Event{
		Kind:     audit.Logout,
		Result:   string(v.result),
		User:     subject,
		Project:  s.project(),
		ClientIP: s.ClientIP.Of(r),
		Recorded: v.result == success && (subject != "" || ended),
		Err:      v.err,
	})
}
