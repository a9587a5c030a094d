package integration

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/dpop/dpoptest"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const formType = "Content-Type: application/x-www-form-urlencoded"

// basic is the line by which a client authenticates (RFC 6749, section 2.3.1).
func basic(id, secret string) string {
	pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
}

// wrongRequest is a request to an endpoint for programs that is refused, and what the client is told.
type wrongRequest struct {
	name   string
	method string   // default: POST
	query  string   // behind the path
	lines  []string // default: that the body is a form
	body   string
	status int
	word   string // the member `error`; empty for no body
}

// sendWrong sends the request to a path and holds the refusal to RFC 6749, section 5.2.
func (g *gateway) sendWrong(t *testing.T, path string, w wrongRequest) {
	t.Helper()
	c := call{method: w.method, target: path + w.query, lines: w.lines, body: w.body}
	if c.method == "" {
		c.method = http.MethodPost
	}
	if c.lines == nil {
		c.lines = []string{formType}
	}
	a := g.ask(t, "auth", c)
	g.isWrong(t, a, w.status, w.word)
	tried := strings.Contains(strings.Join(c.lines, "\n"), "Authorization:")
	want := ""
	if w.status == http.StatusUnauthorized && tried {
		want = `Basic realm="` + g.host("auth") + `"`
	}
	if got := a.header.Get("WWW-Authenticate"); got != want {
		t.Errorf("the challenge is %q, want %q", got, want)
	}
}

// isWrong holds an answer to an error word, in the form of RFC 6749, section 5.2.
func (g *gateway) isWrong(t *testing.T, a answer, status int, word string) {
	t.Helper()
	if a.status != status || a.header.Get("Cache-Control") != "no-store" ||
		word != "" && a.header.Get("Pragma") != "no-cache" {
		t.Errorf("status %d, want %d, %v: %s", a.status, status, a.header, a.body)
	}
	if word == "" {
		if a.body != "" || status == http.StatusMethodNotAllowed && !strings.Contains(a.header.Get("Allow"), "POST") {
			t.Errorf("%v: %s", a.header, a.body)
		}
		return
	}
	var told map[string]string
	err := json.Unmarshal([]byte(a.body), &told)
	if err != nil || a.header.Get("Content-Type") != "application/json" || told["error"] != word || len(told) != 2 {
		t.Errorf("%v, %v: %s, want %s", err, a.header, a.body, word)
	}
	isDescription(t, told["error_description"])
}

// isDescription holds a text to the characters that error_description may have.
func isDescription(t *testing.T, text string) {
	t.Helper()
	odd := func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
	if text == "" || strings.ContainsFunc(text, odd) {
		t.Errorf("error_description %q", text)
	}
}

// TestCodeDuties presents one code wrongly, which uses nothing up, and then rightly.
func TestCodeDuties(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		v := x.visitor(t)
		code := v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword))
		for _, c := range wrongExchanges(code) {
			t.Run(c.name, func(t *testing.T) { x.sendWrong(t, "/token", c) })
		}
		got := x.exchange(t, code, "")
		if got.status != 200 || got.Scope != "openid read" || got.ID == "" || got.Refresh == "" {
			t.Errorf("rightly: %+v", got)
		}

		// The same ones again use nothing up either, and end nothing of what the code has bought; but one
		// that has it all right but the resource is its second use.
		for _, c := range wrongExchanges(code) {
			if c.word == "invalid_target" {
				continue
			}
			t.Run("afterwards, "+c.name, func(t *testing.T) { x.sendWrong(t, "/token", c) })
		}
		if a := x.get(t, "api", "/", got.Access); a.status != 200 {
			t.Errorf("the access token at a gate: %d %s", a.status, a.reason(t))
		}
		if again := x.refresh(t, got.Refresh, ""); again.status != 200 {
			t.Errorf("the refresh token: %+v", again)
		}
	})
}

// codeForm is what a client presents a code with.
func codeForm(code string) url.Values {
	return url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"redirect_uri":  {rpCallback},
		"code_verifier": {pkceVerifier},
	}
}

// codeBody is the body of a request with a code, changed as a query says. It has no client.
func codeBody(code, changes string) string { return changed(codeForm(code), changes) }

