package login

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyauth/gateway/caddyauth/serve/ui"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// ErrSessionOver says that a browser's session does not exist or can no longer be renewed; see
// Session.Renew.
var ErrSessionOver = errors.New("the session is over")

// sessionOver is the word of the answer to ErrSessionOver.
const sessionOver result = "session_over"

const (
	defaultWindow = 5 * time.Minute
	defaultEvery  = time.Minute
)

// Session answers the routes by which a page keeps its browser session alive, all below the path of
// Base:
//
//	GET  /session           who is signed in and until when, as JSON; renews nothing
//	POST /session/refresh   renews inside the window, then the same JSON; 401 when the session is over
//	GET  /session.js        the script that does all this, as a classic script
//	GET  /session.mjs       the same as an ES module
//
// Call Validate once, then ServeHTTP for the requests whose path Handles. Nothing may be changed
// after the first request.
type Session struct {
	// Base is the public URL, as in Server. Required.
	Base *url.URL

	// Current returns the user of the request's valid access token and when the token expires. An
	// expired cookie is ignored, even within the leeway. Required.
	Current func(r *http.Request) (subject string, expires time.Time, ok bool)

	// Renewable reports whether the request has a cookie that Renew may accept; it need not ask the
	// store. The script then renews a session whose access token ended before the page was opened.
	// Default: unknown, and the script tries only if it has seen a session.
	Renewable func(r *http.Request) bool

	// Renew renews the session by the request's refresh cookie, sets the cookies, and says whose it
	// is and when the new access token ends. It returns ErrSessionOver, having cleared the cookies,
	// when there is nothing to renew; any other error is answered with 503 and is the store's.
	// Required.
	Renew func(w http.ResponseWriter, r *http.Request) (subject string, expires time.Time, err error)

	// Window is how long before the end of an access token it may be renewed. Default: 5m.
	Window time.Duration

	// Every is how often the script checks, at least a second. Default: 1m.
	Every time.Duration

	// RenewalTimes returns both for the session of a request, in place of Window and Every; each is at
	// least a second. Default: all sessions have the same.
	RenewalTimes func(r *http.Request) (window, every time.Duration)

	protection http.CrossOriginProtection
}

// Validate says what is missing or contradictory in the session.
func (s *Session) Validate() error {
	if err := weburl.ValidateBase(s.Base); err != nil {
		return fmt.Errorf("login: Base: %w", err)
	}
	switch {
	case s.Current == nil || s.Renew == nil:
		return errors.New("login: Current and Renew are required")
	case s.Window < 0:
		return errors.New("login: Window is negative: " + s.Window.String())
	case s.Every != 0 && s.Every < time.Second:
		return errors.New("login: Every is under a second: " + s.Every.String())
	}
	return nil
}

// sessionHandler answers the requests of one route.
type sessionHandler func(*Session, http.ResponseWriter, *http.Request)

var sessionRoutes = endpoint.Routes[sessionHandler]{
	{Method: http.MethodGet, Path: "/session", Handler: (*Session).get},
	{Method: http.MethodPost, Path: "/session/refresh", Handler: (*Session).refresh},
	{Method: http.MethodGet, Path: "/session.js", Handler: asset(ui.SessionScript)},
	{Method: http.MethodGet, Path: "/session.mjs", Handler: asset(ui.SessionModule)},
}

// asset serves a file that is the same for every session.
func asset(serve http.HandlerFunc) sessionHandler {
	return func(_ *Session, w http.ResponseWriter, r *http.Request) { serve(w, r) }
}

// Handles reports whether the path, as in URL.Path, is one of the session's.
func (s *Session) Handles(path string) bool { return sessionRoutes.Handles(s.Base.Path, path) }

// Rules lists the routes of the session.
func (s *Session) Rules() []endpoint.Rule { return sessionRoutes.Rules() }

// ServeHTTP answers a request whose path Handles; any other gets 404.
func (s *Session) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, status := sessionRoutes.Match(w, r, s.Base.Path)
	if status != 0 {
		refuseJSON(w, verdict{result: routeRefusal(status)})
		return
	}
	route.Handler(s, w, r)
}

func (s *Session) get(w http.ResponseWriter, r *http.Request) {
	subject, expires, ok := s.Current(r)
	answer := s.answer(r, subject, expires, ok)
	if s.Renewable != nil {
		renewable := s.Renewable(r)
		answer.Renewable = &renewable
	}
	writeSession(w, answer)
}

// refresh renews. A request before the window opens changes nothing and is answered as if it had
// renewed: another tab, or a response through the gate, has renewed already.
func (s *Session) refresh(w http.ResponseWriter, r *http.Request) {
	if err := s.protection.Check(r); err != nil {
		refuseJSON(w, verdict{result: crossOrigin})
		return
	}
	subject, expires, ok := s.Current(r)
	if window, _ := s.renewalTimes(r); ok && time.Until(expires) > window {
		writeSession(w, s.answer(r, subject, expires, true))
		return
	}
	subject, expires, err := s.Renew(w, r)
	if errors.Is(err, ErrSessionOver) {
		endpoint.WriteError(w, http.StatusUnauthorized, string(sessionOver),
			"The session is over. Please sign in again.")
		return
	}
	if err != nil {
		refuseJSON(w, verdict{result: storeUnavailable, err: err})
		return
	}
	writeSession(w, s.answer(r, subject, expires, true))
}

// sessionAnswer is what the script reads. Times are Unix seconds, durations seconds.
type sessionAnswer struct {
	SignedIn      bool   `json:"signed_in"`
	Subject       string `json:"subject,omitzero"`
	ExpiresAt     int64  `json:"expires_at,omitzero"`
	Renewable     *bool  `json:"renewable,omitzero"`
	RefreshWindow int64  `json:"refresh_window"`
	CheckEvery    int64  `json:"check_every"`
	ServerTime    int64  `json:"server_time"`
}

func (s *Session) answer(r *http.Request, subject string, expires time.Time, ok bool) sessionAnswer {
	window, every := s.renewalTimes(r)
	a := sessionAnswer{
		SignedIn:      ok,
		RefreshWindow: int64(window / time.Second),
		CheckEvery:    int64(every / time.Second),
		ServerTime:    time.Now().Unix(),
	}
	if ok {
		a.Subject, a.ExpiresAt = subject, expires.Unix()
	}
	return a
}

func writeSession(w http.ResponseWriter, a sessionAnswer) { endpoint.WriteJSON(w, http.StatusOK, a) }

func (s *Session) renewalTimes(r *http.Request) (window, every time.Duration) {
	if s.RenewalTimes != nil {
		return s.RenewalTimes(r)
	}
	return cmp.Or(s.Window, defaultWindow), cmp.Or(s.Every, defaultEvery)
}
