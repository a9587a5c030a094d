package integration

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddyauth/gateway/integration/documents"
)

// otherProxy is a proxy of docs/other-proxies.md in front of radicale.
type otherProxy struct {
	name    string
	program string
	write   func(g *gateway, t *testing.T) *exec.Cmd
}

var otherProxies = []otherProxy{
	{"nginx", "nginx", (*gateway).nginx},
	{"haproxy", "haproxy", (*gateway).haproxy},
	{"caddy", "", (*gateway).otherCaddy},
}

// documented returns a block of docs/other-proxies.md with the addresses of this test.
func (g *gateway) documented(t *testing.T, heading, language string) string {
	t.Helper()
	_, section, found := strings.Cut(documents.Read(t, "docs/other-proxies.md"), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, block, opened := strings.Cut(section, "```"+language+"\n")
	block, _, closed := strings.Cut(block, "```\n")
	if !found || !opened || !closed {
		t.Fatalf("docs/other-proxies.md has no block of %s under %q", language, heading)
	}
	return strings.NewReplacer("127.0.0.1:5232", g.addr("radicale"), "127.0.0.1:9090", g.addr("auth"),
		"127.0.0.1:9091", g.addr("verdict"), "127.0.0.1:8443", g.addr("front"),
		"calendar.example.com:8443", g.host("front"), "calendar.example.com", "localhost").Replace(block)
}

// nginx wraps the documented server into what makes a whole configuration of it.
func (g *gateway) nginx(t *testing.T) *exec.Cmd {
	text := fmt.Sprintf("daemon off;\nworker_processes 1;\nuser root;\n"+
		"pid %[1]s/nginx.pid;\nerror_log %[1]s/nginx.log;\n"+
		"events {}\nhttp {\naccess_log off;\nclient_body_temp_path %[1]s/body;\nproxy_temp_path %[1]s/proxy;\n"+
		"fastcgi_temp_path %[1]s/fastcgi;\nuwsgi_temp_path %[1]s/uwsgi;\nscgi_temp_path %[1]s/scgi;\n%[2]s}\n",
		g.dir, g.documented(t, "nginx", "nginx"))
	if os.Geteuid() != 0 {
		text = strings.Replace(text, "user root;\n", "", 1)
	}
	return exec.Command("nginx", "-c", g.write(t, "nginx.conf", text), "-e", filepath.Join(g.dir, "nginx.log"))
}

func (g *gateway) haproxy(t *testing.T) *exec.Cmd {
	g.write(t, "verdict.lua", g.documented(t, "HAProxy", "lua"))
	return exec.Command("haproxy", "-db", "-f", g.write(t, "haproxy.cfg", g.documented(t, "HAProxy", "haproxy")))
}

func (g *gateway) otherCaddy(t *testing.T) *exec.Cmd {
	text := "{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}\n" +
		g.documented(t, "Caddy", "caddyfile")
	built, err := g.program()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(built, "run", "--adapter", "caddyfile", "--config", g.write(t, "other.Caddyfile", text))
}

// write makes a file in the test's folder.
func (g *gateway) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs the proxy, with the gateway and radicale behind it.
func (p otherProxy) start(t *testing.T) *gateway {
	t.Helper()
	radicale := requireProgram(t, "radicale")
	if p.program != "" {
		t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin")
		requireProgram(t, p.program)
	}
	g := newGateway(t)
	g.startRadicale(t, radicale)
	globals := strings.ReplaceAll(standardAuth, `{{url "auth"}}`, `{{url "front"}}/auth`)
	sites := `
http://:{{port "auth"}} {
	auth_server
}
http://:{{port "verdict"}} {
	log
	auth_verdict ` + p.name + `
	jwt_auth web api {
		forward sub X-Remote-User
	}
}
`
	g.load(globals+verdictServers("verdict", "auth"), sites)
	g.run(t, g.addr("front"), p.write(g, t))
	return g
}

// TestOtherProxies: what docs/other-proxies.md shows works in front of a real application.
func TestOtherProxies(t *testing.T) {
	for _, p := range otherProxies {
		t.Run(p.name, func(t *testing.T) {
			g := p.start(t)
			t.Run("identity", func(t *testing.T) { g.checkIdentityBehind(t) })
			t.Run("session", func(t *testing.T) { g.checkSessionBehind(t) })
		})
	}
}

// checkIdentityBehind asks radicale through the other proxy, which must tell it who asks.
func (g *gateway) checkIdentityBehind(t *testing.T) {
	alice := "Authorization: Bearer " + g.tokens.mint("es1", "alice", map[string]any{"iss": g.url("front") + "/auth"})
	bob := "Authorization: Bearer " + g.tokens.mint("es1", "bob", map[string]any{"iss": g.url("front") + "/auth"})
	for _, c := range []struct {
		name   string
		target string
		lines  []string
		status int
	}{
		{"alice", "/alice/", []string{alice}, http.StatusMultiStatus},
		{"bob", "/alice/", []string{bob}, http.StatusForbidden},
		{"nobody", "/alice/", nil, http.StatusUnauthorized},
		{"forged", "/alice/", []string{"X-Remote-User: alice"}, http.StatusUnauthorized},
		{"bob forges", "/alice/", []string{bob, "X-Remote-User: alice"}, http.StatusForbidden},
		{"bob forges twice", "/alice/", []string{"X-Remote-User: alice", bob, "x-remote-user: alice"},
			http.StatusForbidden},
		{"bob speaks for the proxy", "/alice/", []string{
			bob, "X-Forwarded-Uri: /bob/", "X-Forwarded-Method: OPTIONS", "X-Original-URL: http://localhost/bob/",
			"X-Original-Method: OPTIONS",
		}, http.StatusForbidden},
		{"bob hides the header", "/alice/", []string{bob, "X-Remote-User: alice", "Connection: X-Remote-User"},
			http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := sendHTTP1(t, g.addr("front"), call{
				method: "PROPFIND", target: c.target, host: g.host("front"), lines: append(c.lines, "Depth: 0"),
			})
			if got.status != c.status {
				t.Errorf("status %d, want %d: %v %s (%v)", got.status, c.status, got.header, got.body, got.broken)
			}
		})
	}
}

