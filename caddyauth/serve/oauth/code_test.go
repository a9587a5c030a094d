package oauth

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// bought is what the code "ac_CANARY" of the client reports buys.
func bought(scopes ...string) issuance.CodeExchanged {
	return issuance.CodeExchanged{
		Code: authorization.Code{Project: "default", Subject: "alice", Nonce: "n"},
		Issued: issuance.Issued{
			AccessToken:  "at",
			AccessUntil:  time.Now().Add(15 * time.Minute),
			RefreshToken: "rt",
			Scopes:       scopes,
			Grant:        session.Grant{ID: "g", Project: "default", Subject: "alice"},
		},
	}
}

const codeForm = "grant_type=authorization_code&code=ac_CANARY&redirect_uri=https://rp.example/cb&code_verifier=v"

func TestCodeIsExchanged(t *testing.T) {
	for _, c := range []struct {
		name   string
		form   string
		scopes []string
		want   issuance.CodeExchange
		id     string
	}{
		{"plain", codeForm, []string{"read"},
			issuance.CodeExchange{RedirectURI: "https://rp.example/cb", Verifier: "v"}, ""},
		{"bare", "grant_type=authorization_code&code=ac_CANARY", nil, issuance.CodeExchange{}, ""},
		{"openid, two resources", codeForm + "&resource=a&resource=b&scope=ignored", []string{"openid", "read"},
			issuance.CodeExchange{RedirectURI: "https://rp.example/cb", Verifier: "v", Resources: []string{"a", "b"}},
			"id of n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			var got issuance.CodeExchange
			h.ExchangeCode = func(_ context.Context, e issuance.CodeExchange) (issuance.CodeExchanged, error) {
				got = e
				return bought(c.scopes...), nil
			}
			h.IDToken = func(_ context.Context, i issuance.Issued, nonce string, _ time.Time) (string, error) {
				return "id of " + nonce, nil
			}
			answer := grantedIn(t, h.postText("/token", basic("reports", secret), c.form))
			c.want.Code, c.want.ClientID, got.Now = "ac_CANARY", "reports", time.Time{}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("exchanged %+v, want %+v", got, c.want)
			}
			if answer.AccessToken != "at" || answer.RefreshToken != "rt" || answer.TokenType != "Bearer" ||
				answer.ExpiresIn < 890 || answer.ExpiresIn > 900 || answer.IDToken != c.id {
				t.Errorf("%+v", answer)
			}
			if e := h.last(t); e.Result != success || e.Verdict != "redeemed" || e.User != "alice" || e.Session != "g" {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestCodesThatAreRefused(t *testing.T) {
	down := errors.New("down")
	refusal := func(v authorization.Verdict) error { return &issuance.CodeRefusal{Verdict: v, Code: bought().Code} }
	for _, c := range []struct {
		name    string
		form    string
		with    func(*http.Request)
		err     error
		status  int
		code    string
		verdict string
	}{
		{"unknown", codeForm, nil, &issuance.CodeRefusal{Verdict: authorization.Unknown}, 400, invalidGrant, "unknown"},
		{"other client", codeForm, nil, refusal(authorization.OtherClient), 400, invalidGrant, "other_client"},
		{"verifier", codeForm, nil, refusal(authorization.BadVerifier), 400, invalidGrant, "bad_verifier"},
		{"redirect URI", codeForm, nil, refusal(authorization.OtherRedirect), 400, invalidGrant, "other_redirect"},
		{"expired", codeForm, nil, refusal(authorization.Expired), 400, invalidGrant, "expired"},
		{"used", codeForm, nil, refusal(authorization.Replayed), 400, invalidGrant, "replayed"},
		{"resource", codeForm, nil, issuance.ErrTarget, 400, invalidTarget, ""},
		{"store", codeForm, nil, down, 503, temporarilyUnavailable, ""},
		{"no code", "grant_type=authorization_code", nil, down, 400, invalidRequest, ""},
		{"two codes", codeForm + "&code=b", nil, down, 400, invalidRequest, ""},
		{"two redirect URIs", codeForm + "&redirect_uri=b", nil, down, 400, invalidRequest, ""},
		{"wrong secret", codeForm, basic("reports", "x"), down, 401, invalidClient, ""},
		{"unknown client", codeForm, basic("nobody", "x"), down, 401, invalidClient, ""},
		{"grant type", codeForm, basic("machine", secret), down, 400, unauthorizedClient, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			h.ExchangeCode = func(context.Context, issuance.CodeExchange) (issuance.CodeExchanged, error) {
				return issuance.CodeExchanged{Code: bought().Code}, c.err
			}
			with := c.with
			if with == nil {
				with = basic("reports", secret)
			}
			w := h.postText("/token", with, c.form)
			if code := problemIn(t, w); w.Code != c.status || code != c.code {
				t.Errorf("%d %s, want %d %s", w.Code, code, c.status, c.code)
			}
			if e := h.last(t); e.Result != c.code || e.Verdict != c.verdict {
				t.Errorf("event %+v", e)
			}
		})
	}
}

// TestRefreshMakesAnIDTokenToo, without a nonce (OpenID Connect Core, section 12.2).
func TestRefreshMakesAnIDTokenToo(t *testing.T) {
	for _, c := range []struct {
		name, scope, want string
	}{{"openid", "", "id of ."}, {"narrowed", "&scope=read", ""}} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			h.IDToken = func(_ context.Context, _ issuance.Issued, nonce string, _ time.Time) (string, error) {
				return "id of " + nonce + ".", nil
			}
			first := h.begin(t, "reports", "openid", "read")
			body := "grant_type=refresh_token&refresh_token=" + first.RefreshToken + c.scope
			if got := grantedIn(t, h.postText("/token", basic("reports", secret), body)); got.IDToken != c.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestRefreshForOneResource(t *testing.T) {
	h := newFixture(t)
	first := h.open(t, session.GrantRequest{
		Project:  "default",
		Subject:  "alice",
		ClientID: "reports",
		Kind:     "code",
		Audience: []string{"https://a.example", "https://b.example"},
		Access:   15 * time.Minute,
		Idle:     time.Hour,
		Absolute: time.Hour,
	})
	body := "grant_type=refresh_token&refresh_token=" + first.RefreshToken + "&resource="
	w := h.postText("/token", basic("reports", secret), body+"https://c.example")
	if code := problemIn(t, w); code != invalidTarget || h.store.uses != 0 {
		t.Errorf("%d %s, used %d times", w.Code, code, h.store.uses)
	}
	got := grantedIn(t, h.postText("/token", basic("reports", secret), body+"https://b.example/"))
	parsed, err := h.tokens.Verifier.Verify(t.Context(), got.AccessToken)
	if err != nil || len(parsed.Audience) != 1 || parsed.Audience[0] != "https://b.example" {
		t.Errorf("%+v, %v", parsed, err)
	}
}
