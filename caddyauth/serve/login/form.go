package login

import (
	"context"
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// getLogin shows the form or, if a user is signed in, their name. It never redirects: if the
// application does not accept the cookie, that would be a redirect loop. The form sets a cookie, by
// which postLogin knows that the browser accepts cookies.
func (s *Server) getLogin(w http.ResponseWriter, r *http.Request) {
	next := s.queryTarget(r)
	query := r.URL.Query()
	subject, since := s.signedIn(r)
	if subject != "" && !query.Has("switch") {
		s.renderSignedIn(w, r, subject, next, sentAfter(query.Get(sentField), since))
		return
	}
	if next.url == "" {
		next = s.lastTarget(r)
	}
	page := s.loginPage(r.Context(), next)
	switch {
	case subject != "":
		page.Notice = "You are signed in as " + subject + ". Signing in here takes its place."
		page.Links = append([]ui.Link{{Text: "Stay signed in as " + subject, URL: s.loginURL(next, false)}},
			page.Links...)
	case query.Has("signed_out"):
		page.Notice = "You are signed out."
	}
	page.AsksCookies = true
	http.SetCookie(w, s.returnCookie(next))
	ui.Render(w, http.StatusOK, page)
}

func (s *Server) renderSignedIn(w http.ResponseWriter, r *http.Request, subject string, next target, refused bool) {
	if refused && s.SentBack != nil {
		s.SentBack(r, SentBack{Subject: subject, Host: next.host, Unreachable: s.unreachable(next)})
	}
	page := ui.SignedIn{
		Site: s.Base.Host, Subject: subject, SignOut: s.url("/logout"), Next: next.url, NextHost: next.host,
		Unreachable: s.unreachable(next), Refused: refused,
		Links: []ui.Link{{Text: "Use another account", URL: s.switchURL(next)}},
	}
	if onward, ok := s.onward(r.Context(), next); ok {
		page.NextHost = onward.Host
	}
	if s.launches() {
		page.Links = append([]ui.Link{{Text: "Your applications", URL: s.url("/")}}, page.Links...)
	}
	home := s.home()
	switch {
	case next.url == "" && !refused:
		page.Next, page.NextHost = home.url, home.host
	case home.url != next.url:
		page.Links = append(page.Links, s.homeLink()...)
	}
	ui.Render(w, http.StatusOK, page)
}

func (s *Server) loginPage(ctx context.Context, next target) ui.Login {
	page := ui.Login{
		Site: s.Base.Host, Action: s.url("/login"),
		Next: next.url, NextOrigin: s.foreignOrigin(next), NextHost: next.host,
	}
	if next.url == "" {
		page.NextOrigin = s.foreignOrigin(s.home())
	}
	if onward, ok := s.onward(ctx, next); ok {
		page.NextHost, page.LeadsTo, page.Username = onward.Host, onward.RedirectURI, onward.LoginHint
	}
	return page
}

// onward returns where a target leads on to.
func (s *Server) onward(ctx context.Context, next target) (Onward, bool) {
	if s.Onward == nil || !s.isAuthorize(next.url) {
		return Onward{}, false
	}
	return s.Onward(ctx, next.url)
}

// HomeLink returns the text and the address of the link home; empty if no home is configured.
func (s *Server) HomeLink() (text, address string) {
	home := s.home()
	if home.url == "" {
		return "", ""
	}
	return "Go to " + home.host, home.url
}

func (s *Server) homeLink() []ui.Link {
	if text, address := s.HomeLink(); address != "" {
		return []ui.Link{{Text: text, URL: address}}
	}
	return nil
}

// postLogin signs in with a form or JSON and sets the cookie, for both: requests of other sites
// have been refused already, so the caller is a page of this site or a program. A new token is
// issued each time; an earlier cookie is never reused.
func (s *Server) postLogin(w http.ResponseWriter, r *http.Request) {
	a := attempt{kind: audit.Login, project: s.project(), audience: webAudience}
	f, v := s.readAttempt(w, r, &a, endpoint.FormType, endpoint.JSONType)
	if v.result == "" {
		v = s.formVerdict(r, a).unlessGone(r.Context())
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

func (s *Server) formVerdict(r *http.Request, a attempt) verdict {
	if err := s.find(r.Context(), &a); err != nil {
		return verdict{result: storeUnavailable, err: err}
	}
	return s.signIn(r, a)
}

// readAttempt checks the request and reads the credentials into a. The verdict has a result when it
// is refused.
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
	if f["cookies"] != "" && !hasReturnCookie(r) {
		return f, verdict{result: noCookies}
	}
	return f, verdict{}
}

// refuseLogin shows the form again if another attempt makes sense. All failures of credentials look
// the same.
func (s *Server) refuseLogin(w http.ResponseWriter, r *http.Request, f fields, v verdict) {
	if f == nil || s.wantsJSON(r) {
		s.refuse(w, r, v)
		return
	}
	next, _ := s.target(f["next"])
	page := s.loginPage(r.Context(), next)
	page.Username, page.Problem, page.AsksCookies = f["username"], v.text(), f["cookies"] != ""
	if v.result == noCookies {
		http.SetCookie(w, s.returnCookie(next))
	}
	setRetryAfter(w, v)
	ui.Render(w, answers[v.result].status, page)
}

// afterLogin returns where a signed-in person goes: to the target, home, to the applications that the
// start page lists, or to the page that says who they are.
func (s *Server) afterLogin(next string) string {
	for _, address := range []string{next, s.Home} {
		if t, ok := s.target(address); ok {
			return t.url
		}
	}
	if s.launches() {
		return s.url("/")
	}
	return s.url("/login")
}
