package integration

import (
	"context"
	"net/url"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// forget deletes a cookie that the browser has for an address.
func forget(name, address string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.DeleteCookies, network.DeleteCookiesParams{Name: name, URL: address})
		return err
	})
}

// askedAt opens an application, and returns the state of the sign-in that it began.
func (w *walk) askedAt(address string) (state string) {
	w.t.Helper()
	w.do("open an application", chromedp.Navigate(address), chromedp.WaitVisible(passwordField))
	login, err := url.Parse(ask(w.browser, "reading the address", chromedp.Location()))
	if err != nil {
		w.t.Fatal(err)
	}
	request, err := url.Parse(login.Query().Get("next"))
	if err != nil || request.Query().Get("state") == "" {
		w.t.Fatalf("no request in %s", login)
	}
	return request.Query().Get("state")
}

// TestEveryPageAtAHost is TestEveryPage for the pages that gates show at the hosts of applications.
func TestEveryPageAtAHost(t *testing.T) {
	program := requireBrowser(t)
	g := newHosts(t, hostsSites)
	for _, scripts := range []bool{true, false} {
		t.Run(map[bool]string{true: "with scripts", false: "without scripts"}[scripts], func(t *testing.T) {
			b := startBrowser(t, program, chromedp.Flag("ignore-certificate-errors", true))
			w := &walk{browser: b, scripts: scripts}
			if !scripts {
				w.do("no scripts", scriptsOff)
			}
			walkRefusals(w, g)
			walkCircle(w, g)
			walkLeaving(w, g)
		})
	}
}

// walkRefusals opens what comes back from a sign-in and does not count.
func walkRefusals(w *walk, g *gateway) {
	const host = "a.one.localhost"
	callback := func(at string, query ...string) string {
		values := withPairs(url.Values{"iss": {g.at("auth.localhost", "")}}, query...)
		return g.at(at, "/.auth/callback?"+values.Encode())
	}
	state := func() string { return w.askedAt(g.at(host, "/wanted")) }
	other, err := url.Parse(newSurfer(w.t).open(g.at(host, "/wanted")).location())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range []struct{ name, address, reason string }{
		{"no-state", callback(host, "code", "x"), "invalid_state"},
		{"no-code", callback(host, "state", state()), "invalid_request"},
		{"other-host", callback("b.one.localhost", "code", "x", "state", state()), "other_host"},
		{"other-browser", callback(host, "code", "x", "state", other.Query().Get("state")), "other_browser"},
		{"denied", callback(host, "error", "access_denied", "state", state()), "denied"},
		{"unavailable", callback(host, "error", "temporarily_unavailable", "state", state()), "unavailable"},
		{"another-code", callback(host, "code", "x", "state", state()), "code_refused"},
		{"unknown-host", g.at("other.wild.localhost", "/"), "unknown_host"},
		{"not-found", g.at(host, "/.auth/nothing"), "not_found"},
	} {
		w.open("host-"+c.name, c.address, noForm)
		w.shows(c.reason)
	}
}

// walkCircle signs in for a browser that loses the session of the application again and again.
func walkCircle(w *walk, g *gateway) {
	address := g.at("two.localhost", "/page?a=1&b=2")
	w.do("open an application", chromedp.Navigate(address))
	w.sendsLogin("alice", alicePassword)
	w.do("arrive", chromedp.WaitVisible(plainPage))
	for _, next := range []chromedp.CSS{plainPage, noForm} {
		w.do("lose the session", forget("__Host-access_token", address), forget("__Host-refresh_token", address),
			chromedp.Navigate(address), chromedp.WaitVisible(next))
	}
	w.inspect("host-circle")
	w.shows("round_trips")
}

// walkLeaving signs out at a host, and again when nobody is signed in.
func walkLeaving(w *walk, g *gateway) {
	w.do("begin again", chromedp.Navigate(g.at("two.localhost", "/page")), chromedp.WaitVisible(plainPage))
	leave := g.at("two.localhost", "/.auth/logout")
	w.open("host-sign-out", leave, signOutButton)
	w.shows("alice")
	w.press("host-signed-out", signOutButton, signedOut)
	w.open("host-sign-out-nobody", leave, signOutButton)
}
