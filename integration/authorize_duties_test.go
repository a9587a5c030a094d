package integration

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestAuthorizeDuties sends what clients and attackers send to /authorize: what the client is told and
// how, or that only the person is.
func TestAuthorizeDuties(t *testing.T) {
	object := "e30." + base64.RawURLEncoding.EncodeToString([]byte(` {"response_mode":"form_post"}`)) + "."
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword))
	for _, c := range []struct {
		name, changes string
		want          string // a code, an error, or the word on a page
		how           string // redirect, form or page
	}{
		// OpenID certification, plan basic.
		{"code", "", "code", "redirect"},
		{"without nonce", "nonce=", "code", "redirect"},
		{"display page", "display=page", "code", "redirect"},
		{"ui_locales", "ui_locales=se&claims_locales=se&login_hint=foo&extra=foobar", "code", "redirect"},
		{"acr_values", "acr_values=1+2", "code", "redirect"},
		{"claims", "claims=" + url.QueryEscape(`{"userinfo":{"name":{"essential":true}}}`), "code", "redirect"},
		{"max_age", "max_age=10000", "code", "redirect"},
		{"prompt none", "prompt=none", "code", "redirect"},
		{"no response type", "response_type=", "invalid_request", "redirect"},
		{"request object", "request=" + object, "request_not_supported", "form"},
		{"request object, mode outside", "response_mode=query&request=" + object, "request_not_supported", "redirect"},
		{"foreign redirect URI and a good one inside", "redirect_uri=https://evil.example/cb&request=" + object,
			"invalid_redirect_uri", "page"},

		// RFC 6749, OAuth 2.1.
		{"implicit", "response_type=token", "unsupported_response_type", "redirect"},
		{"hybrid", "response_type=code+id_token", "unsupported_response_type", "redirect"},
		{"repeated", "scope=openid&scope=read", "invalid_request", "redirect"},
		{"repeated client", "client_id=rp&client_id=rp", "invalid_request", "page"},
		{"repeated redirect URI", "redirect_uri=" + rpCallback + "&redirect_uri=x", "invalid_request", "page"},
		{"unknown client", "client_id=nobody", "invalid_client", "page"},
		{"the server's own client", "client_id=caddyauth", "invalid_client", "page"},
		{"no client", "client_id=", "invalid_request", "page"},
		{"similar host", "redirect_uri=https://evilrp.example/cb%3Ftenant%3D1", "invalid_redirect_uri", "page"},
		{"userinfo", "redirect_uri=https://rp.example@evil.example/cb", "invalid_redirect_uri", "page"},
		{"fragment", "redirect_uri=" + url.QueryEscape(rpCallback+"#x"), "invalid_redirect_uri", "page"},
		{"query added", "redirect_uri=" + url.QueryEscape(rpCallback+"&x=y"), "invalid_redirect_uri", "page"},
		{"escaped", "redirect_uri=" + url.QueryEscape("https://rp.example/%63b?tenant=1"), "invalid_redirect_uri",
			"page"},
		{"javascript", "redirect_uri=javascript:alert(1)", "invalid_redirect_uri", "page"},
		{"scopes that nobody knows", "scope=openid+unknown", "code", "redirect"},
		{"no scope is left", "scope=unknown", "invalid_scope", "redirect"},
		{"no scope", "scope=", "code", "redirect"},
		{"registration", "registration=%7B%7D", "registration_not_supported", "redirect"},
		{"request_uri", "request_uri=https://rp.example/r", "request_uri_not_supported", "redirect"},
		{"grant type", "client_id=machine", "unauthorized_client", "redirect"},

		// RFC 7636.
		{"no challenge", "code_challenge=&code_challenge_method=", "invalid_request", "redirect"},
		{"no challenge, optional", "client_id=legacy&code_challenge=&code_challenge_method=", "code", "redirect"},
		{"plain", "code_challenge_method=plain", "invalid_request", "redirect"},
		{"plain by default", "code_challenge_method=", "invalid_request", "redirect"},
		{"plain, optional", "client_id=legacy&code_challenge_method=", "invalid_request", "redirect"},

		// RFC 8707.
		{"resource", "client_id=resources&resource=https://a.example/&resource=https://b.example/mcp", "code",
			"redirect"},
		{"unknown resource", "client_id=resources&resource=https://c.example", "invalid_target", "redirect"},
		{"resource with a fragment", "client_id=resources&resource=https://a.example%23x", "invalid_target",
			"redirect"},

		// Response modes.
		{"form post", "response_mode=form_post", "code", "form"},
		{"form post, error", "response_mode=form_post&response_type=token", "unsupported_response_type", "form"},
		{"fragment mode", "response_mode=fragment", "invalid_request", "redirect"},
		{"mode that the client has not", "client_id=plainly&response_mode=form_post", "invalid_request", "redirect"},

		// Consent and PAR.
		{"consent, no page", "client_id=asking&prompt=none", "consent_required", "redirect"},
		{"not pushed", "client_id=pushing", "invalid_request", "redirect"},
		{"pushed nowhere", "request_uri=urn:ietf:params:oauth:request_uri:x", "invalid_request_uri", "page"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := v.in(t)
			p := v.get(request(t, c.changes))
			var got string
			how := "page"
			switch {
			case p.status == http.StatusSeeOther:
				how = "redirect"
				q := p.location.Query()
				if got = q.Get("error"); q.Get("code") != "" {
					got = "code"
				}
				if p.location.Host != "rp.example" || q.Get("tenant") != "1" || q.Get("iss") != x.url("auth") ||
					q.Get("state") != "the state" || got != "code" && q.Get("error_description") == "" {
					t.Errorf("sent to %v", p.location)
				}
			case strings.Contains(p.body, `action="`+rpCallback+`"`):
				how = "form"
				if got = field(p.body, "error"); field(p.body, "code") != "" {
					got = "code"
				}
				if field(p.body, "iss") != x.url("auth") || field(p.body, "state") != "the state" || p.status != 200 {
					t.Errorf("%d %s", p.status, p.body)
				}
			default:
				_, after, _ := strings.Cut(p.body, "Reason: <code>")
				got, _, _ = strings.Cut(after, "</code>")
				if p.status != http.StatusBadRequest || p.location != nil ||
					!strings.Contains(p.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
					t.Errorf("%d %v", p.status, p.header)
				}
			}
			if got != c.want || how != c.how {
				t.Errorf("%s by %s, want %s by %s", got, how, c.want, c.how)
			}
		})
	}
}

