package clients

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/caddyauth/gateway/integration/chromium"
)

// TestSPA is oidc-client-ts in Chromium, with the settings of docs/clients.md: a page of another site
// than the gateway's, and one of the same site.
func TestSPA(t *testing.T) {
	for _, c := range []struct {
		name, client, frame string // frame is what the renewal in a frame comes to
	}{
		{"another site", "notes", "login_required"}, // the frame has no cookie of the gateway
		{"the same site", "near", "renewed: alice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := start(t)
			b := m.openSPA(t, c.client)
			b.says("ready", "nobody")
			b.press("#sign-in", "#username")
			b.signIn()
			b.press("#deny", "#result")
			b.says("access_denied", "nobody")
			b.press("#sign-in", "#allow")
			b.press("#allow", "#result")
			b.says("signed in", "signed in: alice")
			b.act("#userinfo", "Alice Liddell alice@example.com", "signed in: alice")
			b.act("#renew", "renewed: alice", "signed in: alice")
			b.act("#renew", "renewed: alice", "signed in: alice") // with the refresh token of the first renewal
			b.act("#frame", c.frame, "signed in: alice")
			b.act("#revoke", "revoked", "signed in: alice")
			b.press("#sign-out", "#result")
			b.says("signed out", "nobody")
			b.at(m.at(c.client) + "/")

			popup := b.popup(t)
			if closed := b.evaluate(`String(opened.closed)`); closed != "true" {
				t.Errorf("the page that opened the sign-in page still holds its window: closed is %s", closed)
			}
			popup.signIn()
			b.says("popup: alice", "signed in: alice")
			b.gone(t)
		})
	}
}

// openSPA serves the page, and opens it in a browser.
func (m *machine) openSPA(t *testing.T, client string) spaBrowser {
	t.Helper()
	program := requireProgram(t, chromium.Programs...)
	requireProgram(t, "npm")
	installed, err := packages()
	if err != nil {
		missing(t, err.Error())
	}
	page, err := os.ReadFile("spa.html")
	if err != nil {
		t.Fatal(err)
	}
	settings := m.settings(t, "A page in the browser (SPA)", "js")
	settings = strings.NewReplacer("'notes'", "'"+client+"'", m.at("notes"), m.at(client)).Replace(settings)
	text := strings.Replace(string(page), "SETTINGS\n", settings, 1)
	pages := http.NewServeMux()
	pages.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(text))
	})
	pages.HandleFunc("/oidc-client-ts.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(installed, "node_modules/oidc-client-ts/dist/browser/oidc-client-ts.min.js"))
	})
	at, err := url.Parse(m.at(client))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: pages}}
	server.Start()
	t.Cleanup(server.Close)
	b := spaBrowser{t, chromium.Start(t, program)}
	b.do(chromedp.Navigate(m.at(client)+"/"), chromedp.WaitVisible(chromedp.CSS("#result")))
	return b
}

// spaBrowser is a tab or a popup of a browser.
type spaBrowser struct {
	t   *testing.T
	ctx context.Context
}

const patience = 15 * time.Second

func (b spaBrowser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v, at %s", err, b.evaluate("location.href + ' ' + document.body.innerText"))
	}
}

// press presses a button, and waits for what the next page has.
func (b spaBrowser) press(button, next chromedp.CSS) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(button), chromedp.Click(button), chromedp.WaitVisible(next))
}

// act presses a button that does something on the page, and compares what it comes to.
func (b spaBrowser) act(button chromedp.CSS, result, user string) {
	b.t.Helper()
	b.do(chromedp.Click(button))
	b.says(result, user)
}

// says waits until the page shows a result, and compares it and who is signed in.
func (b spaBrowser) says(result, user string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS("#result:not(:empty)")))
	got := b.evaluate(`["#result", "#user"].map((id) => document.querySelector(id).textContent).join(", ")`)
	if got != result+", "+user {
		b.t.Fatalf("the page says %q, want %q", got, result+", "+user)
	}
}

func (b spaBrowser) at(address string) {
	b.t.Helper()
	if at := b.evaluate("location.href"); at != address {
		b.t.Errorf("at %s, want %s", at, address)
	}
}

func (b spaBrowser) evaluate(script string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[string](script))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return value
}

// signIn fills in the page of the gateway.
func (b spaBrowser) signIn() {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS("#username")),
		chromedp.SendKeys(chromedp.CSS("#username"), aliceName),
		chromedp.SendKeys(chromedp.CSS("#password"), alicePassword),
		chromedp.Click(chromedp.CSS(`button[type="submit"]`)))
}

// popup presses the button of the popup, and returns the window that it opens at the gateway. The page
// keeps its hold on it in the variable opened.
func (b spaBrowser) popup(t *testing.T) spaBrowser {
	t.Helper()
	b.evaluate(`const open = window.open; window.open = (...args) => window.opened = open.apply(window, args); ""`)
	opened := chromedp.WaitNewTarget(b.ctx, func(*target.Info) bool { return true })
	b.do(chromedp.Click(chromedp.CSS("#popup")))
	select {
	case id := <-opened:
		ctx, end := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
		t.Cleanup(end)
		if err := chromedp.Do(ctx); err != nil { // attaches to it; its context must outlive each step
			t.Fatal(err)
		}
		popup := spaBrowser{t, ctx}
		popup.do(chromedp.WaitVisible(chromedp.CSS("#username")))
		return popup
	case <-time.After(patience):
		t.Fatal("no popup was opened")
		return b
	}
}

// gone waits until the popup is closed: one page remains.
func (b spaBrowser) gone(t *testing.T) {
	t.Helper()
	var open []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(30 * time.Millisecond) {
		targets, err := chromedp.Targets(b.ctx)
		if err != nil {
			t.Fatal(err)
		}
		open = nil
		for _, window := range targets {
			if window.Type == "page" {
				open = append(open, window.URL)
			}
		}
		if len(open) == 1 {
			return
		}
	}
	t.Errorf("the popup is still open: %q", open)
}
