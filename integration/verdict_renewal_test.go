package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// behindAll is radicale behind all proxies at once, each at a host of its own, with one sign-in for all.
type behindAll struct {
	*gateway
	t *testing.T
}

// newBehindAll starts everything. An access token lives as short as it may.
func newBehindAll(t *testing.T) *behindAll {
	t.Helper()
	radicale := requireProgram(t, "radicale")
	g := newGateway(t)
	g.startRadicale(t, radicale)
	g.extra["Upstream"] = g.addr("radicale")
	var origins, sites strings.Builder
	served := []string{"auth"}
	sites.WriteString("\n{{url \"auth\"}}, http://:{{port \"auth\"}} {\n\tauth_server\n\tjwt_auth off\n}\n")
	for _, p := range otherProxies {
		p.require(t)
		origins.WriteString(" " + p.origin(g))
		served = append(served, "verdict"+p.name)
		fmt.Fprintf(&sites, "\nhttp://:{{port %q}} {\n\tauth_verdict %s\n\tjwt_auth web api {\n"+
			"\t\tforward sub X-Remote-User\n\t}\n}\n", "verdict"+p.name, p.name)
	}
	globals := strings.Replace(standardAuth, "{{origins}}",
		origins.String()+"\n\tlifetimes {\n\t\taccess_token 60s\n\t}", 1)
	g.load(globals+verdictServers(served...), sites.String())
	for _, p := range otherProxies {
		g.extra["Application"], g.extra["Proxy"] = p.name+".localhost", p.name
		g.run(t, g.addr("front"+p.name), p.write(g, t))
		awaitRoutes(t, p.origin(g)+"/")
	}
	return &behindAll{g, t}
}

// origin is that of the application behind the proxy.
func (p otherProxy) origin(g *gateway) string {
	return fmt.Sprintf("http://%s.localhost:%d", p.name, g.port("front"+p.name))
}

// propfind asks for alice's calendar from the page that is open.
const propfind = `fetch('/alice/', {method: 'PROPFIND', headers: {'Depth': '0', 'X-Remote-User': 'bob'}})
	.then(r => r.status)`

// calendar is the status that the browser's page gets.
func (b browser) calendar(when string) int {
	b.t.Helper()
	return ask(b, when, chromedp.Evaluate[int](propfind, chromedp.EvalAwaitPromise))
}

// TestRenewalThroughOtherProxies: a browser and a program use an application behind each proxy past two
// lifetimes of an access token. The browser signs in once, renews its session by what it asks for anyway,
// and signs out everywhere at once.
func TestRenewalThroughOtherProxies(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: two lifetimes of an access token take over two minutes")
	}
	program := requireBrowser(t)
	w := newBehindAll(t)
	session, _ := w.apiLogin(t, "default", "alice", alicePassword, "api")
	w.programPasses(session.Access)
	tabs := w.signIn(startBrowser(t, program))
	began := time.Now()
	held, renewals := map[string]string{}, map[string]int{}
	for time.Since(began) < 2*time.Minute+10*time.Second && !t.Failed() {
		for _, p := range otherProxies {
			b := tabs[p.name]
			if got := b.calendar("asking for the calendar behind " + p.name); got != http.StatusMultiStatus {
				t.Errorf("%s: after %v the calendar answers %d", p.name, time.Since(began), got)
			}
			cookie := b.cookiesAt(p.origin(w.gateway))["refresh_token"]
			if cookie == nil {
				t.Fatalf("%s: after %v the browser has no session", p.name, time.Since(began))
			}
			w.hide(cookie.Value)
			if held[p.name] != "" && held[p.name] != cookie.Value {
				renewals[p.name]++
			}
			held[p.name] = cookie.Value
		}
		time.Sleep(5 * time.Second) // what is tested is that time passes
	}
	for _, p := range otherProxies {
		if n := renewals[p.name]; n < 2 || n > 4 {
			t.Errorf("%s: %d renewals in two lifetimes", p.name, n)
		}
	}
	w.programRenews(session)
	w.signOutOf(tabs)
}

