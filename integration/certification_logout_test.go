package integration

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
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
	{"backchannel-rp-initiated-logout",
		"the client gets a logout token of the session, signed as its ID tokens, then prompt=none fails",
		func(c *certified) { c.isTold("told"); c.isTold("told-es256") }},
	{"backchannel-connection", "TLS 1.3; a form with `logout_token` alone, without cookies and credentials",
		func(c *certified) {
			c.isTold("told")
			for _, r := range backChannel.requests() {
				if r.TLS.Version != tls.VersionTLS13 || r.Method != "POST" || r.URL.RawQuery != "" ||
					r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" ||
					r.Header.Get("Cookie")+r.Header.Get("Authorization") != "" {
					c.t.Errorf("%s %s %v, %s", r.Method, r.URL, r.Header, tls.VersionName(r.TLS.Version))
				}
			}
		}},
	{"backchannel-untrusted-certificate", "not told without the option `ca`, nor without `allow`", func(c *certified) {
		for _, egress := range []string{toLoopback, ""} {
			c.extra["More"] = backChannel.clients(egress)
			c.loadCertified()
			before, seen := len(backChannel.requests()), strings.Count(c.log(), `"msg":"logout notice"`)
			c.endsFor("told")
			eventually(c.t, 10*time.Second, func() string {
				if strings.Count(c.log(), `"msg":"logout notice"`) == seen {
					return "no attempt in the log"
				}
				return ""
			})
			if len(backChannel.requests()) != before {
				c.t.Error("the client was told")
			}
		}
	}},
}

// backChannelReceiver is a relying party over https that remembers what it was sent.
type backChannelReceiver struct {
	*httptest.Server

	mu   sync.Mutex
	seen []*http.Request
}

var backChannel *backChannelReceiver // while the test runs

func newBackChannelReceiver(t *testing.T) *backChannelReceiver {
	b := new(backChannelReceiver)
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.seen = append(b.seen, r)
	}))
	b.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that break off
	b.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	b.StartTLS()
	t.Cleanup(b.Close)
	return b
}

func (b *backChannelReceiver) requests() []*http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.seen)
}

// clients are those that are told, one with ID tokens that are not signed with RS256.
func (b *backChannelReceiver) clients(egress string) string {
	text := egress
	for id, more := range map[string]string{"told": "", "told-es256": "id_token_signed_response_alg ES256"} {
		text += `
	client ` + id + ` {
		redirect_uri https://rp.example/cb?tenant=1
		backchannel_logout_uri ` + b.URL + `/` + id + `
		post_logout_redirect_uri ` + goodBye + `
		secret ` + rpSecret + `
		scope openid
		pkce optional
		` + more + `
	}`
	}
	return text
}

// endsFor signs the person in at a client and out again, and returns the ID token.
func (c *certified) endsFor(client string) string {
	c.t.Helper()
	tokens, _ := c.redeem(client, c.succeedsAnyhow("client_id="+client), "")
	p := c.get(logoutAddress("id_token_hint", tokens.ID, "post_logout_redirect_uri", goodBye))
	if p.header.Get("Location") != goodBye {
		c.t.Errorf("%d to %v", p.status, p.location)
	}
	c.fails(c.ask("prompt=none"), "login_required")
	return tokens.ID
}

// isTold holds what the client gets after a sign-out to one logout token about it.
func (c *certified) isTold(client string) {
	c.t.Helper()
	before := len(backChannel.requests())
	idToken := c.endsFor(client)
	eventually(c.t, 10*time.Second, func() string {
		if len(backChannel.requests()) == before {
			return "the client was not told"
		}
		return ""
	})
	told := backChannel.requests()[before:]
	if len(told) != 1 || told[0].URL.Path != "/"+client || len(told[0].PostForm) != 1 ||
		len(told[0].PostForm["logout_token"]) != 1 {
		c.t.Fatalf("%d requests", len(told))
	}
	c.checkLogoutToken(c.t, told[0].PostForm.Get("logout_token"), client, c.idToken(c.t, idToken, client))
	if raw := told[0].PostForm.Get("logout_token"); signedWith(c.t, raw) != signedWith(c.t, idToken) {
		c.t.Errorf("signed with %s, the ID token with %s", signedWith(c.t, raw), signedWith(c.t, idToken))
	}
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
	if p := c.get(logoutAddress(pairs...)); p.status != status || p.leads() {
		c.t.Errorf("%d to %v: %s", p.status, p.location, p.body)
	}
	c.succeeds("prompt=none", "")
}

// confirms sends a request about which the person is asked; they are signed out when they confirm, and
// stay here.
func (c *certified) confirms(pairs ...string) {
	c.t.Helper()
	p := c.get(logoutAddress(pairs...))
	if p.status != http.StatusOK || p.leads() || !strings.Contains(p.body, `id="sign-out"`) {
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
	} else if p.status != http.StatusOK || p.leads() || !strings.Contains(p.body, `id="signed-out"`) {
		c.t.Errorf("%d to %v: %s", p.status, p.location, p.body)
	}
	c.fails(c.ask("prompt=none"), "login_required")
}

// TestCertificationLogout are the plans RP-initiated logout and back-channel logout.
func TestCertificationLogout(t *testing.T) {
	backChannel = newBackChannelReceiver(t)
	x := newCertified(t, backChannel.clients(egressTo(t, backChannel.Server)))
	t.Run("RP-initiated", func(t *testing.T) { x.runModules(t, "", logoutModules) })
	t.Run("back-channel", func(t *testing.T) { x.runModules(t, "", backChannelModules) })
}
