package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const goodBye = "https://rp.example/bye"

// logoutModules are those of the plan for RP-initiated logout.
var logoutModules = []module{
	{"discovery-endpoint-verification", "`end_session_endpoint`", func(c *certified) {
		d := c.metadata(c.t, "/.well-known/openid-configuration")
		if d["end_session_endpoint"] != c.url("auth")+"/logout" {
			c.t.Errorf("metadata %v", d)
		}
	}},
	{"rp-initiated-logout", "back to the client with `state` as it was", func(c *certified) {
		c.endsAt(goodBye+"?state="+url.QueryEscape(everyCharacter), "post_logout_redirect_uri", goodBye, "state",
			everyCharacter)
	}},
	{"rp-initiated-logout-no-state", "back to the client", func(c *certified) {
		c.endsAt(goodBye, "post_logout_redirect_uri", goodBye)
	}},
	{"rp-initiated-logout-bad-post-logout-redirect-uri", "a page, still signed in", func(c *certified) {
		c.stays(400, "id_token_hint", c.idTokenOf(), "post_logout_redirect_uri", goodBye+"/other", "state", "s")
	}},
	{"rp-initiated-logout-query-added-to-post-logout-redirect-uri", "a page, still signed in", func(c *certified) {
		c.stays(400, "id_token_hint", c.idTokenOf(), "post_logout_redirect_uri", goodBye+"?foo=bar", "state", "s")
	}},
	{"rp-initiated-logout-modified-id-token-hint", "a page, still signed in", func(c *certified) {
		c.stays(400, "id_token_hint", unsigned(c.t, c.idTokenOf()), "post_logout_redirect_uri", goodBye, "state", "s")
	}},
	{"rp-initiated-logout-bad-id-token-hint", "a page, still signed in", func(c *certified) {
		c.stays(400, "id_token_hint", signedAnew(c.t, c.idTokenOf()), "post_logout_redirect_uri", goodBye, "state", "s")
	}},
	{"rp-initiated-logout-no-id-token-hint", "the person is asked", func(c *certified) {
		c.idTokenOf()
		c.confirms("post_logout_redirect_uri", goodBye, "state", "s")
	}},
	{"rp-initiated-logout-no-params", "the person is asked, and then told that they are signed out",
		func(c *certified) {
			c.idTokenOf()
			c.confirms()
		}},
	{"rp-initiated-logout-only-state", "the same", func(c *certified) {
		c.idTokenOf()
		c.confirms("state", everyCharacter)
	}},
	{"rp-initiated-logout-no-post-logout-redirect-uri", "told that they are signed out", func(c *certified) {
		p := c.get(logoutAddress("id_token_hint", c.idTokenOf(), "state", "s"))
		c.showsSignedOut(p)
	}},
}

// backChannelModules are those of the plan for back-channel logout.
var backChannelModules = []module{
	{"discovery-endpoint-verification", "`backchannel_logout_supported`, `backchannel_logout_session_supported`",
		func(c *certified) {
			d := c.metadata(c.t, "/.well-known/openid-configuration")
			if d["backchannel_logout_supported"] != true || d["backchannel_logout_session_supported"] != true {
				c.t.Errorf("metadata %v", d)
			}
		}},
	{"backchannel-rp-initiated-logout", "the client gets a logout token of the session, then prompt=none fails", nil},
}

// idTokenOf signs the person in and returns the ID token.
func (c *certified) idTokenOf() string {
	c.t.Helper()
	tokens, _ := c.redeem("first", c.succeeds("", "login"), "")
	return tokens.ID
}

// endsAt sends the browser to sign the person out with the ID token: it goes to an address, and the
// person is signed out.
func (c *certified) endsAt(address string, pairs ...string) {
	c.t.Helper()
	p := c.get(logoutAddress(append(pairs, "id_token_hint", c.idTokenOf())...))
	if p.status != http.StatusSeeOther || p.header.Get("Location") != address {
		c.t.Errorf("%d to %s: %s", p.status, p.header.Get("Location"), p.body)
	}
	c.fails(c.ask("prompt=none"), "login_required")
}

// stays sends a request that is refused by a page; the person stays signed in.
func (c *certified) stays(status int, pairs ...string) {
	c.t.Helper()
	if p := c.get(logoutAddress(pairs...)); p.status != status || p.location != nil {
		c.t.Errorf("%d to %v: %s", p.status, p.location, p.body)
	}
	c.succeeds("prompt=none", "")
}

// confirms sends a request about which the person is asked; they are signed out when they confirm, and
// stay here.
func (c *certified) confirms(pairs ...string) {
	c.t.Helper()
	p := c.get(logoutAddress(pairs...))
	if p.status != http.StatusOK || p.location != nil || !strings.Contains(p.body, `id="sign-out"`) {
		c.t.Fatalf("%d to %v: %s", p.status, p.location, p.body)
	}
	c.succeeds("prompt=none", "")
	c.showsSignedOut(c.post("/logout", formFields(p.body)))
}

// showsSignedOut holds an answer to a page that says it, that of the sign-in if nobody in particular
// has asked.
func (c *certified) showsSignedOut(p page) {
	c.t.Helper()
	if p.status == http.StatusSeeOther && p.location.Path == "/login" {
		if p = c.get(p.location.String()); !strings.Contains(p.body, "You are signed out.") {
			c.t.Errorf("%d %s", p.status, p.body)
		}
	} else if p.status != http.StatusOK || p.location != nil || !strings.Contains(p.body, `id="signed-out"`) {
		c.t.Errorf("%d to %v: %s", p.status, p.location, p.body)
	}
	c.fails(c.ask("prompt=none"), "login_required")
}

// TestCertificationLogout are the plans RP-initiated logout and back-channel logout.
func TestCertificationLogout(t *testing.T) {
	r := newReceiver(t)
	x := newCertified(t, toLoopback+`
	client told {
		redirect_uri https://rp.example/cb?tenant=1
		backchannel_logout_uri `+r.URL+`/told
		post_logout_redirect_uri `+goodBye+`
		secret `+rpSecret+`
		scope openid
		pkce optional
	}`)
	backChannelModules[1].test = func(c *certified) {
		tokens, _ := c.redeem("told", c.succeeds("client_id=told", "login"), "")
		id := c.idToken(c.t, tokens.ID, "told")
		p := c.get(logoutAddress("id_token_hint", tokens.ID, "post_logout_redirect_uri", goodBye))
		if p.header.Get("Location") != goodBye {
			c.t.Errorf("%d to %v", p.status, p.location)
		}
		c.fails(c.ask("prompt=none"), "login_required")
		eventually(c.t, 10*time.Second, func() string {
			if told, _ := r.got(); len(told) == 0 {
				return "the client was not told"
			}
			return ""
		})
		told, _ := r.got()
		if len(told) != 1 || len(r.other) > 0 {
			c.t.Fatalf("told %d times; requests %q", len(told), r.other)
		}
		c.checkLogoutToken(c.t, told[0], "told", id)
	}
	t.Run("RP-initiated", func(t *testing.T) { x.runModules(t, "", logoutModules) })
	t.Run("back-channel", func(t *testing.T) { x.runModules(t, "", backChannelModules) })
}
