package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// TestDeviceRequestsThatAreRefused by /device_authorization, each with its word.
func TestDeviceRequestsThatAreRefused(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	for _, c := range []wrongRequest{
		{name: "GET", method: "GET", query: "?client_id=tv", status: 405},
		{name: "a query", query: "?client_id=tv", status: 400, word: "invalid_request"},
		{name: "JSON", lines: []string{"Content-Type: application/json"}, body: `{"client_id":"tv"}`, status: 400,
			word: "invalid_request"},
		{name: "two scopes", body: "client_id=tv&scope=read&scope=openid", status: 400, word: "invalid_request"},
		{name: "no client", body: "scope=read", status: 401, word: "invalid_client"},
		{name: "an unknown client", body: "client_id=nobody", status: 401, word: "invalid_client"},
		{name: "no secret", body: "client_id=box", status: 401, word: "invalid_client"},
		{name: "wrong secret", lines: []string{formType, basic("box", "x")}, status: 401, word: "invalid_client"},
		{name: "two ways at once", lines: []string{formType, basic("box", rpSecret)}, body: "client_secret=" + rpSecret,
			status: 400, word: "invalid_request"},
		{name: "a client without the grant", lines: []string{formType, basic("rp", rpSecret)}, status: 400,
			word: "unauthorized_client"},
		{name: "the server's own client", body: "client_id=caddyauth", status: 400, word: "unauthorized_client"},
		{name: "none of the scopes", body: "client_id=tv&scope=admin", status: 400, word: "invalid_scope"},
		{name: "an unknown resource", body: "client_id=tv&resource=https://other.example", status: 400,
			word: "invalid_target"},
		{name: "a resource with a fragment", body: "client_id=tv&resource=https://films.example%23x", status: 400,
			word: "invalid_target"},
		{name: "a resource that is relative", body: "client_id=tv&resource=films.example", status: 400,
			word: "invalid_target"},
	} {
		t.Run(c.name, func(t *testing.T) { x.sendWrong(t, "/device_authorization", c) })
	}
}

// TestDeviceDuties presents one device code wrongly, which uses nothing up and slows nobody down, then
// rightly, and then once more, which ends what it has become.
func TestDeviceDuties(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		tv := x.device(t, "tv", "resource=https://films.example/&scope=read+profile")
		v := x.visitor(t)
		v.signIn(v.get("/device?user_code="+tv.User), "alice", alicePassword)
		if got := v.post("/device", deviceForm(tv.User, "alice", "allow")); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		form := url.Values{"grant_type": {clients.GrantDevice}, "device_code": {tv.Device}}
		good := form.Encode()
		wrong := []wrongRequest{
			{name: "no code", body: changed(form, "device_code=") + "&client_id=tv", status: 400,
				word: "invalid_request"},
			{name: "two codes", body: good + "&client_id=tv&device_code=x", status: 400, word: "invalid_request"},
			{name: "made up", body: changed(form, "device_code=x") + "&client_id=tv", status: 400,
				word: "invalid_grant"},
			{name: "the user code", body: "grant_type=" + url.QueryEscape(clients.GrantDevice) +
				"&client_id=tv&device_code=" + tv.User, status: 400, word: "invalid_grant"},
			{name: "another client", body: good + "&client_id=radio", status: 400, word: "invalid_grant"},
			{name: "another client with a secret", lines: []string{formType, basic("box", rpSecret)}, body: good,
				status: 400, word: "invalid_grant"},
			{name: "a client without the grant", body: good + "&client_id=spa", status: 400,
				word: "unauthorized_client"},
			{name: "no client", body: good, status: 401, word: "invalid_client"},
			{name: "as a code", body: codeBody(tv.Device, "") + "&client_id=spa", status: 400, word: "invalid_grant"},
			{name: "as a refresh token", body: refreshForm(tv.Device).Encode() + "&client_id=tv", status: 400,
				word: "invalid_grant"},
		}
		for _, c := range wrong {
			t.Run(c.name, func(t *testing.T) { x.sendWrong(t, "/token", c) })
		}
		got := x.poll(t, "tv", tv.Device)
		if got.status != 200 || got.Refresh == "" || got.Scope != "read profile" || got.ID != "" {
			t.Fatalf("rightly: %+v", got)
		}
		if aud := audienceOfToken(t, got.Access); len(aud) != 1 || aud[0] != "https://films.example" {
			t.Errorf("the audience is %q", aud)
		}
		alive := func() bool {
			a := x.introspect(t, "rp", got.Access)
			return strings.Contains(a.body, `"active":true`)
		}
		for _, c := range wrong {
			t.Run("afterwards, "+c.name, func(t *testing.T) { x.sendWrong(t, "/token", c) })
		}
		if !alive() {
			t.Error("what the code has become was ended by somebody else")
		}
		x.sendWrong(t, "/token", wrongRequest{body: good + "&client_id=tv", status: 400, word: "invalid_grant"})
		if alive() {
			t.Error("what the code has become goes on after its second use")
		}
		next := x.token(t, "tv", "", "", refreshForm(got.Refresh))
		if next.status != 400 || next.Error != "invalid_grant" {
			t.Errorf("the refresh token: %+v", next)
		}
	})
}

// introspect asks /introspect as a client.
func (x *authorizing) introspect(t *testing.T, client, raw string, lines ...string) answer {
	t.Helper()
	return x.ask(t, "auth", call{
		method: http.MethodPost,
		target: "/introspect",
		lines:  append([]string{formType, basic(client, rpSecret)}, lines...),
		body:   url.Values{"token": {raw}}.Encode(),
	})
}
