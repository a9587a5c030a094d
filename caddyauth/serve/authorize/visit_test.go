package authorize

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// comeBack sends a person to the login page and returns the request that it leads back to.
func (x *fixture) comeBack(t *testing.T, query string) string {
	t.Helper()
	w := x.get(query)
	if got := outcome(t, w); got != "login" && got != "login again" {
		t.Fatalf("not sent to the login page: %s", got)
	}
	next, err := url.Parse(sentTo(t, w).Query().Get("next"))
	if err != nil || next.Path != "/auth/authorize" {
		t.Fatalf("leads back to %v, %v", next, err)
	}
	return next.RawQuery
}

// as is the session of that name, which began some time ago; none without a name.
func as(name string, ago time.Duration) *Session {
	if name == "" {
		return nil
	}
	s := signedIn(ago)
	s.ID = name
	return s
}

// TestASignInSinceIsEnough, but not one from before the request.
func TestASignInSinceIsEnough(t *testing.T) {
	for _, c := range []struct {
		name, changes string
		before        string        // the session of the first visit, which began just now
		after         string        // the session of the second
		ago           time.Duration // how long before the first visit that one began
		wait          time.Duration // between the visits
		want          string
	}{
		{"prompt=login", "prompt=login", "a", "b", 0, 2 * time.Second, "ac_code"},
		{"in the same second", "prompt=login", "a", "b", 0, 0, "ac_code"},
		{"signed out before", "prompt=login", "", "b", 0, time.Second, "ac_code"},
		{"the same session", "prompt=login", "a", "a", 0, time.Second, "login again"},
		{"another session from before", "prompt=login", "a", "b", time.Minute, time.Second, "login again"},
		{"max_age=0", "max_age=0", "a", "b", 0, time.Second, "ac_code"},
		{"max_age, and a slow way back", "max_age=1", "", "b", 0, 30 * time.Second, "ac_code"},
		{"max_age of a session from before", "max_age=1", "", "b", time.Minute, time.Second, "login again"},
		{"who comes back has chosen", "prompt=select_account", "a", "a", 0, time.Second, "ac_code"},
		{"too late", "prompt=login", "a", "b", 0, 2 * time.Hour, "login again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newFixture(t)
				x.session = as(c.before, 0)
				query := x.comeBack(t, params(t, c.changes).Encode())
				x.session = as(c.after, c.ago)
				time.Sleep(c.wait)
				if got := outcome(t, x.get(query)); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
			})
		})
	}
}

// TestANoteIsOfItsRequest: somebody at the browser cannot carry it over to another request, or write
// one.
func TestANoteIsOfItsRequest(t *testing.T) {
	x := newFixture(t)
	x.session = as("a", 0)
	query := x.comeBack(t, params(t, "prompt=login").Encode())
	x.session = as("b", 0)
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	note := values.Get(visitField)
	for _, c := range []struct {
		name   string
		change func(p url.Values)
		want   string
	}{
		{"untouched", func(url.Values) {}, "ac_code"},
		{"another state", func(p url.Values) { p.Set("nonce", "other") }, "login again"},
		{"one parameter more", func(p url.Values) { p.Set("max_age", "0") }, "login again"},
		{"an earlier time", func(p url.Values) { p.Set(visitField, "0"+note[1:]) }, "login again"},
		{"another session", func(p url.Values) { p.Set(visitField, strings.Replace(note, ".a.", ".c.", 1)) },
			"login again"},
		{"agreed", func(p url.Values) { p.Set(visitField, strings.Replace(note, "..", ".b.", 1)) }, "login again"},
		{"twice", func(p url.Values) { p.Add(visitField, note) }, "login again"},
		{"nothing", func(p url.Values) { p.Set(visitField, ".") }, "login again"},
		{"none", func(p url.Values) { p.Del(visitField) }, "login again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			c.change(changed)
			if got := outcome(t, x.get(changed.Encode())); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestOnward(t *testing.T) {
	good := params(t, "login_hint=alice").Encode()
	for _, c := range []struct {
		name, address string
		want          Onward
		ok            bool
	}{
		{"absolute", "https://auth.example.com/auth/authorize?" + good,
			Onward{Host: "rp.example", RedirectURI: callback, LoginHint: "alice"}, true},
		{"a path, noted", "/auth/authorize?" + good + "&visit=x",
			Onward{Host: "rp.example", RedirectURI: callback, LoginHint: "alice"}, true},
		{"another page", "/auth/login?" + good, Onward{}, false},
		{"another host", "https://evil.example/auth/authorize?" + good, Onward{}, false},
		{"invalid", "/auth/authorize?" + params(t, "redirect_uri=https://evil.example").Encode(), Onward{}, false},
		{"unknown client", "/auth/authorize?" + params(t, "client_id=x").Encode(), Onward{}, false},
		{"escape", "/auth/authorize?a=%zz", Onward{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := newFixture(t).Onward(t.Context(), c.address); got != c.want || ok != c.ok {
				t.Errorf("%+v, %v", got, ok)
			}
		})
	}
	x := newFixture(t)
	x.client.RedirectURIs = []string{"http://127.0.0.1/cb"}
	local := params(t, "redirect_uri="+url.QueryEscape("http://127.0.0.1:4321/cb")).Encode()
	got, ok := x.Onward(t.Context(), "/auth/authorize?"+local)
	if !ok || got.Host != "Reports" || got.RedirectURI != "http://127.0.0.1:4321/cb" {
		t.Errorf("%+v, %v", got, ok)
	}
	if w := x.get(local); w.Code != http.StatusSeeOther {
		t.Errorf("%d", w.Code)
	}
}
