package issuance

import (
	"slices"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

func TestHostsThatAnAudienceNames(t *testing.T) {
	for _, c := range []struct {
		name     string
		audience []string
		host     string // of the request
		want     bool
	}{
		{"the host", []string{"web", "https://app.example"}, "app.example", true},
		{"another port", []string{"web", "https://app.example:8443"}, "app.example:9443", true},
		{"capitals", []string{"web", "https://app.example"}, "APP.example:443", true},
		{"a loopback address", []string{"web", "http://[::1]:8080"}, "[::1]:8080", true},
		{"another host", []string{"web", "https://app.example"}, "b.example", false},
		{"a host below", []string{"web", "https://app.example"}, "x.app.example", false},
		{"a host above", []string{"web", "https://x.app.example"}, "app.example", false},
		{"no origin", []string{"web"}, "app.example", false},
		{"a word of that name", []string{"web"}, "web", false},
		{"no host", []string{"web", "https://"}, "", false},
		{"nothing", nil, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := NamesHost(c.audience, HostOf(c.host)); got != c.want {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestASessionAtAnApplicationNamesItsHost: what its code, its refresh token and a second access
// token give names it, and no other host renews it or uses it up.
func TestASessionAtAnApplicationNamesItsHost(t *testing.T) {
	x, o, code := newAuthorization(t, func(r *CodeRequest) {
		r.Parties.Client = clients.Client{ID: clients.Web, Active: true, Audience: []string{"web"}}
		r.Request.To.RedirectURI = "https://app.example:8443/.auth/callback"
	})
	x.store.parties.Client = clients.Client{ID: clients.Web, Active: true, Audience: []string{"web"}}
	got, err := x.ExchangeCode(t.Context(), CodeExchange{
		Code:        code,
		ClientID:    clients.Web,
		RedirectURI: "https://app.example:8443/.auth/callback",
		Now:         noon,
	})
	if err != nil {
		t.Fatal(err)
	}
	names := func(raw string) {
		t.Helper()
		parsed, err := x.Verify(t.Context(), raw)
		if err != nil || !slices.Equal(parsed.Audience, []string{"web", "https://app.example:8443"}) {
			t.Errorf("it is for %q, %v", parsed.Audience, err)
		}
	}
	names(got.AccessToken)
	if !slices.Equal(o.code.Audience, []string{"web"}) {
		t.Errorf("the code is for %q", o.code.Audience)
	}
	token := x.Sessions.Tokens.Make(got.Grant, got.Grant.Generation)
	for _, host := range []string{"", "b.example", "auth.example"} {
		_, err := x.Refresh(t.Context(), Refresh{Token: token, Browser: true, Host: host, Now: noon.Add(time.Minute)})
		refuses(t, err, session.OtherClient)
	}
	next, err := x.Refresh(t.Context(),
		Refresh{Token: token, Browser: true, Host: "app.example", Now: noon.Add(time.Minute)})
	if err != nil || next.Verdict != session.Advanced {
		t.Fatalf("%v, %v", next.Verdict, err)
	}
	names(next.AccessToken)
	again, err := x.Again(t.Context(), next.RefreshToken, time.Minute, noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	names(again)
}
