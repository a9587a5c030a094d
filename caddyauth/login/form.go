package login

import (
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/ui"
)

// getLogin shows the form or, to somebody who is signed in, who they are. It never leads on by itself:
// where the application does not accept the cookie, the person would go round in a circle.
func (s *Server) getLogin(w http.ResponseWriter, r *http.Request) {
	next := s.queryTarget(r)
	if subject := s.subject(r); subject != "" {
		ui.Render(w, http.StatusOK, ui.SignedIn{
			Site: s.Base.Host, Subject: subject, SignOut: s.url("/logout"),
			Next: next.url, NextHost: next.host, Unreachable: s.unreachable(next),
		})
		return
	}
	page := s.loginPage(next)
	if r.URL.Query().Has("signed_out") {
		page.Notice = "You are signed out."
	}
	ui.Render(w, http.StatusOK, page)
}

func (s *Server) loginPage(next target) ui.Login {
	return ui.Login{
		Site: s.Base.Host, Action: s.url("/login"),
		Next: next.url, NextOrigin: s.foreignOrigin(next), NextHost: next.host,
	}
}

// postLogin signs in with a form or JSON and sets the cookie, for both: browsers on other sites have
// been refused by then, so who asks is a page of this site or a program. A new token is issued each
// time; the cookie of before is never taken over.
func (s *Server) postLogin(w http.ResponseWriter, r *http.Request) {
	a := attempt{kind: KindLogin, project: s.project(), audience: webAudience}
	f, v := s.readAttempt(w, r, &a, formType, jsonType)
	if v.result == "" {
		v = s.signIn(r, a)
	}
	s.event(r, a, v)
	if v.result != success {
		s.refuseLogin(w, r, f, v)
		return
	}
	s.setCookies(w, v.issued)
	if s.wantsJSON(r) {
		v.issued.RefreshToken = "" // it is in the cookie, where scripts cannot read it
		grantJSON(w, v.issued)
		return
	}
	redirect(w, r, s.afterLogin(f["next"]))
}

// readAttempt checks the request and reads the credentials into a. The verdict has a result when it is
// refused.
func (s *Server) readAttempt(w http.ResponseWriter, r *http.Request, a *attempt, types ...string) (fields, verdict) {
	if err := s.protection.Check(r); err != nil {
		return nil, verdict{result: crossOrigin}
	}
	f, refusal := readFields(w, r, types...)
	if refusal != "" {
		return nil, verdict{result: refusal}
	}
	var hasName, hasPassword bool
	a.username, hasName = f.text("username")
	a.password, hasPassword = f.text("password")
	if !hasName || !hasPassword {
		return nil, verdict{result: invalidRequest}
	}
	return f, verdict{}
}

// refuseLogin shows the form again where another attempt makes sense. All failures of credentials look
// alike.
func (s *Server) refuseLogin(w http.ResponseWriter, r *http.Request, f fields, v verdict) {
	if f == nil || s.wantsJSON(r) {
		s.refuse(w, r, v)
		return
	}
	next, _ := s.target(f["next"])
	page := s.loginPage(next)
	page.Username, page.Problem = f["username"], v.text()
	setRetryAfter(w, v)
	ui.Render(w, answers[v.result].status, page)
}

// afterLogin returns where a signed-in person goes: to the target, or to the page that says who they are.
func (s *Server) afterLogin(next string) string {
	if t, ok := s.target(next); ok {
		return t.url
	}
	return s.url("/login")
}
