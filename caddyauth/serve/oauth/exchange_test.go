package oauth

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"

// subject returns an access token of alice, changed.
func (h *fixture) subject(t *testing.T, change func(*token.Claims)) string {
	t.Helper()
	c := token.Claims{
		Issuer:   ownIssuer,
		Subject:  "alice",
		Audience: []string{"api", "https://api.example.com"},
		IssuedAt: time.Now(),
		Expiry:   time.Now().Add(10 * time.Minute),
		ID:       "jti",
		ClientID: "reports",
		Project:  "default",
		Session:  "family",
		Scopes:   []string{"read", "write", "admin", "offline_access"},
		Protocol: map[string]any{"epoch": int64(5), "auth_time": int64(1700000000), "acr": "pwd", "amr": []any{"pwd"}},
	}
	if change != nil {
		change(&c)
	}
	return h.tokens.Mint(t, c)
}

// actors is a claim `act` of n clients.
func actors(n int) map[string]any {
	act := map[string]any{"sub": "first"}
	for range n - 1 {
		act = map[string]any{"sub": "next", "act": act}
	}
	return act
}

// TestTokenExchange: what arrives, and what the token says.
func TestTokenExchange(t *testing.T) {
	for _, c := range []struct {
		name, fields string
		change       func(*token.Claims)
		scope        string
		audience     []string
		subject      string
		act          map[string]any
	}{
		{"nothing asked", "", nil, "read write", []string{"api", "https://api.example.com"}, "alice",
			map[string]any{"sub": "exchanger"}},
		{"a narrower scope", "scope=read", nil, "read", []string{"api", "https://api.example.com"}, "alice",
			map[string]any{"sub": "exchanger"}},
		{"a narrower audience", "audience=api", nil, "read write", []string{"api"}, "alice",
			map[string]any{"sub": "exchanger"}},
		{"a resource with a slash", "resource=https://api.example.com/", nil, "read write",
			[]string{"https://api.example.com"}, "alice", map[string]any{"sub": "exchanger"}},
		{"both", "resource=https://api.example.com audience=api", nil, "read write",
			[]string{"https://api.example.com", "api"}, "alice", map[string]any{"sub": "exchanger"}},
		{"the type that is issued", "requested_token_type=" + accessTokenType, nil, "read write",
			[]string{"api", "https://api.example.com"}, "alice", map[string]any{"sub": "exchanger"}},
		{"of a client", "", func(c *token.Claims) {
			c.Subject, c.ClientID, c.Session = "machine", "machine", ""
			c.Protocol = map[string]any{"epoch": int64(5)}
		}, "read write", []string{"api", "https://api.example.com"}, "machine", map[string]any{"sub": "exchanger"}},
		{"four act already", "", func(c *token.Claims) { c.Protocol["act"] = actors(4) }, "read write",
			[]string{"api", "https://api.example.com"}, "alice",
			map[string]any{"sub": "exchanger", "act": actors(4)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			w := h.postText("/token", basic("exchanger", secret), exchangeBody(h.subject(t, c.change), c.fields))
			got := grantedIn(t, w)
			access, err := h.verify(t.Context(), got.AccessToken)
			if err != nil {
				t.Fatal(err)
			}
			act, _ := access.Claim("act")
			if got.TokenType != "Bearer" || got.Scope != c.scope ||
				strings.Contains(w.Body.String(), "refresh_token") ||
				!strings.Contains(w.Body.String(), `"issued_token_type":"`+accessTokenType+`"`) {
				t.Errorf("%s", w.Body)
			}
			if access.Subject != c.subject || access.ClientID != "exchanger" || access.Project != "default" ||
				!slices.Equal(access.Audience, c.audience) || !reflect.DeepEqual(act, any(c.act)) {
				t.Errorf("%+v, act %v", access, act)
			}
			if access.Expiry.Time().After(time.Now().Add(10*time.Minute)) || access.ID == "jti" {
				t.Errorf("it outlives the subject token: %v", access.Expiry)
			}
			at, _ := access.Claim("auth_time")
			if c.subject == "alice" && (access.Session != "family" || at != token.Number("1700000000")) {
				t.Errorf("session %q, auth_time %v", access.Session, at)
			}
			if e := h.last(t); e.Result != success || e.ClientID != "exchanger" || e.User != c.subject ||
				e.GrantType != exchangeGrant {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func exchangeBody(subject, fields string) string {
	return grantBody(exchangeGrant, "subject_token="+subject+" subject_token_type="+accessTokenType+" "+fields)
}

// TestTokenExchangesThatAreRefused: with which word.
func TestTokenExchangesThatAreRefused(t *testing.T) {
	down := errors.New("the disk is full")
	revoke := func(d revocation.Denial) func(*fixture) {
		d.Until = time.Now().Add(time.Hour)
		return func(h *fixture) { h.Sessions.DenyList.Add(d) }
	}
	for _, c := range []struct {
		name, client, fields string
		change               func(*token.Claims)
		breaks               func(*fixture)
		status               int
		code                 string
	}{
		{"a wider scope", "exchanger", "scope=read+delete", nil, nil, 400, invalidScope},
		{"a scope that the client may not have", "exchanger", "scope=admin", nil, nil, 400, invalidScope},
		{"offline access", "exchanger", "scope=offline_access", nil, nil, 400, invalidScope},
		{"another audience", "exchanger", "audience=billing", nil, nil, 400, invalidTarget},
		{"another audience beside", "exchanger", "audience=api audience=billing", nil, nil, 400, invalidTarget},
		{"another resource", "exchanger", "resource=https://files.example.com", nil, nil, 400, invalidTarget},
		{"no subject token", "exchanger", "-subject_token", nil, nil, 400, invalidRequest},
		{"no type", "exchanger", "-subject_token_type", nil, nil, 400, invalidRequest},
		{"another type", "exchanger", "-subject_token_type subject_token_type=x", nil, nil, 400, invalidRequest},
		{"a refresh token wanted", "exchanger", "requested_token_type=urn:ietf:params:oauth:token-type:refresh_token",
			nil, nil, 400, invalidRequest},
		{"an actor token", "exchanger", "actor_token=x", nil, nil, 400, invalidRequest},
		{"a token that is none", "exchanger", "-subject_token subject_token=x", nil, nil, 400, invalidRequest},
		{"an ID token", "exchanger", "", nil, func(h *fixture) { h.idTokens = true }, 400, invalidRequest},
		{"of another client", "exchanger", "", func(c *token.Claims) { c.ClientID = "spa" }, nil, 400, invalidRequest},
		{"of no client", "exchanger", "", func(c *token.Claims) { c.ClientID = "" }, nil, 400, invalidRequest},
		{"of another project", "exchanger", "", func(c *token.Claims) { c.Project = "acme" }, nil, 400, invalidRequest},
		{"expired", "exchanger", "", func(c *token.Claims) {
			c.IssuedAt, c.Expiry = c.IssuedAt.Add(-time.Hour), c.IssuedAt.Add(-time.Second)
		}, nil, 400, invalidRequest},
		{"of a user that is disabled", "exchanger", "", func(c *token.Claims) { c.Subject = "disabled" }, nil, 400,
			invalidRequest},
		{"of a client that is gone", "exchanger", "", func(c *token.Claims) {
			c.Subject, c.Session = "disabled", ""
		}, nil, 400, invalidRequest},
		{"of a client of another project", "exchanger", "", func(c *token.Claims) {
			c.Subject, c.Session = "stopped", ""
		}, nil, 400, invalidRequest},
		{"of a client that is paused", "exchanger", "", func(c *token.Claims) { c.ClientID = "paused" }, nil, 400,
			invalidRequest},
		{"five act already", "exchanger", "", func(c *token.Claims) { c.Protocol["act"] = actors(5) }, nil, 400,
			invalidRequest},
		{"act is no object", "exchanger", "", func(c *token.Claims) { c.Protocol["act"] = "x" }, nil, 400,
			invalidRequest},
		{"revoked", "exchanger", "", nil, revoke(revocation.Denial{
			Kind: revocation.TokenKind, Scope: ownIssuer, ID: "jti",
		}), 400, invalidRequest},
		{"of a session that has ended", "exchanger", "", nil, revoke(revocation.Denial{
			Kind: revocation.FamilyKind, ID: "family",
		}), 400, invalidRequest},
		{"of a user that was revoked", "exchanger", "", nil, revoke(revocation.Denial{
			Kind: revocation.UserKind, Scope: "default", ID: "alice", Epoch: 6,
		}), 400, invalidRequest},
		{"a client that may exchange none of these", "second", "", nil, nil, 400, invalidRequest},
		{"a client without the grant", "machine", "", nil, nil, 400, unauthorizedClient},
		{"the store", "exchanger", "", nil, func(h *fixture) { h.store.fail = down }, 503, temporarilyUnavailable},
		{"keys", "exchanger", "", nil, func(h *fixture) {
			h.verifying = &token.Refusal{Reason: token.KeysUnavailable}
		}, 503, temporarilyUnavailable},
		{"issuing", "exchanger", "", nil, func(h *fixture) { h.issuing = down }, 503, temporarilyUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			raw := h.subject(t, c.change)
			if c.breaks != nil {
				c.breaks(h)
			}
			if h.idTokens {
				raw = h.tokens.MintType(t, "jwt", token.Claims{
					Issuer: ownIssuer, Subject: "alice", Audience: []string{"reports"}, ClientID: "reports",
					Project: "default", IssuedAt: time.Now(), Expiry: time.Now().Add(time.Minute),
				})
			}
			w := h.postText("/token", basic(c.client, secret), exchangeBody(raw, c.fields))
			if code := problemIn(t, w); w.Code != c.status || code != c.code || h.last(t).Result != c.code {
				t.Errorf("%d %s, want %d %s", w.Code, code, c.status, c.code)
			}
		})
	}
}

// TestAnExchangedTokenIsExchangedAgain: each client is added in front, and what the one may have is
// the most for the next.
func TestAnExchangedTokenIsExchangedAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*token.Claims)
	}{
		{"alice", nil},
		{"machine", func(c *token.Claims) {
			c.Subject, c.ClientID, c.Session, c.Protocol = "machine", "machine", "", map[string]any{"epoch": int64(5)}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFixture(t)
			first := grantedIn(
				t,
				h.postText("/token", basic("exchanger", secret), exchangeBody(h.subject(t, c.change), "")),
			)
			w := h.postText("/token", basic("second", secret), exchangeBody(first.AccessToken, "audience=api"))
			got := grantedIn(t, w)
			access, err := h.verify(t.Context(), got.AccessToken)
			if err != nil || got.Scope != "read" || access.Subject != c.name {
				t.Fatalf("%s, %v", w.Body, err)
			}
			act, _ := access.Claim("act")
			want := map[string]any{"sub": "second", "act": map[string]any{"sub": "exchanger"}}
			if !reflect.DeepEqual(act, any(want)) {
				t.Errorf("%v", act)
			}
			if access.ClientID != "second" || !slices.Equal(access.Audience, []string{"api"}) {
				t.Errorf("%+v", access)
			}
		})
	}
}
