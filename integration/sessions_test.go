package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sessionAuth knows its keys, so that tests can make tokens of any age for a session, and has
// access tokens as short as they may be.
const sessionAuth = `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	keys {env.TEST_KEYS}
	return_to {{origins}}
	lifetimes {
		access_token 60s
		refresh_reuse_interval {{.Reuse}}
	}
	{{.Alice}}
	user bob {
		password_hash {{hash "bob"}}
		claim role viewer
	}
}`

// sessionGateway is a running server with alice, bob and a reuse interval.
func sessionGateway(t *testing.T, reuse string) *gateway {
	t.Helper()
	g := newGateway(t)
	g.extra["Reuse"], g.extra["Alice"] = reuse, aliceAs(alicePassword)
	g.load(sessionAuth, apiSite)
	return g
}

// aliceAs is alice's block in a Caddyfile, with a password and more lines.
func aliceAs(password string, more ...string) string {
	return "user alice {\n\tpassword_hash " + cheapHash(password) + "\n\tclaim role admin\n\t" +
		strings.Join(more, "\n\t") + "\n}"
}

// cookies are what a browser holds of a session; either may be missing.
type cookies struct{ access, refresh string }

// lines is the Cookie line of a request, or none.
func (c cookies) lines() []string {
	var pairs []string
	if c.access != "" {
		pairs = append(pairs, "access_token="+c.access)
	}
	if c.refresh != "" {
		pairs = append(pairs, "refresh_token="+c.refresh)
	}
	if pairs == nil {
		return nil
	}
	return []string{"Cookie: " + strings.Join(pairs, "; ")}
}

// cookiesIn are the cookies that an answer sets, by name without prefix.
func cookiesIn(a answer) map[string]*http.Cookie {
	found := map[string]*http.Cookie{}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		found[strings.TrimPrefix(c.Name, "__Host-")] = c
	}
	return found
}

// received are the session cookies that an answer sets. What they hold must never be logged.
func (g *gateway) received(a answer) cookies {
	var c cookies
	for name, cookie := range cookiesIn(a) {
		switch name {
		case "access_token":
			c.access = cookie.Value
			g.tokens.remember(cookie.Value)
		case "refresh_token":
			c.refresh = cookie.Value
			g.hide(cookie.Value)
		}
	}
	return c
}

// hide makes a canary of a refresh token's MAC.
func (g *gateway) hide(refresh string) {
	if at := strings.LastIndexByte(refresh, '.'); at >= 0 && len(refresh)-at > 40 {
		g.secret("a refresh token", refresh[at+1:])
	}
}

// signIn signs a person in as the login page does.
func (g *gateway) signIn(t *testing.T, name, password string, more ...string) cookies {
	t.Helper()
	_, a := g.formLogin(t, name, password, "", more...)
	c := g.received(a)
	if a.status != http.StatusSeeOther || c.access == "" || c.refresh == "" {
		t.Fatalf("login of %s: status %d, cookies %v", name, a.status, slices.Collect(maps.Keys(cookiesIn(a))))
	}
	return c
}

// visit asks a site with the session's cookies.
func (g *gateway) visit(t *testing.T, site string, c cookies, more ...string) answer {
	t.Helper()
	return g.get(t, site, "/", "", append(c.lines(), more...)...)
}

// renewed visits with the refresh cookie alone, which must renew the session, and returns the new
// cookies.
func (g *gateway) renewed(t *testing.T, refresh string) cookies {
	t.Helper()
	a := g.visit(t, "api", cookies{refresh: refresh})
	c := g.received(a)
	if a.status != http.StatusOK || c.access == "" || c.refresh == "" {
		t.Fatalf("renewal: status %d, reason %q, cookies %v %v", a.status, a.reason(t),
			slices.Collect(maps.Keys(cookiesIn(a))), a.broken)
	}
	return c
}

// apiSession is what a program gets when it signs in.
type apiSession struct {
	Access         string `json:"access_token"`
	ExpiresIn      int64  `json:"expires_in"`
	Refresh        string `json:"refresh_token"`
	RefreshExpires int64  `json:"refresh_expires_in"`
}

// apiLogin signs a person of a project in as a program does.
func (g *gateway) apiLogin(t *testing.T, project, name, password, audience string) (apiSession, answer) {
	t.Helper()
	a := g.ask(t, "auth", call{
		method: http.MethodPost,
		target: "/api/" + project + "/auth/login",
		lines:  []string{"Content-Type: application/json"},
		body:   encode(t, map[string]string{"username": name, "password": password, "audience": audience}),
	})
	var s apiSession
	if a.status != http.StatusOK {
		return s, a
	}
	if err := json.Unmarshal([]byte(a.body), &s); err != nil || s.Access == "" {
		t.Fatalf("login of %s: %s (%v)", name, a.body, err)
	}
	g.tokens.remember(s.Access)
	g.hide(s.Refresh)
	return s, a
}

// reference takes a refresh token apart: the family and the generation.
func reference(t *testing.T, refresh string) (family string, generation int) {
	t.Helper()
	parts := strings.Split(refresh, ".")
	if len(parts) != 4 || !strings.HasPrefix(refresh, "rt_") {
		t.Errorf("%q is no refresh token", refresh)
		return "", -1
	}
	generation, err := strconv.Atoi(parts[2])
	if err != nil {
		t.Error(err)
	}
	return parts[1], generation
}

