package integration

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const (
	allowButton    = chromedp.CSS("#allow")
	denyButton     = chromedp.CSS("#deny")
	continueButton = chromedp.CSS("#continue")
	signOutButton  = chromedp.CSS("#sign-out")
	codeField      = chromedp.CSS("#user_code")
	problemShown   = chromedp.CSS("#problem")
	noForm         = chromedp.CSS("main:not(:has(form)) h1") // a page that only says something
)

// formsReader is a relying party that shows what it is sent.
func formsReader(t *testing.T) *httptest.Server {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		r.Form.Del("iss")
		if r.Form.Has("code") {
			r.Form.Set("code", "present")
		}
		fmt.Fprintf(w, "%s %s", r.Method, r.Form.Encode())
	}))
	t.Cleanup(app.Close)
	return app
}

// walk is a browser whose every page is inspected where it stops.
type walk struct {
	browser
	x       *authorizing
	app     string // the redirect URI
	scripts bool
}

// newWalk starts a server with an application that asks, and a browser.
func newWalk(t *testing.T, scripts bool) *walk {
	t.Helper()
	program := requireBrowser(t)
	app := formsReader(t)
	was := relyingParties
	t.Cleanup(func() { relyingParties = was })
	relyingParties = append([]relyingParty{
		{
			ID: "notebook", Redirects: app.URL + "/cb", Asks: true,
			More: "name \"The Notebook\"\n\t\tclient_uri https://notebook.example\n" +
				"\t\tresource https://api.example/notes\n\t\tpost_logout_redirect_uri " + app.URL + "/bye",
		},
	}, relyingParties...)
	w := &walk{x: newRegistering(t, "sqlite", "", ""), app: app.URL + "/cb", scripts: scripts}
	w.browser = startBrowser(t, program)
	if !scripts {
		w.do("no scripts", scriptsOff)
	}
	return w
}

// request is the address of an authorization request of the application.
func (w *walk) request(changes string) string {
	query := url.Values{"client_id": {"notebook"}, "redirect_uri": {w.app}}
	changed, err := url.ParseQuery(changes)
	if err != nil {
		w.t.Fatal(err)
	}
	maps.Copy(query, changed)
	return w.x.url("auth") + request(w.t, query.Encode())
}

// open goes to an address, waits for something of the page, and inspects it.
func (w *walk) open(name, address string, wait chromedp.CSS) {
	w.t.Helper()
	w.do(name, chromedp.Navigate(address), chromedp.WaitVisible(wait))
	w.inspect(name)
}

// press presses a button, waits for something of the next page, and inspects it.
func (w *walk) press(name string, button, wait chromedp.CSS) {
	w.t.Helper()
	w.do(name, chromedp.Click(button), chromedp.WaitVisible(wait))
	w.inspect(name)
}

// signIn fills in the sign-in page.
func (w *walk) signIn(password string) {
	w.t.Helper()
	w.do("fill in", chromedp.Clear(nameField), chromedp.SendKeys(nameField, "alice"),
		chromedp.SendKeys(passwordField, password))
}

// sent compares what the application was sent.
func (w *walk) sent(want string) {
	w.t.Helper()
	w.do("arrive", chromedp.WaitVisible(plainPage))
	if got := ask(w.browser, "reading the page", chromedp.Text(plainPage)); got != want {
		w.t.Errorf("the application was sent %q, want %q", got, want)
	}
}

// shows wants a text on the page.
func (w *walk) shows(texts ...string) {
	w.t.Helper()
	page := ask(w.browser, "reading the page", chromedp.Text(chromedp.CSS("main")))
	for _, text := range texts {
		if !strings.Contains(page, text) {
			w.t.Errorf("no %q on the page:\n%s", text, page)
		}
	}
}

