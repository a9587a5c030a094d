package integration

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestManyBigCookies: a person whose browser brings 60 cookies of almost 4 KiB signs in, and the application
// gets its cookies and none of the gateway's.
func TestManyBigCookies(t *testing.T) {
	g := newHosts(t, hostsSites)
	v := signedInAtServer(t, g, "alice", alicePassword)
	for i := range 60 {
		v.setCookie(g, "a.one.localhost", fmt.Sprintf("theirs%d", i), strings.Repeat("x", 4000))
	}
	g.proxy.take()
	page, _ := v.follow(v.open(g.at("a.one.localhost", "/wanted?a=1")))
	if page.status != http.StatusOK || page.at != g.at("a.one.localhost", "/wanted?a=1") {
		t.Fatalf("at %s: status %d: %s", page.at, page.status, page.body)
	}
	seen := g.proxy.take()
	if len(seen) != 1 || strings.Count(seen[0].raw, "theirs") != 60 || strings.Contains(seen[0].raw, "_token") {
		t.Errorf("the application saw %d requests", len(seen))
	}
	got := v.signOutAtHost(g, "a.one.localhost")
	if !strings.Contains(got.body, "You are signed out.") {
		t.Errorf("signing out: status %d: %s", got.status, got.body)
	}
}

// framedApplication has a page that anybody may see and that says which cookies came, and one that frames
// what another site has.
type framedApplication struct {
	mu     sync.Mutex
	probes []string // the cookies of requests for /probe in a frame
	frames []string // the hosts that saw any other request in a frame
	url    string   // of what is framed
}

func (a *framedApplication) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "text/html")
	switch r.URL.Path {
	case "/open":
		_, _ = io.WriteString(w, `<title>open</title><p id="open">open</p>`)
	case "/probe":
		if r.Header.Get("Sec-Fetch-Dest") == "iframe" {
			a.probes = append(a.probes, r.Header.Get("Cookie"))
		}
		w.Header().Add("Set-Cookie", "probe=1; Path=/; Secure; SameSite=None")
		_, _ = io.WriteString(w, "probe")
	case "/around":
		fmt.Fprintf(w, `<title>around</title><p id="user">%s</p><script>
			window.loads = 0;
			function frame(url) {
				const f = document.createElement("iframe");
				f.onload = () => { window.loads++; };
				f.src = url;
				document.body.append(f);
			}
			frame("%[2]s/framed"); frame("%[2]s/probe");
		</script>`, r.Header.Get("X-User-Id"), a.url)
	default:
		if r.Header.Get("Sec-Fetch-Dest") == "iframe" {
			a.frames = append(a.frames, r.Host)
		}
		fmt.Fprintf(w, `<p id="user">%s</p><p id="uri">%s</p>`, r.Header.Get("X-User-Id"),
			html.EscapeString(r.RequestURI))
	}
}

// newFramed starts applications of which `/open` and `/probe` are behind no gate.
func newFramed(t *testing.T) (*gateway, *framedApplication) {
	t.Helper()
	app := new(framedApplication)
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	g := newGateway(t)
	g.extra["App"] = server.Listener.Addr().String()
	app.url = g.at("a.one.localhost", "")
	g.loadTLS(hostsAuth, strings.NewReplacer("{{.Proxy}}", "{{.App}}",
		"jwt_auth web {", "@guarded not path /open /probe\n\tjwt_auth @guarded web {").Replace(hostsSites))
	return g, app
}