// claimsIn reads the claims of a token.
func claimsIn(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// lifetimeOf is how long a token lives, in seconds.
func lifetimeOf(t *testing.T, token string) int64 {
	t.Helper()
	claims := claimsIn(t, token)
	return int64(claims["exp"].(float64) - claims["iat"].(float64))
}

// aged is an access token of the session as it was issued `age` ago with a life of 60 s.
func (g *gateway) aged(t *testing.T, c cookies, age time.Duration) string {
	t.Helper()
	family, _ := reference(t, c.refresh)
	issued := time.Now().Add(-age)
	return g.tokens.mint("hs1", "alice", map[string]any{
		"epoch": claimsIn(t, c.access)["epoch"],
		"aud":   []string{"web"}, "sid": family, "role": "admin", "iat": issued.Unix(),
		"exp": issued.Add(time.Minute).Unix(), "client_id": "caddyauth",
	})
}

// TestAPILoginHandsOutRefreshTokens: a program gets both tokens in the body, of one family, and no
// cookie.
func TestAPILoginHandsOutRefreshTokens(t *testing.T) {
	g := sessionGateway(t, "10s")
	s, a := g.apiLogin(t, "default", "alice", alicePassword, "api")
	if s.Refresh == "" || s.ExpiresIn != 60 || s.RefreshExpires != 30*24*3600 {
		t.Errorf("the answer: expires_in %d, refresh_expires_in %d, refresh token there: %v", s.ExpiresIn,
			s.RefreshExpires, s.Refresh != "")
	}
	if len(a.header.Values("Set-Cookie")) > 0 || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Set-Cookie %q, Cache-Control %q", a.header.Values("Set-Cookie"), a.header.Get("Cache-Control"))
	}
	family, generation := reference(t, s.Refresh)
	if claims := claimsIn(t, s.Access); claims["sid"] != family || generation != 0 {
		t.Errorf("sid %v, family %s, generation %d", claims["sid"], family, generation)
	}
	if got := g.get(t, "api", "/", s.Refresh); got.status != http.StatusUnauthorized {
		t.Errorf("a refresh token as a bearer: status %d", got.status)
	}
	g.checkPasses(t, s.Access)
}

// attributesOf is everything of a cookie but its value and its time.
func attributesOf(c *http.Cookie) string {
	return fmt.Sprintf("%s path=%s domain=%q secure=%v httponly=%v samesite=%v partitioned=%v",
		c.Name, c.Path, c.Domain, c.Secure, c.HttpOnly, c.SameSite, c.Partitioned)
}

// TestCookiesAreClearedAsTheyAreSet: sign-in, renewal, sign-out and a session that is over set and
// clear the same two cookies with the same attributes, on https with the prefix and never with a
// Domain.
func TestCookiesAreClearedAsTheyAreSet(t *testing.T) {
	for _, c := range []struct{ name, public, prefix string }{
		{"http", "", ""}, {"https", "https://auth.example.com", "__Host-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			g.extra["Reuse"], g.extra["Alice"] = "10s", aliceAs(alicePassword)
			globals := sessionAuth
			if c.public != "" {
				globals = strings.Replace(globals, `public_url {{url "auth"}}`, "public_url "+c.public, 1)
			}
			g.load(globals, apiSite)
			_, in := g.formLogin(t, "alice", alicePassword, "")
			want := g.checkCookies(t, "sign-in", in, false, c.prefix, nil)
			held := g.received(in)
			again := g.visit(t, "api", cookies{}, "Cookie: "+c.prefix+"refresh_token="+held.refresh)
			g.checkCookies(t, "renewal", again, false, c.prefix, want)
			held = g.received(again)
			line := "Cookie: " + c.prefix + "access_token=" + held.access + "; " + c.prefix + "refresh_token=" +
				held.refresh
			out := g.ask(t, "auth",
				call{method: http.MethodPost, target: "/logout", lines: []string{line, "Sec-Fetch-Site: same-origin"}})
			g.checkCookies(t, "sign-out", out, true, c.prefix, want)
			over := g.visit(t, "api", cookies{}, line)
			g.checkCookies(t, "a session that is over", over, true, c.prefix, want)
		})
	}
}

// checkCookies makes sure that an answer sets, or clears, both cookies, and returns their
// attributes.
func (g *gateway) checkCookies(t *testing.T, when string, a answer, cleared bool, prefix string,
	want []string) []string {
	t.Helper()
	found := cookiesIn(a)
	var all []string
	for _, name := range []string{"access_token", "refresh_token"} {
		c := found[name]
		if c == nil {
			t.Fatalf("%s: no cookie %s (status %d, Set-Cookie %q)", when, name, a.status, a.header.Values("Set-Cookie"))
		}
		if (c.MaxAge < 0) != cleared || (c.Value == "") != cleared {
			t.Errorf("%s: cookie %s has Max-Age %d and a value of %d bytes", when, c.Name, c.MaxAge, len(c.Value))
		}
		if c.Name != prefix+name || c.Path != "/" || c.Domain != "" || c.Secure != (prefix != "") || !c.HttpOnly ||
			c.SameSite != http.SameSiteLaxMode {
			t.Errorf("%s: %s", when, attributesOf(c))
		}
		all = append(all, attributesOf(c))
	}
	if n := len(a.header.Values("Set-Cookie")); n != 2 {
		t.Errorf("%s: %d Set-Cookie lines", when, n)
	}
	if want != nil && !slices.Equal(all, want) {
		t.Errorf("%s: %q, set with %q", when, all, want)
	}
	return all
}