// flaws lists what a page should not have, of a width of the window: it is read as a person with a
// screen reader, a keyboard or a small telephone meets it.
const flaws = `(() => {
	const found = [];
	const wide = document.documentElement.scrollWidth;
	if (wide > innerWidth) found.push(wide + " pixels wide");
	if (!document.documentElement.lang) found.push("no language");
	if (!document.title) found.push("no title");
	if (document.querySelectorAll("h1").length !== 1) found.push("not one heading");
	if (document.querySelectorAll("main").length !== 1) found.push("not one main part");
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	if (new Set(ids).size !== ids.length) found.push("an id twice");
	for (const e of document.querySelectorAll("a, button, input:not([type=hidden])")) {
		if (e.closest("[hidden]")) continue;
		const name = e.textContent.trim() || e.labels && e.labels.length || e.getAttribute("aria-label");
		if (!name) found.push("no name: " + e.outerHTML);
		if (e.getBoundingClientRect().height < 24) found.push("too small: " + e.outerHTML);
	}
	for (const e of document.querySelectorAll("[aria-describedby]")) {
		const by = document.getElementById(e.getAttribute("aria-describedby"));
		if (!by) found.push("described by nothing: " + e.outerHTML);
	}
	const rgb = c => c.match(/[\d.]+/g).map(Number);
	const linear = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
	const light = c => { const [r, g, b] = rgb(c).map(linear);
		return .2126 * r + .7152 * g + .0722 * b; };
	const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
		if (c.length < 4 || c[3] > 0) return getComputedStyle(e).backgroundColor; } return "rgb(255,255,255)"; };
	for (const e of document.querySelectorAll("main *")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
		if (!e.getClientRects().length) continue;
		const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
		const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (contrast < 4.5) found.push("contrast " + contrast.toFixed(2) + ": " + e.outerHTML);
	}
	return found.join("\n");
})()`

// inspect looks for flaws of the page, small and large, light and dark, and takes its pictures.
func (w *walk) inspect(name string) {
	w.t.Helper()
	without := map[bool]string{false: "-no-scripts"}[w.scripts]
	for _, screen := range []struct {
		width, height int64
		scheme        string
	}{{320, 640, "light"}, {390, 844, "light"}, {390, 844, "dark"}, {1280, 800, "light"}} {
		w.do(name, chromedp.EmulateViewport(screen.width, screen.height), colorScheme(screen.scheme))
		if found := ask(w.browser, name, chromedp.Evaluate[string](flaws)); found != "" {
			w.t.Errorf("%s, %d pixels wide, %s: %s", name, screen.width, screen.scheme, found)
		}
		if screen.width > 320 {
			w.picture(fmt.Sprintf("%s-%d-%s%s", name, screen.width, screen.scheme, without))
		}
	}
}

// TestEveryPage: a person signs in, allows and denies, connects a device and signs out, in a browser
// with scripts and without, and every page on the way is fit to be read.
func TestEveryPage(t *testing.T) {
	for _, scripts := range []bool{true, false} {
		name := map[bool]string{true: "with scripts", false: "without scripts"}[scripts]
		t.Run(name, func(t *testing.T) {
			w := newWalk(t, scripts)
			for _, part := range []struct {
				name string
				walk func(w *walk)
			}{
				{"sign in", walkSignIn},
				{"consent", walkConsent},
				{"device", walkDevice},
				{"applications", walkApplications},
				{"mistakes of applications", walkMistakes},
				{"sign out", walkSignOut},
			} {
				t.Run(part.name, func(t *testing.T) {
					here := *w
					here.t, here.browser.t = t, t
					part.walk(&here)
				})
			}
		})
	}
}

// walkSignIn comes from an application, with a wrong password first, and denies it access.
func walkSignIn(w *walk) {
	w.open("sign-in", w.request("scope=openid+profile+read"), passwordField)
	w.signIn("looking-glass")
	w.press("sign-in-failed", submitButton, problemShown)
	w.signIn(alicePassword)
	w.press("consent", submitButton, allowButton)
	w.shows("The Notebook", "alice", "notebook.example")
	w.do("deny", chromedp.Click(denyButton))
	w.sent("GET error=access_denied&error_description=The+person+does+not+allow+it.&state=the+state")
	w.open("signed-in", w.x.url("auth")+"/login", submitButton)
	w.open("switch", w.x.url("auth")+"/login?switch=1", passwordField)
}

