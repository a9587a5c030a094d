package integration

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// The claims that the scopes of OpenID Connect stand for (OpenID Connect Core 1.0, section 5.4).
var scopeClaims = map[string]string{
	"profile": "name given_name family_name middle_name nickname preferred_username profile picture website gender " +
		"birthdate zoneinfo locale updated_at",
	"email":   "email email_verified",
	"address": "address",
	"phone":   "phone_number phone_number_verified",
}

// basicModules are those of the plans basic and form post.
var basicModules = []module{
	{"server", "code, tokens and UserInfo with client_secret_basic", func(c *certified) {
		id, _ := c.claims("", "login")
		if id["nonce"] != "the-nonce" || id["sub"] == nil {
			c.t.Errorf("the ID token says %v", id)
		}
	}},
	{"response-type-missing", "invalid_request goes back to the client", func(c *certified) {
		c.fails(c.ask("response_type="), "invalid_request", "unsupported_response_type")
	}},
	{"userinfo-get", "200, JSON", func(c *certified) { c.toldBy(call{}, true) }},
	{"userinfo-post-header", "200, JSON", func(c *certified) { c.toldBy(call{method: "POST"}, true) }},
	{"userinfo-post-body", "200, JSON", func(c *certified) { c.toldBy(call{method: "POST"}, false) }},
	{"ensure-request-without-nonce-succeeds-for-code-flow", "a code", func(c *certified) {
		if id, _ := c.claims("nonce=", "login"); id["nonce"] != nil {
			c.t.Errorf("the ID token says %v", id)
		}
	}},
	{"scope-profile", "all claims of the scope", func(c *certified) { c.learns("openid profile") }},
	{"scope-email", "all claims of the scope", func(c *certified) { c.learns("openid email") }},
	{"scope-address", "all claims of the scope", func(c *certified) { c.learns("openid address") }},
	{"scope-phone", "all claims of the scope", func(c *certified) { c.learns("openid phone") }},
	{"scope-all", "all claims of the scopes", func(c *certified) { c.learns("openid profile email address phone") }},
	{"ensure-other-scope-order-succeeds", "a code", func(c *certified) { c.learns("email openid") }},
	{"display-page", "a code", func(c *certified) { c.claims("display=page", "login") }},
	{"display-popup", "a code", func(c *certified) { c.claims("display=popup", "login") }},
	{"prompt-login", "the login page again, and a later auth_time", func(c *certified) {
		first, _ := c.claims("", "login")
		time.Sleep(time.Second) // auth_time has seconds
		second, _ := c.claims("prompt=login", "login")
		c.laterThan(first, second)
	}},
	{"prompt-none-not-logged-in", "login_required", func(c *certified) {
		state := strings.Repeat(everythingPrintable(), 2)[:128]
		c.fails(c.ask("prompt=none&state="+url.QueryEscape(state)), "login_required")
		answer, _ := c.finish(c.ask("prompt=none&state=" + url.QueryEscape(state)))
		if answer.Get("state") != state {
			c.t.Errorf("state %q, want %q", answer.Get("state"), state)
		}
	}},
	{"prompt-none-logged-in", "no page, the same sub and auth_time", func(c *certified) {
		first, _ := c.claims("", "login")
		second, _ := c.claims("prompt=none", "")
		c.sameSignIn(first, second)
	}},
	{"id-token-hint", "no page, the same sub and auth_time", func(c *certified) {
		tokens, _ := c.redeem("first", c.succeeds("", "login"), "")
		second, _ := c.claims("prompt=none&id_token_hint="+tokens.ID, "")
		c.sameSignIn(c.idToken(c.t, tokens.ID, "first"), second)
	}},
	{"max-age-1", "the login page again, and a later auth_time", func(c *certified) {
		first, _ := c.claims("", "login")
		time.Sleep(2100 * time.Millisecond)
		second, _ := c.claims("max_age=1", "login")
		c.laterThan(first, second)
	}},
	{"max-age-10000", "no page, the same auth_time", func(c *certified) {
		first, _ := c.claims("max_age=15000", "login")
		second, _ := c.claims("max_age=10000", "")
		c.sameSignIn(first, second)
	}},
	{"ensure-request-with-unknown-parameter-succeeds", "a code", func(c *certified) {
		c.claims("extra=foobar", "login")
	}},
	{"ensure-request-with-acr-values-succeeds", "a code; `acr` is one of those", func(c *certified) {
		acrs := c.metadata(c.t, "/.well-known/openid-configuration")["acr_values_supported"].([]any)
		id, _ := c.claims("acr_values="+acrs[0].(string), "login")
		if !slices.Contains(acrs, id["acr"]) {
			c.t.Errorf("acr %v, want one of %v", id["acr"], acrs)
		}
	}},
	{"login-hint", "a code", func(c *certified) { c.claims("login_hint=foo", "login") }},
	{"ui-locales", "a code", func(c *certified) { c.claims("ui_locales=se", "login") }},
	{"claims-locales", "a code", func(c *certified) { c.claims("claims_locales=se", "login") }},
	{"codereuse", "invalid_grant; the first access token is refused from then on", func(c *certified) {
		code := c.succeeds("", "login")
		first, _ := c.redeem("first", code, "")
		if second, _ := c.redeem("first", code, ""); second.status != 400 || second.Error != "invalid_grant" {
			c.t.Errorf("%+v", second)
		}
		if claims, a := c.userInfo(c.t, call{lines: bearerLine(first.Access)}); claims != nil || a.status != 401 {
			c.t.Errorf("UserInfo: %d %v", a.status, claims)
		}
	}},
	{"ensure-registered-redirect-uri", "a page", func(c *certified) {
		c.showsPage(c.ask("redirect_uri="+url.QueryEscape("https://rp.example/other")), "invalid_redirect_uri")
	}},
	{"ensure-post-request-succeeds", "as by GET", func(c *certified) {
		_, query, _ := strings.Cut(c.address(""), "?")
		p := c.do("POST", "/authorize", "application/x-www-form-urlencoded", query, "Origin: https://rp.example")
		if answer, _ := c.finish(p); answer.Get("code") == "" || answer.Get("state") != "the state" {
			c.t.Errorf("the answer %v", answer)
		}
	}},
	{"server-client-secret-post", "tokens with client_secret_post", func(c *certified) {
		form := url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {rpCallback}}
		form.Set("code", c.succeeds("", "login"))
		if got := c.token(c.t, "first", rpSecret, "", form); got.status != 200 || got.ID == "" {
			c.t.Errorf("%+v", got)
		}
	}},
	{"unsigned-request-object-supported-correctly-or-rejected-as-unsupported", "request_not_supported",
		func(c *certified) {
			object := unsignedObject("{}")
			if c.mode != "" {
				object = unsignedObject(`{"response_mode":"` + c.mode + `"}`) // and nowhere else
			}
			c.fails(c.ask("response_mode=&request="+object), "request_not_supported")
		}},
	{"ensure-request-object-with-redirect-uri", "a page", func(c *certified) {
		object := unsignedObject(`{"redirect_uri":"` + rpCallback + `"}`)
		c.showsPage(c.ask("redirect_uri=https://rp.example/other&request="+object), "invalid_redirect_uri")
	}},
	{"claims-essential", "the claim at UserInfo alone", func(c *certified) {
		id, info := c.claims("claims="+url.QueryEscape(`{"userinfo":{"name":{"essential":true}}}`), "login")
		if info["name"] != "Alice Adams" || id["name"] != nil {
			c.t.Errorf("UserInfo says %v, the ID token %v", info, id)
		}
	}},
	{"refresh-token", "tokens; another client's refresh token is invalid_grant", func(c *certified) {
		changes := "scope=openid+offline_access&prompt=consent&nonce=" + strings.Repeat("n", 43)
		first, _ := c.redeem("first", c.succeeds(changes, "login consent"), "")
		second, _ := c.redeem("second", c.succeeds(changes+"&client_id=second", "consent"), "")
		if first.Refresh == "" || second.Refresh == "" {
			c.t.Fatalf("%+v, %+v", first, second)
		}
		refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}}
		if bad, _ := c.tokenBasic("second", refresh); bad.status != 400 || bad.Error != "invalid_grant" {
			c.t.Errorf("another client: %+v", bad)
		}
		if good, _ := c.tokenBasic("first", refresh); good.status != 200 || good.Access == first.Access {
			c.t.Errorf("%+v", good)
		}
	}},
	{"ensure-request-with-valid-pkce-succeeds", "tokens", func(c *certified) {
		code := c.succeeds("code_challenge="+pkceChallenge+"&code_challenge_method=S256", "login")
		if got, _ := c.redeem("first", code, pkceVerifier); got.status != 200 {
			c.t.Errorf("%+v", got)
		}
	}},
}