// TestLoginPageKeepsRefreshTokensFromScripts: a page that signs in with JSON learns nothing that
// outlives the access token.
func TestLoginPageKeepsRefreshTokensFromScripts(t *testing.T) {
	g := sessionGateway(t, "10s")
	a := g.ask(t, "auth", call{
		method: http.MethodPost,
		target: "/login",
		body:   encode(t, map[string]string{"username": "alice", "password": alicePassword}),
		lines: []string{
			"Content-Type: application/json", "Accept: application/json", "Origin: " + g.url("auth"),
			"Sec-Fetch-Site: same-origin",
		},
	})
	c := g.received(a)
	if a.status != http.StatusOK || c.refresh == "" || strings.Contains(a.body, "refresh") ||
		strings.Contains(a.body, c.refresh) {
		t.Errorf("status %d, refresh cookie there: %v, body of %d bytes names a refresh token: %v", a.status,
			c.refresh != "", len(a.body), strings.Contains(a.body, "refresh"))
	}
}

// TestRenewalOnProxiedAnswers: the answer of the application brings new cookies exactly when the
// access token is near its end, past it or missing, may not be cached whatever the application
// says, and the application sees no cookie of the gateway's.
func TestRenewalOnProxiedAnswers(t *testing.T) {
	g := sessionGateway(t, "10s")
	g.proxy.answerWith("Cache-Control: public, max-age=600", "Set-Cookie: refresh_token=evil; Path=/",
		"Set-Cookie: theme=dark; Path=/")
	for _, c := range []struct {
		name    string
		access  func(cookies) string
		renewed bool
	}{
		{"no access token", func(cookies) string { return "" }, true},
		{"a fresh one", func(c cookies) string { return c.access }, false},
		{"before the window", func(c cookies) string { return g.aged(t, c, 35*time.Second) }, false},
		{"inside the window", func(c cookies) string { return g.aged(t, c, 45*time.Second) }, true},
		{"expired, within the leeway", func(c cookies) string { return g.aged(t, c, 70*time.Second) }, true},
		{"expired long ago", func(c cookies) string { return g.aged(t, c, time.Hour) }, true},
		{"garbage", func(cookies) string { return "garbage" }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			held := g.signIn(t, "alice", alicePassword)
			a := g.visit(t, "api", cookies{c.access(held), held.refresh}, "Cookie: theme=light")
			if a.status != http.StatusOK {
				t.Fatalf("status %d, reason %q", a.status, a.reason(t))
			}
			seen := g.proxy.take()
			g.checkRenewal(t, held, a, c.renewed)
			if len(seen) != 1 || !slices.Equal(seen[0].values("x-user-id"), []string{"alice"}) ||
				!slices.Equal(seen[0].values("cookie"), []string{"theme=light"}) {
				t.Errorf("the application saw %q", seen)
			}
		})
	}
}

// checkRenewal checks what an answer says about a session.
func (g *gateway) checkRenewal(t *testing.T, held cookies, a answer, renewed bool) {
	t.Helper()
	got := g.received(a)
	if cookiesIn(a)["theme"] == nil {
		t.Error("the application's own cookie is gone")
	}
	if !renewed {
		if got != (cookies{}) || a.header.Get("Cache-Control") != "public, max-age=600" {
			t.Errorf("Set-Cookie %q, Cache-Control %q without a renewal", a.header.Values("Set-Cookie"),
				a.header.Get("Cache-Control"))
		}
		return
	}
	if got.access == "" || got.refresh == "" || got.refresh == "evil" {
		t.Fatalf("not renewed: Set-Cookie %q", a.header.Values("Set-Cookie"))
	}
	if line := a.header.Values("Cache-Control"); !slices.Equal(line, []string{"private, no-store"}) {
		t.Errorf("Cache-Control %q", line)
	}
	family, first := reference(t, held.refresh)
	now, second := reference(t, got.refresh)
	if now != family || second != first+1 || claimsIn(t, got.access)["sid"] != family {
		t.Errorf("generation %d of %s became %d of %s", first, family, second, now)
	}
	if again := g.visit(t, "api", cookies{access: got.access}); again.status != http.StatusOK {
		t.Errorf("the new access token: status %d, reason %q", again.status, again.reason(t))
	}
	g.proxy.take()
}

// TestBearersAreNotRenewed: where a program shows a token of its own, no cookie is used up.
func TestBearersAreNotRenewed(t *testing.T) {
	g := sessionGateway(t, "0s")
	held := g.signIn(t, "alice", alicePassword)
	a := g.get(t, "api", "/", g.login(t, "alice", alicePassword), cookies{refresh: held.refresh}.lines()...)
	if a.status != http.StatusOK || len(a.header.Values("Set-Cookie")) > 0 {
		t.Errorf("status %d, Set-Cookie %q", a.status, a.header.Values("Set-Cookie"))
	}
	if _, generation := reference(t, g.renewed(t, held.refresh).refresh); generation != 1 {
		t.Errorf("generation %d", generation)
	}
}