// walkConsent allows the application something, then more of it, and gets its answer in a form.
func walkConsent(w *walk) {
	w.open("consent-again", w.request("scope=openid"), allowButton)
	w.do("allow", chromedp.Click(allowButton))
	w.sent("GET code=present&state=the+state")
	w.do("not asked again", chromedp.Navigate(w.request("scope=openid")))
	w.sent("GET code=present&state=the+state")
	more := "scope=openid+read+offline_access&resource=https://api.example/notes"
	w.open("consent-more", w.request(more), allowButton)
	w.do("allow", chromedp.Click(allowButton))
	w.sent("GET code=present&state=the+state")
	status, made := w.x.register(w.t, fmt.Sprintf(
		`{"redirect_uris": [%q], "client_name": "A Pen", "token_endpoint_auth_method": "none"}`, w.app))
	id, _ := made["client_id"].(string)
	if id == "" {
		w.t.Fatalf("not registered: %d %v", status, made)
	}
	w.open("consent-registered", w.request("scope=openid&client_id="+url.QueryEscape(id)), allowButton)
	w.shows("has registered itself")
	w.do("an answer in a form", chromedp.Navigate(w.request("scope=openid&response_mode=form_post")))
	if !w.scripts {
		w.do("arrive", chromedp.WaitVisible(continueButton))
		w.inspect("form-post")
		w.do("go on", chromedp.Click(continueButton))
	}
	w.sent("POST code=present&state=the+state")
}

// walkDevice types a code in, follows a link with a code in it, and makes mistakes.
func walkDevice(w *walk) {
	tv := w.x.device(w.t, "tv", "scope=openid+read+offline_access")
	w.open("device", tv.URI, codeField)
	w.do("a wrong code", chromedp.SendKeys(codeField, "hello"))
	w.press("device-wrong-code", continueButton, problemShown)
	w.do("the code", chromedp.Clear(codeField), chromedp.SendKeys(codeField, strings.ToLower(tv.User)))
	w.press("device-confirm", continueButton, allowButton)
	w.shows("The Television", tv.User, "127.0.0.1", "Know who you are", "Stay connected while you are not signed in")
	w.press("device-connected", allowButton, noForm)
	w.shows("The device is connected")
	again := w.x.device(w.t, "tv", "scope=openid")
	w.open("device-link", again.Complete, allowButton)
	w.shows("The Television", again.User)
	w.press("device-refused", denyButton, noForm)
	w.shows("The device was refused")
	w.open("device-used-link", again.Complete, problemShown)
	w.shows("No device waits for this code")
	if got := w.x.poll(w.t, "tv", again.Device); got.Error != "access_denied" {
		w.t.Errorf("the device that was refused: %+v", got)
	}
}

// walkApplications looks for an application on the start page, which lists few, many and none.
func walkApplications(w *walk) {
	const (
		list    = chromedp.CSS("#applications")
		search  = chromedp.CSS("#search")
		nothing = chromedp.CSS("#no-match:not(:empty)")
		shown   = `[...document.querySelectorAll("#applications li:not([hidden]) .name")]
			.map(e => e.textContent).join()`
	)
	find := func(text string, wait chromedp.CSS) {
		w.t.Helper()
		w.do("search for "+text, chromedp.Clear(search), chromedp.SendKeys(search, text))
		if !w.scripts {
			w.do("press", chromedp.Click(chromedp.CSS("#find")))
		}
		w.do("found", chromedp.WaitReady(wait))
	}
	shows := func(want string) {
		w.t.Helper()
		if got := ask(w.browser, "what is listed", chromedp.Evaluate[string](shown)); got != want {
			w.t.Errorf("the page shows %q, want %q", got, want)
		}
	}
	start := w.x.url("auth") + "/"
	w.x.load(authorizeAuth, authorizeSites+namedApplications)
	w.open("applications", start, list)
	shows("Accounting,Calendar,Mail,Maintenance and incidents of the building,Wiki,Łódź Office")
	find("wiki example", chromedp.CSS("#applications li:first-child[hidden]"))
	shows("Wiki")
	w.inspect("applications-found")
	find("zeppelin", nothing)
	shows("")
	w.inspect("applications-not-found")
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, "\t\tapp \"Application %03d\" https://app%d.example.com\n", i, i)
	}
	sites := func(gate string) string {
		return authorizeSites + "{{url \"apps\"}} {\n\tjwt_auth web {\n" + gate + "\t}\n\trespond 404\n}"
	}
	w.x.load(authorizeAuth, sites(many.String()))
	w.open("applications-many", start, list)
	find("142", chromedp.CSS("#applications li:first-child[hidden]"))
	shows("Application 142")
	w.x.load(authorizeAuth, sites("\t\trequire role nobody\n\t\tapp Nothing {{url \"apps\"}}\n"))
	w.open("applications-none", start, chromedp.CSS("#no-application"))
}

