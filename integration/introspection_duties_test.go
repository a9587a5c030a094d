package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// TestIntrospectionDuties: who may not ask is told so with a word; of everything that is no live token
// of theirs a client learns exactly one thing.
func TestIntrospectionDuties(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		v := x.visitor(t)
		held := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
		rp, good := []string{formType, basic("rp", rpSecret)}, url.Values{"token": {held.Access}}.Encode()
		for _, c := range []wrongRequest{
			{name: "GET", method: "GET", query: "?x=y", lines: rp, status: 405},
			{name: "a query", query: "?x=y", lines: rp, body: good, status: 400, word: "invalid_request"},
			{name: "JSON", lines: []string{"Content-Type: application/json", basic("rp", rpSecret)},
				body: `{"token":"x"}`, status: 400, word: "invalid_request"},
			{name: "no token", lines: rp, status: 400, word: "invalid_request"},
			{name: "two tokens", lines: rp, body: good + "&token=x", status: 400, word: "invalid_request"},
			{name: "nobody", body: good, status: 401, word: "invalid_client"},
			{name: "the token itself as credential", lines: []string{formType, "Authorization: Bearer " + held.Access},
				body: good, status: 401, word: "invalid_client"},
			{name: "a public client", body: good + "&client_id=spa", status: 401, word: "invalid_client"},
			{name: "a public client by header", lines: []string{formType, basic("spa", "")}, body: good, status: 401,
				word: "invalid_client"},
			{name: "wrong secret", lines: []string{formType, basic("rp", "x")}, body: good, status: 401,
				word: "invalid_client"},
			{name: "an unknown client", lines: []string{formType, basic("nobody", "x")}, body: good, status: 401,
				word: "invalid_client"},
		} {
			t.Run(c.name, func(t *testing.T) { x.sendWrong(t, "/introspect", c) })
		}
		x.describesTokens(t, held)

		spent := held.Refresh
		held = x.refresh(t, held.Refresh, "")
		held = x.refresh(t, held.Refresh, "")
		revoked := x.refresh(t, held.Refresh, "")
		x.ask(t, "auth", call{method: "POST", target: "/revoke", lines: rp,
			body: url.Values{"token": {revoked.Access}}.Encode()})
		tv := x.device(t, "tv", "")
		for _, c := range []struct{ name, client, raw string }{
			{"nothing", "rp", "x"},
			{"no text", "rp", "\x00\xff"},
			{"a very long text", "rp", strings.Repeat("x", 12<<10)},
			{"an ID token", "rp", held.ID},
			{"a token with another signature", "rp", held.Access[:len(held.Access)-8] + "AAAAAAAA"},
			{"a token without a signature", "rp", unsigned(t, held.Access)},
			{"a token of a foreign key", "rp", signedAnew(t, held.ID)},
			{"a revoked token", "rp", revoked.Access},
			{"a refresh token of another client", "other", held.Refresh},
			{"an access token of another client, to a client that serves nothing", "legacy", held.Access},
			{"a refresh token that was used up", "rp", spent},
			{"a forged refresh token", "rp", held.Refresh[:len(held.Refresh)-6] + "AAAAAA"},
			{"a code", "rp", v.code(v.get(request(t, "")))},
			{"a device code", "rp", tv.Device},
		} {
			t.Run(c.name, func(t *testing.T) {
				a := x.introspect(t, c.client, c.raw)
				if a.status != 200 || strings.TrimSpace(a.body) != `{"active":false}` ||
					a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" ||
					a.header.Get("Content-Type") != "application/json" {
					t.Errorf("%d %v %s", a.status, a.header, a.body)
				}
				a = x.introspect(t, c.client, c.raw, "Accept: application/token-introspection+jwt")
				x.tokens.remember(a.body)
				_, claims, err := token.Inspect(a.body)
				told, _ := claims["token_introspection"].(map[string]any)
				if err != nil || len(told) != 1 || told["active"] != false || claims["aud"] != c.client {
					t.Errorf("signed: %v %v", err, claims)
				}
			})
		}

		// Asking has changed nothing.
		if got := x.refresh(t, revoked.Refresh, ""); got.status != 200 {
			t.Errorf("%+v", got)
		}
	})
}

