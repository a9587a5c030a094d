package integration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

const (
	uriShown    = chromedp.CSS(`#uri`)
	socketShown = chromedp.CSS(`#socket`)
	eventsShown = chromedp.CSS(`#events`)
	signOutForm = chromedp.CSS(`#sign-out`)
	signedOut   = chromedp.CSS(`#signed-out`)
	goesOn      = chromedp.CSS(`a.button`)
)

// deepURI is a path and query that survives only byte for byte, and deepLink has a fragment besides.
const (
	deepURI  = `/deep/p%20a/%c3%a4%C3%A4~!$'()*?x=1&&y=%2Fz&e=&u=%E2%9C%93&plus=a+b%20c&next=https%3A%2F%2Fx.test%23`
	deepLink = deepURI + "#part-2?x=%2F&y=%c3%a4+"
)

// isAt makes sure that a tab shows a page of an application, at this very address, as this person, and
// that the application was asked for it.
func (b browser) isAt(when, address, user string) {
	b.t.Helper()
	b.do(when, chromedp.WaitVisible(userShown))
	if at := ask(b, when, chromedp.Evaluate[string]("document.location.href")); at != address {
		b.t.Errorf("%s: at %s, want %s", when, at, address)
	}
	if shown := ask(b, when, chromedp.Text(userShown)); shown != user {
		b.t.Errorf("%s: the application sees %q, want %q", when, shown, user)
	}
	asked := ask(b, when, chromedp.Text(uriShown))
	if uri, _, _ := strings.Cut(address, "#"); !strings.HasSuffix(uri, asked) || len(asked) < 2 {
		b.t.Errorf("%s: the application was asked for %q, want %q", when, asked, uri)
	}
}

// streamsAre waits until both streams of a page are in a state.
func (b browser) streamsAre(when, state string) {
	b.t.Helper()
	eventually(b.t, browserPatience, func() string {
		for _, shown := range []chromedp.CSS{socketShown, eventsShown} {
			if got := ask(b, "reading the page", chromedp.Text(shown)); got != state {
				return fmt.Sprintf("%s: %s is %s", when, shown, got)
			}
		}
		return ""
	})
}

// cookiesAt are the cookies that a browser sends to an address, by name.
func (b browser) cookiesAt(address string) map[string]*network.Cookie {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	got, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{address}})
	if err != nil {
		b.t.Fatalf("reading cookies: %v", err)
	}
	found := map[string]*network.Cookie{}
	for _, c := range got.Cookies {
		found[c.Name] = c
	}
	return found
}

// TestOneSignInInABrowser: two people with a browser each use applications on several hosts. They sign in
// once, come to the very address that they wanted, with its fragment, and sign out everywhere at once. It
// is the same on http, and on https with the certificates of Caddy's internal CA.
func TestOneSignInInABrowser(t *testing.T) {
	program := requireBrowser(t)
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			w := &twoPeople{hostsProcess: newHostsProcess(t, scheme), t: t, tabs: map[string]browser{}}
			w.alice, w.bob = w.browser(t, program), w.browser(t, program)
			w.oneSignIn()
			w.cookiesOfHosts()
			w.plainHost()
			w.anotherPerson()
			w.signOut()
			w.signInAgain()
		})
	}
}

// twoPeople are at the browsers of TestOneSignInInABrowser.
type twoPeople struct {
	*hostsProcess
	t          *testing.T
	alice, bob browser
	tabs       map[string]browser // alice's, by host
	bobs       []browser
}

// page is alice's at a host.
func (w *twoPeople) page(host string) string { return w.address(host, deepLink) }

