package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// refreshForm is what a client presents a refresh token with.
func refreshForm(raw string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {raw}}
}

// TestRefreshDuties presents one refresh token wrongly, which uses nothing up and ends nothing, and then
// rightly.
func TestRefreshDuties(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		v := x.visitor(t)
		first := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
		for _, c := range wrongRefreshes(first) {
			t.Run(c.name, func(t *testing.T) { x.sendWrong(t, "/token", c) })
		}

		// RFC 6749, section 6: no more than was granted, and less for one access token alone.
		less := x.refresh(t, first.Refresh, "scope=read+read")
		if less.status != 200 || less.Scope != "read" || less.Refresh == first.Refresh || less.Refresh == "" {
			t.Fatalf("less: %+v", less)
		}
		all := x.refresh(t, less.Refresh, "resource=")
		if all.status != 200 || all.Scope != "openid read" || all.ID == "" {
			t.Errorf("all again: %+v", all)
		}
		for _, access := range []string{first.Access, less.Access, all.Access} {
			if a := x.get(t, "api", "/", access); a.status != 200 {
				t.Errorf("an access token from before at a gate: %d %s", a.status, a.reason(t))
			}
		}

		// The same again, with the current token.
		for _, c := range wrongRefreshes(all) {
			t.Run("rotated, "+c.name, func(t *testing.T) { x.sendWrong(t, "/token", c) })
		}
		if last := x.refresh(t, all.Refresh, ""); last.status != 200 {
			t.Errorf("%+v", last)
		}
	})
}

// wrongRefreshes present a refresh token of the client rp in every wrong way.
func wrongRefreshes(held tokenAnswer) []wrongRequest {
	rp := []string{formType, basic("rp", rpSecret)}
	good := refreshForm(held.Refresh).Encode()
	with := func(changes string) string { return changed(refreshForm(held.Refresh), changes) }
	forged := held.Refresh[:len(held.Refresh)-6] + "AAAAAA"
	return []wrongRequest{
		{name: "no token", lines: rp, body: with("refresh_token="), status: 400, word: "invalid_request"},
		{name: "two tokens", lines: rp, body: good + "&refresh_token=x", status: 400, word: "invalid_request"},
		{name: "wrong secret", lines: []string{formType, basic("rp", "x")}, body: good, status: 401,
			word: "invalid_client"},
		{name: "no secret", body: good + "&client_id=rp", status: 401, word: "invalid_client"},
		{name: "another client", lines: []string{formType, basic("other", rpSecret)}, body: good, status: 400,
			word: "invalid_grant"},
		{name: "another client, and a scope", lines: []string{formType, basic("other", rpSecret)},
			body: good + "&scope=admin&resource=https://x.example", status: 400, word: "invalid_grant"},
		{name: "a public client", body: good + "&client_id=spa", status: 400, word: "invalid_grant"},
		{name: "the server's own client", body: good + "&client_id=caddyauth", status: 400, word: "invalid_grant"},
		{name: "client without the grant type", lines: []string{formType, basic("machine", rpSecret)}, body: good,
			status: 400, word: "unauthorized_client"},
		{name: "made up", lines: rp, body: with("refresh_token=x"), status: 400, word: "invalid_grant"},
		{name: "no text", lines: rp, body: with("refresh_token=%00%FF"), status: 400, word: "invalid_grant"},
		{name: "forged", lines: rp, body: with("refresh_token=" + url.QueryEscape(forged)), status: 400,
			word: "invalid_grant"},
		{name: "the access token", lines: rp, body: with("refresh_token=" + held.Access), status: 400,
			word: "invalid_grant"},
		{name: "a code", lines: rp, body: with("refresh_token=ac_" + strings.Repeat("A", 43)), status: 400,
			word: "invalid_grant"},
		{name: "as a code", lines: rp, body: codeBody(held.Refresh, ""), status: 400, word: "invalid_grant"},
		{name: "more scope", lines: rp, body: with("scope=openid+read+profile"), status: 400, word: "invalid_scope"},
		{name: "unknown scope", lines: rp, body: with("scope=admin"), status: 400, word: "invalid_scope"},
		{name: "another resource", lines: rp, body: with("resource=https://a.example"), status: 400,
			word: "invalid_target"},
		{name: "a proof that is none", lines: append([]string{"DPoP: x"}, rp...), body: good, status: 400,
			word: "invalid_dpop_proof"},
	}
}

// TestRefreshTokensUsedAgain: inside the reuse interval the token before gets the same successor; outside
// it, and two steps back, the whole grant ends, with all access tokens. Nobody else's use of them does.
func TestRefreshTokensUsedAgain(t *testing.T) {
	for _, c := range []struct {
		name, client string
		steps        int    // how often the token was refreshed since
		asks         string // for what it is used again
		reuse        bool
	}{
		{"the one before, inside the interval", "rp", 1, "", false},
		{"the one before that", "rp", 2, "", true},
		{"the one before that, for another scope", "rp", 2, "scope=admin", true},
		{"the one before that, for another resource", "rp", 2, "resource=https://a.example", true},
		{"the one before, without an interval", "strict", 1, "", true},
		{"not rotated", "fixed", 3, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, x *authorizing) {
				v := x.visitor(t)
				code := v.code(v.signIn(v.get(request(t, "client_id="+c.client)), "alice", alicePassword))
				held := []tokenAnswer{x.token(t, c.client, rpSecret, "", codeForm(code))}
				refresh := func(raw, changes string) tokenAnswer {
					t.Helper()
					return x.token(t, c.client, rpSecret, changes, refreshForm(raw))
				}
				for i := range c.steps {
					held = append(held, refresh(held[i].Refresh, ""))
				}
				current := held[c.steps]

				// Used by others, expired or forged they revoke nothing.
				x.isWrong(t, x.ask(t, "auth", call{method: http.MethodPost, target: "/token",
					lines: []string{formType, basic("other", rpSecret)}, body: refreshForm(held[0].Refresh).Encode(),
				}), 400, "invalid_grant")
				if a := x.get(t, "api", "/", current.Access); a.status != 200 {
					t.Fatalf("another client has ended the grant: %d %s", a.status, a.reason(t))
				}

				again := refresh(held[0].Refresh, c.asks)
				if !c.reuse {
					next := refresh(current.Refresh, "")
					if again.status != 200 || again.Refresh != current.Refresh || next.status != 200 {
						t.Errorf("%+v, then %+v", again, next)
					}
					return
				}
				if again.status != 400 || again.Error != "invalid_grant" {
					t.Errorf("%+v", again)
				}
				for _, h := range held {
					if a := x.get(t, "api", "/", h.Access); a.status != 401 || a.reason(t) != "revoked" {
						t.Errorf("an access token at a gate: %d %s", a.status, a.reason(t))
					}
					if got := refresh(h.Refresh, ""); got.status != 400 || got.Error != "invalid_grant" {
						t.Errorf("a refresh token: %+v", got)
					}
					// What has ended is told before what is asked for, so that the client signs in anew.
					if got := refresh(h.Refresh, "scope=admin"); got.status != 400 || got.Error != "invalid_grant" {
						t.Errorf("a refresh token, for another scope: %+v", got)
					}
					if got := refresh(h.Refresh, "resource=https://a.example"); got.Error != "invalid_grant" {
						t.Errorf("a refresh token, for another resource: %+v", got)
					}
				}
			})
		})
	}
}
