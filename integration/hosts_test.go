package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostsAuth is a server whose sign-in page is on a host of its own.
const hostsAuth = `auth {
	issuer https://auth.localhost:{{port "https"}}
	return_to https://named.wild.localhost:{{port "https"}} http://plain.localhost:{{port "https"}}
	user alice {
		password_hash {{hash "alice"}}
		claim role admin
	}
	user bob {
		password_hash {{hash "bob"}}
		claim role viewer
	}
}`

// hostsSites are applications on several hosts and domains.
const hostsSites = `
(application) {
	log
	tls internal
	jwt_auth web {
		forward sub X-User-Id
		forward role X-User-Role
	}
	reverse_proxy {{.Proxy}}
}
https://auth.localhost:{{port "https"}} {
	log
	tls internal
	auth_server
}
https://a.one.localhost:{{port "https"}} {
	import application
}
https://b.one.localhost:{{port "https"}} {
	import application
}
https://two.localhost:{{port "https"}} {
	import application
}
https://*.wild.localhost:{{port "https"}} {
	import application
}
`

// newHosts starts the server with its applications.
func newHosts(t *testing.T, sites string) *gateway {
	t.Helper()
	g := newGateway(t)
	g.loadTLS(hostsAuth, sites)
	return g
}

// loadTLS is load for sites with TLS. The certificate is of the test's own making: Caddy 2.11.9 gets
// those of `tls internal` beside the start of its TLS app, which still writes then what the other reads.
// More pairs say what else of the text is replaced by what.
func (g *gateway) loadTLS(globals, sites string, more ...string) {
	g.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		g.t.Fatal(err)
	}
	text := strings.NewReplacer(append(more,
		"auto_https off", "auto_https disable_redirects\n\tskip_install_trust",
		"admin off", "admin "+g.addr("admin"),
		"tls internal", g.certificate("hosts", key, x509.NewCertPool()),
	)...).Replace(g.caddyfile(globals, sites))
	if err := loadText(text); err != nil {
		g.t.Fatalf("loading: %v\n%s", err, text)
	}
	g.settle()
}

// at is an address of one of the hosts.
func (g *gateway) at(host, uri string) string {
	return g.atPort("https", host, uri)
}

// atPort is an address of a host at the port of a site.
func (g *gateway) atPort(site, host, uri string) string {
	return fmt.Sprintf("https://%s:%d%s", host, g.port(site), uri)
}

// surfer is the browser of one person, which follows redirects one by one.
type surfer struct {
	t      *testing.T
	client *http.Client
	jar    http.CookieJar
}

