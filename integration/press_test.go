package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"golang.org/x/crypto/bcrypt"
)

// slowSignIn has people whose passwords take long: bcrypt of this cost, where each step doubles the
// time.
func slowSignIn(t *testing.T, cost int, names ...string) *gateway {
	t.Helper()
	g := newGateway(t)
	hash, err := bcrypt.GenerateFromPassword([]byte(alicePassword), cost)
	if err != nil {
		t.Fatal(err)
	}
	var users strings.Builder
	for _, name := range names {
		fmt.Fprintf(&users, "\n\tuser %s {\n\t\tpassword_hash %s\n\t}", name, hash)
	}
	g.load("auth {\n\t"+authAtAuth+users.String()+"\n}",
		strings.Replace(webSiteWith("forward sub X-User-Id"), "reverse_proxy {{.Proxy}}",
			"respond \"hello {http.auth.user.id}\"", 1))
	return g
}

// errorLines are the lines of the log that an operator would be woken by.
func (g *gateway) errorLines() (found []string) {
	for line := range strings.Lines(g.log()) {
		if strings.Contains(line, `"level":"error"`) {
			found = append(found, line)
		}
	}
	return found
}

// results counts the sign-ins of the log by their result.
func (g *gateway) results(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for line := range strings.Lines(g.log()) {
		var entry struct{ Msg, Result string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		if entry.Msg == "sign-in" || entry.Msg == "sign-in failed" || entry.Msg == "token request" {
			counts[entry.Result]++
		}
	}
	return counts
}

// TestSignInPressedTwice: with scripts the button sends once; without them the browser gives up the
// first request, which is no error, and the person is signed in either way.
func TestSignInPressedTwice(t *testing.T) {
	program := requireBrowser(t)
	for _, scripts := range []bool{true, false} {
		t.Run(fmt.Sprintf("scripts %v", scripts), func(t *testing.T) {
			// The two attempts that are given up are hashed to their end. With the one that counts
			// they stay far below the 2 s for which a hash waits, on a busy machine, too.
			g := slowSignIn(t, 9, "alice")
			b := startBrowser(t, program)
			b.do("open the application", chromedp.Navigate(g.url("app")+"/page"), chromedp.WaitVisible(passwordField))
			at := ask(b, "finding the button", chromedp.Evaluate[[]float64](
				`(() => { const r = document.querySelector('[type="submit"]').getBoundingClientRect(); return [r.x `+
					`+ r.width / 2, r.y + r.height / 2] })()`))
			if !scripts {
				b.do("no scripts", scriptsOff, chromedp.Reload(), chromedp.WaitVisible(passwordField))
			}
			press := chromedp.MouseClickXY(at[0], at[1])
			b.do("type", chromedp.SendKeys(nameField, "alice"), chromedp.SendKeys(passwordField, alicePassword))
			b.do("press twice", press, press, press)
			eventually(t, 30*time.Second, func() string {
				if counts := g.results(t); counts["success"] == 0 {
					return fmt.Sprint("nobody is signed in: ", counts)
				}
				return ""
			})
			counts := g.results(t)
			if scripts {
				b.do("arrive", chromedp.WaitVisible(plainPage))
				if posts := strings.Count(g.log(), `"method":"POST"`); posts != 1 {
					t.Errorf("%d requests were sent", posts)
				}
			}
			if lines := g.errorLines(); len(lines) > 0 || counts["issue_failed"]+counts["store_unavailable"] > 0 {
				t.Errorf("%v, errors: %s", counts, lines)
			}
		})
	}
}

// scriptsOff makes a page whose scripts do not run.
var scriptsOff = chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
	_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled,
		emulation.SetScriptExecutionDisabledParams{Value: true})
	return err
})

// colorScheme makes the browser prefer light or dark pages.
func colorScheme(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	})
}

// TestTheButtonUnlocks: who comes back to the page can press again.
func TestTheButtonUnlocks(t *testing.T) {
	program := requireBrowser(t)
	g := slowSignIn(t, 12, "alice")
	b := startBrowser(t, program)
	b.do("open the application", chromedp.Navigate(g.url("app")+"/page"), chromedp.WaitVisible(passwordField))
	locked := func() string {
		return ask(b, "reading the button",
			chromedp.Evaluate[string](
				`String(document.querySelector('[type="submit"]').getAttribute("aria-disabled"))`),
		)
	}
	b.do("send elsewhere",
		chromedp.Evaluate[chromedp.Void](`document.querySelector("form").
		addEventListener("submit", e => e.preventDefault());
		document.querySelectorAll("input").forEach(i => { i.value = "x" });
		document.querySelector('[type="submit"]').click()`))
	if now := locked(); now != "true" {
		t.Errorf("after the press: %s", now)
	}
	b.do("come back", chromedp.Evaluate[chromedp.Void](`window.dispatchEvent(new Event("pageshow"))`))
	if now := locked(); now != "false" {
		t.Errorf("after coming back: %s", now)
	}
}