// TestParallelRenewalsRotateOnce: the tabs of a browser ask at once; all get in, and all get the
// same successor.
func TestParallelRenewalsRotateOnce(t *testing.T) {
	g := sessionGateway(t, "10s")
	held := g.signIn(t, "alice", alicePassword)
	got := make([]cookies, 20)
	var wait sync.WaitGroup
	for i := range got {
		wait.Go(func() {
			a := g.visit(t, "api", cookies{refresh: held.refresh})
			if got[i] = g.received(a); a.status != http.StatusOK {
				t.Errorf("status %d, reason %q", a.status, a.reason(t))
			}
		})
	}
	wait.Wait()
	_, generation := reference(t, got[0].refresh)
	for _, c := range got {
		if c.refresh != got[0].refresh || c.access == "" || generation != 1 {
			t.Fatalf("not one successor, generation %d", generation)
		}
	}
	next := g.renewed(t, got[0].refresh)
	if _, generation := reference(t, next.refresh); generation != 2 {
		t.Errorf("the rotation after it makes generation %d", generation)
	}
}

// TestReuseInsideTheInterval: whoever lost the answer gets the same successor again, also after a
// reload and a restart; the token before that ends the family.
func TestReuseInsideTheInterval(t *testing.T) {
	g := sessionGateway(t, "60s")
	first := g.signIn(t, "alice", alicePassword)
	second := g.renewed(t, first.refresh)
	check := func(when string) {
		t.Helper()
		if again := g.renewed(t, first.refresh); again.refresh != second.refresh {
			t.Errorf("%s: another successor", when)
		}
	}
	check("at once")
	g.load(sessionAuth, apiSite)
	check("after a reload")
	g.restart(t, sessionAuth, apiSite)
	check("after a restart")
	third := g.renewed(t, second.refresh)
	if a := g.visit(t, "api", cookies{refresh: first.refresh}); a.status != http.StatusUnauthorized {
		t.Errorf("an older generation: status %d", a.status)
	}
	g.checkDead(t, "an older generation was used", first)
	g.checkDead(t, "an older generation was used", third)
}

// TestReuseOutsideTheInterval: a used token in two hands ends the family, access tokens included,
// whoever comes first; also when the second use comes after a restart.
func TestReuseOutsideTheInterval(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %v", restarts), func(t *testing.T) {
			g := sessionGateway(t, "0s")
			first, other := g.signIn(t, "alice", alicePassword), g.signIn(t, "alice", alicePassword)
			second := g.renewed(t, first.refresh)
			if restarts {
				g.restart(t, sessionAuth, apiSite)
			}
			a := g.visit(t, "api", cookies{refresh: first.refresh})
			if a.status != http.StatusUnauthorized {
				t.Errorf("the second use: status %d", a.status)
			}
			g.checkCookies(t, "the second use", a, true, "", nil)
			g.checkDead(t, "a token was used twice", second)
			g.checkDead(t, "a token was used twice", first)
			if a := g.visit(t, "api", other); a.status != http.StatusOK {
				t.Errorf("another session of the same person: status %d, reason %q", a.status, a.reason(t))
			}
		})
	}
}

// TestForgeriesKillNothing: a refresh token that was changed in any place is refused, and the
// session goes on.
func TestForgeriesKillNothing(t *testing.T) {
	g := sessionGateway(t, "0s")
	held := g.signIn(t, "alice", alicePassword)
	parts := strings.Split(held.refresh, ".")
	for at, bad := range []string{"rt_other", "AAAAAAAAAAAAAAAAAAAAAAAAAA", "7", strings.Repeat("A", len(parts[3]))} {
		forged := slices.Clone(parts)
		forged[at] = bad
		if a := g.visit(t, "api", cookies{refresh: strings.Join(forged, ".")}); a.status != http.StatusUnauthorized {
			t.Errorf("part %d changed: status %d", at, a.status)
		}
	}
	g.renewed(t, held.refresh)
}

// restart ends the server and starts it again on the same data.
func (g *gateway) restart(t *testing.T, globals, sites string) {
	t.Helper()
	if err := stopServer(); err != nil {
		t.Fatal(err)
	}
	g.load(globals, sites)
}

// checkDead makes sure that neither cookie of a session is good for anything.
func (g *gateway) checkDead(t *testing.T, when string, c cookies) {
	t.Helper()
	if a := g.visit(t, "api", cookies{access: c.access}); c.access != "" &&
		(a.status != http.StatusUnauthorized || a.reason(t) != "revoked") {
		t.Errorf("%s: the access token: status %d, reason %q", when, a.status, a.reason(t))
	}
	if a := g.visit(t, "api", cookies{refresh: c.refresh}); a.status != http.StatusUnauthorized ||
		g.received(a) != (cookies{}) {
		t.Errorf("%s: the refresh token: status %d, Set-Cookie %q", when, a.status, a.header.Values("Set-Cookie"))
	}
	if a := g.visit(t, "api", c, navigation); a.status != http.StatusSeeOther ||
		!strings.HasPrefix(a.header.Get("Location"), g.url("auth")+"/login") {
		t.Errorf("%s: a browser: status %d, Location %q", when, a.status, a.header.Get("Location"))
	}
	if seen := g.proxy.take(); when != "" &&
		slices.ContainsFunc(seen, func(s sighting) bool { return len(s.values("x-user-id")) == 0 }) {
		t.Errorf("%s: the application saw %q", when, seen)
	}
}

