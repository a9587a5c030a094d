package oauth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/opaque"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
	"github.com/caddyauth/gateway/caddyauth/serve/clientauth"
)

func TestRevokingARefreshTokenEndsTheGrant(t *testing.T) {
	h := newFixture(t)
	first := h.begin(t, "reports")
	second := grantedIn(
		t,
		h.post("/token", basic("reports", secret), "grant_type", "refresh_token", "refresh_token", first.RefreshToken),
	)
	for range 2 { // the second time there is nothing left to do
		w := h.post(
			"/revoke",
			basic("reports", secret),
			"token",
			second.RefreshToken,
			"token_type_hint",
			"refresh_token",
		)
		if w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Cache-Control") != "no-store" ||
			h.last(t).Result != success {
			t.Fatalf("%d %q, event %+v", w.Code, w.Body, h.last(t))
		}
	}
	if w := h.post("/token", basic("reports", secret), "grant_type", "refresh_token", "refresh_token",
		second.RefreshToken); w.Code != 400 {
		t.Errorf("the refresh token: %d", w.Code)
	}
	access, err := h.verify(t.Context(), second.AccessToken)
	if err != nil || h.revoked(access) == nil {
		t.Errorf("the access token is still good: %v", err)
	}
}

func TestRevokingAnAccessTokenEndsItAlone(t *testing.T) {
	for _, c := range []struct {
		client string
		with   func(*http.Request)
	}{{"reports", basic("reports", secret)}, {"spa", basic("spa", "")}, {clientauth.FirstParty,
		basic(clientauth.FirstParty, "")}} {
		t.Run(c.client, func(t *testing.T) {
			h := newFixture(t)
			first := h.begin(t, c.client)
			got := grantedIn(
				t,
				h.post("/token", c.with, "grant_type", "refresh_token", "refresh_token", first.RefreshToken),
			)
			before, err := h.verify(t.Context(), got.AccessToken) // remembered now
			if err != nil || h.revoked(before) != nil {
				t.Fatal(err)
			}
			w := h.post("/revoke", c.with, "token", got.AccessToken, "token_type_hint", "refresh_token")
			if w.Code != 200 || w.Body.Len() != 0 {
				t.Fatalf("%d %q", w.Code, w.Body)
			}
			if h.revoked(before) == nil {
				t.Error("the access token is still good")
			}
			if e := h.last(t); e.Kind != audit.Revoke || e.User != "alice" || e.Result != success {
				t.Errorf("event %+v", e)
			}
			if _, err := h.verify(t.Context(), got.AccessToken); opaque.IsOwn(got.AccessToken) &&
				refusalReason(err) != token.Revoked {
				t.Errorf("the opaque token was still remembered: %v", err)
			}
			grantedIn(t, h.post("/token", c.with, "grant_type", "refresh_token", "refresh_token", got.RefreshToken))
		})
	}
}

func refusalReason(err error) token.Reason {
	if r, ok := errors.AsType[*token.Refusal](err); ok {
		return r.Reason
	}
	return ""
}

func TestRevocationsThatAreRefused(t *testing.T) {
	h := newFixture(t)
	refresh, access, opaque := h.begin(t, "reports").RefreshToken, h.access(t, "reports"), h.access(t, "spa")
	nameless := h.tokens.Mint(t, token.Claims{
		Issuer:   ownIssuer,
		Subject:  "alice",
		Audience: []string{"api"},
		IssuedAt: time.Now(),
		Expiry:   time.Now().Add(time.Hour),
		ClientID: "spa",
		Project:  "default",
	})
	for _, c := range []struct {
		name   string
		with   func(*http.Request)
		fields []string
		status int
		code   string
	}{
		{"nobody", nil, []string{"token", refresh}, 401, invalidClient},
		{"wrong secret", basic("reports", "wrong"), []string{"token", refresh}, 401, invalidClient},
		{"no token", basic("reports", secret), nil, 400, invalidRequest},
		{"empty token", basic("reports", secret), []string{"token", ""}, 400, invalidRequest},
		{"two tokens", basic("reports", secret), []string{"token", refresh, "token", access}, 400, invalidRequest},
		{"another's refresh token", basic("other", "other-secret"), []string{"token", refresh}, 400, invalidGrant},
		{"another's access token", basic("other", "other-secret"), []string{"token", access}, 400, invalidGrant},
		{"another's opaque token", basic("other", "other-secret"), []string{"token", opaque}, 400, invalidGrant},
		{"by the first party", nil, []string{"token", access, "client_id", clientauth.FirstParty}, 400, invalidGrant},
		{
			"an access token without a jti", nil, []string{"token", nameless, "client_id", "spa"}, 400,
			unsupportedTokenType,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.post("/revoke", c.with, c.fields...)
			if code := problemIn(t, w); w.Code != c.status || code != c.code || h.last(t).Result != c.code {
				t.Errorf("%d %s, want %d %s", w.Code, code, c.status, c.code)
			}
		})
	}
	if h.Sessions.DenyList.Len() != 0 {
		t.Error("something was revoked")
	}
	grantedIn(t, h.post("/token", basic("reports", secret), "grant_type", "refresh_token", "refresh_token", refresh))
}