// TestThirdPartyCookiesBlocked: where a browser blocks the cookies of other sites, people sign in and go
// from one application to the next. An application that another site frames shows a page, and does not
// go round in a circle.
func TestThirdPartyCookiesBlocked(t *testing.T) {
	program := requireBrowser(t)
	g, app := newFramed(t)
	for _, blocked := range []bool{false, true} {
		t.Run(fmt.Sprintf("blocked %v", blocked), func(t *testing.T) {
			b := startBrowser(t, program, chromedp.Flag("ignore-certificate-errors", true),
				chromedp.UserDataDir(profileOf(t, blocked)))
			b.do("open an application", chromedp.Navigate(g.at("a.one.localhost", "/x")),
				chromedp.WaitVisible(passwordField))
			b.signsIn("alice", alicePassword)
			b.isAt("after signing in", g.at("a.one.localhost", "/x"), "alice")
			b.do("open another one", chromedp.Navigate(g.at("two.localhost", "/y?z=1#f")))
			b.isAt("at another site", g.at("two.localhost", "/y?z=1#f"), "alice")

			for range 2 { // the second time the probe would bring its cookie
				b.do("open a page around", chromedp.Navigate(g.at("two.localhost", "/around")),
					chromedp.WaitVisible(userShown))
				eventually(t, browserPatience, func() string {
					if n := ask(b, "counting", chromedp.Evaluate[float64]("window.loads")); n != 2 {
						return fmt.Sprintf("%v frames are there", n)
					}
					return ""
				})
			}
			app.mu.Lock()
			probes, frames := app.probes, app.frames
			app.probes, app.frames = nil, nil
			app.mu.Unlock()
			if came := len(probes) == 2 && strings.Contains(probes[1], "probe=1"); came == blocked {
				t.Errorf("the cookies of the framed site: %q", probes)
			}
			if len(frames) > 0 {
				t.Errorf("the framed application let in somebody at %v", frames)
			}
			if n := ask(b, "counting", chromedp.Evaluate[float64]("window.loads")); n != 2 {
				t.Errorf("the frames went on: %v", n)
			}
			b.do("open it alone", chromedp.Navigate(g.at("a.one.localhost", "/framed")))
			b.isAt("alone", g.at("a.one.localhost", "/framed"), "alice")
		})
	}
}

// profileOf is a folder for a browser with the setting that blocks the cookies of other sites, or without.
func profileOf(t *testing.T, blocked bool) string {
	t.Helper()
	dir := t.TempDir()
	mode := 0
	if blocked {
		mode = 1
	}
	text, err := json.Marshal(map[string]any{
		"profile": map[string]any{"block_third_party_cookies": blocked, "cookie_controls_mode": mode},
	})
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "Default"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "Default", "Preferences"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestFullCookieJars: a browser keeps about 180 cookies of a domain and all hosts below it. Where another
// host of the domain has driven out the cookie of an attempt, a page says so, and its link signs in.
func TestFullCookieJars(t *testing.T) {
	program := requireBrowser(t)
	g, _ := newFramed(t)
	b := startBrowser(t, program, chromedp.Flag("ignore-certificate-errors", true))
	wanted := g.at("a.one.localhost", "/wanted?a=1&b=%2F")
	b.do("open an application", chromedp.Navigate(wanted), chromedp.WaitVisible(passwordField))

	other := b.openTab()
	other.do("open a sibling", chromedp.Navigate(g.at("b.one.localhost", "/open")),
		chromedp.WaitVisible(chromedp.CSS("#open")))
	fill := `for (let i = 0; i < 400; i++) document.cookie = "theirs" + i + "=x; Path=/; Secure; Max-Age=3600";
		document.cookie.split(";").length`
	if n := ask(other, "fill the jar", chromedp.Evaluate[float64](fill)); n < 100 || n > 200 {
		t.Fatalf("the browser keeps %v cookies", n)
	}

	b.sendsLogin("alice", alicePassword)
	b.do("be refused", chromedp.WaitVisible(goesOn))
	if code := ask(b, "reading the page", chromedp.Text(chromedp.CSS("code"))); code != "other_browser" {
		t.Errorf("the page says %q", code)
	}
	b.at("the page that explains", g.at("a.one.localhost", "/.auth/callback?"))
	b.picture("hosts-jar-full")
	b.do("try again", chromedp.Click(goesOn))
	b.isAt("after trying again", wanted, "alice")
	b.do("reload", chromedp.Reload())
	b.isAt("the session is kept", wanted, "alice")
}