// checkSessionBehind signs in through the other proxy, and comes back with nothing but the refresh
// token, twice, as a browser does whose access token has ended.
func (g *gateway) checkSessionBehind(t *testing.T) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	front, err := url.Parse(g.url("front"))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	send := func(method, target, body string, lines ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, g.url("front")+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			r.Header.Set(name, value)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	page := []string{"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	resp := send("GET", "/.web/?a=%2Fb", "", page...)
	login, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.StatusCode != http.StatusSeeOther || login.Path != "/auth/login" ||
		login.Query().Get("next") != g.url("front")+"/.web/?a=%2Fb" {
		t.Fatalf("status %d, Location %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	form := url.Values{"username": {"alice"}, "password": {alicePassword}, "next": {login.Query().Get("next")}}
	resp = send("POST", "/auth/login", form.Encode(), "Content-Type: application/x-www-form-urlencoded",
		"Accept: text/html", "Origin: "+g.url("front"), "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate")
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != g.url("front")+"/.web/?a=%2Fb" {
		t.Fatalf("status %d, Location %s", resp.StatusCode, resp.Header.Get("Location"))
	}

	held := func(name string) string {
		for _, cookie := range jar.Cookies(front) {
			if cookie.Name == name {
				g.hide(cookie.Value)
				return cookie.Value
			}
		}
		return ""
	}
	for round := range 3 {
		refresh := held("refresh_token")
		if round > 0 {
			jar.SetCookies(front, []*http.Cookie{{Name: "access_token", Path: "/", MaxAge: -1}})
		}
		resp := send("PROPFIND", "/alice/", "", "Depth: 0", "X-Remote-User: bob")
		if resp.StatusCode != http.StatusMultiStatus {
			t.Fatalf("round %d: status %d", round, resp.StatusCode)
		}
		if round > 0 && (held("access_token") == "" || held("refresh_token") == refresh) {
			t.Errorf("round %d: the browser did not get the renewed session: %q", round, resp.Header["Set-Cookie"])
		}
		for name := range resp.Header {
			if strings.HasPrefix(name, "X-Auth-Set-Cookie") {
				t.Errorf("round %d: %s reached the browser", round, name)
			}
		}
	}
}

// TestBrowserThroughOtherProxies signs in with a real browser.
func TestBrowserThroughOtherProxies(t *testing.T) {
	program := requireProgram(t, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
	for _, p := range otherProxies {
		t.Run(p.name, func(t *testing.T) {
			g := p.start(t)
			b := startBrowser(t, program)
			page := g.url("front") + "/.web/?a=1#frag"
			b.do("open the application", chromedp.Navigate(page), chromedp.WaitVisible(passwordField))
			b.at("asked to sign in", g.url("front")+"/auth/login?")
			b.do("sign in", chromedp.SendKeys(nameField, "alice"), chromedp.SendKeys(passwordField, alicePassword),
				chromedp.Click(submitButton))
			eventually(t, browserPatience, func() string {
				at := ask(b, "reading the address", chromedp.Evaluate[string]("document.location.href"))
				if at != page {
					return "at " + at + ", want " + page
				}
				return ""
			})
			status := ask(b, "asking for the calendar", chromedp.Evaluate[int](`(() => {
				const x = new XMLHttpRequest();
				x.open('PROPFIND', '/alice/', false);
				x.setRequestHeader('Depth', '0');
				x.setRequestHeader('X-Remote-User', 'bob');
				x.send();
				return x.status;
			})()`))
			if status != http.StatusMultiStatus {
				t.Errorf("the calendar answers %d", status)
			}
			b.do("sign out", chromedp.Navigate(g.url("front")+"/auth/logout"), chromedp.WaitVisible(submitButton))
			b.do("confirm", chromedp.Click(submitButton), chromedp.WaitVisible(passwordField))
			b.do("be asked again", chromedp.Navigate(g.url("front")+"/.web/?b=2"), chromedp.WaitVisible(passwordField))
		})
	}
}