func unsignedObject(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(` {"alg":"none"}`)) + "." + encode([]byte(" "+claims)) + "." // no token for the log
}

// toldBy asks /userinfo with the token in the header or in the body.
func (c *certified) toldBy(how call, header bool) {
	c.t.Helper()
	tokens, _ := c.redeem("first", c.succeeds("", "login"), "")
	how.lines = bearerLine(tokens.Access)
	if !header {
		how.lines, how.body = []string{"Content-Type: application/x-www-form-urlencoded"}, "access_token="+tokens.Access
	}
	claims, a := c.userInfo(c.t, how)
	if claims["sub"] == nil || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		c.t.Errorf("%d %v %v", a.status, a.header, claims)
	}
}

// learns goes through a request for scopes: all of their claims are told, each of its JSON type.
func (c *certified) learns(scopes string) {
	c.t.Helper()
	_, info := c.claims("scope="+url.QueryEscape(scopes), "login")
	want := []string{"sub"}
	for scope := range strings.FieldsSeq(scopes) {
		want = append(want, strings.Fields(scopeClaims[scope])...)
	}
	for _, name := range want {
		var right bool
		switch value := info[name]; name {
		case "updated_at":
			_, right = value.(float64)
		case "email_verified", "phone_number_verified":
			_, right = value.(bool)
		case "address":
			_, right = value.(map[string]any)
		default:
			_, right = value.(string)
		}
		if !right {
			c.t.Errorf("%s is %#v", name, info[name])
		}
	}
	if len(info) != len(want) {
		c.t.Errorf("UserInfo says %v, want %q", info, want)
	}
}

