package login

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

const (
	wayBack     = "https://rp.example/bye?tenant=1"
	ownHint     = "hint.rp.alice.s1"   // of the session "token.alice"
	otherHint   = "hint.rp.alice.s0"   // of another one of hers
	bobsHint    = "hint.rp.bob.s1"     // of another person
	strangeHint = "hint.gone.alice.s1" // of a client that is not there
)

// newEnding is a server at which clients sign people out. The session of the cookie token.alice is s1.
func newEnding(t *testing.T) *fixture {
	t.Helper()
	h := newFixture(t)
	h.EndSession = EndSession{
		ReadHint: func(_ context.Context, raw string) (Hint, error) {
			parts := strings.Split(raw, ".")
			if parts[0] != "hint" {
				return Hint{}, errors.New("not an ID token of ours")
			}
			return Hint{ClientID: parts[1], Subject: parts[2], Session: parts[3]}, nil
		},
		FindClient: func(_ context.Context, id string) (issuance.Parties, error) {
			c := clients.Client{ID: id, Project: "default", Active: true, Settings: clients.Settings{
				PostLogoutRedirectURIs: []string{wayBack, "com.example.app:/bye"},
			}}
			switch id {
			case "rp":
				c.Name = "Reports & more"
			case "off":
				c.Active = false
			case "foreign":
				c.Project = "acme"
			case "down":
				return issuance.Parties{}, errors.New("down")
			default:
				c = clients.Client{}
			}
			return issuance.Parties{Client: c}, nil
		},
		Current: func(_ context.Context, access, refresh string) (string, string, error) {
			switch {
			case access == "token.down":
				return "", "", errors.New("down")
			case access == "token.alice", refresh == "refresh.alice":
				return "alice", "s1", nil
			}
			return "", "", nil
		},
	}
	return h
}

// printable is every printable character of ASCII, and more than 128 of them.
var printable = func() string {
	var all strings.Builder
	for c := byte(' '); c <= '~'; c++ {
		all.WriteByte(c)
	}
	return (all.String() + all.String())[:128]
}()

func logoutQuery(pairs ...string) string {
	query := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		query.Add(pairs[i], pairs[i+1])
	}
	return "/auth/logout?" + query.Encode()
}

