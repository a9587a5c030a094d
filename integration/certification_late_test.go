package integration

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// lateBasicModules are those of the plans basic and form post that wait.
var lateBasicModules = []module{
	{"codereuse-30seconds", "invalid_grant; the first access token is refused from then on", func(c *certified) {
		code := c.succeedsAnyhow("")
		first, _ := c.redeem("first", code, "")
		c.clock.wait(30 * time.Second)
		if claims, a := c.userInfo(c.t, call{lines: bearerLine(first.Access)}); claims == nil {
			c.t.Errorf("UserInfo before: %d %s", a.status, a.body)
		}
		if second, _ := c.redeem("first", code, ""); second.status != 400 || second.Error != "invalid_grant" {
			c.t.Errorf("%+v", second)
		}
		if claims, a := c.userInfo(c.t, call{lines: bearerLine(first.Access)}); claims != nil || a.status != 401 {
			c.t.Errorf("UserInfo: %d %v", a.status, claims)
		}
	}},
}

// lateHintModules show an ID token whose time is over.
var lateHintModules = []module{
	{"id-token-hint with an ID token that has expired", "no page while the person is signed in", func(c *certified) {
		hint, _ := c.redeem("first", c.succeedsAnyhow(""), "")
		c.expires(hint.ID)
		c.succeeds("prompt=none&id_token_hint="+hint.ID, "")
	}},
	{"rp-initiated-logout with an ID token that has expired", "back to the client with `state` as it was",
		func(c *certified) {
			hint, _ := c.redeem("first", c.succeedsAnyhow(""), "")
			c.expires(hint.ID)
			p := c.get(logoutAddress("id_token_hint", hint.ID, "post_logout_redirect_uri", goodBye, "state", "s"))
			if p.header.Get("Location") != goodBye+"?state=s" {
				c.t.Errorf("%d to %v: %s", p.status, p.location, p.body)
			}
			c.fails(c.ask("prompt=none"), "login_required")
		}},
}

// expires waits until a token has expired. The person's access token is renewed meanwhile, as a browser
// that stays open does it.
func (c *certified) expires(raw string) {
	c.t.Helper()
	_, claims, err := token.Inspect(raw)
	if err != nil {
		c.t.Fatal(err)
	}
	ends, _ := claims["exp"].(float64)
	for c.now().Unix() < int64(ends)+10 {
		c.clock.wait(4 * time.Minute)
		c.get("/login")
	}
}

// lateFAPI2Modules are those of the plan for the FAPI 2.0 security profile that wait.
var lateFAPI2Modules = []module{
	{"code-after-62-seconds", "invalid_grant; after 55 seconds it is good", func(c *certified) {
		b := newBank(c)
		early, late := b.code(b.pushed("")), b.code(b.pushed(""))
		c.clock.wait(55 * time.Second)
		b.granted(b.sends("/token", early, nil))
		c.clock.wait(7 * time.Second)
		status, body := b.sends("/token", late, nil)
		b.isRefused(status, body, http.StatusBadRequest, "invalid_grant")
	}},
	{"par-attempt-to-use-expired-request_uri", "invalid_request_uri on a page, from `expires_in` on",
		func(c *certified) {
			b := newBank(c)
			status, body := b.pushes("", nil)
			life, _ := body["expires_in"].(float64)
			address := b.visits(status, body)
			c.clock.wait(time.Duration(life-10) * time.Second)
			if p := c.get(address); p.status != http.StatusSeeOther || p.location.Path != "/login" {
				c.t.Errorf("before: %d to %v: %s", p.status, p.location, p.body)
			}
			c.clock.wait(10 * time.Second)
			c.showsPage(c.get(address), "invalid_request_uri")
		}},
	{"refresh-token-after-30-seconds", "the old refresh token still works", func(c *certified) {
		b := newBank(c)
		first := b.refreshToken()
		b.granted(b.sends("/token", refreshForm(first), nil))
		c.clock.wait(31 * time.Second)
		b.granted(b.sends("/token", refreshForm(first), nil))
	}},
	{"dpop-proof-again-after-its-time", "refused while it could be accepted, and then as too old", func(c *certified) {
		b := newBank(c)
		access, _ := b.goes()["access_token"].(string)
		proof := b.proof.Proof(c.t, "GET", c.url("auth")+"/userinfo", access, b.now(), nil)
		lines := []string{"Authorization: DPoP " + access, "DPoP: " + proof}
		if claims, a := c.userInfo(c.t, call{lines: lines}); claims == nil {
			c.t.Errorf("%d %s", a.status, a.body)
		}
		for range 4 {
			c.clock.wait(20 * time.Second)
			if claims, a := c.userInfo(c.t, call{lines: lines}); claims != nil || a.status != 401 {
				c.t.Errorf("%d %v", a.status, claims)
			}
		}
	}},
}

// TestCertificationLate are the modules that wait, on a server whose clock the test sets.
func TestCertificationLate(t *testing.T) {
	requireClock(t)
	x := prepareCertified(t, banks(t))
	x.program = clockProgram
	x.extra["Level"] = "INFO"
	c := &clock{t: t, file: filepath.Join(x.dir, "clock")}
	c.set(0, 0)
	auth := strings.ReplaceAll(certificationAuth, "{{backquote}}", "`")
	x.startProcess(t, "auth", auth, "\t{{.TLS}}\n\tauth_server", "CADDYAUTH_TEST_CLOCK="+c.file).awaitReady(t)
	for _, mode := range []string{"", "form_post"} {
		x.runLate(t, c, mode, lateBasicModules)
	}
	x.runLate(t, c, "", lateFAPI2Modules)
	x.runLate(t, c, "", lateHintModules)
}

func (x *authorizing) runLate(t *testing.T, set *clock, mode string, modules []module) {
	for _, m := range modules {
		t.Run("mode "+mode+"/"+m.name, func(t *testing.T) {
			c := x.certified(t, mode)
			c.clock = set
			m.test(c)
		})
	}
}
