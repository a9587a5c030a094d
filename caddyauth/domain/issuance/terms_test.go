package issuance

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// refuses demands a refusal with this verdict.
func refuses(t *testing.T, err error, want session.Verdict) {
	t.Helper()
	if r, ok := errors.AsType[*session.Refusal](err); !ok || r.Verdict != want {
		t.Errorf("error %v, want the refusal %s", err, want)
	}
}

// notIssued are the states of the parties in which nothing may be issued.
var notIssued = []struct {
	name   string
	change func(p *Parties)
}{
	{"no project", func(p *Parties) { p.Project = project.Project{} }},
	{"a paused project", func(p *Parties) { p.Project.Active = false }},
	{"no client", func(p *Parties) { p.Client = clients.Client{} }},
	{"a paused client", func(p *Parties) { p.Client.Active = false }},
	{"no user", func(p *Parties) { p.User = nil }},
	{"a disabled user", func(p *Parties) { p.User = &identity.User{Name: "Alice", Disabled: true} }},
	{"a user in another spelling", func(p *Parties) { p.User = &identity.User{Name: "alice"} }},
}

func TestNothingIsIssuedToWhoMayNotHaveIt(t *testing.T) {
	for _, c := range notIssued {
		t.Run(c.name, func(t *testing.T) {
			x := newIssuer(t)
			issued := x.signedIn(t)
			c.change(&x.store.parties)
			g := issued.Grant
			_, err := x.Terms(t.Context(), g)
			refuses(t, err, session.NotAllowed)
			_, err = x.Refresh(t.Context(),
				Refresh{Token: issued.RefreshToken, ClientID: clients.FirstParty, Now: noon})
			refuses(t, err, session.NotAllowed)
			_, err = x.Mint(t.Context(), g, time.Hour, noon)
			refuses(t, err, session.NotAllowed)
			_, err = x.Again(t.Context(), issued.RefreshToken, time.Hour, noon)
			refuses(t, err, session.NotAllowed)
			if stands := x.store.grants[g.ID]; stands.Generation != 0 || !stands.Revoked.IsZero() {
				t.Errorf("the refusal has changed the grant: %+v", stands)
			}
		})
	}
	t.Run("an impossible name", func(t *testing.T) {
		x := newIssuer(t)
		_, err := x.Terms(t.Context(), session.Grant{Subject: "al ice\x00"})
		refuses(t, err, session.NotAllowed)
	})
	t.Run("the store is away", func(t *testing.T) {
		x := newIssuer(t)
		x.store.fail = errors.New("down")
		if _, err := x.Terms(t.Context(), session.Grant{Subject: "Alice"}); !errors.Is(err, x.store.fail) {
			t.Errorf("%v", err)
		}
	})
}

// TestTermsAreClientOverProjectOverServer: lifetimes inside the limits, options, and the claims of
// the user over those of the client.
func TestTermsAreClientOverProjectOverServer(t *testing.T) {
	x := newIssuer(t)
	x.Lifetimes = project.Lifetimes{Access: time.Hour, Refresh: 10 * time.Hour}
	x.Limits = project.Limits{MaxAccess: 2 * time.Hour}
	x.TokenOptions = project.TokenOptions{RefreshReuseInterval: time.Second}
	p := &x.store.parties
	p.Project.Lifetimes = project.Lifetimes{Access: 3 * time.Hour, RefreshAbsolute: 20 * time.Hour}
	p.Project.AccessTokenFormat = project.Opaque
	p.Client.RefreshRotation = project.Off
	p.Client.Claims = map[string]any{"role": "client", "tier": "gold"}
	got, err := x.Terms(t.Context(), session.Grant{Subject: "Alice"})
	want := Terms{
		Lifetimes: project.Lifetimes{
			Access:          2 * time.Hour,
			Refresh:         10 * time.Hour,
			RefreshAbsolute: 20 * time.Hour,
			Code:            project.Defaults.Code,
			DeviceCode:      project.Defaults.DeviceCode,
			IDToken:         project.Defaults.IDToken,
		},
		TokenOptions: project.TokenOptions{
			AccessTokenFormat:    project.Opaque,
			RefreshRotation:      project.Off,
			RefreshReuseInterval: time.Second,
		},
		Claims: map[string]any{"role": "admin", "tier": "gold"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v\nwant %+v", got, err, want)
	}
}
