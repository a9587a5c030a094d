package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// tabsAuth has access tokens as short as they may be, and the login routes on the application's own
// host.
const tabsAuth = `
	auth {
		issuer {{url "public"}}/auth
		store sqlite:{{.Dir}}/auth.db
		lifetimes {
			access_token 60s
			refresh_check 5s
		}
		user alice {
			password_hash {{hash "alice"}}
		}
	}
`

// tabsSite is an application and, below /auth, its login service.
const tabsSite = `
	handle /auth/* {
		auth_server
	}
	handle {
		jwt_auth web {
			forward sub X-User-Id
		}
		reverse_proxy {{.App}}
	}
`

// tabsPage is the application's page. It keeps what session.js tells, for each tab and across
// navigations.
const tabsPage = `<!doctype html>
<title>Application</title>
<p id="user">%s</p>
<script>
	for (const name of ["renewed", "expiring", "expired", "error"]) {
		addEventListener("caddyauth:" + name, (event) => {
			const news = JSON.parse(sessionStorage.getItem("news") || "[]");
			news.push({ name, by: event.detail.by || "" });
			sessionStorage.setItem("news", JSON.stringify(news));
		});
	}
</script>
<script src="/auth/session.js" defer></script>
`

const (
	tabsLifetimes = 3
	tabsLifetime  = time.Minute
	tabsPace      = 3 * time.Second // between two visits of a tab
	tabsAfter     = 8 * time.Second // after the last rotation: session.js has looked again by then, in both tabs
	userShown     = chromedp.CSS(`#user`)
)

// TestTwoTabs: a browser has two tabs open over three lifetimes of an access token, longer than a
// token lives. The person sees no login page after the first one, and each lifetime has one
// rotation although both tabs run session.js and both ask the application. Before the first
// rotation the tabs are idle, so that session.js alone keeps the session; after it, whoever comes
// first does.
func TestTwoTabs(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: three lifetimes of an access token take over two minutes")
	}
	program := requireBrowser(t)
	w := watchTabs(t)
	first := startBrowser(t, program)
	first.do("open the application", chromedp.Navigate(w.page))
	first.signsIn("alice", alicePassword)
	w.signedIn()
	second := first.openTab()
	w.visit(t, second, navigating)
	w.keepVisiting(t, first, second)
	w.checkSeen(t)
	w.checkRotations(t)
	w.checkNews(t, newsOf(first), newsOf(second))
}

// openTab opens another tab of the same browser, which shares its cookies.
func (b browser) openTab() browser {
	b.t.Helper()
	ctx, end := chromedp.NewContext(b.ctx)
	b.t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		b.t.Fatalf("opening a tab: %v", err)
	}
	return browser{b.t, ctx}
}

// watcher stands between the browser and the server, where every answer passes.
type watcher struct {
	*gateway
	page string

	mu        sync.Mutex
	began     time.Time   // when alice had signed in
	seen      []exchange  // since then
	rotations []successor // by generation, with the sign-in as number 0
	strangers int         // requests since then that the application saw without alice's name
}

// exchange is a request and what was answered.
type exchange struct {
	after        time.Duration
	method, path string
	status       int
}

// successor is what the first answer with a new refresh token said.
type successor struct {
	exchange
	refresh, family string
	issued          int64 // `iat` of the access token beside it
}

// watchTabs starts the application, the server and the watcher.
func watchTabs(t *testing.T) *watcher {
	t.Helper()
	g := newGateway(t)
	w := &watcher{gateway: g, page: g.url("public") + "/page?a=1"}
	app := httptest.NewServer(http.HandlerFunc(w.answer))
	t.Cleanup(app.Close)
	g.extra["App"], g.extra["Level"] = app.Listener.Addr().String(), "DEBUG"
	g.startProcess(t, "server", tabsAuth, tabsSite).awaitAuth(t)
	target := &url.URL{Scheme: "http", Host: g.addr("server")}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error { w.note(t, r); return nil },
		// the tab went elsewhere before the answer came
		ErrorHandler: func(rw http.ResponseWriter, r *http.Request, _ error) {
			rw.WriteHeader(http.StatusBadGateway)
		},
	}
	l, err := net.Listen("tcp", g.addr("public"))
	if err != nil {
		t.Fatal(err)
	}
	front := &httptest.Server{Listener: l, Config: &http.Server{Handler: proxy}}
	front.Start()
	t.Cleanup(front.Close)
	return w
}

