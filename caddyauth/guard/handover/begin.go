package handover

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// Want is what a gate wants of a sign-in.
type Want struct {
	// Origin is the application's, as Origin returned it. Required.
	Origin string

	// Target is the path and query that the person asked for, as they were sent. Required.
	Target string

	// Again says that the person has to sign in although they are signed in.
	Again bool

	// MaxAge is how long ago they may have signed in. Default: any time.
	MaxAge time.Duration
}

// Begin sends a browser to the server to sign in. A browser that has come back to this page twice
// within a minute and is sent again gets a page instead.
func (s *Server) Begin(w http.ResponseWriter, r *http.Request, want Want) {
	now := time.Now()
	want.Target = plainTarget(want.Target)
	if s.Ready(r.Context()) != nil {
		s.refuse(w, r, unavailable, want.Target)
		return
	}
	if s.isRedirectLoop(r, signInFor(want.Target), now) {
		s.explainLoop(w, r, want.Target, false)
		return
	}
	a, secret := newAttempt(want.Origin, want.Target, now)
	state, err := s.States.seal(a)
	if err != nil {
		s.refuse(w, r, unavailable, want.Target)
		return
	}
	s.setAttempt(w, r, a, secret)
	endpoint.RedirectQuietly(w, s.authorizeURL(a, state, want))
}

// authorizeURL is the authorization request of an attempt.
func (s *Server) authorizeURL(a attempt, state string, want Want) string {
	query := url.Values{
		"client_id":             {s.ClientID},
		"response_type":         {"code"},
		"redirect_uri":          {s.callback(a.Origin)},
		"state":                 {state},
		"code_challenge":        {a.challenge()},
		"code_challenge_method": {"S256"},
	}
	if want.Again {
		query.Set("prompt", "login")
	}
	if want.MaxAge > 0 {
		query.Set("max_age", strconv.FormatInt(int64(want.MaxAge/time.Second), 10))
	}
	return s.Base.JoinPath("authorize").String() + "?" + query.Encode()
}

// LoginURL is the address on the application's host at which a person signs in, for links.
func (s *Server) LoginURL(target string, again bool) string {
	query := url.Values{"next": {plainTarget(target)}}
	if again {
		query.Set("switch", "1")
	}
	return s.Path + "/login?" + query.Encode()
}

// LogoutURL is the address on the application's host at which a person signs out.
func (s *Server) LogoutURL() string { return s.Path + "/logout" }

// getLogin begins a sign-in for a browser that followed a link. One with a valid session is sent on
// to the target. The page there may send it back all the same: at the third time within a minute it
// gets a page that explains the redirect loop.
func (s *Server) getLogin(w http.ResponseWriter, r *http.Request, origin string) {
	query := r.URL.Query()
	target := plainTarget(query.Get("next"))
	if s.Owns(target) {
		target = "/"
	}
	if query.Has("switch") {
		s.Begin(w, r, Want{Origin: origin, Target: target, Again: true})
		return
	}
	if s.Ready(r.Context()) != nil {
		s.refuse(w, r, unavailable, target)
		return
	}
	switch living, err := s.Renew(w, r); {
	case err != nil:
		s.refuse(w, r, unavailable, target)
	case living:
		s.goOn(w, r, origin, target)
	default:
		s.Begin(w, r, Want{Origin: origin, Target: target})
	}
}

// goOn sends a person who is signed in to the target.
func (s *Server) goOn(w http.ResponseWriter, r *http.Request, origin, target string) {
	now, to := time.Now(), tripTo(target)
	if s.isRedirectLoop(r, to, now) {
		s.explainLoop(w, r, target, true)
		return
	}
	s.addTrip(w, r, to, now)
	endpoint.RedirectQuietly(w, origin+target)
}

// explainLoop answers a browser in a redirect loop with a page that says so, and tells the operator;
// accepted says that gates take its session.
func (s *Server) explainLoop(w http.ResponseWriter, r *http.Request, target string, accepted bool) {
	s.forgetTrips(w)
	if s.SentBack != nil {
		s.SentBack(r, s.Subject(r), accepted)
	}
	s.refuse(w, r, redirectLoop, target)
}
