package integration

import (
	"encoding/base64"
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
		{"response type none", "response_type=none", "unsupported_response_type", "redirect"},
		{"response type in another case", "response_type=CODE", "unsupported_response_type", "redirect"},
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

		{"a challenge that is none", "code_challenge=x", "invalid_request", "redirect"},
		{"a method without a challenge", "client_id=legacy&code_challenge=", "invalid_request", "redirect"},

		// RFC 8707.
		{"resource", "client_id=resources&resource=https://a.example/&resource=https://b.example/mcp", "code",
			"redirect"},
		{"unknown resource", "client_id=resources&resource=https://c.example", "invalid_target", "redirect"},
		{"one resource of two", "client_id=resources&resource=https://a.example/&resource=https://c.example",
			"invalid_target", "redirect"},
		{"a relative resource", "client_id=resources&resource=a.example", "invalid_target", "redirect"},
		{"a slash behind a path", "client_id=resources&resource=https://b.example/mcp/", "invalid_target", "redirect"},
		{"another case", "client_id=resources&resource=https://A.example", "invalid_target", "redirect"},
		{"resource with a fragment", "client_id=resources&resource=https://a.example%23x", "invalid_target",
			"redirect"},

		// OpenID Connect Core, sections 3.1.2.1 and 5.5.
		{"prompt none beside another", "prompt=none+login", "invalid_request", "redirect"},
		{"a prompt that nobody knows", "prompt=create", "code", "redirect"},
		{"max_age that is no number", "max_age=soon", "invalid_request", "redirect"},
		{"max_age below 0", "max_age=-1", "invalid_request", "redirect"},
		{"claims that are no JSON", "claims=x", "invalid_request", "redirect"},
		{"claims of another type", "claims=" + url.QueryEscape(`{"userinfo":{"\u00e4\\\"":1}}`), "invalid_request",
			"redirect"},
		{"claims with a duplicate member", "claims=" + url.QueryEscape(
			`{"id_token":{"sub":{"value":"alice","value":"bob"}}}`), "invalid_request", "redirect"},
		{"a class of sign-in that nobody has", "claims=" + url.QueryEscape(
			`{"id_token":{"acr":{"essential":true,"values":["phr"]}}}`), "unmet_authentication_requirements",
			"redirect"},
		{"a class of sign-in that is no text", "claims=" + url.QueryEscape(
			`{"id_token":{"acr":{"essential":true,"values":[1]}}}`), "unmet_authentication_requirements", "redirect"},
		{"the subject who is signed in", "claims=" + url.QueryEscape(
			`{"id_token":{"sub":{"values":["bob","alice"]}},"userinfo":{"sub":{"value":"alice"}}}`), "code",
			"redirect"},
		{"the subject of another person", "claims=" + url.QueryEscape(
			`{"id_token":{"sub":{"value":"bob"}}}`), "login_required", "redirect"},
		{"the subject of another person, at userinfo", "claims=" + url.QueryEscape(
			`{"userinfo":{"sub":{"values":["bob"]}}}`), "login_required", "redirect"},
		{"a control character beside the state", "nonce=a%0Ab", "invalid_request", "redirect"},
		{"a long nonce", "nonce=" + strings.Repeat("n", 1025), "invalid_request", "redirect"},
		{"a key that is none", "dpop_jkt=x", "invalid_request", "redirect"},
		{"no redirect URI", "redirect_uri=", "invalid_request", "page"},

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
				if got != "code" {
					isDescription(t, q.Get("error_description"))
				}
				if p.header.Get("Cache-Control") != "no-store" || p.header.Get("Referrer-Policy") != "no-referrer" {
					t.Errorf("headers %v", p.header)
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
				if p.status != http.StatusBadRequest || p.leads() ||
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
		refused := byForm.location.Query().Get("error") == "invalid_request"
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

// TestLogSaysWhatWasRefused: the operator reads what an application sent, and neither the person nor
// the application does.
func TestLogSaysWhatWasRefused(t *testing.T) {
	x := newAuthorizing(t, "sqlite")
	for _, c := range []struct {
		name, changes, want string
	}{
		{"redirect URI", "redirect_uri=https://rp.example/canary", `sent \"https://rp.example/canary\"`},
		{"client", "client_id=canary", `there is no client \"canary\"`},
		{"scope", "scope=canary", `sent \"canary\"`},
		{"resource", "resource=https://canary.example", `sent \"https://canary.example\"`},
		{"response type", "response_type=canary", `sent \"canary\"`},
		{"response mode", "response_mode=canary", `sent \"canary\"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			address, before := request(t, c.changes), len(x.log())
			p := x.visitor(t).get(address)
			if shown := p.body + p.header.Get("Location"); strings.Contains(shown, "canary") {
				t.Errorf("the person or the application is told: %s", shown)
			}
			if !strings.Contains(x.log()[before:], c.want) {
				t.Errorf("the log has %s", x.log()[before:])
			}
			if c.name == "client" {
				return
			}
			_, form, _ := strings.Cut(address, "?")
			before = len(x.log())
			a := x.ask(t, "auth", call{method: http.MethodPost, target: "/par",
				lines: []string{formType, basic("rp", rpSecret)}, body: form})
			if a.status != 400 || strings.Contains(a.body, "canary") || !strings.Contains(x.log()[before:], c.want) {
				t.Errorf("/par: %d %s, the log has %s", a.status, a.body, x.log()[before:])
			}
		})
	}
}