func newSurfer(t *testing.T) *surfer {
	t.Helper()
	jar := newJar(t)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			return dialAgain(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &surfer{t, &http.Client{
		Transport:     transport,
		Jar:           jar,
		Timeout:       clientPatience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, jar}
}

// seen is what a browser got for one address.
type seen struct {
	at     string
	status int
	header http.Header
	body   string
}

// location is where the browser is sent; empty when it is not.
func (s seen) location() string {
	to := s.header.Get("Location")
	if base, err := url.Parse(s.at); err == nil && to != "" {
		if u, err := base.Parse(to); err == nil {
			return u.String()
		}
	}
	return to
}

// open asks for one address as a person does who follows a link.
func (v *surfer) open(address string) seen {
	v.t.Helper()
	return v.send(http.MethodGet, address, "", nil)
}

func (v *surfer) send(method, address, body string, header http.Header) seen {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range header {
		r.Header[name] = values
		if name == "Host" {
			r.Host = values[0]
		}
	}
	resp, err := v.client.Do(r)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, address, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return seen{address, resp.StatusCode, resp.Header, string(text)}
}

// submit sends a form as the origin's own pages do.
func (v *surfer) submit(origin, path, form string) seen {
	v.t.Helper()
	return v.send(http.MethodPost, origin+path, form, http.Header{"Origin": {origin}})
}

// follow goes on until there is a page, and returns it with the addresses on the way.
func (v *surfer) follow(s seen) (page seen, way []string) {
	v.t.Helper()
	for range 12 {
		if s.location() == "" {
			return s, way
		}
		s = v.open(s.location())
		way = append(way, s.at)
	}
	v.t.Fatalf("a circle: %s", strings.Join(way, "\n"))
	return seen{}, nil
}

var nextField = regexp.MustCompile(`name="next" value="([^"]*)"`)

// signIn fills the form of the login page, and follows where it leads.
func (v *surfer) signIn(login seen, name, password string) (page seen, way []string) {
	v.t.Helper()
	u, err := url.Parse(login.at)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.follow(v.submit(u.Scheme+"://"+u.Host, "/login", v.loginForm(login, name, password)))
}

// loginForm is the form of the login page, filled in.
func (v *surfer) loginForm(login seen, name, password string) string {
	form := url.Values{"username": {name}, "password": {password}}
	if next := nextField.FindStringSubmatch(login.body); next != nil {
		form.Set("next", strings.ReplaceAll(next[1], "&amp;", "&"))
	}
	return form.Encode()
}

// isLogin makes sure that a page asks for a password.
func (s seen) isLogin() bool {
	return s.status == http.StatusOK && strings.Contains(s.body, `name="password"`)
}

// TestOneSignInForSeveralHosts: who signs in for one application is asked nothing at the others, on
// whatever domain, and comes to the very address that they wanted.
func TestOneSignInForSeveralHosts(t *testing.T) {
	g := newHosts(t, hostsSites)
	v := newSurfer(t)
	wanted := `/deep/p%20a/%C3%A4?x=1&y=%2Fz&q=a+b&&=`
	login, _ := v.follow(v.open(g.at("a.one.localhost", wanted)))
	if !login.isLogin() || !strings.HasPrefix(login.at, g.at("auth.localhost", "/login?")) {
		t.Fatalf("at %s: status %d: %s", login.at, login.status, login.body)
	}
	where := strings.TrimPrefix(g.at("a.one.localhost", ""), "https://")
	if !strings.Contains(login.body, "to continue to <strong>"+where+"<") { // it is in the form's `next` anyway
		t.Error("the page does not say where the person is going")
	}
	page, _ := v.signIn(login, "alice", alicePassword)
	if page.status != http.StatusOK || page.at != g.at("a.one.localhost", wanted) {
		t.Fatalf("at %s: status %d: %s", page.at, page.status, page.body)
	}
	if got := g.proxy.take(); len(got) != 1 || got[0].target != wanted ||
		!slices.Equal(got[0].values("x-user-id"), []string{"alice"}) || strings.Contains(got[0].raw, "_token") {
		t.Errorf("the application saw %+v", got)
	}
	for _, host := range []string{"b.one.localhost", "two.localhost", "named.wild.localhost"} {
		page, way := v.follow(v.open(g.at(host, "/other?b=2")))
		if page.status != http.StatusOK || page.at != g.at(host, "/other?b=2") || len(way) != 3 {
			t.Errorf("%s: at %s: status %d: %s\n%s", host, page.at, page.status, page.body, strings.Join(way, "\n"))
		}
	}
	// From now on no host asks the server.
	if again := v.open(g.at("two.localhost", "/again")); again.status != http.StatusOK {
		t.Errorf("a second request: status %d to %s", again.status, again.location())
	}
}

// begun is a sign-in at a host that has come as far as the server's answer.
type begun struct {
	wanted   string
	callback string // the address of the answer
}

// begin opens a page of a host as a person who is signed in at the server, and stops before the answer
// is looked at.
func (v *surfer) begin(g *gateway, host, uri string) begun {
	v.t.Helper()
	authorize := v.open(g.at(host, uri)).location()
	callback := v.open(authorize).location()
	if !strings.HasPrefix(callback, g.at(host, "/.auth/callback?")) {
		v.t.Fatalf("sent to %s, then to %s", authorize, callback)
	}
	return begun{g.at(host, uri), callback}
}

// signedInAtServer is a browser with a session at the server alone.
func signedInAtServer(t *testing.T, g *gateway, name, password string) *surfer {
	t.Helper()
	v := newSurfer(t)
	page, _ := v.signIn(v.open(g.at("auth.localhost", "/login")), name, password)
	if page.status != http.StatusOK || !strings.Contains(page.body, "You are signed in") {
		t.Fatalf("signing in: status %d: %s", page.status, page.body)
	}
	return v
}

// with changes one parameter of an address; without values it is removed.
func with(t *testing.T, address, name string, values ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	if query.Del(name); len(values) > 0 {
		query[name] = values
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// TestAnswersThatAreRefused: whatever comes to the path of the server's answer and is not the answer to
// this browser's own question ends on a page that says so. It sets no session and leads nowhere by itself.
func TestAnswersThatAreRefused(t *testing.T) {
	g := newHosts(t, hostsSites)
	other := signedInAtServer(t, g, "bob", bobPassword)
	foreign := other.begin(g, "a.one.localhost", "/foreign")
	for _, c := range []struct {
		name   string
		answer func(v *surfer, b begun) string
		status int
		code   string
	}{
		{"no state", func(_ *surfer, b begun) string { return with(t, b.callback, "state") }, 400, "invalid_state"},
		{"forged state", func(_ *surfer, b begun) string {
			u, _ := url.Parse(b.callback)
			state := []byte(u.Query().Get("state"))
			state[len(state)/2] ^= 1
			return with(t, b.callback, "state", string(state))
		}, 400, "invalid_state"},
		{"state that is no base64", func(_ *surfer, b begun) string {
			return with(t, b.callback, "state", "<script>x")
		}, 400, "invalid_state"},
		{"oversized state", func(_ *surfer, b begun) string {
			return with(t, b.callback, "state", strings.Repeat("A", 5000))
		}, 400, "invalid_state"},
		{"oversized query", func(_ *surfer, b begun) string {
			return b.callback + "&x=" + strings.Repeat("A", 20000)
		}, 400, "invalid_request"},
		{"two states", func(_ *surfer, b begun) string { return b.callback + "&state=x" }, 400, "invalid_request"},
		{"two codes", func(_ *surfer, b begun) string { return b.callback + "&code=x" }, 400, "invalid_request"},
		{"no code", func(_ *surfer, b begun) string { return with(t, b.callback, "code") }, 400, "invalid_request"},
		{"another code", func(_ *surfer, b begun) string {
			return with(t, b.callback, "code", "ac_unknown")
		}, 400, "code_refused"},
		{"an attacker's code for the person's own attempt", func(_ *surfer, b begun) string {
			u, _ := url.Parse(foreign.callback)
			return with(t, b.callback, "code", u.Query().Get("code"))
		}, 400, "code_refused"},
		{"an attacker's answer", func(*surfer, begun) string { return foreign.callback }, 400, "other_browser"},
		{"another issuer", func(_ *surfer, b begun) string {
			return with(t, b.callback, "iss", "https://evil.example")
		}, 400, "invalid_request"},
		{"no issuer", func(_ *surfer, b begun) string { return with(t, b.callback, "iss") }, 400, "invalid_request"},
		{"at another host", func(_ *surfer, b begun) string {
			return strings.Replace(b.callback, "a.one.localhost", "b.one.localhost", 1)
		}, 400, "other_host"},
		{"without the cookie", func(v *surfer, b begun) string {
			v.client.Jar = nil
			return b.callback
		}, 400, "other_browser"},
		{"with another attempt's cookie", func(v *surfer, b begun) string {
			v.client.Jar = nil
			fresh := newSurfer(t)
			fresh.client.Jar, v.client.Jar = v.jar, fresh.jar
			v.open(g.at("a.one.localhost", "/"))
			return b.callback
		}, 400, "other_browser"},
		{"an error", func(_ *surfer, b begun) string {
			return with(t, with(t, b.callback, "code"), "error", "access_denied")
		}, 403, "denied"},
		{"an error that nobody knows", func(_ *surfer, b begun) string {
			return with(t, with(t, b.callback, "code"), "error", "<b>x</b>")
		}, 403, "denied"},
		{"the server is not available", func(_ *surfer, b begun) string {
			return with(t, with(t, b.callback, "code"), "error", "temporarily_unavailable")
		}, 503, "unavailable"},
		{"twice", func(v *surfer, b begun) string {
			if first := v.open(b.callback); first.location() != b.wanted {
				t.Errorf("the first time: status %d to %s", first.status, first.location())
			}
			v.client.Jar = newSurfer(t).jar // or there would be a session
			return b.callback
		}, 400, "other_browser"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := signedInAtServer(t, g, "alice", alicePassword)
			got := v.open(c.answer(v, v.begin(g, "a.one.localhost", "/wanted?a=1")))
			if got.status != c.status || !strings.Contains(got.body, "<code>"+c.code+"</code>") ||
				!strings.Contains(got.body, `href="/.auth/login?next=`) {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			for _, cookie := range (&http.Response{Header: got.header}).Cookies() {
				if strings.Contains(cookie.Name, "_token") {
					t.Errorf("it sets %s", cookie.Name)
				}
			}
			if got.location() != "" || strings.Contains(got.body, "<script>x") || strings.Contains(got.body, "<b>x") ||
				strings.Contains(got.header.Get("Referrer-Policy"), "unsafe") ||
				!strings.Contains(got.header.Get("Cache-Control"), "no-store") {
				t.Errorf("header %v: %s", got.header, got.body)
			}
		})
	}
}

// TestTryingAgainAfterARefusedAnswer: the link of the page leads to where the person wanted to go.
func TestTryingAgainAfterARefusedAnswer(t *testing.T) {
	g := newHosts(t, hostsSites)
	v := signedInAtServer(t, g, "alice", alicePassword)
	b := v.begin(g, "two.localhost", "/wanted?a=1&b=%2F")
	got := v.open(with(t, b.callback, "code", "ac_unknown"))
	link := regexp.MustCompile(`href="(/\.auth/login\?[^"]*)"`).FindStringSubmatch(got.body)
	if link == nil {
		t.Fatalf("no link: %s", got.body)
	}
	page, _ := v.follow(v.open(g.at("two.localhost", strings.ReplaceAll(link[1], "&amp;", "&"))))
	if page.status != http.StatusOK || page.at != b.wanted {
		t.Errorf("at %s: status %d: %s", page.at, page.status, page.body)
	}
}

// TestReturnTargetsStayOnTheHost: nothing that stands in an address leads to another host.
func TestReturnTargetsStayOnTheHost(t *testing.T) {
	g := newHosts(t, hostsSites)
	v := signedInAtServer(t, g, "alice", alicePassword)
	v.follow(v.open(g.at("a.one.localhost", "/")))
	for _, c := range []struct{ next, want string }{
		{"/x?a=1&b=2", "/x?a=1&b=2"},
		{"//evil.example/x", "//evil.example/x"}, // a path of this very host
		{"/\\evil.example", "/"}, {"https://evil.example/", "/"}, {"evil.example", "/"}, {"javascript:alert(1)", "/"},
		{"", "/"}, {"/\t/evil.example", "/"}, {"/a\r\nSet-Cookie: x=1", "/"}, {"/.auth/login?next=/", "/"},
		{"/.auth/logout", "/"}, {"/%2e%2e//evil", "/%2e%2e//evil"},
	} {
		t.Run(c.next, func(t *testing.T) {
			v.setCookie(g, "a.one.localhost", "__Host-sign_ins", "") // several targets are the same root
			got := v.open(g.at("a.one.localhost", "/.auth/login?next="+url.QueryEscape(c.next)))
			if to := got.header.Get("Location"); to != g.at("a.one.localhost", c.want) {
				t.Errorf("status %d to %q", got.status, to)
			}
		})
	}
}

// TestAddressesThatAreTooLong: the sign-in works, and says that the address was not kept.
func TestAddressesThatAreTooLong(t *testing.T) {
	g := newHosts(t, hostsSites)
	v := signedInAtServer(t, g, "alice", alicePassword)
	whole := "/x?y=" + strings.Repeat("&", 2000)
	if page, _ := v.follow(v.open(g.at("a.one.localhost", whole))); page.at != g.at("a.one.localhost", whole) {
		t.Errorf("at %s: status %d", page.at, page.status)
	}
	for round, want := range []string{"too long to be kept", "too long to be kept", "round_trips"} {
		page, _ := v.follow(v.open(g.at("b.one.localhost", "/x?y="+strings.Repeat("z", 5000))))
		if (page.status == http.StatusOK) != (round < 2) || !strings.Contains(page.body, want) {
			t.Errorf("round %d: at %s: status %d: %s", round, page.at, page.status, page.body)
		}
		if got := v.open(g.at("b.one.localhost", "/")); round < 2 && got.status != http.StatusOK {
			t.Errorf("afterwards: status %d", got.status)
		}
		v.setCookie(g, "b.one.localhost", "__Host-access_token", "")
		v.setCookie(g, "b.one.localhost", "__Host-refresh_token", "")
	}
}

// TestOnlyPeopleAreSentToSignIn: a script, a program, a posted form, a frame and a bearer get an answer.
func TestOnlyPeopleAreSentToSignIn(t *testing.T) {
	g := newHosts(t, hostsSites)
	v := newSurfer(t)
	for _, c := range []struct {
		name, method string
		header       http.Header
	}{
		{"a script", http.MethodGet, http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}}},
		{"a program", http.MethodGet, http.Header{"Accept": {"application/json"}}},
		{"an XMLHttpRequest", http.MethodGet, http.Header{"X-Requested-With": {"XMLHttpRequest"}}},
		{"a form", http.MethodPost, http.Header{"Origin": {g.at("a.one.localhost", "")}}},
		{"a frame", http.MethodGet, http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}}},
		{"a bearer", http.MethodGet, http.Header{"Authorization": {"Bearer x"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := v.send(c.method, g.at("a.one.localhost", "/x"), "", c.header)
			if got.status != http.StatusUnauthorized || got.location() != "" || len(got.header["Set-Cookie"]) > 0 {
				t.Errorf("status %d: %v", got.status, got.header)
			}
			if c.name == "a form" && !strings.Contains(got.body, `href="/.auth/login?next=%2F"`) {
				t.Errorf("no link to sign in: %s", got.body)
			}
		})
	}
}

// TestHostsThatNobodyNamed: a host that the configuration does not name is told so, whatever the request
// says of it, and is never in an address.
func TestHostsThatNobodyNamed(t *testing.T) {
	g := newHosts(t, hostsSites+`
https://:{{port "any"}} {
	import application
}
`)
	v := newSurfer(t)
	got := v.open(g.at("other.wild.localhost", "/x"))
	if want := "return_to " + g.at("other.wild.localhost", ""); got.status != http.StatusUnauthorized ||
		!strings.Contains(got.body, want) || got.location() != "" {
		t.Errorf("a host of the pattern: status %d, want %q: %s", got.status, want, got.body)
	}
	if got := v.open(g.at("other.wild.localhost", "/.auth/callback")); got.status != http.StatusUnauthorized ||
		!strings.Contains(got.body, "<code>unknown_host</code>") {
		t.Errorf("its callback: status %d: %s", got.status, got.body)
	}
	g.proxy.take()
	for _, c := range []struct {
		host   string
		status int // at the site that takes every host
		says   string
		to     string
	}{
		{"evil.example", 401, "return_to https://evil.example<", ""},
		{"a.one.localhost.evil.example", 401, "return_to https://a.one.localhost.evil.example<", ""},
		{"evil.example:443", 401, "return_to https://evil.example<", ""},
		{"a.one.localhost@evil.example", 400, "", ""},
		{"a.one.localhost:1", 401, "return_to https://a.one.localhost:1<", ""},
		{"auth.localhost", 303, "", g.at("auth.localhost", "/login?")},
	} {
		t.Run(c.host, func(t *testing.T) {
			for _, site := range []string{"any", "https"} {
				got := v.send(http.MethodGet, g.atPort(site, "a.one.localhost", "/x"), "",
					http.Header{"Host": {c.host}})
				if to := got.location(); to != "" && (c.to == "" || !strings.HasPrefix(to, c.to)) ||
					len(got.header["Set-Cookie"]) > 0 {
					t.Errorf("%s: status %d to %s: %v", site, got.status, to, got.header)
				}
				if site == "any" && (got.status != c.status || !strings.Contains(got.body, c.says)) {
					t.Errorf("status %d: %s", got.status, got.body)
				}
			}
			if seen := g.proxy.take(); len(seen) > 0 {
				t.Errorf("the application saw %s", seen[0].raw)
			}
		})
	}
	for _, uri := range []string{"https://evil.example/.auth/callback", g.at("other.wild.localhost", "/.auth/callback"),
		g.at("a.one.localhost", "/.auth/callback/"), g.at("a.one.localhost", "/.auth/callback?x=1"),
		strings.Replace(g.at("plain.localhost", "/.auth/callback"), "https", "http", 1),
		"https://a.one.localhost:1/.auth/callback"} {
		t.Run(uri, func(t *testing.T) {
			got := v.open(g.at("auth.localhost", "/authorize?client_id=caddyauth-web&response_type=code&redirect_uri="+
				url.QueryEscape(uri)+"&code_challenge="+strings.Repeat("A", 43)+"&code_challenge_method=S256"))
			if got.status != http.StatusBadRequest || !strings.Contains(got.body, "The way back is not known") {
				t.Errorf("status %d to %s: %s", got.status, got.location(), got.body)
			}
		})
	}
}

// TestSitesOfAnotherScheme: a browser keeps no sign-in for https at a site on http, and the other way round.
// The page says so, and advises nothing that would not help.
func TestSitesOfAnotherScheme(t *testing.T) {
	for _, c := range []struct{ name, server, application string }{
		{"http beside https", "https", "http"}, {"https beside http", "http", "https"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			g.extra["Server"], g.extra["App"] = c.server, c.application
			site := map[string]string{"http": "", "https": "tls internal"}
			g.loadTLS(strings.NewReplacer("https://auth", "{{.Server}}://auth").Replace(hostsAuth), `
{{.Server}}://auth.localhost:{{port "https"}} {
	`+site[c.server]+`
	auth_server
}
{{.App}}://two.localhost:{{port "other"}} {
	`+site[c.application]+`
	jwt_auth web
	reverse_proxy {{.Proxy}}
}
`)
			v := newSurfer(t)
			got := v.open(fmt.Sprintf("%s://two.localhost:%d/x", c.application, g.port("other")))
			if got.status != http.StatusUnauthorized || got.location() != "" || len(got.header["Set-Cookie"]) > 0 ||
				!strings.Contains(got.body, "<code>other_scheme</code>") || strings.Contains(got.body, "return_to") ||
				!strings.Contains(got.body, "serve this page over "+c.server) {
				t.Errorf("status %d to %s: %s", got.status, got.location(), got.body)
			}
			if seen := g.proxy.take(); len(seen) > 0 {
				t.Errorf("the application saw %s", seen[0].raw)
			}
		})
	}
}