func TestTokensThatMeanNothingAreRevokedAlready(t *testing.T) {
	h := newFixture(t)
	for _, c := range []struct{ name, raw string }{
		{"text", "anything"}, {"garbage", "a.b.c"}, {"unknown opaque", opaque.Prefix + strings.Repeat("A", 64)},
		{"malformed opaque", "at_x"}, {"malformed refresh", "rt_x"},
		{"forged refresh", "rt_1.ABC.0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
		{"huge", strings.Repeat("x", 10<<10)}, {"foreign", h.foreign(t)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if w := h.post("/revoke", nil, "token", c.raw, "client_id", "spa"); w.Code != 200 || w.Body.Len() != 0 ||
				h.last(t).Result != success {
				t.Errorf("%s: %d %q", c.name, w.Code, w.Body)
			}
		})
	}
	if h.Sessions.DenyList.Len() != 0 {
		t.Error("something was revoked")
	}
}

// foreign returns a token of another issuer, which the fixture's verifier takes from here on.
func (h *fixture) foreign(t *testing.T) string {
	t.Helper()
	inner := h.Verify
	h.Verify = func(ctx context.Context, raw string) (*token.Token, error) {
		if raw == "foreign" {
			return token.FromClaims(
				token.Issuer{Name: "https://idp"},
				raw,
				[]byte(`{"sub":"alice","aud":"api","exp":32503680000,"client_id":"spa"}`),
			)
		}
		return inner(ctx, raw)
	}
	return "foreign"
}

// A revocation which is not durable is never told to be one.
func TestRevocationThatFailsIsNoSuccess(t *testing.T) {
	down := errors.New("the disk is full")
	for _, c := range []struct {
		name   string
		token  string
		breaks func(*fixture)
	}{
		{"refresh token, store", "refresh", func(h *fixture) { h.store.fail = down }},
		{"refresh token, writes", "refresh", func(h *fixture) { h.store.writing = down }},
		{"access token, writes", "jwt", func(h *fixture) { h.store.writing = down }},
		{"opaque token, store", "opaque", func(h *fixture) { h.store.fail = down }},
		{"opaque token, writes", "opaque", func(h *fixture) { h.store.writing = down }},
		{"keys", "jwt", func(h *fixture) { h.verifying = &token.Refusal{Reason: token.KeysUnavailable} }},
		{"verifying", "jwt", func(h *fixture) { h.verifying = down }},
		{"clients", "jwt", func(h *fixture) { h.findClient = down }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			raw := map[string]string{
				"refresh": h.begin(t, "spa").RefreshToken,
				"jwt":     h.access(t, clientauth.FirstParty),
				"opaque":  h.access(t, "spa"),
			}[c.token]
			client := map[string]string{"refresh": "spa", "jwt": clientauth.FirstParty, "opaque": "spa"}[c.token]
			if c.name == "clients" {
				client = "reports"
			}
			c.breaks(h)
			w := h.post("/revoke", nil, "token", raw, "client_id", client)
			if code := problemIn(t, w); w.Code != 503 || code != temporarilyUnavailable ||
				w.Header().Get("Retry-After") == "" ||
				h.last(t).Err == nil {
				t.Errorf("%d %s, event %+v", w.Code, code, h.last(t))
			}
		})
	}
}
