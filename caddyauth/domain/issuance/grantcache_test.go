package issuance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// UseKnown implements KnownUseStore: the grant decides, and the version of the user.
func (m *memory) UseKnown(_ context.Context, r KnownUse, now time.Time) (used bool, err error) {
	err = m.locked(func() error {
		g := m.grants[r.Grant.ID]
		after, verdict := g.Use(session.Rotation{
			ID:          g.ID,
			Generation:  r.Grant.Generation,
			ClientID:    g.ClientID,
			AccessUntil: r.AccessUntil,
		}, now)
		used = g.Generation == r.Grant.Generation && g.Epoch == r.Grant.Epoch && verdict.Honoured() &&
			m.parties.User.Version == r.Parties.User.Version
		if used {
			m.grants[g.ID] = after
		}
		return nil
	})
	return used, err
}

// knowing is an issuer that remembers, and a session that it remembers.
func knowing(t *testing.T) (*issuer, Issued) {
	t.Helper()
	x := newIssuer(t)
	x.GrantCache = &GrantCache{Store: x.store}
	x.store.parties.Project.ID = "p"
	x.store.parties.Project.RefreshReuseInterval = project.None
	known, err := x.Refresh(t.Context(), presented(x.signedIn(t)))
	if err != nil {
		t.Fatal(err)
	}
	x.store.reads, x.seen = 0, map[string]int{}
	return x, known
}

// TestAKnownGrantIsNotRead: one verb is all that a refresh then asks, and it says what a refresh
// that reads says.
func TestAKnownGrantIsNotRead(t *testing.T) {
	x, known := knowing(t)
	for i := range 3 {
		got, err := x.Refresh(t.Context(), presented(known))
		if err != nil || got.Verdict != session.Advanced || got.RefreshToken == known.RefreshToken ||
			x.store.reads != 0 {
			t.Fatalf("%+v, %v; read %d times", got, err, x.store.reads)
		}
		claims := x.read(t, got.AccessToken)
		if claims["sid"] != known.Grant.ID || claims["exp"] != 16*time.Minute || claims["role"] != "admin" ||
			claims["epoch"] != known.Grant.Epoch {
			t.Errorf("the access token says %v", claims)
		}
		want := map[string]int{"access_token": i + 1, "refresh_token": i + 1}
		if !maps.Equal(x.seen, want) {
			t.Errorf("observed %v, want %v", x.seen, want)
		}
		known = got
	}
}

// TestAKnownGrantHasTokensInTheFormatOfItsClient, which are observed as what they are.
func TestAKnownGrantHasTokensInTheFormatOfItsClient(t *testing.T) {
	x, known := knowing(t)
	x.store.parties.Client.AccessTokenFormat = project.Opaque
	x.GrantCache.keep(cachedGrant{grant: known.Grant, parties: &x.store.parties})
	got, err := x.Refresh(t.Context(), presented(known))
	if err != nil || got.AccessToken != "at_sealed" || x.store.reads != 0 || x.seen["opaque_access_token"] != 1 {
		t.Errorf("%+v, %v, read %d times, observed %v", got, err, x.store.reads, x.seen)
	}
}

