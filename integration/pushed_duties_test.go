package integration

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
)

// TestPushedDuties sends what /par refuses, as /authorize would, with its word (RFC 9126, section 2.3).
func TestPushedDuties(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	_, good, _ := strings.Cut(request(t, ""), "?")
	rp := []string{formType, basic("rp", rpSecret)}
	with := func(changes string) string {
		_, query, _ := strings.Cut(request(t, changes), "?")
		return query
	}
	for _, c := range []wrongRequest{
		{name: "GET", method: "GET", query: "?client_id=rp", lines: rp, status: 405},
		{name: "a query", query: "?client_id=rp", lines: rp, body: good, status: 400, word: "invalid_request"},
		{name: "JSON", lines: []string{"Content-Type: application/json", basic("rp", rpSecret)}, body: "{}",
			status: 400, word: "invalid_request"},
		{name: "repeated", lines: rp, body: good + "&scope=read", status: 400, word: "invalid_request"},
		{name: "no secret", body: good, status: 401, word: "invalid_client"},
		{name: "wrong secret", lines: []string{formType, basic("rp", "x")}, body: good, status: 401,
			word: "invalid_client"},
		{name: "an unknown client", body: with("client_id=nobody"), status: 401, word: "invalid_client"},
		{name: "two ways at once", lines: rp, body: good + "&client_secret=" + rpSecret, status: 400,
			word: "invalid_request"},
		{name: "another client in the form", lines: rp, body: with("client_id=other"), status: 400,
			word: "invalid_request"},
		{name: "a request_uri", lines: rp, body: with("request_uri=urn:ietf:params:oauth:request_uri:x"), status: 400,
			word: "invalid_request"},
		{name: "a request object", lines: rp, body: with("request=" + unsignedObject("{}")), status: 400,
			word: "request_not_supported"},
		{name: "registration", lines: rp, body: with("registration=%7B%7D"), status: 400,
			word: "registration_not_supported"},
		{name: "another redirect URI", lines: rp, body: with("redirect_uri=https://rp.example/other"), status: 400,
			word: "invalid_redirect_uri"},
		{name: "no redirect URI", lines: rp, body: with("redirect_uri="), status: 400, word: "invalid_request"},
		{name: "implicit", lines: rp, body: with("response_type=token"), status: 400,
			word: "unsupported_response_type"},
		{name: "no response type", lines: rp, body: with("response_type="), status: 400, word: "invalid_request"},
		{name: "no challenge", lines: rp, body: with("code_challenge=&code_challenge_method="), status: 400,
			word: "invalid_request"},
		{name: "plain", lines: rp, body: with("code_challenge_method=plain"), status: 400, word: "invalid_request"},
		{name: "no scope is left", lines: rp, body: with("scope=unknown"), status: 400, word: "invalid_scope"},
		{name: "an unknown resource", lines: rp, body: with("resource=https://a.example"), status: 400,
			word: "invalid_target"},
		{name: "a client without the grant type", lines: []string{formType, basic("machine", rpSecret)},
			body: with("client_id=machine"), status: 400, word: "unauthorized_client"},
		{name: "a proof that is none", lines: append([]string{"DPoP: x"}, rp...), body: good, status: 400,
			word: "invalid_dpop_proof"},
		{name: "a very long request", lines: rp, body: good + "&x=" + strings.Repeat("x", 7<<10), status: 400,
			word: "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) { x.sendWrong(t, "/par", c) })
	}

	// The answer is not for every client, and what stands beside it in the address does not count.
	v := x.visitor(t)
	uri := x.push(t, "rp", "scope=read")
	for _, address := range []string{
		"client_id=other&request_uri=" + url.QueryEscape(uri),
		"client_id=rp&request_uri=" + url.QueryEscape(uri+"x"),
	} {
		if p := v.get("/authorize?" + address); p.status != 400 || p.leads() {
			t.Errorf("%s: %d to %v", address, p.status, p.location)
		}
	}
	p := v.get("/authorize?client_id=rp&scope=openid&redirect_uri=https://evil.example&request_uri=" +
		url.QueryEscape(uri))
	code := v.code(v.signIn(p, "alice", alicePassword))
	if got := x.exchange(t, code, ""); got.status != 200 || got.Scope != "read" {
		t.Errorf("%+v", got)
	}
}

// TestClientsOfOtherProjects: nobody can sign in to another project than the default one, so its clients
// are refused before a person is asked, with one word wherever they ask.
func TestClientsOfOtherProjects(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	x.load(strings.TrimSuffix(authorizeAuth, "}")+`
	project acme
	client tenant {
		project acme
		secret `+rpSecret+`
		redirect_uri `+rpCallback+`
		grant_types authorization_code device_code
		scope openid read
	}
}`, authorizeSites)
	_, query, _ := strings.Cut(request(t, "client_id=tenant"), "?")
	for _, path := range []string{"/par", "/device_authorization"} {
		t.Run(path, func(t *testing.T) {
			x.sendWrong(t, path, wrongRequest{
				lines:  []string{formType, basic("tenant", rpSecret)},
				body:   query,
				status: 400,
				word:   "unauthorized_client",
			})
		})
	}
	p := x.visitor(t).get("/authorize?" + query)
	if p.location.Query().Get("error") != "unauthorized_client" {
		t.Errorf("%d to %v", p.status, p.location)
	}
}

// TestPushedAuthorization through /par and the login page, once.
func TestPushedAuthorization(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		v := x.visitor(t)
		address := "/authorize?client_id=pushing&request_uri=" + url.QueryEscape(x.push(t, "pushing", ""))
		v.get(address) // looked at only
		answer := v.signIn(v.get(address), "alice", alicePassword)
		code := v.code(answer)
		if answer.location.Query().Get("state") != "the state" {
			t.Errorf("sent to %v", answer.location)
		}
		if got := x.token(t, "pushing", rpSecret, "", codeForm(code)); got.status != 200 {
			t.Errorf("%+v", got)
		}
		if p := v.get(address); p.status != 400 || !strings.Contains(p.body, "<code>invalid_request_uri</code>") {
			t.Errorf("used again: %d %s", p.status, p.body)
		}
		foreign := "/authorize?client_id=other&request_uri=" + url.QueryEscape(x.push(t, "pushing", ""))
		if p := v.get(foreign); p.status != 400 || !strings.Contains(p.body, "<code>invalid_request_uri</code>") {
			t.Errorf("another client's: %d %s", p.status, p.body)
		}
	})
}