// signOut signs out as a page of the server does.
func (g *gateway) signOut(t *testing.T, c cookies) answer {
	t.Helper()
	lines := append(c.lines(), "Origin: "+g.url("auth"), "Sec-Fetch-Site: same-origin",
		"Content-Type: application/x-www-form-urlencoded", "Accept: text/html")
	a := g.ask(t, "auth", call{method: http.MethodPost, target: "/logout", lines: lines, body: "x=1"})
	if a.status != http.StatusSeeOther {
		t.Errorf("logout: status %d: %s", a.status, a.body)
	}
	return a
}

// TestSignOutEndsCopies: whoever stole the cookies is out the moment the person signs out, with
// whichever cookies that was, and stays out after a reload and a restart. Other sessions of the
// person go on.
func TestSignOutEndsCopies(t *testing.T) {
	g := sessionGateway(t, "10s")
	other := g.signIn(t, "alice", alicePassword)
	ways := []struct {
		name  string
		shown func(cookies) cookies
	}{
		{"both cookies", func(c cookies) cookies { return c }},
		{"the access cookie", func(c cookies) cookies { return cookies{access: c.access} }},
		{"the refresh cookie", func(c cookies) cookies { return cookies{refresh: c.refresh} }},
		{"an expired one", func(c cookies) cookies {
			return cookies{access: g.aged(t, c, time.Hour), refresh: c.refresh}
		}},
	}
	stolen := map[string]cookies{}
	for _, c := range ways {
		t.Run(c.name, func(t *testing.T) {
			held := g.signIn(t, "alice", alicePassword)
			if a := g.visit(t, "api", held); a.status != http.StatusOK {
				t.Fatalf("status %d", a.status)
			}
			g.proxy.take()
			g.signOut(t, c.shown(held))
			stolen[c.name] = held
			g.checkDead(t, "signed out with "+c.name, held)
		})
	}
	g.load(sessionAuth, apiSite)
	for name, held := range stolen {
		g.checkDead(t, "after a reload, "+name, held)
	}
	g.restart(t, sessionAuth, apiSite)
	for name, held := range stolen {
		g.checkDead(t, "after a restart, "+name, held)
	}
	if a := g.visit(t, "api", other); a.status != http.StatusOK {
		t.Errorf("the other session: status %d, reason %q", a.status, a.reason(t))
	}
}

// TestSessionsAreNotFixed: cookies that were there before the sign-in are not the session after it,
// and who planted them sees nothing: their session has ended.
func TestSessionsAreNotFixed(t *testing.T) {
	g := sessionGateway(t, "10s")
	planted := g.signIn(t, "bob", bobPassword)
	held := g.signIn(t, "alice", alicePassword, planted.lines()...)
	before, _ := reference(t, planted.refresh)
	after, generation := reference(t, held.refresh)
	if before == after || generation != 0 || held.access == planted.access {
		t.Errorf("generation %d of %s after %s", generation, after, before)
	}
	g.proxy.take()
	if a := g.visit(t, "api", held); a.status != http.StatusOK {
		t.Errorf("status %d", a.status)
	}
	if seen := g.proxy.take(); len(seen) != 1 || !slices.Equal(seen[0].values("x-user-id"), []string{"alice"}) {
		t.Errorf("the application saw %q", seen)
	}
	g.checkDead(t, "planted", planted)
}

// TestGarbageCookiesLeadToSignIn: whatever stands in the cookies, a browser is sent to sign in,
// which then works, and a program gets 401.
func TestGarbageCookiesLeadToSignIn(t *testing.T) {
	g := sessionGateway(t, "10s")
	over := g.signIn(t, "alice", alicePassword)
	g.signOut(t, over)
	strangers := newTokenFixture(t, g.url("auth"))
	for _, tc := range []struct {
		name string
		c    cookies
	}{
		{"words", cookies{"garbage", "garbage"}},
		{"dots", cookies{"a.b.c", "rt_a.b.c.d"}},
		{"long ones", cookies{strings.Repeat("x", 6000), "rt_" + strings.Repeat("x", 6000)}},
		{"quotes and signs", cookies{`"x"`, "%00<script>&'"}},
		{
			"another server's",
			cookies{
				strangers.mint("hs1", "alice", map[string]any{"aud": []string{"web"}}),
				"rt_1.ABCDEFGHIJKLMNOPQRSTUVWXYZ.3." + strings.Repeat("A", 43),
			},
		},
		{"stale ones", over},
		{"an expired access one", cookies{access: g.aged(t, over, time.Hour)}},
		{"the wrong way round", cookies{over.refresh, over.access}},
		{"a program's token", cookies{access: g.login(t, "alice", alicePassword), refresh: "x"}},
		{"not UTF-8", cookies{"\xff\xfe", "rt_\xff.\xfe.0.\xff"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name != "a program's token" {
				if a := g.visit(t, "api", tc.c); a.status != http.StatusUnauthorized {
					t.Errorf("a program: status %d, reason %q", a.status, a.reason(t))
				}
				a := g.visit(t, "api", tc.c, navigation)
				if a.status != http.StatusSeeOther ||
					!strings.HasPrefix(a.header.Get("Location"), g.url("auth")+"/login") {
					t.Errorf("a browser: status %d, Location %q", a.status, a.header.Get("Location"))
				}
			}
			if a := g.get(t, "auth", "/login", "", append(tc.c.lines(), navigation)...); a.status != http.StatusOK ||
				!strings.Contains(a.body, `name="password"`) {
				t.Errorf("the login page: status %d", a.status)
			}
			g.signOut(t, tc.c)
			held := g.signIn(t, "alice", alicePassword, tc.c.lines()...)
			if a := g.visit(t, "api", held); a.status != http.StatusOK {
				t.Errorf("after signing in: status %d", a.status)
			}
		})
	}
}