// awaitAuth waits until a server whose login routes are below /auth can issue tokens.
func (p *process) awaitAuth(t *testing.T) {
	t.Helper()
	eventually(t, 30*time.Second, func() string {
		a := sendHTTP1(t, p.g.addr(p.name), call{target: "/auth/healthz", host: p.g.host(p.name)})
		if a.status == http.StatusOK {
			return ""
		}
		return fmt.Sprintf("%s is not ready: status %d, %s %v", p.name, a.status, a.body, a.broken)
	})
}

// answer is the application.
func (w *watcher) answer(rw http.ResponseWriter, r *http.Request) {
	user := r.Header.Get("X-User-Id")
	w.mu.Lock()
	if user != "alice" {
		w.strangers++
	}
	w.mu.Unlock()
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-store")
	fmt.Fprintf(rw, tabsPage, html.EscapeString(user))
}

// note keeps an answer of the server, and the rotation that it tells of.
func (w *watcher) note(t *testing.T, r *http.Response) {
	c := w.received(answer{header: r.Header}) // hides what it finds: it takes the gateway's lock, not ours
	w.mu.Lock()
	defer w.mu.Unlock()
	s := exchange{method: r.Request.Method, path: r.Request.URL.Path, status: r.StatusCode}
	if !w.began.IsZero() {
		s.after = time.Since(w.began)
		w.seen = append(w.seen, s)
	}
	if c.refresh == "" || c.access == "" {
		if c != (cookies{}) {
			t.Errorf("%s %s: one cookie without the other", s.method, s.path)
		}
		return
	}
	family, generation := reference(t, c.refresh)
	switch {
	case generation == len(w.rotations):
		w.rotations = append(w.rotations,
			successor{s, c.refresh, family, int64(claimsIn(t, c.access)["iat"].(float64))})
	case generation < 0 || generation > len(w.rotations):
		t.Errorf("%s %s: generation %d after %d", s.method, s.path, generation, len(w.rotations)-1)
	case w.rotations[generation].refresh != c.refresh:
		t.Errorf("%s %s: generation %d has two tokens", s.method, s.path, generation)
	}
}

// signedIn begins the time in which nobody may be asked to sign in.
func (w *watcher) signedIn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began = time.Now()
}

// rotated returns how many rotations there were, and how long ago the last one was.
func (w *watcher) rotated() (n int, ago time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := len(w.rotations) - 1
	if last < 0 {
		return 0, 0
	}
	return last, time.Since(w.began) - w.rotations[last].after
}

// keepVisiting lets both tabs ask at the same moments, until the last lifetime has had its rotation
// and time for one too many. The first tab goes to the page again and again; the second one stays,
// so that its session.js lives through it all.
func (w *watcher) keepVisiting(t *testing.T, first, second browser) {
	t.Helper()
	for round := 0; !t.Failed(); round++ {
		n, ago := w.rotated()
		switch {
		case n >= tabsLifetimes && ago > tabsAfter:
			return
		case ago > tabsLifetime:
			t.Fatalf("rotation %d is %v ago, and the next one has not come", n, ago)
		case n > 0 || ago < tabsLifetime*2/3-2*tabsPace:
			var both sync.WaitGroup
			both.Go(func() { w.visit(t, first, []string{navigating, fetching}[round%2]) })
			both.Go(func() { w.visit(t, second, fetching) })
			both.Wait()
		}
		time.Sleep(tabsPace) // what is tested is that time passes
	}
}

// What a tab says after it went to the page, and after it asked for the page while it stayed.
const (
	navigating = `({ status: performance.getEntriesByType("navigation")[0].responseStatus,
		moved: false, at: location.href,
		user: document.querySelector("#user")?.textContent ?? "" })`
	fetching = `fetch(location.href, { cache: "no-store" }).then(async (r) => ({
		status: r.status, moved: r.redirected, at: r.url,
		user: new DOMParser().parseFromString(await r.text(), "text/html").
			querySelector("#user")?.textContent ?? "" }))`
)