// What a client's request is answered with, before anybody has confirmed anything.
func TestClientsSignPeopleOut(t *testing.T) {
	const alice = cookieName + "=token.alice"
	const asks, problem = `id="sign-out"`, "Nothing was changed."
	bye := func(state string) string { return withState(wayBack, state) }
	for _, row := range []struct {
		name, query, cookie string
		status              int
		location            string
		text                string
		out                 bool // the session was ended
	}{
		{
			"hint of the session", logoutQuery(idTokenHint, ownHint, postLogoutRedirectURI, wayBack, state, "x"), alice,
			303, bye("x"), "", true,
		},
		{
			"every character in the state", logoutQuery(idTokenHint, ownHint, postLogoutRedirectURI, wayBack, state,
				printable),
			alice, 303, bye(printable), "", true,
		},
		{"no state", logoutQuery(idTokenHint, ownHint, postLogoutRedirectURI, wayBack), alice, 303, wayBack, "", true},
		{
			"hint and client_id", logoutQuery(idTokenHint, ownHint, clientID, "rp", postLogoutRedirectURI,
				wayBack), alice,
			303, wayBack, "", true,
		},
		{
			"an application's own scheme", logoutQuery(idTokenHint, ownHint, postLogoutRedirectURI,
				"com.example.app:/bye",
				state, "x"), alice, 303, "com.example.app:/bye?state=x", "", true,
		},
		{"hint alone", logoutQuery(idTokenHint, ownHint), alice, 200, "", "You are signed out.", true},
		{
			"further parameters", logoutQuery(idTokenHint, ownHint, "ui_locales", "se", "logout_hint", "foo", "extra",
				"bar"),
			alice, 200, "", "You are signed out.", true,
		},
		{
			"hint, nobody is signed in", logoutQuery(idTokenHint, ownHint, postLogoutRedirectURI, wayBack, state,
				"x"), "",
			303, bye("x"), "", false,
		},

		{"hint of another session", logoutQuery(idTokenHint, otherHint, postLogoutRedirectURI, wayBack), alice, 200,
			"", asks, false},
		{"hint of another person", logoutQuery(idTokenHint, bobsHint, postLogoutRedirectURI, wayBack), alice, 200, "",
			asks, false},
		{"no hint", logoutQuery(postLogoutRedirectURI, wayBack, state, "x"), alice, 200, "", asks, false},
		{"client_id alone", logoutQuery(clientID, "rp", postLogoutRedirectURI, wayBack), alice, 200, "",
			"Reports &amp; more", false},
		{"client_id, nobody is signed in", logoutQuery(clientID, "rp", postLogoutRedirectURI, wayBack), "", 200, "",
			asks, false},
		{"state alone", logoutQuery(state, "x"), alice, 200, "", asks, false},
		{"no parameters", "/auth/logout", alice, 200, "", asks, false},
		{"two cookies", logoutQuery(idTokenHint, ownHint), alice + "; " + cookieName + "=token.bob", 200, "", asks,
			false},

		{
			"an address that is not registered", logoutQuery(idTokenHint, ownHint, postLogoutRedirectURI,
				"https://evil.example/"),
			alice, 400, "", "has not registered here", false,
		},
		{
			"a query added", logoutQuery(idTokenHint, ownHint, postLogoutRedirectURI,
				wayBack+"&foo=bar"), alice, 400, "",
			"has not registered here", false,
		},
		{
			"client_id and such an address", logoutQuery(clientID, "rp", postLogoutRedirectURI,
				"https://rp.example/"), alice,
			400, "", "has not registered here", false,
		},
		{"not a hint", logoutQuery(idTokenHint, "x.y.z", postLogoutRedirectURI, wayBack), alice, 400, "", problem,
			false},
		{
			"hint of another client", logoutQuery(idTokenHint, ownHint, clientID, "off", postLogoutRedirectURI,
				wayBack), alice,
			400, "", "could not show", false,
		},
		{"unknown client", logoutQuery(clientID, "gone", postLogoutRedirectURI, wayBack), alice, 400, "",
			"not known here", false},
		{"hint of an unknown client", logoutQuery(idTokenHint, strangeHint), alice, 400, "", "not known here", false},
		{"client that is off", logoutQuery(clientID, "off"), alice, 400, "", "not known here", false},
		{"client of another project", logoutQuery(clientID, "foreign"), alice, 400, "", "not known here", false},
		{"repeated", logoutQuery(state, "x", state, "y"), alice, 400, "", "repeats a parameter", false},
		{"too long", logoutQuery(state, strings.Repeat("x", maxEndParam+1)), alice, 400, "", "too long", false},

		{"no store for the client", logoutQuery(clientID, "down"), alice, 503, "", "not possible just now", false},
		{"no store for the session", logoutQuery(clientID, "rp"), cookieName + "=token.down", 503, "",
			"not possible just now", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := newEnding(t)
			w := h.do(request("GET", row.query, "", "", "Cookie", row.cookie))
			if w.Code != row.status || w.Result().Header.Get("Location") != row.location ||
				!strings.Contains(w.Body.String(), row.text) {
				t.Errorf("%d %s\n%s", w.Code, w.Result().Header.Get("Location"), w.Body)
			}
			if out := len(h.revoked) > 0; out != row.out {
				t.Errorf("ended %q", h.revoked)
			}
			if row.location != "" && row.location != wayBack {
				got, err := url.Parse(row.location)
				if query := got.Query(); err != nil || len(query["state"]) != 1 {
					t.Errorf("%v, state %q", err, query)
				}
			}
			want, _ := url.ParseQuery(strings.TrimPrefix(row.query, "/auth/logout?"))
			got, _ := url.Parse(w.Result().Header.Get("Location"))
			if row.location != "" && want.Get(state) != got.Query().Get(state) {
				t.Errorf("state %q", got.Query().Get(state))
			}
			if row.out {
				e := h.events[len(h.events)-1]
				if e.Kind != audit.Logout || e.Result != "success" || e.User != "alice" || e.ClientID != "rp" ||
					!e.Recorded {
					t.Errorf("event %+v", e)
				}
				if cleared := w.Result().Cookies(); len(cleared) == 0 || cleared[0].MaxAge >= 0 {
					t.Errorf("cookies %v", cleared)
				}
			}
		})
	}
}

// Only a person who goes to the page is signed out without a question.
func TestLookingAheadDoesNotSignOut(t *testing.T) {
	for _, row := range []struct {
		name, method, header string
		out                  bool
	}{
		{"HEAD", "HEAD", "Accept: */*", false},
		{"prefetch", "GET", "Sec-Purpose: prefetch", false},
		{"prerender", "GET", "Sec-Purpose: prefetch;prerender", false},
		{"an older name", "GET", "Purpose: prefetch", false},
		{"Firefox", "GET", "X-Moz: prefetch", false},
		{"Safari", "GET", "X-Purpose: preview", false},
		{"an image", "GET", "Sec-Fetch-Mode: no-cors", false},
		{"a script", "GET", "Sec-Fetch-Mode: cors", false},
		{"a link", "GET", "Sec-Fetch-Mode: navigate", true},
		{"an old browser", "GET", "Accept: text/html", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := newEnding(t)
			name, value, _ := strings.Cut(row.header, ": ")
			w := h.do(request(row.method, logoutQuery(idTokenHint, ownHint, postLogoutRedirectURI, wayBack), "", "",
				"Cookie", cookieName+"=token.alice", name, value))
			want := map[bool]int{true: http.StatusSeeOther, false: http.StatusOK}[row.out]
			if w.Code != want || (len(h.revoked) > 0) != row.out {
				t.Errorf("%d, revoked %v", w.Code, h.revoked)
			}
		})
	}
}

