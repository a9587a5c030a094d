package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

// renewals makes one rotation of requests that bring the same refresh token at the same moment, as the tabs of a browser do. Across nodes
// the reuse interval does the same.
type renewals struct{ flights singleflight.Group }

// renew uses a browser's refresh token. The error is a *session.Refusal when the session is over.
func (a *App) renew(ctx context.Context, refresh string) (login.Issued, error) {
	value, err, _ := a.renewals.flights.Do(refresh, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		now := time.Now()
		var raw string
		i, err := a.grants.RefreshWith(ctx, refresh, firstPartyClient, now, func(i session.Issued) (err error) {
			raw, err = a.accessTo(ctx, i)
			return err
		})
		if err != nil {
			return login.Issued{}, err
		}
		// Claims that were changed in the same commit deny what was made before it. A program renews again; a person would see an error.
		g, err := a.store.FindGrant(ctx, i.Grant.ID)
		if err == nil && g.Revoked.IsZero() && g.Epoch > i.Grant.Epoch {
			if again, err := a.issueAccess(ctx, g, g.Scopes, g.Epoch, i.Now, i.AccessUntil); err == nil {
				raw = again
			}
		}
		return issued(i, raw, now), nil
	})
	return value.(login.Issued), err
}

// clearStale clears a session cookie that has expired and was not renewed.
func (a *App) clearStale(w *response) {
	if s := w.state(); s == nil || len(s.cookies) == 0 {
		w.setCookies(a.cookies(login.Issued{}))
	}
}

// due reports whether a browser's access token is so near its end that it should be renewed: inside its project's refresh_window, but never
// in the first two thirds of its life, so that short-lived tokens are not renewed with every request.
func (a *App) due(ctx context.Context, t *token.Token, now time.Time) bool {
	left := t.Expiry.Sub(now)
	return left < t.Expiry.Sub(t.IssuedAt)/3 && left < a.pace(ctx, t.Project, now).window
}

// includedHeader marks a request that `httpInclude` of templates makes to this server with the browser's cookies. The header of
// its answer is dropped, and new cookies would be lost with it: the browser would come with a token that is used up. A client
// that sends it keeps its own session from being renewed.
const includedHeader = "Caddy-Templates-Include"

// renewal is what renewSession found or did. The zero value says that there is no session to renew.
type renewal struct {
	living bool          // nothing was done, because the access token is good
	issued *login.Issued // the new tokens
}

// renewSession gives a browser whose access token has ended, or is about to, a new one with this
// very request: the gate that comes sees the new token, and the answer carries the new cookies, also
// when the gate then refuses the token. What no token could change is refused before. The error is
// a *token.Refusal, also when the session cannot be judged now.
func (j *JWTAuth) renewSession(w *response, r *http.Request) (renewal, error) {
	a := j.app
	refresh := gate.FindCookie(r, a.refreshCookieName())
	if refresh == "" || len(r.Header["Authorization"]) > 0 || a.onDecision != nil { // `caddy auth explain` uses up no token
		return renewal{}, nil
	}
	if len(r.Header[includedHeader]) > 0 {
		return renewal{}, nil
	}
	if err := a.ready(r.Context()); err != nil {
		return renewal{}, &token.Refusal{Reason: token.KeysUnavailable, Detail: "the server is starting"}
	}
	access := gate.FindCookie(r, a.cookieName())
	t, err := a.session(r.Context(), access)
	good := err == nil
	if good && !a.due(r.Context(), t, time.Now()) {
		return renewal{living: true}, nil
	}
	if may, err := j.gate.Renewable(r, gate.Source{Kind: gate.Cookie, Name: a.cookieName()}); !may {
		return renewal{}, err
	}
	issued, err := a.renew(r.Context(), refresh)
	if _, over := errors.AsType[*session.Refusal](err); over {
		w.setCookies(a.cookies(login.Issued{}))
		return renewal{}, nil
	}
	if err != nil {
		if good {
			return renewal{}, nil
		}
		return renewal{}, &token.Refusal{Reason: gate.RevocationNotChecked, Detail: "the session cannot be renewed: " + err.Error()}
	}
	gate.ReplaceCookie(r, a.cookieName(), issued.AccessToken)
	w.setCookies(a.cookies(issued))
	return renewal{issued: &issued}, nil
}

// renewAgain is for a request whose access token was revoked between renewSession and the gate. A
// session that lives on gets a token that is good; one that has ended gets none, and done is false.
func (j *JWTAuth) renewAgain(w *response, r *http.Request, before renewal) (done bool, err error) {
	if before.living {
		now, err := j.renewSession(w, r)
		return now.issued != nil, err
	}
	if before.issued == nil {
		return false, nil
	}
	a := j.app
	issued, err := a.accessAgain(r.Context(), *before.issued)
	if err != nil {
		return false, nil // the session has ended, or the store says nothing: the refusal stands
	}
	gate.ReplaceCookie(r, a.cookieName(), issued.AccessToken)
	w.setCookies(a.cookies(issued))
	return true, nil
}

// accessAgain makes another access token for a session that was renewed just now, without using its
// refresh token.
func (a *App) accessAgain(ctx context.Context, i login.Issued) (login.Issued, error) {
	g, err := a.grants.Find(ctx, i.RefreshToken)
	if err != nil {
		return login.Issued{}, err
	}
	if !g.Revoked.IsZero() {
		return login.Issued{}, login.ErrSessionOver
	}
	now := time.Now()
	i.AccessToken, err = a.issueAccess(ctx, g, g.Scopes, g.Epoch, now, now.Add(i.ExpiresIn))
	return i, err
}

// pageSession answers the routes of session.js, by which a page that stays open keeps its session.
func (a *App) pageSession() *login.Session {
	return &login.Session{
		Base: a.base, Current: a.currentSession, Renewable: func(r *http.Request) bool { return gate.FindCookie(r, a.refreshCookieName()) != "" },
		Renew: a.renewPage, Pace: a.pagePace,
	}
}

func (a *App) currentSession(r *http.Request) (subject string, expires time.Time, ok bool) {
	t, err := a.session(r.Context(), gate.FindCookie(r, a.cookieName()))
	if err != nil {
		return "", time.Time{}, false
	}
	return t.Subject, t.Expiry, true
}

// renewPage renews the session of a page that asks for it.
func (a *App) renewPage(w http.ResponseWriter, r *http.Request) (subject string, expires time.Time, err error) {
	refresh := gate.FindCookie(r, a.refreshCookieName())
	if refresh == "" {
		return "", time.Time{}, login.ErrSessionOver
	}
	if t, err := a.session(r.Context(), gate.FindCookie(r, a.cookieName())); err == nil && !a.due(r.Context(), t, time.Now()) {
		return t.Subject, t.Expiry, nil
	}
	renewed, err := a.renew(r.Context(), refresh)
	if _, over := errors.AsType[*session.Refusal](err); over {
		setCookies(w, a.cookies(login.Issued{}))
		return "", time.Time{}, login.ErrSessionOver
	}
	if err != nil {
		a.logger.Error("renewing a session", zap.Error(err))
		return "", time.Time{}, err
	}
	setCookies(w, a.cookies(renewed))
	gate.ReplaceCookie(r, a.cookieName(), renewed.AccessToken) // whatever else is asked of the request is about the new token
	t, err := a.session(r.Context(), renewed.AccessToken)
	if err != nil {
		return "", time.Time{}, err
	}
	return t.Subject, t.Expiry, nil
}

func setCookies(w http.ResponseWriter, cookies []*http.Cookie) {
	for _, cookie := range cookies {
		http.SetCookie(w, cookie)
	}
}