// field returns the value of a hidden field.
func field(body, name string) string {
	_, after, _ := strings.Cut(body, `name="`+name+`" value="`)
	value, _, _ := strings.Cut(after, `"`)
	return value
}

// TestSignInAsTheClientWants: prompt and max_age lead to the login page, and a sign-in there is enough.
func TestSignInAsTheClientWants(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword))
	for _, c := range []struct{ name, changes string }{
		{"prompt=login", "prompt=login"},
		{"max_age=0", "max_age=0"},
		{"select_account", "prompt=select_account"},
		{"everything printable in the state", "prompt=login&state=" + url.QueryEscape(everythingPrintable())},
		{"a long request", "prompt=login&state=" + strings.Repeat("s", 1000) + "&nonce=" + strings.Repeat("n", 384)},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := v.in(t)
			p := v.get(request(t, c.changes))
			if p.status != 303 || p.location.Path != "/login" || !p.location.Query().Has("switch") {
				t.Fatalf("%d to %v", p.status, p.location)
			}
			answer := v.signIn(p, "alice", alicePassword)
			code := v.code(answer)
			values, _ := url.ParseQuery(c.changes)
			if state := values.Get("state"); state != "" && answer.location.Query().Get("state") != state {
				t.Errorf("state %q, want %q", answer.location.Query().Get("state"), state)
			}
			if got := x.exchange(t, code, ""); got.status != 200 {
				t.Errorf("%+v", got)
			}
		})
	}

	// The page of a sign-in knows where it leads: a browser applies the policy for forms to the
	// redirect behind it, and the name that the client expects stands in the form.
	form := v.get(v.get(request(t, "prompt=login&login_hint=bob")).location.String())
	if policy := form.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https:;") {
		t.Error(policy)
	}
	for _, want := range []string{`value="bob"`, "to continue to <strong>rp.example</strong>"} {
		if !strings.Contains(form.body, want) {
			t.Errorf("%s is missing: %s", want, form.body)
		}
	}
}