// What comes by POST is confirmed only on a page of this server.
func TestSignOutIsConfirmedHere(t *testing.T) {
	params := []string{postLogoutRedirectURI, wayBack, clientID, "rp", state, printable}
	agreed := append([]string{confirmed, "1"}, params...)
	for _, row := range []struct {
		name     string
		body     []string
		site     string // Sec-Fetch-Site
		status   int
		location string
		text     string
		out      bool
	}{
		{"confirmed", agreed, "same-origin", 303, withState(wayBack, printable), "", true},
		{"confirmed, without a client", []string{confirmed, "1", state, "x"}, "same-origin", 200, "",
			"You are signed out.", true},
		{"confirmed, no parameters", []string{confirmed, "1"}, "same-origin", 200, "", "You are signed out.", true},
		{"of the client's page", params, "cross-site", 303, logoutQuery(params...), "", false},
		{"of the client's page, as if confirmed", agreed, "cross-site", 303, logoutQuery(params...), "", false},
		{"of another host of the domain", agreed, "same-site", 303, logoutQuery(params...), "", false},
		{"of a client on this very site", params, "same-origin", 303, logoutQuery(params...), "", false},
		{"of another site, no parameters", []string{confirmed, "1"}, "cross-site", 403, "", "another site", false},
		{"repeated", append([]string{state, "y"}, params...), "same-origin", 400, "", "repeats a parameter", false},
		{
			"confirmed, but not registered", []string{confirmed, "1", clientID, "rp", postLogoutRedirectURI,
				"https://evil.example"},
			"same-origin", 400, "", "has not registered here", false,
		},
		{
			"confirmed, with a bad hint", []string{confirmed, "1", idTokenHint, "x.y.z", postLogoutRedirectURI,
				wayBack},
			"same-origin", 400, "", "Nothing was changed.", false,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := newEnding(t)
			body := strings.TrimPrefix(logoutQuery(row.body...), "/auth/logout?")
			w := h.do(request("POST", "/auth/logout", endpoint.FormType, body, "Cookie", cookieName+"=token.alice",
				"Sec-Fetch-Site", row.site))
			if w.Code != row.status || w.Result().Header.Get("Location") != row.location ||
				!strings.Contains(w.Body.String(), row.text) {
				t.Errorf("%d %s\n%s", w.Code, w.Result().Header.Get("Location"), w.Body)
			}
			if out := len(h.revoked) > 0; out != row.out {
				t.Errorf("ended %q", h.revoked)
			}
		})
	}
}

// The page's form sends back what the client has sent, and may lead to the client.
func TestPageThatAsksKeepsTheRequest(t *testing.T) {
	h := newEnding(t)
	w := h.do(
		request("GET", logoutQuery(clientID, "rp", postLogoutRedirectURI, wayBack, state, printable), "", "", "Cookie",
			cookieName+"=token.alice"),
	)
	got := hiddenFields(t, w)
	want := url.Values{confirmed: {"1"}, clientID: {"rp"}, postLogoutRedirectURI: {wayBack}, state: {printable}}
	if len(got) != len(want) {
		t.Errorf("fields %v", got)
	}
	for name, value := range want {
		if !slices.Equal(got[name], value) {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "form-action 'self' https:;") {
		t.Errorf("policy %s", policy)
	}
	after := h.do(
		request("POST", "/auth/logout", endpoint.FormType, got.Encode(), "Cookie", cookieName+"=token.alice"),
	)
	if after.Code != 303 || after.Result().Header.Get("Location") != withState(wayBack, printable) {
		t.Errorf("%d %s", after.Code, after.Result().Header.Get("Location"))
	}
}

// hiddenFields reads the hidden fields of a page.
func hiddenFields(t *testing.T, w *httptest.ResponseRecorder) url.Values {
	t.Helper()
	fields := url.Values{}
	for _, tag := range strings.Split(w.Body.String(), `<input type="hidden" name="`)[1:] {
		name, rest, _ := strings.Cut(tag, `" value="`)
		value, _, _ := strings.Cut(rest, `"`)
		fields.Add(name, html.UnescapeString(value))
	}
	return fields
}

// If the store cannot end the session, nobody is sent on as if it had.
func TestClientIsNotToldOfASignOutThatFailed(t *testing.T) {
	h := newEnding(t)
	h.Revoke = func(context.Context, []string, []string) (bool, error) { return false, errors.New("down") }
	w := h.do(request("GET", logoutQuery(idTokenHint, ownHint, postLogoutRedirectURI, wayBack), "", "", "Cookie",
		cookieName+"=token.alice"))
	if w.Code != http.StatusServiceUnavailable || w.Result().Header.Get("Location") != "" ||
		!strings.Contains(w.Body.String(), "Signed out here only") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
