package integration

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/integration/documents"
)

// otherProxy is a proxy of docs/other-proxies.md in front of radicale.
type otherProxy struct {
	name    string
	program string
	write   func(g *gateway, t *testing.T) *exec.Cmd
	empty   bool // applications see an empty field where the gate says nothing, and not none
}

var otherProxies = []otherProxy{
	{"nginx", "nginx", (*gateway).nginx, false},
	{"haproxy", "haproxy", (*gateway).haproxy, false},
	{"caddy", "", (*gateway).otherCaddy, true},
	{"traefik", "traefik", (*gateway).traefik, true},
	{"envoy", "envoy", (*gateway).envoy, false},
}

// documented returns a block of docs/other-proxies.md with the addresses of this test: the first of a
// language below a heading, or the second.
func (g *gateway) documented(t *testing.T, heading, language string, which int) string {
	t.Helper()
	_, section, found := strings.Cut(documents.Read(t, "docs/other-proxies.md"), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := strings.Split(section, "```"+language+"\n")
	if !found || len(blocks) <= which {
		t.Fatalf("docs/other-proxies.md has fewer than %d blocks of %s under %q", which, language, heading)
	}
	block, _, _ := strings.Cut(blocks[which], "```\n")
	port := func(site string) string { return fmt.Sprint("port_value: ", g.port(site)) }
	front, verdict := "front", "verdict"
	if own, several := g.extra["Proxy"].(string); several {
		front, verdict = front+own, verdict+own
	}
	upstream := fmt.Sprint(g.extra["Upstream"])
	return strings.NewReplacer("127.0.0.1:5232", upstream, "127.0.0.1:9090", g.addr("auth"),
		"127.0.0.1:9091", g.addr(verdict), "127.0.0.1:8443", g.addr(front),
		"port_value: 5232", strings.Replace(upstream, "127.0.0.1:", "port_value: ", 1),
		"port_value: 9090", port("auth"), "port_value: 9091", port(verdict),
		"port_value: 8443", port(front), "__Host-", "", "routes.yml", filepath.Join(g.dir, "routes.yml"),
		"calendar.example.com:8443", fmt.Sprintf("%s:%d", g.extra["Application"], g.port(front)),
		"calendar.example.com", fmt.Sprint(g.extra["Application"])).Replace(block)
}

// nginx wraps the documented server into what makes a whole configuration of it.
func (g *gateway) nginx(t *testing.T) *exec.Cmd {
	// One process: what is started here is killed, and the worker of a master would live on.
	text := fmt.Sprintf("daemon off;\nmaster_process off;\nuser root;\n"+
		"pid %[1]s/nginx.pid;\nerror_log %[1]s/nginx.log;\n"+
		"events {}\nhttp {\naccess_log off;\nclient_body_temp_path %[1]s/body;\nproxy_temp_path %[1]s/proxy;\n"+
		"fastcgi_temp_path %[1]s/fastcgi;\nuwsgi_temp_path %[1]s/uwsgi;\nscgi_temp_path %[1]s/scgi;\n%[2]s}\n",
		g.dir, g.documented(t, "nginx", "nginx", 1))
	if os.Geteuid() != 0 {
		text = strings.Replace(text, "user root;\n", "", 1)
	}
	return exec.Command("nginx", "-c", g.write(t, "nginx.conf", text), "-e", filepath.Join(g.dir, "nginx.log"))
}

func (g *gateway) haproxy(t *testing.T) *exec.Cmd {
	g.write(t, "verdict.lua", g.documented(t, "HAProxy", "lua", 1))
	return exec.Command("haproxy", "-db", "-f", g.write(t, "haproxy.cfg", g.documented(t, "HAProxy", "haproxy", 1)))
}

func (g *gateway) otherCaddy(t *testing.T) *exec.Cmd {
	text := "{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}\n" +
		g.documented(t, "Caddy", "caddyfile", 1)
	built, err := g.program()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(built, "run", "--adapter", "caddyfile", "--config", g.write(t, "other.Caddyfile", text))
}

func (g *gateway) traefik(t *testing.T) *exec.Cmd {
	g.write(t, "routes.yml", g.documented(t, "Traefik", "yaml", 2))
	return exec.Command("traefik", "--configFile="+g.write(t, "traefik.yml", g.documented(t, "Traefik", "yaml", 1)))
}

func (g *gateway) envoy(t *testing.T) *exec.Cmd {
	return exec.Command("envoy", "--concurrency", "1", "--disable-hot-restart", "-l", "warn", "-c",
		g.write(t, "envoy.yaml", g.documented(t, "Envoy", "yaml", 1)))
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

// start runs the proxy, with the gateway and radicale behind it, and people signing in at the
// application's host.
func (p otherProxy) start(t *testing.T) *gateway {
	t.Helper()
	return p.startFor(t, "localhost", `{{url "front"}}/auth`)
}

// startFor runs the proxy for an application on a host, with a public URL of the server.
func (p otherProxy) startFor(t *testing.T, host, publicURL string) *gateway {
	t.Helper()
	radicale := requireProgram(t, "radicale")
	p.require(t)
	g := newGateway(t)
	g.startRadicale(t, radicale)
	g.extra["Upstream"] = g.addr("radicale")
	p.loadFor(t, g, host, publicURL)
	return g
}

// require skips a test whose proxy is not installed.
func (p otherProxy) require(t *testing.T) {
	t.Helper()
	if p.program != "" {
		t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin")
		requireProgram(t, p.program)
	}
}

// loadFor starts the gateway and the proxy.
func (p otherProxy) loadFor(t *testing.T, g *gateway, host, publicURL string) {
	t.Helper()
	g.extra["Application"] = host
	globals := strings.ReplaceAll(standardAuth, `{{url "auth"}}`, publicURL)
	globals = strings.Replace(globals, "{{origins}}", `http://{{.Application}}:{{port "front"}}`, 1)
	sites := `
http://:{{port "auth"}} {
	auth_server
	jwt_auth off
}
http://:{{port "verdict"}} {
	log
	auth_verdict ` + p.name + `
	jwt_auth /denied* web {
		require role nobody
	}
	@open header X-Open yes
	jwt_auth @open web api {
		mode optional
		forward sub X-Remote-User
	}
	@rest not header X-Open yes
	jwt_auth @rest web api {
		forward sub X-Remote-User
	}
}
`
	g.load(globals+verdictServers("verdict", "auth"), sites)
	g.run(t, g.addr("front"), p.write(g, t))
	awaitRoutes(t, fmt.Sprintf("http://%s:%d/", host, g.port("front")))
}

// awaitRoutes waits for a proxy that listens before it has read its routes, as Traefik does.
func awaitRoutes(t *testing.T, address string) {
	t.Helper()
	v := newSurfer(t)
	eventually(t, time.Minute, func() string {
		if got := v.open(address); got.status == http.StatusNotFound {
			return "it knows no route yet"
		}
		return ""
	})
}

// TestOtherProxies: what docs/other-proxies.md shows works in front of a real application.
func TestOtherProxies(t *testing.T) {
	for _, p := range otherProxies {
		t.Run(p.name, func(t *testing.T) {
			g := p.start(t)
			t.Run("identity", func(t *testing.T) { g.checkIdentityBehind(t) })
			t.Run("address", func(t *testing.T) { g.checkAddressBehind(t) })
			t.Run("session", func(t *testing.T) { g.checkSessionBehind(t) })
		})
	}
}

// checkIdentityBehind asks radicale through the other proxy, which must tell it who asks.
func (g *gateway) checkIdentityBehind(t *testing.T) {
	alice, bob := g.bearer("alice"), g.bearer("bob")
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
		{"nobody where anybody may pass", "/alice/", []string{"X-Open: yes"}, http.StatusForbidden},
		{"nobody forges where anybody may pass", "/alice/", []string{"X-Open: yes", "X-Remote-User: alice"},
			http.StatusForbidden},
		{"nobody spells it otherwise", "/alice/", []string{"X-Open: yes", "X_Remote_User: alice"},
			http.StatusForbidden},
		{"bob spells it otherwise", "/alice/", []string{bob, "X_Remote_User: alice"}, http.StatusForbidden},
		{"bob spells it otherwise, and hides it", "/alice/",
			[]string{bob, "X_Remote_User: alice", "X-Remote-User: alice", "Connection: X-Remote-User"},
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

// checkAddressBehind fails to sign in: clients do not choose the address that is held to account.
func (g *gateway) checkAddressBehind(t *testing.T) {
	form := url.Values{"username": {"alice"}, "password": {"looking-glass"}}
	v := newSurfer(t)
	away := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}} // no trusted proxy
	v.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return away.DialContext(ctx, network, g.addr("front"))
	}
	refused := v.send(http.MethodPost, g.url("front")+"/auth/login", form.Encode(),
		http.Header{"Origin": {g.url("front")}, "X-Forwarded-For": {"203.0.113.9"}})
	if refused.status != http.StatusUnauthorized {
		t.Fatalf("status %d", refused.status)
	}
	if log := g.log(); strings.Contains(log, `"client_ip":"203.0.113.9"`) ||
		!strings.Contains(log, `"client_ip":"127.0.0.2"`) {
		t.Error("the client chose its address")
	}
}

// checkSessionBehind signs in through the other proxy, and comes back with nothing but the refresh
// token, twice, as a browser does whose access token has ended.
func (g *gateway) checkSessionBehind(t *testing.T) {
	v := newSurfer(t)
	page := g.url("front") + "/.web/?a=%2Fb"
	sent := v.open(page)
	if sent.status != http.StatusSeeOther || !strings.HasPrefix(sent.location(), g.url("front")+"/auth/login?") {
		t.Fatalf("status %d, to %s", sent.status, sent.location())
	}
	login := v.open(sent.location())
	entered := v.submit(g.url("front"), "/auth/login", v.loginForm(login, "alice", alicePassword))
	if back, _ := v.follow(entered); back.status != http.StatusOK || back.at != page {
		t.Fatalf("status %d at %s, want %s", back.status, back.at, page)
	}

	dav := http.Header{"Depth": {"0"}, "X-Remote-User": {"bob"}, "Accept": {"*/*"}}
	for round := range 3 {
		refresh := v.holds(g, "refresh_token")
		if round > 0 {
			v.loses(g, "access_token")
		}
		got := v.send("PROPFIND", g.url("front")+"/alice/", "", dav)
		if got.status != http.StatusMultiStatus {
			t.Fatalf("round %d: status %d", round, got.status)
		}
		if round > 0 && (v.holds(g, "access_token") == "" || v.holds(g, "refresh_token") == refresh) {
			t.Errorf("round %d: the browser did not get the renewed session: %q", round, got.header["Set-Cookie"])
		}
		got.tellsNoCookie(t)
	}

	refresh := v.holds(g, "refresh_token")
	v.loses(g, "access_token")
	got := v.send("GET", g.url("front")+"/denied", "", http.Header{"Accept": {"*/*"}})
	if got.status != http.StatusForbidden || v.holds(g, "refresh_token") == refresh {
		t.Errorf("a refusal that renews: status %d, %q", got.status, got.header["Set-Cookie"])
	}
	got.tellsNoCookie(t)
}

// holds returns a cookie that the browser has for the application.
func (v *surfer) holds(g *gateway, name string) string {
	for _, cookie := range v.jar.Cookies(&url.URL{Scheme: "http", Host: g.host("front"), Path: "/"}) {
		if cookie.Name == name {
			g.hide(cookie.Value)
			return cookie.Value
		}
	}
	return ""
}

// loses takes a cookie from the browser, as its age does.
func (v *surfer) loses(g *gateway, name string) {
	v.jar.SetCookies(&url.URL{Scheme: "http", Host: g.host("front"), Path: "/"},
		[]*http.Cookie{{Name: name, Path: "/", MaxAge: -1}})
}

// tellsNoCookie: a script may read every field but Set-Cookie.
func (s seen) tellsNoCookie(t *testing.T) {
	t.Helper()
	for name := range s.header {
		if strings.HasPrefix(name, "X-Auth-Set-Cookie") {
			t.Errorf("status %d: %s reached the browser", s.status, name)
		}
	}
}

// TestOtherProxiesAcrossHosts: the sign-in has a host of its own, and the application another one.
func TestOtherProxiesAcrossHosts(t *testing.T) {
	for _, p := range otherProxies {
		t.Run(p.name, func(t *testing.T) {
			g := p.startFor(t, "calendar.localhost", `{{url "auth"}}`)
			v := newSurfer(t)
			page := fmt.Sprintf("http://calendar.localhost:%d/.web/?a=%%2Fb", g.port("front"))
			v.fillJar(g)
			sent := v.open(page)
			if !strings.HasPrefix(sent.location(), g.url("auth")+"/authorize?") {
				t.Fatalf("status %d, to %s: %s", sent.status, sent.location(), sent.body)
			}
			sent.tellsNoCookie(t)
			login, _ := v.follow(sent)
			back, way := v.signIn(login, "alice", alicePassword)
			if back.status != http.StatusOK || back.at != page {
				t.Errorf("status %d at %s, want %s, by %q", back.status, back.at, page, way)
			}
			got := v.send("PROPFIND", fmt.Sprintf("http://calendar.localhost:%d/alice/", g.port("front")), "",
				http.Header{"Depth": {"0"}, "X-Remote-User": {"bob"}, "Accept": {"*/*"}})
			if got.status != http.StatusMultiStatus {
				t.Errorf("the calendar answers %d", got.status)
			}
		})
	}
}

// TestOtherProxiesPassOneHost: a session at another application is none at the calendar, whichever host a
// request names to the other proxy.
func TestOtherProxiesPassOneHost(t *testing.T) {
	for _, p := range otherProxies {
		t.Run(p.name, func(t *testing.T) {
			g := p.startFor(t, "calendar.localhost", `{{url "auth"}}`)
			port := g.port("front")
			sessionAt := func(host string) string {
				return "Authorization: Bearer " + g.tokens.mint("es1", "alice", map[string]any{
					"client_id": "caddyauth-web", "aud": []string{"web", fmt.Sprintf("http://%s:%d", host, port)},
				})
			}
			for _, c := range []struct {
				name, target, host, session string
				pass                        bool
			}{
				{"at the calendar", "/alice/", "calendar.localhost", "calendar.localhost", true},
				{"in capitals", "/alice/", "Calendar.LOCALHOST", "calendar.localhost", true},
				{"at the host of the other application", "/alice/", "wiki.localhost", "wiki.localhost", false},
				{
					"a target that names the calendar", fmt.Sprintf("http://calendar.localhost:%d/alice/", port),
					"wiki.localhost", "wiki.localhost", false,
				},
				{"a dot behind the host", "/alice/", "calendar.localhost.", "calendar.localhost.", false},
			} {
				t.Run(c.name, func(t *testing.T) {
					got := sendHTTP1(t, g.addr("front"), call{
						method: "PROPFIND", target: c.target, host: fmt.Sprintf("%s:%d", c.host, port),
						lines: []string{sessionAt(c.session), "Depth: 0"},
					})
					if pass := got.status == http.StatusMultiStatus; pass != c.pass {
						t.Errorf("status %d: %v %s (%v)", got.status, got.header, got.body, got.broken)
					}
				})
			}
		})
	}
}

// fillJar gives the browser what is left of a session and of many attempts to sign in, which are all
// cleared in one answer: more lines of Set-Cookie than nginx can copy.
func (v *surfer) fillJar(g *gateway) {
	old := []*http.Cookie{
		{Name: "access_token", Value: "x", Path: "/"}, {Name: "refresh_token", Value: "rt_x.y.0.z", Path: "/"},
	}
	for i := range 12 {
		old = append(old, &http.Cookie{Name: fmt.Sprint(gate.SignInCookie, "0000", i), Value: "x", Path: "/"})
	}
	v.jar.SetCookies(&url.URL{Scheme: "http", Host: fmt.Sprint("calendar.localhost:", g.port("front")), Path: "/"}, old)
}

// TestBrowserThroughOtherProxies signs in with a real browser.
func TestBrowserThroughOtherProxies(t *testing.T) {
	program := requireBrowser(t)
	for _, p := range otherProxies {
		t.Run(p.name, func(t *testing.T) {
			g := p.start(t)
			b := startBrowser(t, program)
			page := g.url("front") + "/.web/?a=1#frag"
			b.do("open the application", chromedp.Navigate(page), chromedp.WaitVisible(passwordField))
			b.at("asked to sign in", g.url("front")+"/auth/login?")
			b.sendsLogin("alice", alicePassword)
			b.arrives(page)
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