// describesTokens: what is told of an access token and of a refresh token.
func (x *authorizing) describesTokens(t *testing.T, held tokenAnswer) {
	t.Helper()
	for _, c := range []struct{ name, client, raw, kind string }{
		{"access token", "rp", held.Access, "Bearer"},
		{"access token, asked about by the resource server of its audience", "other", held.Access, "Bearer"},
		{"refresh token", "rp", held.Refresh, "refresh_token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := x.introspect(t, c.client, c.raw)
			var told map[string]any
			if err := json.Unmarshal([]byte(a.body), &told); err != nil || a.status != http.StatusOK {
				t.Fatalf("%d %s %v", a.status, a.body, err)
			}
			if told["active"] != true || told["token_type"] != c.kind || told["scope"] != "openid read" ||
				told["client_id"] != "rp" || told["sub"] != "alice" || told["iss"] != x.url("auth") ||
				told["acr"] != "pwd" || told["auth_time"] == nil || told["exp"] == nil || told["iat"] == nil {
				t.Errorf("%v", told)
			}
		})
	}
}

// TestRevocationDuties: who may not, what is not theirs, what means nothing here; and what ends.
func TestRevocationDuties(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		v := x.visitor(t)
		held := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
		rp, other := []string{formType, basic("rp", rpSecret)}, []string{formType, basic("other", rpSecret)}
		of := func(raw, more string) string { return url.Values{"token": {raw}}.Encode() + more }
		for _, c := range []wrongRequest{
			{name: "GET", method: "GET", query: "?x=y", lines: rp, status: 405},
			{name: "a query", query: "?x=y", lines: rp, body: of(held.Refresh, ""), status: 400,
				word: "invalid_request"},
			{name: "no token", lines: rp, status: 400, word: "invalid_request"},
			{name: "two tokens", lines: rp, body: of(held.Refresh, "&token=x"), status: 400, word: "invalid_request"},
			{name: "nobody", body: of(held.Refresh, ""), status: 401, word: "invalid_client"},
			{name: "wrong secret", lines: []string{formType, basic("rp", "x")}, body: of(held.Refresh, ""), status: 401,
				word: "invalid_client"},
			{name: "no secret", body: of(held.Refresh, "&client_id=rp"), status: 401, word: "invalid_client"},
			{name: "another client's refresh token", lines: other, body: of(held.Refresh, ""), status: 400,
				word: "invalid_grant"},
			{name: "another client's access token", lines: other, body: of(held.Access, ""), status: 400,
				word: "invalid_grant"},
			{name: "a public client, another's", body: of(held.Refresh, "&client_id=spa"), status: 400,
				word: "invalid_grant"},
		} {
			t.Run(c.name, func(t *testing.T) { x.sendWrong(t, "/revoke", c) })
		}
		code := v.code(v.get(request(t, "")))
		revoke := func(t *testing.T, raw, more string) {
			t.Helper()
			a := x.ask(t, "auth", call{method: "POST", target: "/revoke", lines: rp, body: of(raw, more)})
			if a.status != 200 || a.body != "" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v %q", a.status, a.header, a.body)
			}
		}
		for _, c := range []struct{ name, raw string }{
			{"nothing", "x"},
			{"an ID token", held.ID},
			{"a code", code},
			{"a forged refresh token", held.Refresh[:len(held.Refresh)-6] + "AAAAAA"},
			{"an access token with another signature", held.Access[:len(held.Access)-8] + "AAAAAAAA"},
			{"a token of a foreign key", signedAnew(t, held.ID)},
		} {
			t.Run(c.name, func(t *testing.T) { revoke(t, c.raw, "") })
		}
		if a := x.get(t, "api", "/", held.Access); a.status != 200 {
			t.Errorf("the access token was ended: %d %s", a.status, a.reason(t))
		}
		next := x.refresh(t, held.Refresh, "")
		if got := x.exchange(t, code, ""); got.status != 200 || next.status != 200 {
			t.Errorf("something was ended: %+v, %+v", got, next)
		}

		// An access token ends alone, a refresh token with all that was granted; the hint does not matter.
		revoke(t, next.Access, "&token_type_hint=refresh_token")
		if a := x.get(t, "api", "/", next.Access); a.status != 401 || a.reason(t) != "revoked" {
			t.Errorf("the access token at a gate: %d %s", a.status, a.reason(t))
		}
		last := x.refresh(t, next.Refresh, "")
		if a := x.get(t, "api", "/", last.Access); last.status != 200 || a.status != 200 {
			t.Errorf("%+v, %d", last, a.status)
		}
		revoke(t, last.Refresh, "&token_type_hint=unknown")
		revoke(t, last.Refresh, "")
		if a := x.get(t, "api", "/", last.Access); a.status != 401 || a.reason(t) != "revoked" {
			t.Errorf("the access token at a gate: %d %s", a.status, a.reason(t))
		}
		if got := x.refresh(t, last.Refresh, ""); got.status != 400 || got.Error != "invalid_grant" {
			t.Errorf("the refresh token: %+v", got)
		}
	})
}