// TestOptionalGatesForgetDeadSessions: where nobody needs to be signed in, a dead session is
// forgotten and the request passes.
func TestOptionalGatesForgetDeadSessions(t *testing.T) {
	g := newGateway(t)
	g.extra["Reuse"], g.extra["Alice"] = "10s", aliceAs(alicePassword)
	g.load(sessionAuth,
		strings.Replace(apiSite, "forward sub X-User-Id", "forward sub X-User-Id\n\t\tmode optional", 1))
	held := g.signIn(t, "alice", alicePassword)
	living := g.visit(t, "api", cookies{g.aged(t, held, time.Hour), held.refresh})
	g.checkCookies(t, "a living session", living, false, "", nil)
	g.signOut(t, held)
	g.proxy.take()
	for _, tc := range []struct {
		name string
		c    cookies
	}{
		{"an expired access token", cookies{access: g.aged(t, held, time.Hour)}},
		{"a dead refresh token", cookies{refresh: held.refresh}},
		{"both", cookies{g.aged(t, held, time.Hour), held.refresh}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := g.visit(t, "api", tc.c)
			if a.status != http.StatusOK {
				t.Errorf("%s: status %d, reason %q", tc.name, a.status, a.reason(t))
			}
			g.checkCookies(t, tc.name, a, true, "", nil)
			if seen := g.proxy.take(); len(seen) != 1 || len(seen[0].identity()) > 0 ||
				len(seen[0].values("cookie")) > 0 {
				t.Errorf("%s: the application saw %q", tc.name, seen)
			}
		})
	}
}

// TestUpgradesRenew: the answer that opens a WebSocket brings the new cookies.
func TestUpgradesRenew(t *testing.T) {
	g := newGateway(t)
	upstream := httptest.NewServer(http.HandlerFunc(openSocket))
	t.Cleanup(upstream.Close)
	g.extra["Reuse"], g.extra["Alice"] = "10s", aliceAs(alicePassword)
	g.extra["Sockets"] = upstream.Listener.Addr().String()
	g.load(sessionAuth,
		authSite+
			"{{url \"ws\"}} {\n\tjwt_auth web {\n\t\tforward sub X-User-Id\n\t}\n\treverse_proxy {{.Sockets}}\n}\n")
	open := func(c cookies, origin string) answer {
		return g.get(t, "ws", "/socket", "",
			append(c.lines(), "Origin: "+origin, "Connection: Upgrade", "Upgrade: websocket",
				"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")...)
	}
	held := g.signIn(t, "alice", alicePassword)
	a := open(cookies{refresh: held.refresh}, g.url("ws"))
	if a.status != http.StatusSwitchingProtocols || a.header.Get("X-Saw") != "alice, cookies 0" {
		t.Fatalf("status %d, reason %q, the application saw %q", a.status, a.reason(t), a.header.Get("X-Saw"))
	}
	g.checkCookies(t, "an upgrade", a, false, "", nil)
	if line := a.header.Get("Cache-Control"); line != "private, no-store" {
		t.Errorf("Cache-Control %q", line)
	}
	held = g.received(a)
	if a := open(held, g.url("ws")); a.status != http.StatusSwitchingProtocols || len(cookiesIn(a)) > 0 {
		t.Errorf("a second one: status %d, Set-Cookie %q", a.status, a.header.Values("Set-Cookie"))
	}
	foreign := open(cookies{refresh: held.refresh}, "http://evil.localhost:8080")
	if foreign.status != http.StatusForbidden || foreign.reason(t) != "cross_origin" {
		t.Errorf("from another origin: status %d, reason %q", foreign.status, foreign.reason(t))
	}
	if len(cookiesIn(foreign)) > 0 {
		t.Errorf("from another origin: Set-Cookie %q", foreign.header.Values("Set-Cookie"))
	}
	if a := open(held, g.url("ws")); a.status != http.StatusSwitchingProtocols {
		t.Errorf("afterwards: status %d, reason %q", a.status, a.reason(t))
	}
}

// openSocket is an application that opens a socket and closes it at once.
func openSocket(w http.ResponseWriter, r *http.Request) {
	saw := fmt.Sprintf("%s, cookies %d", r.Header.Get("X-User-Id"), len(r.Cookies()))
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Saw: %s\r\n"+
			"Cache-Control: public, max-age=60\r\n\r\n", saw)
}

