package integration

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// wanderer is a browser that follows redirects, keeps cookies as browsers do (by host, whatever the
// port), and signs in where it can.
type wanderer struct {
	g       *gateway
	cookies map[string]map[string]string // by host, then by name
	blocked bool                         // keeps no cookies
	visited []string
	forms   int
}

// follow goes to an address and on, until something is shown that leads nowhere by itself.
func (b *wanderer) follow(t *testing.T, address string) answer {
	t.Helper()
	got := b.ask(t, http.MethodGet, address, "")
	for range 20 {
		if got.status == http.StatusSeeOther {
			address = b.resolve(t, address, got.header.Get("Location"))
			got = b.ask(t, http.MethodGet, address, "")
			continue
		}
		if !strings.Contains(got.body, `name="password"`) || b.forms == 2 {
			return got
		}
		b.forms++
		got, address = b.signIn(t, address, got.body)
	}
	t.Fatalf("it goes round in a circle:\n%s", strings.Join(b.visited, "\n"))
	return got
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)"`)

// signIn fills and posts the form of a page.
func (b *wanderer) signIn(t *testing.T, address, page string) (answer, string) {
	t.Helper()
	form := url.Values{"username": {"alice"}, "password": {alicePassword}}
	for _, field := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(field[1], strings.NewReplacer("&amp;", "&", "&#43;", "+").Replace(field[2]))
	}
	action := regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(page)
	to := b.resolve(t, address, action[1])
	return b.ask(t, http.MethodPost, to, form.Encode()), to
}

func (b *wanderer) resolve(t *testing.T, address, to string) string {
	t.Helper()
	base, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u, err := base.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

func (b *wanderer) ask(t *testing.T, method, address, body string) answer {
	t.Helper()
	b.visited = append(b.visited, method+" "+address)
	if len(address) > 2000 { // an authorization request in the address of the login page has about 1000
		t.Fatalf("the address grows: %s", address)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{navigation, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin"}
	if body != "" {
		lines = append(lines, "Content-Type: application/x-www-form-urlencoded", "Origin: "+u.Scheme+"://"+u.Host)
	}
	for name, value := range b.cookies[u.Hostname()] {
		lines = append(lines, "Cookie: "+name+"="+value)
	}
	got := sendHTTP1(t, "127.0.0.1:"+u.Port(),
		call{method: method, target: u.RequestURI(), host: u.Host, lines: lines, body: body})
	for _, cookie := range (&http.Response{Header: got.header}).Cookies() {
		if strings.HasSuffix(cookie.Name, "_token") && cookie.Value != "" {
			b.g.tokens.remember(cookie.Value)
		}
		if !b.blocked {
			b.keep(u.Hostname(), cookie)
		}
	}
	return got
}

func (b *wanderer) keep(host string, c *http.Cookie) {
	if b.cookies[host] == nil {
		b.cookies[host] = map[string]string{}
	}
	if delete(b.cookies[host], c.Name); c.Value != "" && c.MaxAge >= 0 {
		b.cookies[host][c.Name] = c.Value
	}
}

// TestNoSignInGoesRoundInACircle: whatever the setup, a person ends on a page after a few steps,
// and it says what is wrong in words for whoever visits; the operator finds the reason in the log.
func TestNoSignInGoesRoundInACircle(t *testing.T) {
	for _, s := range append(brokenSignIns(), goodSignIns()...) {
		if s.page == "" || s.sees == "" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			g := newGateway(t)
			g.load(s.options(), s.sites)
			b := &wanderer{g: g, cookies: map[string]map[string]string{}}
			got := b.follow(t, g.expand(s.page))
			if s.check == "" {
				if got.status != http.StatusOK || len(g.proxy.take()) != 1 {
					t.Errorf("status %d: %s\n%s", got.status, got.body, strings.Join(b.visited, "\n"))
				}
				return
			}
			if !strings.Contains(got.body, s.sees) {
				got = b.follow(t, g.expand(s.page)) // what has no way back is opened once more by hand
			}
			if !strings.Contains(got.body, s.sees) || strings.Contains(got.body, "auth_server") ||
				strings.Contains(got.body, "handle_path") {
				t.Errorf("status %d, it should say %q:\n%s\n%s", got.status, s.sees, got.body,
					strings.Join(b.visited, "\n"))
			}
			if len(b.visited) > 10 || len(g.proxy.take()) > 0 {
				t.Errorf("%d steps:\n%s", len(b.visited), strings.Join(b.visited, "\n"))
			}
			if !regexp.MustCompile(`"level":"(warn|error)".*(was sent to sign in again|login page cannot be ` +
				`reached|handle_path)`).
				MatchString(g.log()) {
				t.Error("the operator is not told")
			}
		})
	}
}

// TestABrowserWithoutCookiesIsToldSo: it is not shown the form again and again.
func TestABrowserWithoutCookiesIsToldSo(t *testing.T) {
	g := newGateway(t)
	s := goodSignIns()[0]
	g.load(s.options(), s.sites)
	b := &wanderer{g: g, cookies: map[string]map[string]string{}, blocked: true}
	got := b.follow(t, g.expand(s.page))
	if got.status != http.StatusBadRequest || !strings.Contains(got.body, "Allow cookies for this site") ||
		!strings.Contains(got.body, "/page") {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	if !strings.Contains(g.log(), `"result":"no_cookies"`) {
		t.Error("the operator is not told")
	}
	if b.blocked = false; b.forms != 2 { // who allows them then gets in
		t.Errorf("%d forms", b.forms)
	}
	b.forms = 0
	if got := b.follow(t, g.expand(s.page)); got.status != http.StatusOK || len(g.proxy.take()) != 1 {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

// TestTheMarkOfAGateOpensNothing: anybody can write the parameter, and all it does is to choose the
// page.
func TestTheMarkOfAGateOpensNothing(t *testing.T) {
	g := newGateway(t)
	s := goodSignIns()[0]
	g.load(s.options(), s.sites)
	cookie, _ := g.formLogin(t, "alice", alicePassword, "")
	for _, sent := range []string{
		"", "0", "-1", "x", "99999999999999", "99999999999999999999999", "1&next=//evil.example",
		"1&sent=https://evil.example",
	} {
		got := g.get(t, "auth", "/login?next="+url.QueryEscape("https://evil.example/")+"&sent="+sent, "",
			"Cookie: access_token="+cookie)
		if got.status != http.StatusOK || strings.Contains(got.body, "evil") || got.header.Get("Location") != "" {
			t.Errorf("%s: status %d: %s", strconv.Quote(sent), got.status, got.body)
		}
	}
}
