package browser

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// ErrOver says that a browser has no session that could be renewed.
var ErrOver = errors.New("the session is over")

const renewTimeout = 10 * time.Second

// Sessions are the browser sessions of one configuration. Fill the exported fields, then share it
// between requests.
type Sessions struct {
	// Names are those of the cookies.
	Names Names
	// Ready waits until the server can judge sessions; its error says that it still cannot.
	Ready func(ctx context.Context) error
	// Verify returns the token of a session cookie that lives and is good at the request's host.
	Verify func(r *http.Request, raw string) (*token.Token, error)
	// Refresh uses up a refresh token that came to a host. The error is a *session.Refusal when the
	// session is over, or is one at another host.
	Refresh func(ctx context.Context, refresh, host string) (Renewed, error)
	// Cleared are the cookies that clear a session's.
	Cleared func() []*http.Cookie
	// Project is the project that people sign in to who have no session.
	Project string
	// Window is when sessions are renewed whose project does not say.
	Window RenewalWindow
	// FindWindow returns the window of a project.
	FindWindow func(ctx context.Context, slug string) (RenewalWindow, error)

	flights singleflight.Group
	windows renewalWindows
}

// Renewed is a session that was renewed.
type Renewed struct {
	// AccessToken is the new one.
	AccessToken string
	// Cookies take the new tokens to the browser.
	Cookies []*http.Cookie
	// Reissue makes another access token for the session without using up its refresh token. It
	// fails when the session has ended.
	Reissue func(ctx context.Context) (Renewed, error)
}

// refresh makes one rotation of requests that bring the same refresh token to the same host at the
// same time, as the tabs of a browser do. Across nodes the reuse interval does the same.
func (s *Sessions) refresh(r *http.Request, raw string) (Renewed, error) {
	value, err, _ := s.flights.Do(raw+" "+r.Host, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), renewTimeout)
		defer cancel()
		return s.Refresh(ctx, raw, r.Host)
	})
	return value.(Renewed), err
}

// ClearStale clears a session cookie that has expired and was not renewed.
func (s *Sessions) ClearStale(w *Response) {
	if state := w.state(); state == nil || len(state.cookies) == 0 {
		w.SetCookies(s.Cleared())
	}
}

// due reports whether a browser's access token is so near its end that it should be renewed: inside
// its project's refresh_window, but never in the first two thirds of its life, so that short-lived
// tokens are not renewed with every request.
func (s *Sessions) due(ctx context.Context, t *token.Token, now time.Time) bool {
	expiry := t.Expiry.Time()
	left := expiry.Sub(now)
	return left < expiry.Sub(t.IssuedAt.Time())/3 && left < s.window(ctx, t.Project, now).Length
}

// includedHeader marks a request that `httpInclude` of templates makes to this server with the
// browser's cookies. The header of its answer is dropped, and new cookies would be lost with it:
// the browser would come with a token that is used up. A client that sends it keeps its own session
// from being renewed.
const includedHeader = "Caddy-Templates-Include"

// Renewal is what Renew found or did. The zero value says that there is no session to renew.
type Renewal struct {
	living  *token.Token // nothing was done, because this access token is good
	renewed *Renewed
}

// Living returns the token of a session that need not be renewed; nil where there is none.
func (r Renewal) Living() *token.Token { return r.living }