// TestWhatIsKnownAndOldIsReadAgain: a refresh says and leaves what it would if nothing were
// remembered.
func TestWhatIsKnownAndOldIsReadAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(x *issuer, r *Refresh)
		want   session.Verdict // of a refusal; none
		role   string          // else
	}{
		{"another version of the user", func(x *issuer, _ *Refresh) {
			user := *x.store.parties.User
			user.Version, user.Claims = 2, map[string]any{"role": "viewer"}
			x.store.parties.User = &user
		}, "", "viewer"},
		{"a user who is disabled", func(x *issuer, _ *Refresh) {
			user := *x.store.parties.User
			user.Version, user.Disabled = 2, true
			x.store.parties.User = &user
		}, session.NotAllowed, ""},
		{"other claims", func(x *issuer, _ *Refresh) {
			x.store.changeClaims(x.Sessions.DenyList, map[string]any{"role": "viewer"})
		}, "", "viewer"},
		{"other claims, of which the node has not heard", func(x *issuer, _ *Refresh) {
			x.store.changeClaims(new(revocation.DenyList), map[string]any{"role": "viewer"})
		}, "", "viewer"},
		{"revoked", func(x *issuer, r *Refresh) {
			ref, _ := session.ReadToken(r.Token)
			_, _ = x.store.RevokeGrant(context.Background(), ref.Family, "test", r.Now)
		}, session.Ended, ""},
		{"used at another node", func(x *issuer, r *Refresh) {
			known := x.GrantCache
			x.GrantCache = nil
			_, _ = x.Refresh(context.Background(), *r)
			x.GrantCache = known
		}, session.Reused, ""},
		{"of another client", func(_ *issuer, r *Refresh) { r.ClientID = "another" }, session.OtherClient, ""},
		{"too late", func(_ *issuer, r *Refresh) { r.Now = noon.Add(10000 * time.Hour) }, session.Expired, ""},
		{"a MAC that is wrong", func(_ *issuer, r *Refresh) {
			r.Token = r.Token[:len(r.Token)-4] + "AAAA"
		}, session.BadMAC, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, known := knowing(t)
			r := presented(known)
			c.change(x, &r)
			got, err := x.Refresh(t.Context(), r)
			if c.want != "" {
				refuses(t, err, c.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if claims := x.read(t, got.AccessToken); claims["role"] != c.role {
				t.Errorf("the access token says %v", claims)
			}
			x.store.reads = 0
			if _, err := x.Refresh(t.Context(), presented(got)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWrongScopesOfAKnownGrantUseNothingUp.
func TestWrongScopesOfAKnownGrantUseNothingUp(t *testing.T) {
	x, known := knowing(t)
	r := presented(known)
	r.Scopes = []string{"more"}
	if _, err := x.Refresh(t.Context(), r); !errors.Is(err, ErrScope) {
		t.Error(err)
	}
	if got, err := x.Refresh(t.Context(), presented(known)); err != nil || got.Verdict != session.Advanced {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestWhatCannotBeIssuedLeavesAKnownTokenGood, as it does one that is read.
func TestWhatCannotBeIssuedLeavesAKnownTokenGood(t *testing.T) {
	x, known := knowing(t)
	x.keys = errors.New("no key")
	if _, err := x.Refresh(t.Context(), presented(known)); !errors.Is(err, x.keys) {
		t.Fatal(err)
	}
	x.keys = nil
	x.store.fail = errors.New("the store is down")
	if _, err := x.Refresh(t.Context(), presented(known)); !errors.Is(err, x.store.fail) {
		t.Fatal(err)
	}
	x.store.fail = nil
	if got, err := x.Refresh(t.Context(), presented(known)); err != nil || got.Verdict != session.Advanced {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestGrantCacheIsBounded: it keeps what was used last.
func TestGrantCacheIsBounded(t *testing.T) {
	var m GrantCache
	for i := range 5 * maxCachedGrants {
		m.keep(cachedGrant{grant: session.Grant{ID: fmt.Sprint(i)}})
		m.keep(cachedGrant{grant: session.Grant{ID: "always"}})
	}
	if n := len(m.young) + len(m.old); n > 2*maxCachedGrants {
		t.Errorf("%d are kept", n)
	}
	if _, ok := m.find("always"); !ok {
		t.Error("what was used all the time is forgotten")
	}
	if _, ok := m.find("1"); ok {
		t.Error("what was used first is kept")
	}
	m.forget("always")
	if _, ok := m.find("always"); ok {
		t.Error("what was forgotten is found")
	}
}

// TestWhatIsLargeIsNotRemembered: what people and clients that came by themselves bring could fill
// hundreds of MiB.
func TestWhatIsLargeIsNotRemembered(t *testing.T) {
	deep := make([]any, 300)
	for i := range deep {
		deep[i] = map[string]any{"a": nil} // 3 KiB of JSON, and 100 KiB of maps
	}
	uri := "https://a.example/" + strings.Repeat("a", 1000)
	for _, c := range []struct {
		name   string
		change func(g *session.Grant, p *Parties)
		want   bool
	}{
		{"ordinary", func(*session.Grant, *Parties) {}, true},
		{"a long request for claims", func(g *session.Grant, _ *Parties) {
			g.ClaimsRequest = strings.Repeat(" ", 4<<10)
		}, true},
		{"a client with many URIs", func(_ *session.Grant, p *Parties) {
			p.Client.RedirectURIs = slices.Repeat([]string{uri}, 20)
		}, false},
		{"a client with many keys", func(_ *session.Grant, p *Parties) {
			p.Client.JWKS = []byte(strings.Repeat(" ", 20<<10))
		}, false},
		{"claims of many maps", func(_ *session.Grant, p *Parties) {
			p.User.Claims = map[string]any{"deep": deep}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Service{GrantCache: &GrantCache{}}
			g, p := session.Grant{ID: "f"}, Parties{User: &identity.User{}}
			p.Project.ID, p.Client.ID = "p", "c"
			c.change(&g, &p)
			s.remember(g, p)
			if _, found := s.GrantCache.find("f"); found != c.want {
				t.Errorf("remembered: %v, want %v", found, c.want)
			}
		})
	}
}
