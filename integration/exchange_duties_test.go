package integration

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// exchangeAuth has a chain of clients, each of which may exchange the tokens of the one before.
func exchangeAuth() string {
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(authorizeAuth, "}"))
	for i := range 7 {
		from := "caddyauth"
		if i > 0 {
			from = fmt.Sprintf("chain%d", i-1)
		}
		fmt.Fprintf(&b, `
	client chain%d {
		secret %s
		grant_types token-exchange
		token_exchange %s
		scope read
	}`, i, rpSecret, from)
	}
	return b.String() + `
	client narrow {
		secret ` + rpSecret + `
		grant_types token-exchange
		token_exchange rp
		scope read offline_access
	}
}`
}

// TestExchangeDuties presents one token wrongly and then rightly (RFC 8693): narrower, never wider, with
// the chain of those who act.
func TestExchangeDuties(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	x.load(exchangeAuth(), authorizeSites)
	v := x.visitor(t)
	held := x.exchange(t, v.code(v.signIn(v.get(request(t, "scope=openid+read+offline_access&prompt=consent")), "alice",
		alicePassword)), "")
	narrow := []string{formType, basic("narrow", rpSecret)}
	with := func(changes string) string { return changed(exchangeOf(held.Access), changes) }
	kind := func(name, word string) string {
		return name + "=" + url.QueryEscape("urn:ietf:params:oauth:token-type:"+word)
	}
	for _, c := range []wrongRequest{
		{name: "no subject token", lines: narrow, body: with("subject_token="), status: 400, word: "invalid_request"},
		{name: "two subject tokens", lines: narrow, body: with("") + "&subject_token=x", status: 400,
			word: "invalid_request"},
		{name: "no type", lines: narrow, body: with("subject_token_type="), status: 400, word: "invalid_request"},
		{name: "another type", lines: narrow, body: with(kind("subject_token_type", "id_token")), status: 400,
			word: "invalid_request"},
		{name: "a refresh token wanted", lines: narrow, body: with(kind("requested_token_type", "refresh_token")),
			status: 400, word: "invalid_request"},
		{name: "an actor token", lines: narrow, body: with("actor_token=x&" + kind("actor_token_type", "access_token")),
			status: 400, word: "invalid_request"},
		{name: "no token", lines: narrow, body: with("subject_token=x"), status: 400, word: "invalid_request"},
		{name: "an ID token", lines: narrow, body: with("subject_token=" + held.ID), status: 400,
			word: "invalid_request"},
		{name: "a refresh token", lines: narrow, body: with("subject_token=" + held.Refresh), status: 400,
			word: "invalid_request"},
		{name: "a token without a signature", lines: narrow, body: with("subject_token=" + unsigned(t, held.Access)),
			status: 400, word: "invalid_request"},
		{name: "a client that may not", lines: []string{formType, basic("chain0", rpSecret)}, body: with(""),
			status: 400, word: "invalid_request"},
		{name: "a client without the grant", lines: []string{formType, basic("rp", rpSecret)}, body: with(""),
			status: 400, word: "unauthorized_client"},
		{name: "a public client", body: with("") + "&client_id=spa", status: 400, word: "unauthorized_client"},
		{name: "wrong secret", lines: []string{formType, basic("narrow", "x")}, body: with(""), status: 401,
			word: "invalid_client"},
		{name: "a wider scope", lines: narrow, body: with("scope=read+openid"), status: 400, word: "invalid_scope"},
		{name: "an unknown scope", lines: narrow, body: with("scope=admin"), status: 400, word: "invalid_scope"},
		{name: "another audience", lines: narrow, body: with("audience=web"), status: 400, word: "invalid_target"},
		{name: "another resource", lines: narrow, body: with("resource=https://a.example"), status: 400,
			word: "invalid_target"},
	} {
		t.Run(c.name, func(t *testing.T) { x.sendWrong(t, "/token", c) })
	}
	body := x.exchangedBy(t, "narrow", held.Access, "")
	_, claims, err := token.Inspect(body["access_token"].(string))
	if err != nil || body["issued_token_type"] != "urn:ietf:params:oauth:token-type:access_token" ||
		body["refresh_token"] != nil || body["id_token"] != nil || body["scope"] != "read" ||
		claims["sub"] != "alice" || claims["client_id"] != "narrow" || fmt.Sprint(claims["act"]) != "map[sub:narrow]" {
		t.Errorf("%v: %v, %v", err, body, claims)
	}

	// The chain of those who act grows to five, and no further.
	raw := x.login(t, "alice", alicePassword)
	for i := range 5 {
		raw = x.exchangedBy(t, fmt.Sprintf("chain%d", i), raw, "")["access_token"].(string)
	}
	_, claims, _ = token.Inspect(raw)
	want := "map[act:map[act:map[act:map[act:map[sub:chain0] sub:chain1] sub:chain2] sub:chain3] sub:chain4]"
	if got := fmt.Sprint(claims["act"]); got != want {
		t.Errorf("act is %s", got)
	}
	x.sendWrong(t, "/token", wrongRequest{lines: []string{formType, basic("chain5", rpSecret)},
		body: exchangeOf(raw).Encode(), status: 400, word: "invalid_request"})
}

// exchangedBy has a client exchange a token and returns the answer.
func (x *authorizing) exchangedBy(t *testing.T, client, raw, changes string) map[string]any {
	t.Helper()
	a := x.ask(t, "auth", call{method: "POST", target: "/token", lines: []string{formType, basic(client, rpSecret)},
		body: changed(exchangeOf(raw), changes)})
	var body map[string]any
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != 200 ||
		a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: %d %v %s", client, a.status, err, a.body)
	}
	x.tokens.remember(body["access_token"].(string))
	return body
}
