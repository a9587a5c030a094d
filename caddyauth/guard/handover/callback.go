package handover

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// maxQuery is the longest query of an answer, in bytes.
const maxQuery = maxState + 4<<10

// getCallback takes the server's answer: a list of refusals, then the session. Each refusal is a page
// with a link that tries again; nothing goes on by itself.
func (s *Server) getCallback(w http.ResponseWriter, r *http.Request, origin string) {
	if err := s.Ready(r.Context()); err != nil {
		s.refuse(w, r, unavailable, "/")
		return
	}
	query, a, refusal := s.readAnswer(r, origin)
	if refusal != "" {
		s.report(r, refusal, Session{}, nil)
		s.refuse(w, r, refusal, a.Target)
		return
	}
	s.clearAttempt(w, a) // it is used up, whatever comes of it
	if refusal := refusalOf(query); refusal != "" {
		s.report(r, refusal, Session{}, nil)
		s.refuse(w, r, refusal, a.Target)
		return
	}
	session, refusal, err := s.redeem(r.Context(), query.Get("code"), a)
	if refusal != "" {
		s.report(r, refusal, Session{}, err)
		s.refuse(w, r, refusal, a.Target)
		return
	}
	s.report(r, success, session, nil)
	for _, cookie := range session.Cookies {
		http.SetCookie(w, cookie)
	}
	s.addTrip(w, r, a.Trip, time.Now())
	if a.Shortened {
		s.explainShortened(w, r)
		return
	}
	endpoint.RedirectQuietly(w, origin+a.Target)
}

// readAnswer reads the answer and the attempt that it belongs to. The attempt is empty unless this
// server has made it, for this host.
func (s *Server) readAnswer(r *http.Request, origin string) (url.Values, attempt, result) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(r.URL.RawQuery) > maxQuery || isRepeated(query) {
		return nil, attempt{Target: "/"}, invalidRequest
	}
	a, err := s.States.open(query.Get("state"))
	switch {
	case err != nil:
		return nil, attempt{Target: "/"}, invalidState
	case a.Origin != origin:
		return nil, attempt{Target: "/"}, otherHost
	case a.expired(time.Now()):
		return nil, a, expired
	case !s.brings(r, a):
		return nil, a, otherBrowser
	case query.Get("iss") != s.Issuer:
		return nil, a, invalidRequest
	}
	return query, a, ""
}

func isRepeated(query url.Values) bool {
	for _, values := range query {
		if len(values) > 1 {
			return true
		}
	}
	return false
}

// refusalOf is the refusal that the server's answer brings.
func refusalOf(query url.Values) result {
	switch query.Get("error") {
	case "":
		if query.Get("code") == "" {
			return invalidRequest
		}
		return ""
	case "temporarily_unavailable", "server_error":
		return unavailable
	}
	return denied
}

// redeem exchanges the code of an attempt.
func (s *Server) redeem(ctx context.Context, code string, a attempt) (Session, result, error) {
	session, err := s.Redeem(ctx, Code{
		Code:        code,
		Verifier:    a.Verifier,
		RedirectURI: s.callback(a.Origin),
		Now:         time.Now(),
	})
	switch {
	case err == nil:
		return session, "", nil
	case errors.Is(err, ErrCode):
		return Session{}, codeRefused, nil
	case errors.Is(err, ErrTooLarge):
		return Session{}, tooLarge, err
	case ctx.Err() != nil:
		return Session{}, unavailable, nil
	}
	return Session{}, unavailable, err
}

// explainShortened tells a person who is signed in that the address which they wanted was too long to
// be kept.
func (s *Server) explainShortened(w http.ResponseWriter, r *http.Request) {
	ui.Render(w, http.StatusOK, ui.Message{
		Site:  r.Host,
		Title: "You are signed in",
		Text: "The address that you wanted was too long to be kept while you signed in. Open it once more, or go to " +
			"the start page.",
		Links: []ui.Link{{Text: "Go to the start page", URL: "/"}},
	})
}

func (s *Server) report(r *http.Request, what result, session Session, err error) {
	s.Events.Report(r.Context(), audit.Event{
		Kind:     audit.WebSignIn,
		Result:   string(what),
		User:     session.Subject,
		Project:  session.Project,
		ClientIP: s.ClientIP.Of(r),
		Target:   r.Host,
		Err:      err,
	})
}