func (c *certified) sameSignIn(first, second map[string]any) {
	c.t.Helper()
	if first["sub"] != second["sub"] || first["auth_time"] != second["auth_time"] {
		c.t.Errorf("the ID tokens say %v and %v", first, second)
	}
}

func (c *certified) laterThan(first, second map[string]any) {
	c.t.Helper()
	before, _ := first["auth_time"].(float64)
	if after, _ := second["auth_time"].(float64); after <= before || first["sub"] != second["sub"] {
		c.t.Errorf("the ID tokens say %v and %v", first, second)
	}
}

// showsPage holds a refusal to a page that names the reason.
func (c *certified) showsPage(p page, reason string) {
	c.t.Helper()
	if p.status != http.StatusBadRequest || p.leads() || !strings.Contains(p.body, "<code>"+reason+"</code>") {
		c.t.Errorf("%d to %v: %s", p.status, p.location, p.body)
	}
}

// TestCertificationBasic are the plans basic and form post of the certification of OpenID providers.
func TestCertificationBasic(t *testing.T) {
	x := newCertified(t, "")
	for _, mode := range []string{"", "form_post"} {
		t.Run("mode "+mode, func(t *testing.T) { x.runModules(t, mode, basicModules) })
	}
}

// loginModules are what the certification does to a server beside its modules.
var loginModules = []module{
	{"over 100 sign-ins within 5 minutes from one address", "none is put off", func(c *certified) {
		for range 120 {
			c.Jar = newJar(c.t) // each module begins without cookies
			c.succeeds("", "login")
		}
	}},
}

// TestCertificationLogins signs in as often as the suite does when all its plans run one after the other.
func TestCertificationLogins(t *testing.T) {
	newCertified(t, "").runModules(t, "", loginModules)
}
