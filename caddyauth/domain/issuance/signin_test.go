package issuance

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// TestASignInBeginsASession: the parties are read by the caller and not again, and one record goes
// to the store.
func TestASignInBeginsASession(t *testing.T) {
	x := newIssuer(t)
	x.store.parties.Project.RefreshReuseInterval = 7 * time.Second
	issued := x.signedIn(t)
	g := issued.Grant
	if g.Project != "acme" || g.Subject != "Alice" || g.ClientID != clients.FirstParty || g.Kind != BrowserGrant ||
		g.Epoch != 5 ||
		g.Device != "Firefox" || g.ClientIP != "192.0.2.7" || g.Reuse != 7*time.Second || g.Fixed {
		t.Errorf("the grant is %+v", g)
	}
	want := map[string]any{"role": "admin", "sub": "Alice", "epoch": int64(5), "sid": g.ID, "exp": 15 * time.Minute,
		"acr": "pwd", "amr": "[pwd]", "auth_time": "1772366400"}
	if got := x.read(t, issued.AccessToken); !reflect.DeepEqual(got, want) {
		t.Errorf("the access token says %v, want %v", got, want)
	}
	r := x.store.records[0]
	entry := audit.Entry{
		At:         noon,
		Actor:      "user:Alice",
		Action:     "login",
		TargetName: "Alice",
		Project:    "acme",
		ClientIP:   "192.0.2.7",
		Result:     "success",
		Detail:     "web",
	}
	if r.Grant.ID != g.ID || r.User != x.store.parties.User || r.Forgiveness.Empty != "pair" || r.Entry != entry {
		t.Errorf("stored %+v", r)
	}
	if x.store.reads != 0 || x.seen["access_token"] != 1 || x.seen["refresh_token"] != 1 {
		t.Errorf("read %d times, observed %v", x.store.reads, x.seen)
	}
	if _, err := x.Sessions.Present(t.Context(), issued.RefreshToken); err != nil {
		t.Errorf("the refresh token: %v", err)
	}
}

func TestProgramsHaveNoReuseInterval(t *testing.T) {
	x := newIssuer(t)
	in := x.signIn()
	for _, c := range []struct {
		kind string
		want time.Duration
	}{{BrowserGrant, project.DefaultBrowserReuse}, {APIGrant, 0}} {
		in.Kind = c.kind
		issued, err := x.SignIn(t.Context(), in)
		if err != nil || issued.Grant.Reuse != c.want || issued.Grant.Kind != c.kind {
			t.Errorf("%s: %+v, %v", c.kind, issued.Grant, err)
		}
	}
}

// TestASignInThatFailsLeavesNothing, whatever the reason.
func TestASignInThatFailsLeavesNothing(t *testing.T) {
	down := errors.New("no key")
	is := func(want error) func(*testing.T, error) {
		return func(t *testing.T, err error) {
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
	}
	notAllowed := func(t *testing.T, err error) { refuses(t, err, session.NotAllowed) }
	type failure struct {
		name  string
		spoil func(x *issuer, in *SignIn)
		check func(*testing.T, error)
	}
	cases := []failure{
		{"audience", func(_ *issuer, in *SignIn) { in.Parties.Project.Audiences = []string{"api"} }, is(ErrAudience)},
		{"size", func(_ *issuer, in *SignIn) { in.MaxToken = 100 }, is(ErrTooLarge)},
		{"key", func(x *issuer, _ *SignIn) { x.keys = down }, is(down)},
		{"overtaken", func(x *issuer, _ *SignIn) { x.store.adding = session.ErrOvertaken }, notAllowed},
		{"store", func(x *issuer, _ *SignIn) { x.store.fail = down }, is(down)},
	}
	for _, c := range notIssued[:6] {
		cases = append(cases, failure{c.name, func(_ *issuer, in *SignIn) { c.change(&in.Parties) }, notAllowed})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			x := newIssuer(t)
			in := x.signIn()
			c.spoil(x, &in)
			issued, err := x.SignIn(t.Context(), in)
			c.check(t, err)
			if len(x.store.records) > 0 || issued.AccessToken != "" {
				t.Errorf("issued %+v, stored %+v", issued, x.store.records)
			}
		})
	}
}

// TestWithoutRefreshTokens a browser's session lasts as long as its access token, and a program has
// none.
func TestWithoutRefreshTokens(t *testing.T) {
	for _, c := range []struct {
		kind   string
		begins bool
	}{{BrowserGrant, true}, {APIGrant, false}} {
		t.Run(c.kind, func(t *testing.T) {
			x := newIssuer(t)
			x.Lifetimes.Refresh = project.None
			in, until := x.signIn(), noon.Add(15*time.Minute)
			in.Kind = c.kind
			issued, err := x.SignIn(t.Context(), in)
			if err != nil || issued.RefreshToken != "" || x.seen["refresh_token"] > 0 ||
				!issued.AccessUntil.Equal(until) {
				t.Errorf("issued %+v, %v", issued, err)
			}
			g := issued.Grant
			if begins := g.ID != ""; begins != c.begins || begins && !(g.IdleEnds.Equal(until) && g.Ends.Equal(until)) {
				t.Errorf("the session: %+v", g)
			}
			want := map[string]any{"role": "admin", "sub": "Alice", "epoch": int64(5), "sid": g.ID,
				"exp": 15 * time.Minute, "acr": "pwd", "amr": "[pwd]", "auth_time": "1772366400"}
			if got := x.read(t, issued.AccessToken); !reflect.DeepEqual(got, want) {
				t.Errorf("the access token says %v, want %v", got, want)
			}
			if r := x.store.records; len(r) != 1 || r[0].Grant.ID != g.ID || r[0].Grant.Epoch != 5 ||
				r[0].Entry.Action != "login" {
				t.Errorf("stored %+v", r)
			}
		})
	}
}

// TestClaimsThatChangeWhileSomebodySignsIn are in the token that goes out.
func TestClaimsThatChangeWhileSomebodySignsIn(t *testing.T) {
	x := newIssuer(t)
	in := x.signIn()
	x.Store = afterAdding{
		x.store, func() { x.store.changeClaims(x.Sessions.DenyList, map[string]any{"role": "viewer"}) },
	}
	issued, err := x.SignIn(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if got := x.read(t, issued.AccessToken); got["role"] != "viewer" || got["epoch"] != int64(15) ||
		x.store.reads != 1 {
		t.Errorf("the access token says %v; read %d times", got, x.store.reads)
	}
}