// signIn opens the applications, each in a tab. Only the first one asks for a password.
func (w *behindAll) signIn(first browser) map[string]browser {
	w.t.Helper()
	tabs := map[string]browser{}
	for i, p := range otherProxies {
		b, page := first, p.origin(w.gateway)+"/.web/?a=%2Fb#frag"
		if i == 0 {
			b.do("open the application", chromedp.Navigate(page), chromedp.WaitVisible(passwordField))
			b.at("asked to sign in", w.url("auth")+"/login?")
			b.sendsLogin("alice", alicePassword)
		} else {
			b = first.openTab()
			b.do("open another application", chromedp.Navigate(page))
		}
		b.arrives(page)
		tabs[p.name] = b
	}
	return tabs
}

// signOutOf signs out at one application, and all get to know. Then each of the others is signed in to
// and out of by itself.
func (w *behindAll) signOutOf(tabs map[string]browser) {
	w.t.Helper()
	for i, p := range otherProxies {
		b, origin := tabs[p.name], p.origin(w.gateway)
		if i > 0 {
			b.do("come back", chromedp.Navigate(origin+"/.web/?c"))
			b.sendsLogin("alice", alicePassword)
			b.arrives(origin + "/.web/?c")
		}
		script := ask(b, "loading session.js", chromedp.Evaluate[string](
			`fetch('/.auth/session.js').then(r => r.status + ' ' + r.headers.get('content-type'))`,
			chromedp.EvalAwaitPromise))
		if !strings.HasPrefix(script, "200 text/javascript") {
			w.t.Errorf("%s: session.js: %s", p.name, script)
		}
		tells := ask(b, "asking for the session", chromedp.Evaluate[string](
			`fetch('/.auth/session').then(r => r.text())`, chromedp.EvalAwaitPromise))
		var says struct {
			Signed  bool   `json:"signed_in"`
			Subject string `json:"subject"`
		}
		if err := json.Unmarshal([]byte(tells), &says); err != nil || !says.Signed || says.Subject != "alice" {
			w.t.Errorf("%s: /.auth/session says %s", p.name, tells)
		}
		b.do("sign out", chromedp.Navigate(origin+"/.auth/logout"), chromedp.WaitVisible(submitButton))
		b.do("confirm", chromedp.Click(submitButton), chromedp.WaitVisible(chromedp.CSS(`a[href*="/.auth/login"]`)))
		if cookie := b.cookiesAt(origin)["access_token"]; cookie != nil {
			w.t.Errorf("%s: the browser keeps the session's cookie", p.name)
		}
		b.do("be asked again", chromedp.Navigate(origin+"/.web/?b"), chromedp.WaitVisible(passwordField))
		if i > 0 {
			continue // nobody has signed in again at the others
		}
		for _, other := range otherProxies[1:] {
			eventually(w.t, 10*time.Second, func() string {
				if got := tabs[other.name].calendar("after signing out"); got != http.StatusUnauthorized {
					return fmt.Sprintf("signed out at %s, and at %s the calendar answers %d", p.name, other.name, got)
				}
				return ""
			})
		}
	}
}

// program is the answer to a program that asks for alice's calendar with a token.
func (w *behindAll) program(p otherProxy, bearer string) answer {
	w.t.Helper()
	return sendHTTP1(w.t, w.addr("front"+p.name), call{
		method: "PROPFIND", target: "/alice/", host: strings.TrimPrefix(p.origin(w.gateway), "http://"),
		lines: []string{"Depth: 0", "Authorization: Bearer " + bearer},
	})
}

func (w *behindAll) programPasses(bearer string) {
	w.t.Helper()
	for _, p := range otherProxies {
		if got := w.program(p, bearer); got.status != http.StatusMultiStatus {
			w.t.Errorf("%s: a program gets %d: %s", p.name, got.status, got.body)
		}
	}
}

// programRenews has the token of a program expired: each proxy hands it the challenge, and the next token
// passes.
func (w *behindAll) programRenews(s apiSession) {
	w.t.Helper()
	for _, p := range otherProxies {
		got := w.program(p, s.Access)
		if challenge := got.header.Get("WWW-Authenticate"); got.status != http.StatusUnauthorized ||
			!strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(challenge, `error="invalid_token"`) {
			w.t.Errorf("%s: with an expired token: %d, challenge %q", p.name, got.status, challenge)
		}
	}
	answered := w.refreshOnce(w.t, s.Refresh)
	var next apiSession
	if err := json.Unmarshal([]byte(answered.body), &next); err != nil || next.Access == "" {
		w.t.Fatalf("refreshing: status %d", answered.status)
	}
	w.tokens.remember(next.Access)
	w.hide(next.Refresh)
	w.programPasses(next.Access)
}