// TestNobodyElseIsTheBuiltInClient: what gates do in process, no program can do at the endpoints.
func TestNobodyElseIsTheBuiltInClient(t *testing.T) {
	g := newHosts(t, hostsSites)
	v := signedInAtServer(t, g, "alice", alicePassword)
	b := v.begin(g, "a.one.localhost", "/")
	u, _ := url.Parse(b.callback)
	for _, path := range []string{"/token", "/par", "/introspect", "/revoke", "/device_authorization"} {
		form := url.Values{
			"client_id": {"caddyauth-web"}, "grant_type": {"authorization_code"}, "code": {u.Query().Get("code")},
			"code_verifier": {strings.Repeat("a", 43)}, "redirect_uri": {g.at("a.one.localhost", "/.auth/callback")},
			"token": {"x"}, "response_type": {"code"}, "code_challenge": {strings.Repeat("A", 43)},
			"code_challenge_method": {"S256"},
		}
		got := v.send(http.MethodPost, g.at("auth.localhost", path), form.Encode(), nil)
		if got.status != http.StatusUnauthorized || !strings.Contains(got.body, "invalid_client") {
			t.Errorf("%s: status %d: %s", path, got.status, got.body)
		}
	}
	// The session of an application is none at the server, where it could let clients in.
	v.follow(v.open(b.callback))
	c := v.cookieAt(g, "a.one.localhost", "__Host-access_token")
	got := newSurfer(t).send(http.MethodGet, g.at("auth.localhost", "/login"), "",
		http.Header{"Cookie": {c.Name + "=" + c.Value}})
	if !got.isLogin() {
		t.Errorf("at the server: status %d: %s", got.status, got.body)
	}
}

// TestManyAttemptsAtOnce: tabs do not disturb each other, and a browser keeps five cookies at most.
func TestManyAttemptsAtOnce(t *testing.T) {
	g := newHosts(t, hostsSites)
	v := signedInAtServer(t, g, "alice", alicePassword)
	var tabs []begun
	for _, uri := range []string{"/0", "/1", "/2", "/3", "/4", "/5", "/6"} {
		tabs = append(tabs, v.begin(g, "a.one.localhost", uri))
		time.Sleep(2 * time.Millisecond) // ids are in the order of milliseconds
	}
	app, _ := url.Parse(g.at("a.one.localhost", "/"))
	if n := len(v.jar.Cookies(app)); n != 5 {
		t.Errorf("%d cookies", n)
	}
	for i, tab := range tabs {
		got := v.open(tab.callback)
		if i < 2 && !strings.Contains(got.body, "other_browser") || i >= 2 && got.location() != tab.wanted {
			t.Errorf("tab %d: status %d to %s", i, got.status, got.location())
		}
	}
}