// visit asks for the page in a tab, which must get it at once, as alice.
func (w *watcher) visit(t *testing.T, tab browser, how string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, browserPatience)
	defer cancel()
	if how == navigating {
		if err := chromedp.Do(ctx, chromedp.Navigate(w.page)); err != nil {
			t.Errorf("going to the page: %v", err)
			return
		}
	}
	got, err := chromedp.Run(ctx, chromedp.Evaluate[struct {
		Status   int
		Moved    bool
		At, User string
	}](how, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Errorf("asking for the page: %v", err)
	} else if got.Status != http.StatusOK || got.Moved || got.At != w.page || got.User != "alice" {
		t.Errorf("asked for %s and got %+v", w.page, got)
	}
}

// checkSeen: since the sign-in the server refused nothing, sent nobody elsewhere and knew alice
// every time.
func (w *watcher) checkSeen(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	visits := 0
	for _, s := range w.seen {
		if s.status != http.StatusOK && s.status != http.StatusNotModified || strings.HasPrefix(s.path, "/auth/login") {
			t.Errorf("%v after the sign-in: %s %s, status %d", s.after, s.method, s.path, s.status)
		}
		if s.path == "/page" {
			visits++
		}
	}
	if w.strangers > 0 {
		t.Errorf("the application saw %d requests without alice's name", w.strangers)
	}
	if visits < 40 {
		t.Errorf("only %d visits: the tabs did not keep asking", visits)
	}
	t.Logf("%d visits, %d requests in all, in %v", visits, len(w.seen), time.Since(w.began).Round(time.Second))
}

// checkRotations: each lifetime had one rotation, of the same family, in its last third.
func (w *watcher) checkRotations(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.rotations) - 1; n != tabsLifetimes {
		t.Fatalf("%d rotations in %d lifetimes", n, tabsLifetimes)
	}
	for i, now := range w.rotations[1:] {
		before := w.rotations[i]
		t.Logf("rotation %d came %v after the sign-in, by %s %s", i+1, now.after.Round(time.Millisecond), now.method,
			now.path)
		if age := now.issued - before.issued; age < 40 || age >= 60 || now.family != before.family {
			t.Errorf("rotation %d: the access token was %d s old; family %s after %s", i+1, age, now.family,
				before.family)
		}
	}
	if first := w.rotations[1]; first.method != http.MethodPost || first.path != "/auth/session/refresh" {
		t.Errorf("the tabs were idle, and the session was renewed by %s %s", first.method, first.path)
	}
}

// news is what session.js told a page.
type news struct{ Name, By string }

func newsOf(tab browser) []news {
	tab.t.Helper()
	text := ask(tab, "reading the news", chromedp.Evaluate[string](`sessionStorage.getItem("news") || "[]"`))
	var all []news
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		tab.t.Errorf("news %q: %v", text, err)
	}
	return all
}

// checkNews: one tab made the first renewal and the other one learned of it; the tab that stayed
// heard of each; nothing ever expired.
func (w *watcher) checkNews(t *testing.T, first, second []news) {
	t.Helper()
	t.Logf("the first tab heard %v, the second one %v", first, second)
	renewed := func(n news) bool { return n.Name == "renewed" }
	a, b := slices.IndexFunc(first, renewed), slices.IndexFunc(second, renewed)
	if a < 0 || b < 0 || (first[a].By == "self") == (second[b].By == "self") {
		t.Error("the first renewal was not one tab's")
	}
	heard := 0
	for _, n := range second { // no request of this tab was cut off by a navigation
		if !renewed(n) {
			t.Errorf("the tab that stayed was told %q", n.Name)
			continue
		}
		heard++
	}
	if heard < tabsLifetimes {
		t.Errorf("the tab that stayed heard of %d renewals", heard)
	}
	if slices.ContainsFunc(first, func(n news) bool { return n.Name == "expired" }) {
		t.Error("the tab that navigated was told that the session is over")
	}
}