// oneSignIn: alice signs in for one application, and is asked nothing by the others.
func (w *twoPeople) oneSignIn() {
	w.tabs["a.one.localhost"] = w.alice
	w.alice.do("open an application", chromedp.Navigate(w.page("a.one.localhost")),
		chromedp.WaitVisible(passwordField))
	w.alice.at("asked to sign in", w.address("login.two.localhost", "/login?"))
	w.alice.picture("hosts-login-" + w.scheme)
	w.alice.signsIn("alice", alicePassword)
	w.alice.isAt("after signing in", w.page("a.one.localhost"), "alice")
	for _, host := range processHosts[1:] {
		tab := w.alice.openTab()
		tab.do("open "+host, chromedp.Navigate(w.page(host)))
		tab.isAt("another application", w.page(host), "alice")
		w.tabs[host] = tab
	}
	for host, tab := range w.tabs {
		tab.streamsAre(host, "open")
		eventually(w.t, browserPatience, func() string {
			state := ask(tab, "asking session.js",
				chromedp.Evaluate[string](`(s => s.status + " " + s.subject)(caddyauth.session.state())`))
			if state != "signed_in alice" {
				return host + ": session.js says " + state
			}
			return ""
		})
	}
}

// cookiesOfHosts: each host has the two cookies of its session, which no other host and no script sees.
func (w *twoPeople) cookiesOfHosts() {
	prefix := map[string]string{"http": "", "https": "__Host-"}[w.scheme]
	for host, tab := range w.tabs {
		cookies := tab.cookiesAt(w.address(host, "/"))
		for _, name := range []string{"access_token", "refresh_token"} {
			c := cookies[prefix+name]
			if c == nil || c.Domain != host || c.Path != "/" || !c.HTTPOnly || c.Secure != (w.scheme == "https") {
				w.t.Errorf("%s: cookie %s%s: %+v", host, prefix, name, c)
			}
			delete(cookies, prefix+name)
		}
		delete(cookies, prefix+"sign_ins") // the time of the sign-in
		if len(cookies) > 0 {
			w.t.Errorf("%s: more cookies: %v", host, slices.Collect(maps.Keys(cookies)))
		}
		if seen := ask(tab, "reading cookies", chromedp.Evaluate[string]("document.cookie")); seen != "" {
			w.t.Errorf("%s: a script sees %s", host, seen)
		}
	}
}

// plainHost: an application on a port of its own is one like the others. On http, while the sign-in page is
// on https, it is none, and says why.
func (w *twoPeople) plainHost() {
	tab := w.alice.openTab()
	address := fmt.Sprintf("http://plain.localhost:%d%s", w.port("plain"), deepLink)
	tab.do("open an application on http", chromedp.Navigate(address))
	if w.scheme == "http" {
		tab.isAt("another port", address, "alice")
		return
	}
	shown := ask(tab, "reading the page", chromedp.Text(chromedp.CSS("main")))
	tab.picture("hosts-plain")
	if !strings.Contains(shown, "other_scheme") || !strings.Contains(shown, "over https, too") {
		w.t.Errorf("the page says %s", shown)
	}
}

// anotherPerson: bob opens three tabs at once before he has signed in, and three more afterwards. All end
// where they were meant to. Neither person is ever taken for the other.
func (w *twoPeople) anotherPerson() {
	w.bobs = []browser{w.bob}
	for range 5 {
		w.bobs = append(w.bobs, w.bob.openTab())
	}
	hosts := []string{"a.one.localhost", "a.one.localhost", "two.localhost",
		"b.one.localhost", "app.two.localhost", "app.two.localhost"}
	address := func(i int) string { return w.address(hosts[i], fmt.Sprintf("/tab%d?n=%d%%20#f%d", i, i, i)) }
	w.atOnce(w.bobs[:3], func(i int, tab browser) error {
		return tab.try(chromedp.Navigate(address(i)), chromedp.WaitVisible(passwordField))
	})
	w.bobs[2].signsIn("bob", bobPassword)
	w.bobs[2].isAt("the last tab", address(2), "bob")
	w.bobs[0].do("reload the page that asks", chromedp.Reload(), chromedp.WaitVisible(goesOn), chromedp.Click(goesOn))
	w.bobs[0].isAt("the first tab", address(0), "bob")
	w.bobs[1].signsIn("bob", bobPassword) // the page that asks still stands there
	w.bobs[1].isAt("the second tab", address(1), "bob")

	w.atOnce(w.bobs[3:], func(i int, tab browser) error {
		return tab.try(chromedp.Navigate(address(3+i)), chromedp.WaitVisible(userShown))
	})
	for i, tab := range w.bobs {
		tab.isAt("bob's tab", address(i), "bob")
	}
	for host, tab := range w.tabs {
		tab.do("reload", chromedp.Reload())
		tab.isAt("beside another person", w.page(host), "alice")
	}
}