func everythingPrintable() string {
	var b strings.Builder
	for c := byte(' '); c <= '~'; c++ {
		b.WriteByte(c)
	}
	return b.String()
}

// TestAuthorizeByPost: an application's own form leads to the same answer.
func TestAuthorizeByPost(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	_, query, _ := strings.Cut(request(t, "state="+url.QueryEscape(everythingPrintable())), "?")
	p := v.do("POST", "/authorize", "application/x-www-form-urlencoded", query, "Origin: https://rp.example",
		"Sec-Fetch-Site: cross-site")
	if p.status != 303 || p.location.Path != "/authorize" {
		t.Fatalf("%d to %v: %s", p.status, p.location, p.body)
	}
	answer := v.signIn(v.get(p.location.String()), "alice", alicePassword)
	v.code(answer)
	if got := answer.location.Query().Get("state"); got != everythingPrintable() {
		t.Errorf("state %q", got)
	}
}

// TestNativeApplication: a public client on the person's machine, on any port, and one with a scheme
// of its own.
func TestNativeApplication(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	for i, redirect := range []string{"http://127.0.0.1:43210/cb", "com.example.app:/cb"} {
		address := request(t, "client_id=spa&redirect_uri="+url.QueryEscape(redirect))
		p := v.get(address)
		if i == 0 {
			p = v.signIn(p, "alice", alicePassword)
		}
		code := v.code(p)
		if !strings.HasPrefix(p.location.String(), redirect+"?") {
			t.Errorf("sent to %v", p.location)
		}
		form := codeForm(code)
		form.Set("redirect_uri", redirect)
		got := x.token(t, "spa", "", "", form)
		if got.status != 200 || got.Refresh == "" {
			t.Errorf("%+v", got)
		}
		// No browser posts to an application: it would post the code back to this server.
		byForm := v.get(address + "&response_mode=form_post")
		isForm := strings.Contains(byForm.body, `action="`+redirect+`"`)
		refused := byForm.location != nil && byForm.location.Query().Get("error") == "invalid_request"
		if web := i == 0; isForm != web || refused == web {
			t.Errorf("form_post: %d to %v: %s", byForm.status, byForm.location, byForm.body)
		}
		again := x.token(t, "spa", "", "", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}})
		if again.status != 200 {
			t.Errorf("%+v", again)
		}
	}
}

// TestWhatEndsWithTheSession: signing out ends what was granted under the session, a code in flight
// too, but not what was granted offline.
func TestWhatEndsWithTheSession(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		v := x.visitor(t)
		online := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
		offline := x.exchange(t, v.code(v.get(request(t, "scope=openid+offline_access&prompt=consent"))), "")
		flying := v.code(v.get(request(t, "")))
		if p := v.post("/logout", url.Values{}); p.status != 303 {
			t.Fatalf("signing out: %d %s", p.status, p.body)
		}
		for _, c := range []struct {
			name   string
			got    tokenAnswer
			status int
		}{
			{"online", x.refresh(t, online.Refresh, ""), 400},
			{"offline", x.refresh(t, offline.Refresh, ""), 200},
			{"code in flight", x.exchange(t, flying, ""), 400},
		} {
			if c.got.status != c.status || c.status == 400 && c.got.Error != "invalid_grant" {
				t.Errorf("%s: %+v, want %d", c.name, c.got, c.status)
			}
		}
		if a := x.get(t, "api", "/", online.Access); a.status != 401 || a.reason(t) != "revoked" {
			t.Errorf("online, at the gate: %d %s", a.status, a.reason(t))
		}
		if a := x.get(t, "api", "/", offline.Access); a.status != 200 {
			t.Errorf("offline, at the gate: %d %s", a.status, a.body)
		}
		if p := v.get(request(t, "prompt=none")); p.location.Query().Get("error") != "login_required" {
			t.Errorf("signed out: %d to %v", p.status, p.location)
		}
	})
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

