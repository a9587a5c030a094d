package integration

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/caddyauth/gateway/integration/chromium"
)

// hostsPage is an application's page: it says who is there, and holds a WebSocket open.
const hostsPage = `<!doctype html>
<title>Application</title>
<p id="user">%s</p>
<p id="uri">%s</p>
<p id="socket">connecting</p>
<script>
	const shown = document.getElementById("socket");
	const socket = new WebSocket("wss://" + location.host + "/ws");
	socket.onopen = () => { shown.textContent = "open"; };
	socket.onclose = () => { shown.textContent = "closed"; window.closedAt = Date.now(); };
</script>
`

// newSocketApplication is an application with hostsPage.
func newSocketApplication(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
		_, _ = conn.Write(hello)
		_, _ = io.Copy(io.Discard, conn)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, hostsPage, html.EscapeString(r.Header.Get("X-User-Id")), html.EscapeString(r.RequestURI))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.CloseClientConnections)
	return s.Listener.Addr().String()
}

var (
	socketShown = chromedp.CSS(`#socket`)
	signOutForm = chromedp.CSS(`#sign-out`)
	signedOut   = chromedp.CSS(`#signed-out`)
	goesOn      = chromedp.CSS(`a.button`)
)

// isAt makes sure that a tab shows a page of an application, at this very address, as this person.
func (b browser) isAt(when, address, user string) {
	b.t.Helper()
	b.do(when, chromedp.WaitVisible(userShown))
	if at := ask(b, when, chromedp.Evaluate[string]("document.location.href")); at != address {
		b.t.Errorf("%s: at %s, want %s", when, at, address)
	}
	if shown := ask(b, when, chromedp.Text(userShown)); shown != user {
		b.t.Errorf("%s: the application sees %q, want %q", when, shown, user)
	}
}

func (b browser) signsIn(name, password string) {
	b.t.Helper()
	b.do("sign in", chromedp.WaitVisible(passwordField), chromedp.SendKeys(nameField, name),
		chromedp.SendKeys(passwordField, password), chromedp.Click(submitButton), chromedp.WaitVisible(userShown))
}

// socketIs waits until the WebSocket of a page is in a state.
func (b browser) socketIs(state string) {
	b.t.Helper()
	eventually(b.t, browserPatience, func() string {
		if got := ask(b, "reading the page", chromedp.Text(socketShown)); got != state {
			return "the socket is " + got
		}
		return ""
	})
}

// TestOneSignInInABrowser: two people with a browser each use applications on several hosts. They sign in
// once, come to the very address that they wanted, with its fragment, and sign out everywhere at once.
func TestOneSignInInABrowser(t *testing.T) {
	program := requireProgram(t, chromium.Programs...)
	g := newGateway(t)
	g.extra["App"] = newSocketApplication(t)
	g.loadTLS(hostsAuth, strings.ReplaceAll(hostsSites, "{{.Proxy}}", "{{.App}}"))
	start := func() browser {
		return browser{t, chromium.Start(t, program, chromedp.Flag("ignore-certificate-errors", true))}
	}
	alice, bob := start(), start()

	wanted := g.at("a.one.localhost", "/deep/p%20a?x=1&y=%2Fz#part-2")
	alice.do("open an application", chromedp.Navigate(wanted), chromedp.WaitVisible(passwordField))
	alice.at("asked to sign in", g.at("auth.localhost", "/login?"))
	alice.picture("hosts-login")
	alice.signsIn("alice", alicePassword)
	alice.isAt("after signing in", wanted, "alice")
	alice.socketIs("open")

	tabs := map[string]browser{}
	for _, host := range []string{"b.one.localhost", "two.localhost"} {
		tab := alice.openTab()
		address := g.at(host, "/other?b=2#there")
		tab.do("open "+host, chromedp.Navigate(address))
		tab.isAt("the second application", address, "alice")
		tab.socketIs("open")
		tabs[host] = tab
	}

	bobs := threeTabs(t, g, bob)
	alice.do("reload", chromedp.Reload())
	alice.isAt("beside another person", wanted, "alice")
	alice.socketIs("open")

	alice.do("ask to sign out", chromedp.Navigate(g.at("a.one.localhost", "/.auth/logout")),
		chromedp.WaitVisible(signOutForm))
	alice.picture("hosts-logout")
	since := time.Now()
	alice.do("sign out", chromedp.Click(signOutForm), chromedp.WaitVisible(signedOut))
	for host, tab := range tabs {
		tab.socketIs("closed")
		closed := time.UnixMilli(int64(ask(tab, host, chromedp.Evaluate[float64]("window.closedAt"))))
		if took := closed.Sub(since); took > 1500*time.Millisecond { // a second, and the click
			t.Errorf("%s: the socket was closed after %v", host, took)
		}
		tab.do("come again", chromedp.Reload(), chromedp.WaitVisible(passwordField))
	}
	bobs.socketIs("open")

	tabs["two.localhost"].signsIn("alice", alicePassword)
	tabs["two.localhost"].isAt("signed in again", g.at("two.localhost", "/other?b=2#there"), "alice")
}

// threeTabs opens three tabs at once before anybody has signed in, and signs in in the last one.
func threeTabs(t *testing.T, g *gateway, b browser) browser {
	t.Helper()
	tabs := []browser{b, b.openTab(), b.openTab()}
	hosts := []string{"a.one.localhost", "a.one.localhost", "two.localhost"}
	address := func(i int) string { return g.at(hosts[i], fmt.Sprintf("/tab%d?n=%d#f%d", i, i, i)) }
	for i, tab := range tabs {
		tab.do("open a tab", chromedp.Navigate(address(i)), chromedp.WaitVisible(passwordField))
	}
	tabs[2].signsIn("bob", bobPassword)
	tabs[2].isAt("the last tab", address(2), "bob")
	for i, tab := range tabs[:2] {
		tab.do("reload the page that asks", chromedp.Reload(), chromedp.WaitVisible(goesOn), chromedp.Click(goesOn))
		tab.isAt("an earlier tab", address(i), "bob")
	}
	return tabs[2]
}