// atOnce does something in several tabs at the same time.
func (w *twoPeople) atOnce(tabs []browser, do func(i int, tab browser) error) {
	w.t.Helper()
	var all sync.WaitGroup
	for i, tab := range tabs {
		all.Go(func() {
			if err := do(i, tab); err != nil {
				w.t.Errorf("tab %d of several: %v", i, err)
			}
		})
	}
	all.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// signOut: alice signs out in one tab. Within a second of the request whatever is open of hers has ended at
// all hosts. Bob's goes on.
func (w *twoPeople) signOut() {
	out := w.tabs["two.localhost"]
	out.do("ask to sign out", chromedp.Navigate(w.address("two.localhost", "/.auth/logout")),
		chromedp.WaitVisible(signOutForm))
	out.picture("hosts-logout-" + w.scheme)
	for host, tab := range w.tabs {
		if host != "two.localhost" {
			tab.streamsAre(host, "open")
		}
	}
	for _, tab := range w.bobs {
		tab.streamsAre("bob's tab", "open")
	}
	hers, his := w.app.openOf("alice"), w.app.openOf("bob")
	if len(hers) < 6 || len(his) < 12 { // there may be more: pages that were left, and may come back
		w.t.Errorf("%d streams of alice's and %d of bob's are open", len(hers), len(his))
	}
	out.do("sign out", chromedp.Click(signOutForm), chromedp.WaitVisible(signedOut))
	began, most := w.lastSignOut(w.t), time.Duration(0)
	for _, s := range hers {
		select {
		case at := <-s.ended:
			most = max(most, at.Sub(began))
		case <-time.After(10 * time.Second):
			w.t.Errorf("%s: it goes on", s.what)
		}
	}
	if w.t.Logf("the last stream ended %v after the request to sign out", most); most > time.Second {
		w.t.Errorf("a stream ended after %v", most)
	}
	for host, tab := range w.tabs {
		if host != "two.localhost" {
			tab.streamsAre(host, "closed")
		}
	}
	state := ask(w.tabs["b.one.localhost"], "asking session.js", chromedp.Evaluate[string](
		`caddyauth.session.refresh().then(s => s.status)`, chromedp.EvalAwaitPromise))
	if state != "expired" {
		w.t.Errorf("after signing out session.js says %s", state)
	}
	for _, s := range his {
		if len(s.ended) > 0 {
			w.t.Errorf("bob's %s has ended", s.what)
		}
	}
}

// signInAgain: each tab of alice's asks for the sign-in when it is next used, and has no cookie of the
// old one left. After one sign-in all come to where they were.
func (w *twoPeople) signInAgain() {
	w.tabs["two.localhost"].do("come back", chromedp.Navigate(w.page("two.localhost")))
	for host, tab := range w.tabs {
		tab.do("come again", chromedp.Reload(), chromedp.WaitVisible(passwordField))
		for name := range tab.cookiesAt(w.address(host, "/")) {
			if strings.HasSuffix(name, "_token") {
				w.t.Errorf("%s: %s is still there", host, name)
			}
		}
	}
	for i, host := range processHosts {
		tab := w.tabs[host]
		if i == 0 {
			tab.signsIn("alice", alicePassword)
		} else {
			tab.do("reload the page that asks", chromedp.Reload(), chromedp.WaitVisible(goesOn), chromedp.Click(goesOn))
		}
		tab.isAt("signed in again", w.page(host), "alice")
		tab.streamsAre(host, "open")
	}
	for _, tab := range w.bobs {
		tab.streamsAre("bob's tab", "open")
	}
}
