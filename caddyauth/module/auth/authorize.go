package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/authorize"
	"github.com/caddyauth/gateway/caddyauth/serve/login"
)

// authorizingSession returns the session under which a person authorizes clients: that of the server's
// own login routes, renewed when its access token has ended.
func (a *App) authorizingSession(w http.ResponseWriter, r *http.Request) (*authorize.Session, error) {
	if a.gates.Sessions.Renewable(r) {
		if _, _, err := a.gates.Sessions.RenewPage(w, r); err != nil && !errors.Is(err, browser.ErrOver) {
			return nil, err
		}
	}
	t, err := a.verification.Session(r.Context(), gate.FindCookie(r, a.gates.Cookies.Access))
	if err == nil {
		return sessionOf(t), nil
	}
	if refusal, ok := errors.AsType[*token.Refusal](err); ok && gate.Status(refusal.Reason) >= 500 {
		return nil, err // it cannot be judged at present
	}
	return nil, r.Context().Err()
}

// sessionOf reads the session out of its access token.
func sessionOf(t *token.Token) *authorize.Session {
	s := &authorize.Session{
		Subject: t.Subject,
		Project: t.Project,
		ID:      t.Session,
		TokenID: t.ID,
		Epoch:   t.Epoch,
	}
	if value, ok := t.Claim("auth_time"); ok {
		if seconds, err := strconv.ParseInt(fmt.Sprint(value), 10, 64); err == nil {
			s.AuthTime = time.Unix(seconds, 0).UTC()
		}
	}
	if value, ok := t.Claim("acr"); ok {
		s.ACR, _ = value.(string)
	}
	if value, ok := t.Claim("amr"); ok {
		if text, err := json.Marshal(value); err == nil {
			_ = json.Unmarshal(text, &s.AMR)
		}
	}
	return s
}

// onward tells the login page where an authorization request leads on to.
func (a *App) onward(ctx context.Context, target string) (login.Onward, bool) {
	onward, ok := buildAuthorize(a).Onward(ctx, target)
	return login.Onward(onward), ok
}

// visits signs what stands in the addresses of authorization requests. The secret is there once the
// server has started.
type visits struct{ app *App }

// MAC implements authorize.Visits.
func (v visits) MAC(purpose, text string) string { return v.app.grants.Tokens.MAC(purpose, text) }

// HasMAC implements authorize.Visits.
func (v visits) HasMAC(purpose, text, mac string) bool {
	return v.app.grants.Tokens.HasMAC(purpose, text, mac)
}
