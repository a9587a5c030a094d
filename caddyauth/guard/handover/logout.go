package handover

import (
	"net/http"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
)

// maxEnded bounds how many cookies of one name a sign-out ends.
const maxEnded = 4

// getLogout asks whether the person wants to sign out: a GET changes nothing, so no foreign page can
// do it with an image.
func (s *Server) getLogout(w http.ResponseWriter, r *http.Request, origin string) {
	back := "/"
	if from, ok := strings.CutPrefix(r.Referer(), origin+"/"); ok {
		if target := plainTarget("/" + from); !s.Owns(target) {
			back = origin + target
		}
	}
	ui.Render(w, http.StatusOK, ui.SignOut{
		Site:    r.Host,
		Subject: s.Subject(r),
		Action:  s.LogoutURL(),
		Back:    back,
	})
}

// postLogout ends the sign-in and clears the cookies of this host. Those of other hosts are cleared
// when they are next seen. If the store cannot write it, the cookies are cleared nevertheless, and
// the answer says that copies of them remain valid. A browser without a sign-in here is not told that
// one was ended: there may be one at the server, which would let it in again without a question.
func (s *Server) postLogout(w http.ResponseWriter, r *http.Request, _ string) {
	if s.protection.Check(r) != nil {
		s.reportLogout(r, crossOrigin, "", nil)
		s.refuse(w, r, crossOrigin, "/")
		return
	}
	subject := s.Subject(r)
	ended, err := s.endAll(r)
	for _, cookie := range s.Cleared() {
		http.SetCookie(w, cookie)
	}
	s.forgetTrips(w)
	if err != nil {
		s.reportLogout(r, unavailable, subject, err)
		s.explainHalf(w, r)
		return
	}
	if !ended {
		s.reportLogout(r, notSignedIn, "", nil)
		s.explainNotSignedIn(w, r)
		return
	}
	s.reportLogout(r, success, subject, nil)
	if !gate.WantsPage(r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	ui.Render(w, http.StatusOK, ui.SignedOut{
		Site:  r.Host,
		Links: []ui.Link{{Text: "Sign in", URL: s.LoginURL("/", false)}},
	})
}

// endAll reports whether there was a sign-in to end.
func (s *Server) endAll(r *http.Request) (ended bool, err error) {
	accesses, refreshes := values(r, s.AccessCookie), values(r, s.RefreshCookie)
	if len(accesses)+len(refreshes) == 0 {
		return false, nil
	}
	if err := s.Ready(r.Context()); err != nil {
		return false, err
	}
	return s.End(r.Context(), accesses, refreshes)
}

func values(r *http.Request, name string) (values []string) {
	cookies := r.CookiesNamed(name)
	for _, c := range cookies[:min(len(cookies), maxEnded)] {
		if c.Value != "" {
			values = append(values, c.Value)
		}
	}
	return values
}

// explainHalf says that the cookies are cleared, and that the store could not be told.
func (s *Server) explainHalf(w http.ResponseWriter, r *http.Request) {
	if !gate.WantsPage(r) {
		s.refuse(w, r, unavailable, "/")
		return
	}
	ui.Render(w, http.StatusServiceUnavailable, ui.Message{
		Site:  r.Host,
		Title: "Signed out here only",
		Text: "This browser is signed out of this site. The server could not be told, so other sites, and a copy of " +
			"the sign-in if there is one, stay signed in until it expires.",
		Code:  string(unavailable),
		Links: []ui.Link{{Text: "Go to the start page", URL: "/"}},
	})
}

// explainNotSignedIn says that there was no sign-in to end, and where there may be one.
func (s *Server) explainNotSignedIn(w http.ResponseWriter, r *http.Request) {
	if !gate.WantsPage(r) {
		s.refuse(w, r, notSignedIn, "/")
		return
	}
	p := pages[notSignedIn]
	ui.Render(w, p.status, ui.Message{
		Site:  r.Host,
		Title: p.title,
		Text:  p.text,
		Code:  string(notSignedIn),
		Links: []ui.Link{
			{Text: "Sign out at " + s.Base.Host, URL: s.Base.JoinPath("logout").String()},
			{Text: "Go to the start page", URL: "/"},
		},
	})
}

// reportLogout reports a sign-out. A success has ended something, and is recorded also if the tokens
// are too old to say whose that was.
func (s *Server) reportLogout(r *http.Request, what result, subject string, err error) {
	s.Events.Report(r.Context(), audit.Event{
		Kind:     audit.Logout,
		Result:   string(what),
		User:     subject,
		Project:  s.Project,
		Target:   r.Host,
		ClientIP: s.ClientIP.Of(r),
		Recorded: what == success,
		Err:      err,
	})
}