// changed is a form with changes; a name alone takes a parameter out.
func changed(form url.Values, changes string) string {
	values, err := url.ParseQuery(changes)
	if err != nil {
		panic(err)
	}
	form = maps.Clone(form)
	for name, v := range values {
		form[name] = v
		if len(v) == 1 && v[0] == "" {
			delete(form, name)
		}
	}
	return form.Encode()
}

// wrongExchanges present a code of the client rp in every wrong way.
func wrongExchanges(code string) []wrongRequest {
	rp := []string{formType, basic("rp", rpSecret)}
	as := func(line string) []string { return []string{formType, line} }
	good := codeBody(code, "")
	with := func(changes string) string { return codeBody(code, changes) }
	return []wrongRequest{
		// RFC 6749, section 3.2.
		{name: "GET", method: "GET", query: "?grant_type=authorization_code", lines: rp, status: 405},
		{name: "PUT", method: "PUT", lines: rp, body: good, status: 405},
		{name: "a query", query: "?grant_type=authorization_code", lines: rp, status: 400, word: "invalid_request"},
		{name: "a query beside the form", query: "?x=y", lines: rp, body: good, status: 400, word: "invalid_request"},
		{name: "JSON", lines: []string{"Content-Type: application/json", basic("rp", rpSecret)},
			body: `{"grant_type":"authorization_code","code":"` + code + `"}`, status: 400, word: "invalid_request"},
		{name: "a form of another type", lines: []string{"Content-Type: multipart/form-data", basic("rp", rpSecret)},
			body: good, status: 400, word: "invalid_request"},
		{name: "no content type", lines: []string{basic("rp", rpSecret)}, body: good, status: 400,
			word: "invalid_request"},
		{name: "no form", lines: rp, body: good + "&%zz", status: 400, word: "invalid_request"},
		{name: "a large form", lines: rp, body: good + "&x=" + strings.Repeat("x", 16<<10), status: 400,
			word: "invalid_request"},
		{name: "two grant types", lines: rp, body: good + "&grant_type=authorization_code", status: 400,
			word: "invalid_request"},
		{name: "two codes", lines: rp, body: good + "&code=" + code, status: 400, word: "invalid_request"},
		{name: "two verifiers", lines: rp, body: good + "&code_verifier=x", status: 400, word: "invalid_request"},
		{name: "an unknown parameter twice", lines: rp, body: good + "&x=1&x=2", status: 400, word: "invalid_request"},

		// Sections 2.3 and 3.2.1.
		{name: "wrong secret", lines: as(basic("rp", rpSecret+"x")), body: good, status: 401, word: "invalid_client"},
		{name: "wrong secret in the form", body: good + "&client_id=rp&client_secret=x", status: 401,
			word: "invalid_client"},
		{name: "empty secret", lines: as(basic("rp", "")), body: good, status: 401, word: "invalid_client"},
		{name: "no secret", body: good + "&client_id=rp", status: 401, word: "invalid_client"},
		{name: "no client", body: good, status: 401, word: "invalid_client"},
		{name: "unknown client", body: good + "&client_id=nobody", status: 401, word: "invalid_client"},
		{name: "unknown client with a secret", lines: as(basic("nobody", rpSecret)), body: good, status: 401,
			word: "invalid_client"},
		{name: "an impossible client", lines: as(basic("a\x00b\"\n", rpSecret)), body: good, status: 401,
			word: "invalid_client"},
		{name: "a header that is no pair", lines: as("Authorization: Basic " +
			base64.StdEncoding.EncodeToString([]byte("rp"))), body: good, status: 401, word: "invalid_client"},
		{name: "a header that is not base64", lines: as("Authorization: Basic ???"), body: good, status: 401,
			word: "invalid_client"},
		{name: "another scheme", lines: as("Authorization: Bearer x"), body: good, status: 401, word: "invalid_client"},
		{name: "two headers", lines: append(as(basic("rp", rpSecret)), basic("rp", rpSecret)), body: good, status: 400,
			word: "invalid_request"},
		{name: "header and form", lines: rp, body: good + "&client_secret=" + rpSecret, status: 400,
			word: "invalid_request"},
		{name: "header and assertion", lines: rp, body: good + "&client_assertion=x&client_assertion_type=" +
			url.QueryEscape("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), status: 400,
			word: "invalid_request"},
		{name: "bad header and form", lines: as("Authorization: Basic ???"), status: 400,
			body: good + "&client_id=rp&client_secret=" + rpSecret, word: "invalid_request"},
		{name: "assertion without a type", body: good + "&client_assertion=x", status: 400, word: "invalid_request"},
		{name: "assertion that is none", body: good + "&client_assertion=x&client_assertion_type=" +
			url.QueryEscape("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), status: 401,
			word: "invalid_client"},
		{name: "another client in the form", lines: rp, body: good + "&client_id=other", status: 400,
			word: "invalid_request"},

		// Sections 4.1.3 and 5.2.
		{name: "no grant type", lines: rp, body: with("grant_type="), status: 400, word: "invalid_request"},
		{name: "password grant", lines: rp, body: with("grant_type=password&username=alice&password=x"), status: 400,
			word: "unsupported_grant_type"},
		{name: "implicit grant", lines: rp, body: with("grant_type=implicit"), status: 400,
			word: "unsupported_grant_type"},
		{name: "client without the grant type", lines: as(basic("machine", rpSecret)), body: good, status: 400,
			word: "unauthorized_client"},
		{name: "no code", lines: rp, body: with("code="), status: 400, word: "invalid_request"},
		{name: "made up", lines: rp, body: with("code=ac_" + strings.Repeat("A", 43)), status: 400,
			word: "invalid_grant"},
		{name: "in another case", lines: rp, body: with("code=" + strings.ToUpper(code)), status: 400,
			word: "invalid_grant"},
		{name: "no code at all", lines: rp, body: with("code=%00%FF"), status: 400, word: "invalid_grant"},
		{name: "another client", lines: as(basic("other", rpSecret)), body: good, status: 400, word: "invalid_grant"},
		{name: "a public client", body: good + "&client_id=spa", status: 400, word: "invalid_grant"},
		{name: "another redirect URI", lines: rp, body: with("redirect_uri=https://rp.example/cb"), status: 400,
			word: "invalid_grant"},
		{name: "a redirect URI in another case", lines: rp, body: with("redirect_uri=" +
			url.QueryEscape(strings.ToUpper(rpCallback))), status: 400, word: "invalid_grant"},

		// RFC 7636, sections 4.1 and 4.6.
		{name: "no verifier", lines: rp, body: with("code_verifier="), status: 400, word: "invalid_grant"},
		{name: "wrong verifier", lines: rp, body: with("code_verifier=" + strings.Repeat("x", 43)), status: 400,
			word: "invalid_grant"},
		{name: "short verifier", lines: rp, body: with("code_verifier=" + pkceVerifier[:42]), status: 400,
			word: "invalid_grant"},
		{name: "long verifier", lines: rp, body: with("code_verifier=" + strings.Repeat("x", 129)), status: 400,
			word: "invalid_grant"},
		{name: "the challenge", lines: rp, body: with("code_verifier=" + pkceChallenge), status: 400,
			word: "invalid_grant"},

		// RFC 8707, section 2.2; RFC 9449, section 5.
		{name: "a resource that was not authorized", lines: rp, body: with("resource=https://a.example"), status: 400,
			word: "invalid_target"},
		{name: "a proof that is none", lines: append(as(basic("rp", rpSecret)), "DPoP: x"), body: good, status: 400,
			word: "invalid_dpop_proof"},
	}
}

// TestCodesOfOtherRequests are those for which /token has rules of their own: without PKCE, of several
// resources, bound to a key, too late.
func TestCodesOfOtherRequests(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	x.load(authorizeAuth, strings.ReplaceAll(authorizeSites, "\tlog\n", "")) // which would have the proofs
	v := x.visitor(t)
	v.signIn(v.get(request(t, "")), "alice", alicePassword)
	key, other := dpoptest.New(t, "ES256"), dpoptest.New(t, "ES256")
	const withoutPKCE = "client_id=legacy&code_challenge=&code_challenge_method="
	const two = "client_id=resources&resource=https://a.example&resource=https://b.example/mcp"
	late := v.code(v.get(request(t, "client_id=brief")))
	issued := time.Now()
	for _, c := range []struct {
		name, client, asked string
		proof               *dpoptest.Client
		wrong               []string // changes of the form that are invalid_grant
		target              []string // those that are invalid_target
		right               string
		audience            string // what the access token is for
	}{
		{name: "without PKCE", client: "legacy", asked: withoutPKCE,
			wrong: []string{"code_verifier=" + pkceVerifier, "code_verifier=&redirect_uri=", "code_verifier=x"},
			right: "code_verifier=", audience: "api"},
		{name: "behind PKCE the redirect URI may be left out", client: "rp",
			wrong: []string{"redirect_uri=https://rp.example/cb"}, right: "redirect_uri=", audience: "api"},
		{name: "the redirect URI was not sent", client: "rp", asked: "redirect_uri=&scope=read",
			wrong: []string{"redirect_uri=https://rp.example/cb"}, right: "redirect_uri=", audience: "api"},
		{name: "one of two resources", client: "resources", asked: two,
			target: []string{"resource=https://c.example", "resource=https://b.example",
				"resource=https://a.example&resource=https://c.example", "resource=api",
				"resource=https://a.example%23x"},
			right: "resource=https://a.example/", audience: "https://a.example"},
		{name: "both resources", client: "resources", asked: two, right: "",
			audience: "https://a.example https://b.example/mcp"},
		{name: "a resource where the default audience was authorized", client: "resources",
			asked: "client_id=resources", target: []string{"resource=https://a.example"}, audience: "api"},
		{name: "bound to a key", client: "rp", asked: "dpop_jkt=" + key.Thumbprint, proof: other, wrong: []string{""},
			audience: "api"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := v.in(t)
			code := v.code(v.get(request(t, c.asked)))
			send := func(changes string, proof *dpoptest.Client) answer {
				lines := []string{formType, basic(c.client, rpSecret)}
				if proof != nil {
					lines = append(lines, "DPoP: "+proof.Proof(t, "POST", x.url("auth")+"/token", "", time.Now(), nil))
				}
				body := codeBody(code, changes)
				return x.ask(t, "auth", call{method: "POST", target: "/token", lines: lines, body: body})
			}
			for _, changes := range c.wrong {
				x.isWrong(t, send(changes, nil), 400, "invalid_grant")
				if c.proof != nil {
					x.isWrong(t, send(changes, c.proof), 400, "invalid_grant")
				}
			}
			for _, changes := range c.target {
				x.isWrong(t, send(changes, nil), 400, "invalid_target")
			}
			proof := key
			if c.proof == nil {
				proof = nil
			}
			a := send(c.right, proof)
			var got tokenAnswer
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 {
				t.Fatalf("%d %s %v", a.status, a.body, err)
			}
			x.tokens.remember(got.Access)
			x.tokens.remember(got.Refresh)
			x.tokens.remember(got.ID)
			if aud := strings.Join(audienceOfToken(t, got.Access), " "); aud != c.audience {
				t.Errorf("the audience is %q, want %q", aud, c.audience)
			}
		})
	}

	// A code lives for at most 10 minutes, this one for the shortest time that can be set.
	time.Sleep(time.Until(issued.Add(10 * time.Second)))
	if got := x.token(t, "brief", rpSecret, "", codeForm(late)); got.status != 400 || got.Error != "invalid_grant" {
		t.Errorf("too late: %+v", got)
	}
}

// audienceOfToken are the values of `aud` in an access token.
func audienceOfToken(t *testing.T, raw string) []string {
	t.Helper()
	_, claims, err := token.Inspect(raw)
	if err != nil {
		t.Fatal(err)
	}
	return token.Strings(claims["aud"])
}

// TestLogSaysWhyAClientDidNotAuthenticate: the operator reads it, and the client does not.
func TestLogSaysWhyAClientDidNotAuthenticate(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	for _, path := range []string{"/token", "/par", "/revoke", "/introspect", "/device_authorization"} {
		for _, c := range []struct {
			client, secret, want string
		}{
			{"nobody", rpSecret, "there is no client of this id"},
			{"rp", "wrong", "the secret is not one of the client's"},
			{"rp", "", "the client authenticates by none, and may do so by client_secret_basic or client_secret_post"},
		} {
			t.Run(path+" "+c.want, func(t *testing.T) {
				before := len(x.log())
				a := x.ask(t, "auth", call{method: http.MethodPost, target: path,
					lines: []string{formType, basic(c.client, c.secret)}, body: "token=x"})
				if a.status != 401 || !strings.Contains(a.body, "The client is unknown or did not authenticate.") {
					t.Errorf("%d %s", a.status, a.body)
				}
				if !strings.Contains(x.log()[before:], `"detail":"`+c.want+`"`) {
					t.Errorf("the log has %s", x.log()[before:])
				}
			})
		}
	}
}