// TestConsentPage: what a person allows is remembered, and only what is new is asked for again.
func TestConsentPage(t *testing.T) {
	onEngines(t, func(t *testing.T, x *authorizing) {
		v := x.visitor(t)
		decided := func(p page, decision string) page {
			t.Helper()
			if p.status != 303 || p.location.Path != "/consent" {
				t.Fatalf("not asked: %d to %v: %s", p.status, p.location, p.body)
			}
			form := v.get(p.location.String())
			if form.status != 200 || !strings.Contains(form.body, `<strong id="client">asking</strong>`) {
				t.Fatalf("the page: %d %s", form.status, form.body)
			}
			p = v.post("/consent", url.Values{
				"request":  {html.UnescapeString(field(form.body, "request"))},
				"proof":    {field(form.body, "proof")},
				"decision": {decision},
			})
			if p.status == 303 && p.location.Path == "/authorize" {
				p = v.get(p.location.String())
			}
			return p
		}
		asking := request(t, "client_id=asking")
		denied := decided(v.signIn(v.get(asking), "alice", alicePassword), "deny")
		if q := denied.location.Query(); q.Get("error") != "access_denied" || q.Get("state") != "the state" ||
			q.Get("tenant") != "1" {
			t.Errorf("denied: %d to %v", denied.status, denied.location)
		}
		code := v.code(decided(v.get(asking), "allow"))
		if got := x.token(t, "asking", rpSecret, "", codeForm(code)); got.status != 200 || got.Scope != "openid read" {
			t.Errorf("%+v", got)
		}
		v.code(v.get(asking))
		v.code(v.get(request(t, "client_id=asking&prompt=none&scope=read")))
		more := v.get(request(t, "client_id=asking&scope=openid+read+profile"))
		if form := v.get(more.location.String()); strings.Contains(form.body, "<li>read</li>") ||
			!strings.Contains(form.body, "Read your profile") {
			t.Errorf("what is new: %s", form.body)
		}
		v.code(decided(more, "allow"))
		v.code(decided(v.get(request(t, "client_id=asking&prompt=consent")), "allow"))
	})
}

// TestIDTokenHint: who is signed in must be whom the client expects. The hint stands in a pushed
// request, since an access log would write it.
func TestIDTokenHint(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	v := x.visitor(t)
	alice := x.exchange(t, v.code(v.signIn(v.get(request(t, "")), "alice", alicePassword)), "")
	other := x.visitor(t)
	bob := x.exchange(t, other.code(other.signIn(other.get(request(t, "")), "bob", bobPassword)), "")
	for _, c := range []struct {
		name, hint string
		visitor    *visitor
		want       string // an error, or "" for a code
	}{
		{"the same person", alice.ID, v, ""},
		{"another person", bob.ID, v, "login_required"},
		{"nobody is signed in", alice.ID, x.visitor(t), "login_required"},
		{"an access token", alice.Access, v, "invalid_request"},
		{"another signature", alice.ID[:len(alice.ID)-8] + "AAAAAAAA", v, "invalid_request"},
		{"nonsense", "x", v, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := c.visitor.in(t)
			uri := x.push(t, "rp", "prompt=none&id_token_hint="+c.hint)
			p := v.get("/authorize?client_id=rp&request_uri=" + url.QueryEscape(uri))
			if p.status != 303 || p.location.Query().Get("error") != c.want {
				t.Fatalf("%d to %v: %s", p.status, p.location, p.body)
			}
			if c.want == "" {
				v.code(p)
			}
		})
	}
}