// Renew gives a browser whose access token has ended, or is about to, a new one with this very
// request: the gate that comes sees the new token, and the answer carries the new cookies, also
// when the gate then refuses the token. What no token could change is refused before. The error is
// a *token.Refusal, also when the session cannot be judged now.
func (s *Sessions) Renew(w *Response, r *http.Request, g *gate.Gate) (Renewal, error) {
	raw := gate.FindCookie(r, s.Names.Refresh)
	if raw == "" || len(r.Header["Authorization"]) > 0 || len(r.Header[includedHeader]) > 0 {
		return Renewal{}, nil
	}
	if err := s.Ready(r.Context()); err != nil {
		return Renewal{}, &token.Refusal{Reason: token.KeysUnavailable, Detail: "the server is starting"}
	}

	// A good token is renewed only near its end, and only where the gate would decide on it.
	t, err := s.Verify(r, gate.FindCookie(r, s.Names.Access))
	good := err == nil
	if good && !s.due(r.Context(), t, time.Now()) {
		return Renewal{living: t}, nil
	}
	if may, err := g.Renewable(r, gate.Source{Kind: gate.Cookie, Name: s.Names.Access}); !may {
		return Renewal{}, err
	}

	renewed, err := s.refresh(r, raw)
	if _, over := errors.AsType[*session.Refusal](err); over {
		w.SetCookies(s.Cleared())
		return Renewal{}, nil
	}
	if err != nil {
		if good {
			return Renewal{}, nil
		}
		detail := "the session cannot be renewed: " + err.Error()
		return Renewal{}, &token.Refusal{Reason: gate.RevocationNotChecked, Detail: detail}
	}
	s.adopt(w, r, renewed)
	return Renewal{renewed: &renewed}, nil
}

// adopt lets the request go on with new tokens, and sends them along with its answer.
func (s *Sessions) adopt(w *Response, r *http.Request, renewed Renewed) {
	gate.ReplaceCookie(r, s.Names.Access, renewed.AccessToken)
	w.SetCookies(renewed.Cookies)
}

// RenewAgain is for a request whose access token was revoked between Renew and the gate. A session
// that lives on gets a token that is good; for one that has ended done is false.
func (s *Sessions) RenewAgain(w *Response, r *http.Request, g *gate.Gate, before Renewal) (done bool, err error) {
	if before.living != nil {
		now, err := s.Renew(w, r, g)
		return now.renewed != nil, err
	}
	if before.renewed == nil {
		return false, nil
	}
	again, err := before.renewed.Reissue(r.Context())
	if err != nil {
		return false, nil // the session has ended, or the store does not answer: the refusal stands
	}
	s.adopt(w, r, again)
	return true, nil
}

// Current says whose living session a request brings and when its access token ends.
func (s *Sessions) Current(r *http.Request) (subject string, expires time.Time, ok bool) {
	t, err := s.Verify(r, gate.FindCookie(r, s.Names.Access))
	if err != nil {
		return "", time.Time{}, false
	}
	return t.Subject, t.Expiry.Time(), true
}

// Renewable reports whether a request brings a refresh token.
func (s *Sessions) Renewable(r *http.Request) bool { return gate.FindCookie(r, s.Names.Refresh) != "" }

// RenewPage renews the session of a page that asks for it, and says whose it is and when the new
// access token ends. It returns ErrOver, having cleared the cookies, when there is nothing to
// renew.
func (s *Sessions) RenewPage(w http.ResponseWriter, r *http.Request) (subject string, expires time.Time, err error) {
	raw := gate.FindCookie(r, s.Names.Refresh)
	if raw == "" {
		return "", time.Time{}, ErrOver
	}
	t, err := s.Verify(r, gate.FindCookie(r, s.Names.Access))
	if err == nil && !s.due(r.Context(), t, time.Now()) {
		return t.Subject, t.Expiry.Time(), nil
	}

	renewed, err := s.refresh(r, raw)
	if _, over := errors.AsType[*session.Refusal](err); over {
		setCookies(w, s.Cleared())
		return "", time.Time{}, ErrOver
	}
	if err != nil {
		return "", time.Time{}, err
	}
	setCookies(w, renewed.Cookies)
	// Whatever else is asked of the request is about the new token.
	gate.ReplaceCookie(r, s.Names.Access, renewed.AccessToken)
	if t, err = s.Verify(r, renewed.AccessToken); err != nil {
		return "", time.Time{}, err
	}
	return t.Subject, t.Expiry.Time(), nil
}

// PageWindow is the window of the session that a page has; without one, that of Project.
func (s *Sessions) PageWindow(r *http.Request) (length, check time.Duration) {
	slug := s.Project
	if t, err := s.Verify(r, gate.FindCookie(r, s.Names.Access)); err == nil {
		slug = t.Project
	}
	w := s.window(r.Context(), slug, time.Now())
	return w.Length, w.Check
}