// namedApplications have icons and none, one that does not come, and long names.
const namedApplications = `
{{url "apps"}} {
	@icon path /icon.svg
	handle @icon {
		header Content-Type image/svg+xml
		respond "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 2 2'><circle cx='1' cy='1' r='1'/></svg>"
	}
	handle {
		jwt_auth web {
			app Wiki https://wiki.example.com icon {{url "apps"}}/icon.svg
			app Mail https://mail.example.com icon "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E"
			app Calendar https://calendar.example.com icon {{url "apps"}}/missing.png
			app "Maintenance and incidents of the building" https://a-host-with-a-very-long-name.example.com/start
			app "Łódź Office" https://lodz.example.com:8443
			app Accounting https://accounting.example.com
		}
		respond 404
	}
}
`

// walkMistakes opens what applications got wrong, which people see.
func walkMistakes(w *walk) {
	for _, c := range []struct{ name, address string }{
		{"unknown-client", w.request("client_id=nobody")},
		{"wrong-redirect", w.request("redirect_uri=" + url.QueryEscape("https://elsewhere.example/cb"))},
		{"no-redirect", w.request("redirect_uri=")},
		{"expired-request", w.x.url("auth") + "/authorize?client_id=pushing&request_uri=" +
			url.QueryEscape("urn:ietf:params:oauth:request_uri:nothing")},
		{"sign-out-elsewhere", w.x.url("auth") + logoutAddress("client_id", "notebook", "post_logout_redirect_uri",
			"https://elsewhere.example/")},
		{"sign-out-bad-hint", w.x.url("auth") + logoutAddress("id_token_hint", "nonsense", "post_logout_redirect_uri",
			"https://elsewhere.example/")},
		{"not-found", w.x.url("auth") + "/login/nothing"},
	} {
		w.open("error-"+c.name, c.address, noForm)
	}
}

// walkSignOut is asked by the application, and goes back to it; then by itself, and stays.
func walkSignOut(w *walk) {
	leave := w.x.url("auth") + logoutAddress("client_id", "notebook", "post_logout_redirect_uri",
		strings.TrimSuffix(w.app, "cb")+"bye", "state", "a b&c")
	w.open("sign-out-question", leave, signOutButton)
	w.shows("The Notebook", "alice")
	w.do("stay", chromedp.Click(chromedp.CSS("#stay")), chromedp.WaitVisible(submitButton))
	w.open("sign-out-question", leave, signOutButton)
	w.do("sign out", chromedp.Click(signOutButton))
	w.sent("GET state=a+b%26c")
	w.open("sign-in-after", w.request("scope=openid"), passwordField)
	w.open("start", w.x.url("auth")+"/", noForm)
	w.open("sign-out-nobody", w.x.url("auth")+logoutAddress("state", "x"), signOutButton)
	w.press("sign-out-of-nobody", signOutButton, noForm)
	w.shows("You are not signed in")
	w.open("sign-in-again", w.x.url("auth")+"/login", passwordField)
	w.signIn(alicePassword)
	w.do("sign in", chromedp.Click(submitButton), chromedp.WaitVisible(chromedp.CSS("main:not(:has([type=password]))")))
	w.open("sign-out", w.x.url("auth")+logoutAddress("state", "x"), signOutButton)
	w.press("signed-out", signOutButton, chromedp.CSS("#signed-out"))
}
