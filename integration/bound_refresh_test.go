package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
)

// TestRefreshTokensOfBoundClients: that of a public client is bound to the key with which it came; a
// confidential client may have another key, but none is no key (RFC 9449, section 5). What is refused
// is not used up.
func TestRefreshTokensOfBoundClients(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	x.load(authorizeAuth, strings.ReplaceAll(authorizeSites, "\tlog\n", "")) // which would have the proofs
	v := x.visitor(t)
	v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword))
	key, other := dpoptest.New(t, "ES256"), dpoptest.New(t, "ES256")
	for _, c := range []struct {
		client, redirect string
		lines            []string
		more             string
		otherKey         int // the status
	}{
		{"spa", "http://127.0.0.1:4000/cb", []string{formType}, "&client_id=spa", 400},
		{"rp", rpCallback, []string{formType, basic("rp", rpSecret)}, "", 200},
	} {
		t.Run(c.client, func(t *testing.T) {
			v := v.in(t)
			send := func(body string, proof *dpoptest.Client) answer {
				lines := c.lines
				if proof != nil {
					line := "DPoP: " + proof.Proof(t, "POST", x.url("auth")+"/token", "", time.Now(), nil)
					lines = append([]string{line}, lines...)
				}
				a := x.ask(t, "auth", call{method: "POST", target: "/token", lines: lines, body: body + c.more})
				for _, name := range []string{"access_token", "refresh_token", "id_token"} {
					if text := textMember(t, a.body, name); text != "" {
						x.tokens.remember(text)
					}
				}
				return a
			}
			asked := request(t, changed(map[string][]string{"client_id": {c.client}, "redirect_uri": {c.redirect}}, ""))
			redirect := changed(map[string][]string{"redirect_uri": {c.redirect}}, "")
			first := send(codeBody(v.code(v.get(asked)), redirect), key)
			if first.status != 200 || textMember(t, first.body, "token_type") != "DPoP" {
				t.Fatalf("%d %s", first.status, first.body)
			}
			form := refreshForm(textMember(t, first.body, "refresh_token")).Encode()
			x.isWrong(t, send(form, nil), 400, "invalid_grant")
			if a := send(form, other); a.status != c.otherKey {
				t.Errorf("another key: %d %s", a.status, a.body)
			}
			second := send(form, key)
			if second.status != 200 || textMember(t, second.body, "token_type") != "DPoP" {
				t.Errorf("its own key: %d %s", second.status, second.body)
			}
			x.isWrong(t, send(refreshForm(textMember(t, second.body, "refresh_token")).Encode(), nil), 400,
				"invalid_grant")
		})
	}
}