// TestClientsThatHangUp: a client that goes away while its password is checked, or while it is
// answered, is no error of the server, on every route that signs in.
func TestClientsThatHangUp(t *testing.T) {
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprint("user", i))
	}
	g := slowSignIn(t, 12, names...)
	for i, name := range names {
		c := call{
			method: http.MethodPost,
			target: "/login",
			host:   g.host("auth"),
			lines:  []string{"Content-Type: application/json", "Accept: application/json"},
			body:   `{"username":"` + name + `","password":"` + alicePassword + `"}`,
		}
		switch i % 3 {
		case 1:
			c.target = "/api/default/auth/login"
		case 2:
			c.lines = []string{"Content-Type: application/x-www-form-urlencoded", navigation}
			c.body = "username=" + name + "&password=" + alicePassword
		}
		conn := mustDial(t, g.addr("auth"))
		if _, err := io.WriteString(conn, c.text()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 15 * time.Millisecond) // where the request is when its client goes must vary
		conn.Close()
	}
	eventually(t, 15*time.Second, func() string {
		counts, total := g.results(t), 0
		for _, n := range counts {
			total += n
		}
		if total < len(names) {
			return fmt.Sprintf("%d of %d: %v", total, len(names), counts)
		}
		return ""
	})
	counts := g.results(t)
	if counts["canceled"] == 0 {
		t.Errorf("no client went away in time: %v", counts)
	}
	if lines := g.errorLines(); len(lines) > 0 || counts["issue_failed"]+counts["store_unavailable"] > 0 {
		t.Errorf("%v, errors: %s", counts, lines)
	}
}

// TestPagesInABrowser looks at the pages as people do: nothing is wider than a small telephone, and
// what is pressed has a name. Pictures go where CADDYAUTH_SCREENSHOTS says.
func TestPagesInABrowser(t *testing.T) {
	program := requireBrowser(t)
	g := newGateway(t)
	g.load(g.pageGlobals(), pageSites)
	b := startBrowser(t, program)
	small := chromedp.EmulateViewport(320, 640)
	b.do("a small screen", small)
	look := func(name, address string, wait chromedp.CSS) {
		t.Helper()
		b.do(name, chromedp.Navigate(address), chromedp.WaitVisible(wait))
		b.picture("page-" + name)
		if wide := ask(b, name, chromedp.Evaluate[int]("document.documentElement.scrollWidth")); wide > 320 {
			t.Errorf("%s: %d pixels wide", name, wide)
		}
		if bad := ask(b, name,
			chromedp.Evaluate[string](`[...document.querySelectorAll("a, button, input:not([type=hidden])")].filter(e =>
			!e.hidden && (e.getBoundingClientRect().height < 24 ||
			!(e.textContent.trim() || e.labels && e.labels.length || e.getAttribute("aria-label"))))
			.map(e => e.outerHTML).join("\n")`)); bad != "" {
			t.Errorf("%s: too small, or without a name: %s", name, bad)
		}
		if headings := ask(b, name, chromedp.Evaluate[int](`document.querySelectorAll("h1").length`)); headings != 1 {
			t.Errorf("%s: %d headings", name, headings)
		}
	}
	anyLink := chromedp.CSS("main a")
	look("start", g.url("auth")+"/", anyLink)
	look("refused-programs", g.url("app")+"/programs", anyLink)
	look("refused-no-login", g.url("app")+"/off", anyLink)
	look("login", g.url("app")+"/admin", passwordField)
	b.sendsLogin("bob", bobPassword)
	b.do("be refused", chromedp.WaitVisible(anyLink))
	b.picture("page-refused-account")
	look("refused-account", g.url("app")+"/admin", anyLink)
	look("signed-in", g.url("auth")+"/login", submitButton)
	look("switch", g.url("auth")+"/login?switch=1", passwordField)
	look("sign-out", g.url("auth")+"/logout", submitButton)
	b.do("sign out", chromedp.Click(submitButton), chromedp.WaitVisible(passwordField))
	b.picture("page-signed-out")
	if dir := os.Getenv("CADDYAUTH_SCREENSHOTS"); dir != "" {
		if pictures, err := filepath.Glob(filepath.Join(dir, "page-*.png")); err != nil || len(pictures) < 8 {
			t.Errorf("%d pictures (%v)", len(pictures), err)
		}
	}
}

// TestAFrameShowsThePage: a part of a page that needs a sign-in says so where it stands, and leads
// out of the frame to the login page.
func TestAFrameShowsThePage(t *testing.T) {
	program := requireBrowser(t)
	g := newGateway(t)
	g.load("auth {\n\t"+authAtAuth+onePerson+"\n}",
		authSite+"{{url \"app\"}} {\n\tlog\n\thandle /around {\n\t\theader Content-Type text/html\n"+
			"\t\trespond \"<iframe src=/part></iframe>\"\n\t}\n\thandle {\n\t\tjwt_auth web\n\t\treverse_proxy "+
			"{{.Proxy}}\n\t}\n}\n")
	b := startBrowser(t, program)
	around := g.url("app") + "/around"
	b.do("open", chromedp.Navigate(around))
	eventually(t, browserPatience, func() string {
		text := ask(b, "reading the frame",
			chromedp.Evaluate[string](`frames[0].document.body ? frames[0].document.body.innerText : ""`))
		if !strings.Contains(text, "This part of the page") {
			return "the frame says " + text
		}
		return ""
	})
	b.do("go to sign in", chromedp.Evaluate[chromedp.Void](`frames[0].document.querySelector("nav a").click()`))
	b.sendsLogin("alice", alicePassword)
	b.do("come back", chromedp.WaitVisible(chromedp.CSS("iframe")))
	b.at("after signing in", around)
}