// TestConfigurationEndsSessions: a reload that disables or removes somebody, or changes the
// password, ends what they had at once; bringing them back does not bring that back.
func TestConfigurationEndsSessions(t *testing.T) {
	const newPassword = "through-the-looking-glass"
	for _, c := range []struct {
		name, alice, password string // who alice is then, and what she signs in with; "" for not at all
	}{
		{"disabled", aliceAs(alicePassword, "disabled"), ""},
		{"removed", "", ""},
		{"another password", aliceAs(newPassword), newPassword},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := sessionGateway(t, "10s")
			g.secret("alice's new password", newPassword)
			held, program := g.signIn(t, "alice", alicePassword), g.login(t, "alice", alicePassword)
			bystander := g.signIn(t, "bob", bobPassword)
			g.checkPasses(t, program)
			g.extra["Alice"] = c.alice
			g.load(sessionAuth, apiSite)
			g.checkDead(t, c.name, held)
			if a := g.get(t, "api", "/", program); a.status != http.StatusUnauthorized || a.reason(t) != "revoked" {
				t.Errorf("a program's token: status %d, reason %q", a.status, a.reason(t))
			}
			if a := g.tryLogin(t, "alice", alicePassword); a.status != http.StatusUnauthorized {
				t.Errorf("signing in as before: status %d", a.status)
			}
			if c.password != "" {
				g.checkPasses(t, g.login(t, "alice", c.password))
			}
			if a := g.visit(t, "api", bystander); a.status != http.StatusOK {
				t.Errorf("somebody else's session: status %d, reason %q", a.status, a.reason(t))
			}
			g.extra["Alice"] = aliceAs(alicePassword)
			g.load(sessionAuth, apiSite)
			g.checkDead(t, c.name+" and brought back", held)
			g.checkPasses(t, g.login(t, "alice", alicePassword))
		})
	}
}

// projectSites has a gate for each of two projects.
const projectSites = apiSite + `
{{url "acme"}} {
	jwt_auth web api {
		project acme
		forward sub X-User-Id
	}
	reverse_proxy {{.Proxy}}
}
`

const projectAuth = `auth {
	issuer {{url "auth"}}
	public_url {{url "auth"}}
	keys {env.TEST_KEYS}
	{{.Acme}}
	user alice {
		password_hash {{hash "alice"}}
	}
}`

// TestProjectsAreApart: what one project issues is good at its own gates only, as a bearer, as a
// cookie and by renewal; and a project that the configuration drops is over within a second.
func TestProjectsAreApart(t *testing.T) {
	g := newGateway(t)
	acme := "project acme\n\tuser alice {\n\t\tproject acme\n\t\tpassword_hash " + cheapHash(bobPassword) + "\n\t}"
	g.extra["Acme"] = acme
	g.load(projectAuth, projectSites)
	ours, _ := g.apiLogin(t, "default", "alice", alicePassword, "web")
	theirs, a := g.apiLogin(t, "acme", "alice", bobPassword, "web")
	if a.status != http.StatusOK {
		t.Fatalf("signing in to acme: status %d: %s", a.status, a.body)
	}
	if claims := claimsIn(t, theirs.Access); claims["project"] != "acme" {
		t.Errorf("project %v", claims["project"])
	}
	for _, c := range []struct {
		site string
		own  apiSession
		not  apiSession
	}{{"api", ours, theirs}, {"acme", theirs, ours}} {
		for _, tc := range []struct {
			name string
			a    answer
		}{
			{"bearer", g.get(t, c.site, "/", c.not.Access)},
			{"cookie", g.visit(t, c.site, cookies{access: c.not.Access})},
			{"cookies", g.visit(t, c.site, cookies{c.not.Access, c.not.Refresh})},
		} {
			t.Run(tc.name, func(t *testing.T) {
				if tc.a.reason(t) != "wrong_project" || tc.a.status != http.StatusUnauthorized {
					t.Errorf("%s at %s: status %d, reason %q", tc.name, c.site, tc.a.status, tc.a.reason(t))
				}
			})
		}
		if a := g.get(t, c.site, "/", c.own.Access); a.status != http.StatusOK {
			t.Errorf("at its own gate: status %d, reason %q", a.status, a.reason(t))
		}
	}
	if _, a := g.apiLogin(t, "acme", "alice", alicePassword, "web"); a.status != http.StatusUnauthorized {
		t.Errorf("the other project's password: status %d", a.status)
	}
	g.extra["Acme"] = ""
	g.load(projectAuth, projectSites)
	if a := g.get(t, "acme", "/", theirs.Access); a.status != http.StatusUnauthorized || a.reason(t) != "revoked" {
		t.Errorf("a dropped project: status %d, reason %q", a.status, a.reason(t))
	}
	if _, a := g.apiLogin(t, "acme", "alice", bobPassword, "web"); a.status != http.StatusNotFound {
		t.Errorf("signing in to a dropped project: status %d", a.status)
	}
	g.checkPasses(t, ours.Access)
	g.extra["Acme"] = acme
	g.load(projectAuth, projectSites)
	if a := g.get(t, "acme", "/", theirs.Access); a.status != http.StatusUnauthorized || a.reason(t) != "revoked" {
		t.Errorf("brought back, an old token: status %d, reason %q", a.status, a.reason(t))
	}
	again, _ := g.apiLogin(t, "acme", "alice", bobPassword, "web")
	if a := g.get(t, "acme", "/", again.Access); a.status != http.StatusOK {
		t.Errorf("brought back, a new token: status %d, reason %q", a.status, a.reason(t))
	}
}