// push pushes a good request of the client and returns its request_uri.
func (x *authorizing) push(t *testing.T, client, changes string) string {
	t.Helper()
	_, query, _ := strings.Cut(request(t, "client_id="+client+"&"+changes), "?")
	a := x.ask(t, "auth", call{
		method: "POST", target: "/par", lines: []string{"Content-Type: application/x-www-form-urlencoded"},
		body: query + "&client_secret=" + url.QueryEscape(rpSecret),
	})
	var answer struct {
		RequestURI string `json:"request_uri"`
		ExpiresIn  int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil || a.status != 201 || answer.RequestURI == "" ||
		answer.ExpiresIn < 60 || answer.ExpiresIn >= 600 {
		t.Fatalf("%d %s, %v", a.status, a.body, err)
	}
	return answer.RequestURI
}

// TestPushedProofBindsTheCode: the key of the proof at /par is the one that the code is bound to.
func TestPushedProofBindsTheCode(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	x.load(authorizeAuth, strings.ReplaceAll(authorizeSites, "\tlog\n", "")) // which would have the proofs
	v := x.visitor(t)
	v.signIn(v.get(request(t, "")), "alice", alicePassword)
	key, other := dpoptest.New(t, "ES256"), dpoptest.New(t, "ES256")
	_, good, _ := strings.Cut(request(t, ""), "?")
	send := func(path, body string, proof *dpoptest.Client) answer {
		lines := []string{formType, basic("rp", rpSecret)}
		if proof != nil {
			lines = append(lines, "DPoP: "+proof.Proof(t, "POST", x.url("auth")+path, "", time.Now(), nil))
		}
		return x.ask(t, "auth", call{method: "POST", target: path, lines: lines, body: body})
	}
	x.isWrong(t, send("/par", good+"&dpop_jkt="+other.Thumbprint, key), 400, "invalid_dpop_proof")
	a := send("/par", good, key)
	if a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	uri := textMember(t, a.body, "request_uri")
	code := v.code(v.get("/authorize?client_id=rp&request_uri=" + url.QueryEscape(uri)))
	x.isWrong(t, send("/token", codeBody(code, ""), nil), 400, "invalid_grant")
	x.isWrong(t, send("/token", codeBody(code, ""), other), 400, "invalid_grant")
	a = send("/token", codeBody(code, ""), key)
	if a.status != 200 || textMember(t, a.body, "token_type") != "DPoP" {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		x.tokens.remember(textMember(t, a.body, name))
	}
}

// textMember is a text in a JSON object.
func textMember(t *testing.T, body, name string) string {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(body), &members); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	text, _ := members[name].(string)
	return text
}
