package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/browser"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/authorize"
)

// authorizing finds the session of who authorizes a client.
type authorizing struct {
	sessions     *browser.Sessions
	verification *Verification
	cookie       string
}

// session returns the session under which a person authorizes clients: that of the server's
// own login routes, renewed when its access token has ended.
func (a authorizing) session(w http.ResponseWriter, r *http.Request) (*authorize.Session, error) {
	if err := a.renew(w, r); err != nil {
		return nil, err
	}
	t, err := a.verification.Session(r.Context(), gate.FindCookie(r, a.cookie))
	if err == nil {
		return sessionOf(t), nil
	}
	if refusal, ok := errors.AsType[*token.Refusal](err); ok && gate.Status(refusal.Reason) >= 500 {
		return nil, err // it cannot be judged at present
	}
	return nil, r.Context().Err()
}

// renew renews the session of a request whose access token has ended, if it lives on.
func (a authorizing) renew(w http.ResponseWriter, r *http.Request) error {
	if !a.sessions.Renewable(r) {
		return nil
	}
	_, _, err := a.sessions.RenewPage(w, r)
	if errors.Is(err, browser.ErrOver) {
		return nil
	}
	return err
}

// hint returns whose an ID token of this server is.
func (a authorizing) hint(ctx context.Context, raw string) (string, error) {
	t, err := a.verification.idTokens.Verify(ctx, raw)
	if err != nil {
		return "", err
	}
	return t.Subject, nil
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

// visits signs what stands in the addresses of authorization requests. The secret is there once the
// server has started.
type visits struct{ grants *session.Service }

// MAC implements authorize.Visits.
func (v visits) MAC(purpose, text string) string { return v.grants.Tokens.MAC(purpose, text) }

// HasMAC implements authorize.Visits.
func (v visits) HasMAC(purpose, text, mac string) bool {
	return v.grants.Tokens.HasMAC(purpose, text, mac)
}