// TestRenewalOfAnotherProject: a refresh cookie of another project opens no door, and its session
// is not lost by trying.
func TestRenewalOfAnotherProject(t *testing.T) {
	g := newGateway(t)
	g.extra["Acme"] = "project acme\n\tuser alice {\n\t\tproject acme\n\t\tpassword_hash " + cheapHash(bobPassword) +
		"\n\t}"
	g.load(projectAuth, projectSites)
	theirs, _ := g.apiLogin(t, "acme", "alice", bobPassword, "web")
	a := g.visit(t, "api", cookies{refresh: theirs.Refresh})
	if a.reason(t) != "wrong_project" || len(g.proxy.take()) > 0 {
		t.Errorf("status %d, reason %q", a.status, a.reason(t))
	}
	held := cookies{refresh: theirs.Refresh}
	if got := g.received(a); got.refresh != "" {
		held = got
	}
	if a := g.visit(t, "acme", held); a.status != http.StatusOK {
		t.Errorf("at its own gate afterwards: status %d, reason %q", a.status, a.reason(t))
	}
}

// traffic is people who use their sessions while the server is reloaded again and again.
type traffic struct {
	g       *gateway
	stop    chan struct{}
	over    sync.Once
	wait    sync.WaitGroup
	answers atomic.Int64
	turns   atomic.Int64
}

// TestReloadsLoseNoSession: twenty reloads under load. Browsers renew with every request, programs
// use one token, people sign in and out, and thieves try dead cookies; every answer is the right
// one.
func TestReloadsLoseNoSession(t *testing.T) {
	g := sessionGateway(t, "10s")
	f := newTraffic(t, g)
	for n := range 20 {
		g.extra["Alice"] = aliceAs(alicePassword, "claim turn "+strconv.Itoa(n))
		g.load(sessionAuth, apiSite)
		f.settle(t, 40)
		brief := g.signIn(t, "alice", alicePassword)
		f.expect(t, "somebody new", g.visit(t, "api", brief), http.StatusOK)
		g.signOut(t, brief)
		g.checkDead(t, "", brief)
	}
	f.end()
	t.Logf("%d answers, %d renewals", f.answers.Load(), f.turns.Load())
}

// newTraffic lets people begin.
func newTraffic(t *testing.T, g *gateway) *traffic {
	t.Helper()
	f := &traffic{g: g, stop: make(chan struct{})}
	t.Cleanup(f.end)
	for range 4 {
		held := g.signIn(t, "alice", alicePassword)
		f.each(func() { held.refresh = f.renew(t, held.refresh) })
	}
	program := g.login(t, "bob", bobPassword)
	f.each(func() { f.expect(t, "a program", g.get(t, "api", "/", program), http.StatusOK) })
	dead := g.signIn(t, "alice", alicePassword)
	g.signOut(t, dead)
	f.each(func() {
		f.expect(t, "a dead access token", g.visit(t, "api", cookies{access: dead.access}), http.StatusUnauthorized)
		f.expect(t, "a dead refresh token", g.visit(t, "api", cookies{refresh: dead.refresh}), http.StatusUnauthorized)
	})
	return f
}

// end lets everybody finish.
func (f *traffic) end() {
	f.over.Do(func() { close(f.stop) })
	f.wait.Wait()
}

// each does something again and again.
func (f *traffic) each(do func()) {
	f.wait.Go(func() {
		for {
			select {
			case <-f.stop:
				return
			default:
				do()
				f.g.proxy.take()
				// a load, not a flood: everything that is logged is searched afterwards
				time.Sleep(5 * time.Millisecond)
			}
		}
	})
}

func (f *traffic) expect(t *testing.T, who string, a answer, status int) {
	f.answers.Add(1)
	if a.status != status {
		t.Errorf("%s: status %d, reason %q, %v", who, a.status, a.reason(t), a.broken)
	}
}

// renew uses the refresh cookie and returns its successor, one generation on.
func (f *traffic) renew(t *testing.T, refresh string) string {
	a := f.g.visit(t, "api", cookies{refresh: refresh})
	f.expect(t, "a browser", a, http.StatusOK)
	got := f.g.received(a)
	if got.refresh == "" {
		t.Errorf("not renewed: status %d", a.status)
		return refresh
	}
	_, before := reference(t, refresh)
	if _, after := reference(t, got.refresh); after != before+1 {
		t.Errorf("generation %d after %d", after, before)
	}
	f.turns.Add(1)
	return got.refresh
}

// settle waits for n more answers.
func (f *traffic) settle(t *testing.T, n int64) {
	t.Helper()
	want := f.answers.Load() + n
	eventually(t, 30*time.Second, func() string {
		if f.answers.Load() < want {
			return "the load stands still"
		}
		return ""
	})
}
