package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/caddyauth/gateway/integration/chromium"
)

const (
	nameField     = chromedp.CSS(`input[name="username"]`)
	passwordField = chromedp.CSS(`input[name="password"]`)
	submitButton  = chromedp.CSS(`button[type="submit"]`)
	plainPage     = chromedp.CSS(`pre`) // how a browser shows text/plain
)

// TestBrowser signs in, comes back, reloads and signs out with a real browser.
func TestBrowser(t *testing.T) {
	program := requireBrowser(t)
	g := newGateway(t)
	g.loadExample(t)
	b := startBrowser(t, program)
	page, loginPage := g.url("app")+"/page?a=1&b=2#frag", g.url("auth")+"/login?"

	b.do("open the application", chromedp.Navigate(page), chromedp.WaitVisible(passwordField))
	b.at("asked to sign in", loginPage)
	b.picture("login")
	b.do("a wrong password", chromedp.SendKeys(nameField, "alice"), chromedp.SendKeys(passwordField, "looking-glass"),
		chromedp.Click(submitButton), chromedp.WaitVisible(chromedp.CSS(`[role="alert"]`)))
	b.picture("login-refused")
	b.do("sign in", chromedp.Clear(nameField), chromedp.SendKeys(nameField, "alice"),
		chromedp.SendKeys(passwordField, examplePassword),
		chromedp.Click(submitButton), chromedp.WaitVisible(plainPage))
	b.isBack(page)
	b.do("reload", chromedp.Reload(), chromedp.WaitVisible(plainPage))
	b.isBack(page)
	if cookies := ask(b, "reading cookies", chromedp.Evaluate[string]("document.cookie")); cookies != "" {
		t.Errorf("scripts see the cookies %q", cookies)
	}
	b.do("sign out", chromedp.Navigate(g.url("auth")+"/logout"), chromedp.WaitVisible(submitButton))
	b.picture("logout")
	b.do("confirm", chromedp.Click(submitButton), chromedp.WaitVisible(passwordField))
	b.do("be asked again", chromedp.Navigate(page), chromedp.WaitVisible(passwordField))
	b.at("after signing out", loginPage)
}

// browser is a tab of a real browser.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// requireBrowser finds the browser, or skips as requireProgram does.
func requireBrowser(t *testing.T) string {
	t.Helper()
	return requireProgram(t, chromium.Programs...)
}

// startBrowser runs a browser until the test ends. It talks to nobody but the test's servers.
func startBrowser(t *testing.T, program string, more ...chromedp.ExecAllocatorOption) browser {
	t.Helper()
	return browser{t, chromium.Start(t, program, more...)}
}

const browserPatience = 15 * time.Second

func (b browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := b.try(steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// sendsLogin fills in the login page, and sends it.
func (b browser) sendsLogin(name, password string) {
	b.t.Helper()
	b.do("sign in", chromedp.WaitVisible(passwordField), chromedp.SendKeys(nameField, name),
		chromedp.SendKeys(passwordField, password), chromedp.Click(submitButton))
}

// signsIn waits besides for what shows the person.
func (b browser) signsIn(name, password string) {
	b.t.Helper()
	b.sendsLogin(name, password)
	b.do("arrive", chromedp.WaitVisible(userShown))
}

// try is do for more than one tab at a time.
func (b browser) try(steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// ask runs an action that says something.
func ask[T any](b browser, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	said, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	return said
}

func (b browser) at(when, begin string) {
	b.t.Helper()
	if at := ask(b, "reading the address", chromedp.Location()); !strings.HasPrefix(at, begin) {
		b.t.Fatalf("%s: at %s", when, at)
	}
}

// arrives waits until the browser is at an address.
func (b browser) arrives(address string) {
	b.t.Helper()
	eventually(b.t, browserPatience, func() string {
		at := ask(b, "reading the address", chromedp.Evaluate[string]("document.location.href"))
		if at != address {
			return "at " + at + ", want " + address
		}
		return ""
	})
}

// isBack makes sure that the browser is where it wanted to go, as alice.
func (b browser) isBack(want string) {
	b.t.Helper()
	if at := ask(b, "reading the address", chromedp.Evaluate[string]("document.location.href")); at != want {
		b.t.Errorf("at %s, want %s", at, want)
	}
	text := ask(b, "reading the page", chromedp.Text(plainPage))
	for _, line := range []string{"GET /page?a=1&b=2", "X-User-Id: alice", "X-User-Role: admin"} {
		if !strings.Contains(text, line) {
			b.t.Errorf("the page does not say %q:\n%s", line, text)
		}
	}
	if strings.Contains(text, "access_token") || tokenLike.MatchString(text) {
		b.t.Errorf("the application saw the session:\n%s", text)
	}
}

// picture keeps a screenshot where CADDYAUTH_SCREENSHOTS says, for people to look at.
func (b browser) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("CADDYAUTH_SCREENSHOTS")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), ask(b, "taking a picture", chromedp.FullScreenshot(100)),
		0o600); err != nil {
		b.t.Error(err)
	}
}
