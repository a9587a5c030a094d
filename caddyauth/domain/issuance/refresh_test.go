package issuance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// afterAdding lets something happen behind AddSignIn.
type afterAdding struct {
	*memory
	then func()
}

func (s afterAdding) AddSignIn(ctx context.Context, r Record) error {
	err := s.memory.AddSignIn(ctx, r)
	s.then()
	return err
}

func presented(i Issued) Refresh {
	return Refresh{Token: i.RefreshToken, ClientID: clients.FirstParty, Now: noon.Add(time.Minute)}
}

func TestARefreshReadsThePartiesOnce(t *testing.T) {
	x := newIssuer(t)
	first := x.signedIn(t)
	got, err := x.Refresh(t.Context(), presented(first))
	if err != nil || got.Verdict != session.Advanced || got.RefreshToken == first.RefreshToken || x.store.reads != 1 {
		t.Errorf("%+v, %v; read %d times", got, err, x.store.reads)
	}
	if claims := x.read(t, got.AccessToken); claims["sid"] != first.Grant.ID || claims["exp"] != 16*time.Minute ||
		claims["role"] != "admin" {
		t.Errorf("the access token says %v", claims)
	}
}

// TestWhatCannotBeIssuedLeavesTheTokenGood: making the access token fails before the refresh token
// is used up, and whoever comes again with it is no thief.
func TestWhatCannotBeIssuedLeavesTheTokenGood(t *testing.T) {
	x := newIssuer(t)
	x.store.parties.Project.RefreshReuseInterval = project.None
	first := x.signedIn(t)
	x.keys = errors.New("no key")
	for range 2 {
		if _, err := x.Refresh(t.Context(), presented(first)); !errors.Is(err, x.keys) {
			t.Fatal(err)
		}
	}
	x.keys, x.minted = nil, nil
	if got, err := x.Refresh(t.Context(), presented(first)); err != nil || got.Verdict != session.Advanced ||
		len(x.minted) != 1 {
		t.Errorf("%+v, %v; made %d access tokens", got, err, len(x.minted))
	}
	// A token that is used up is not worth making another for.
	x.minted = nil
	_, err := x.Refresh(t.Context(), presented(first))
	refuses(t, err, session.Reused)
	if len(x.minted) > 0 {
		t.Error("an access token was made for a thief")
	}
}

// TestClaimsThatChangeWhileATokenIsMade: the grant goes on with a higher epoch, and so does what
// goes out.
func TestClaimsThatChangeWhileATokenIsMade(t *testing.T) {
	x := newIssuer(t)
	first := x.signedIn(t)
	x.during = func() { x.store.changeClaims(x.Sessions.DenyList, map[string]any{"role": "viewer"}) }
	got, err := x.Refresh(t.Context(), presented(first))
	if err != nil {
		t.Fatal(err)
	}
	if claims := x.read(t, got.AccessToken); claims["role"] != "viewer" || claims["epoch"] != int64(15) ||
		x.store.reads != 2 {
		t.Errorf("the access token says %v; read %d times", claims, x.store.reads)
	}
}

// TestClaimsThatChangeInTheSameCommit are seen by a browser at once: the deny list of the node has
// not heard of them yet.
func TestClaimsThatChangeInTheSameCommit(t *testing.T) {
	for _, browser := range []bool{true, false} {
		x := newIssuer(t)
		first := x.signedIn(t)
		x.Sessions.Store = afterRotation{
			x.store, func() { x.store.changeClaims(new(revocation.DenyList), map[string]any{"role": "viewer"}) },
		}
		r := presented(first)
		r.Browser = browser
		got, err := x.Refresh(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{true: "viewer", false: "admin"}[browser]
		if claims := x.read(t, got.AccessToken); claims["role"] != want {
			t.Errorf("browser %v: the access token says %v", browser, claims)
		}
	}
}

// afterRotation lets something happen behind RotateGrant.
type afterRotation struct {
	*memory
	then func()
}

func (s afterRotation) RotateGrant(ctx context.Context, r session.Rotation, now time.Time) (session.Rotated, error) {
	done, err := s.memory.RotateGrant(ctx, r, now)
	s.then()
	return done, err
}

// staleGrants reads grants as they were one use ago.
type staleGrants struct{ *memory }

func (s staleGrants) FindGrant(ctx context.Context, id string) (session.Grant, error) {
	g, err := s.memory.FindGrant(ctx, id)
	g.Generation--
	return g, err
}

// TestNoMoreIsGivenForAGrantThatHasChanged: what is asked for counts, too, where the use was
// expected to be refused.
func TestNoMoreIsGivenForAGrantThatHasChanged(t *testing.T) {
	x := newIssuer(t)
	first := x.signedIn(t)
	second, err := x.Refresh(t.Context(), presented(first))
	if err != nil {
		t.Fatal(err)
	}
	x.Sessions.Store = staleGrants{x.store}
	r := presented(second)
	r.Scopes = []string{"admin"}
	if got, err := x.Refresh(t.Context(), r); !errors.Is(err, ErrScope) || got.AccessToken != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestScopesAreNarrowed: at most those of the grant, and nobody but its client learns what those
// are.
func TestScopesAreNarrowed(t *testing.T) {
	for _, c := range []struct {
		name, client string
		scopes, want []string
		check        func(*testing.T, error)
	}{
		{"all", "web", nil, []string{"read", "write"}, nil},
		{"one", "web", []string{"write"}, []string{"write"}, nil},
		{"none", "web", []string{}, []string{}, nil},
		{"more", "web", []string{"read", "admin"}, nil, func(t *testing.T, err error) {
			if !errors.Is(err, ErrScope) {
				t.Error(err)
			}
		}},
		{
			"another client", "spa", []string{"admin"}, nil,
			func(t *testing.T, err error) { refuses(t, err, session.OtherClient) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newIssuer(t)
			x.store.parties.Client.ID, x.store.parties.Client.Scopes = "web", []string{"read", "write"}
			begun := x.granted(t, "web", "api")
			got, err := x.Refresh(t.Context(),
				Refresh{Token: begun.RefreshToken, ClientID: c.client, Scopes: c.scopes, Now: noon})
			if c.check != nil {
				if c.check(t, err); x.store.grants[begun.Grant.ID].Generation != 0 {
					t.Error("the refresh token was used up")
				}
				return
			}
			if err != nil || !slices.Equal(got.Scopes, c.want) {
				t.Errorf("%q, %v", got.Scopes, err)
			}
		})
	}
}

// granted stores a grant of Alice to a client, with the scopes read and write.
func (x *issuer) granted(t *testing.T, clientID string, audience ...string) session.Issued {
	t.Helper()
	begun, err := x.Sessions.New(session.GrantRequest{
		Project:  "acme",
		Subject:  "Alice",
		ClientID: clientID,
		Audience: audience,
		Scopes:   []string{"read", "write"},
		Access:   time.Hour,
		Idle:     time.Hour,
		Absolute: time.Hour,
		Epoch:    5,
	}, noon)
	if err != nil {
		t.Fatal(err)
	}
	x.store.grants[begun.Grant.ID] = begun.Grant
	return begun
}

// TestWhatIsTakenFromAClientIsInNoNewToken: the grant is older than the client's settings.
func TestWhatIsTakenFromAClientIsInNoNewToken(t *testing.T) {
	const files = "https://files.example"
	for _, c := range []struct {
		name      string
		change    func(p *Parties)
		asks      []string
		scopes    []string
		audience  []string
		notIssued bool
	}{
		{"nothing", func(*Parties) {}, nil, []string{"read", "write"}, []string{"api", files}, false},
		{"a scope", func(p *Parties) { p.Client.Scopes = []string{"read", "other"} }, nil,
			[]string{"read"}, []string{"api", files}, false},
		{"a scope, which it asks for with another", func(p *Parties) { p.Client.Scopes = []string{"read"} },
			[]string{"write", "read"}, []string{"read"}, []string{"api", files}, false},
		{"the scope that it asks for", func(p *Parties) { p.Client.Scopes = []string{"read"} }, []string{"write"},
			nil, nil, true},
		{"all scopes", func(p *Parties) { p.Client.Scopes = nil }, nil, nil, nil, true},
		{"a resource", func(p *Parties) { p.Client.Resources = nil }, nil, []string{"read", "write"}, []string{"api"},
			false},
		{"its audience", func(p *Parties) { p.Client.Audience = []string{"web"} }, nil, []string{"read", "write"},
			[]string{files}, false},
		{"the project's audience", func(p *Parties) { p.Project.Audiences = []string{"web"} }, nil,
			[]string{"read", "write"}, []string{files}, false},
		{"all that it was for", func(p *Parties) { p.Client.Audience, p.Client.Resources = []string{"web"}, nil }, nil,
			nil, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newIssuer(t)
			client := &x.store.parties.Client
			client.ID, client.Scopes, client.Resources = "rp", []string{"read", "write"}, []string{files}
			begun := x.granted(t, "rp", "api", files)
			c.change(&x.store.parties)
			got, err := x.Refresh(t.Context(),
				Refresh{Token: begun.RefreshToken, ClientID: "rp", Scopes: c.asks, Now: noon})
			if c.notIssued {
				if refuses(t, err, session.NotAllowed); x.store.grants[begun.Grant.ID].Generation != 0 {
					t.Error("the refresh token was used up")
				}
				return
			}
			if err != nil || !slices.Equal(got.Scopes, c.scopes) {
				t.Fatalf("%q, %v", got.Scopes, err)
			}
			access, err := x.Verify(t.Context(), got.AccessToken)
			if err != nil || !slices.Equal(access.Audience, c.audience) || !slices.Equal(access.Scopes, c.scopes) {
				t.Errorf("the access token is for %q with %q, %v", access.Audience, access.Scopes, err)
			}
		})
	}
}

func TestSigningOutEndsOneSessionOrAll(t *testing.T) {
	for _, c := range []struct {
		name      string
		all       project.Switch
		by        func(i Issued) (access, refresh string)
		one, user bool // what is denied
	}{
		{"access", project.Inherit, func(i Issued) (string, string) { return i.AccessToken, "" }, true, false},
		{"refresh", project.Inherit, func(i Issued) (string, string) { return "", i.RefreshToken }, true, false},
		{"refresh and garbage", project.Inherit, func(i Issued) (string, string) { return "x", i.RefreshToken },
			true, false},
		{"all by access", project.On, func(i Issued) (string, string) { return i.AccessToken, "" }, false, true},
		{"all by refresh", project.On, func(i Issued) (string, string) { return "", i.RefreshToken }, false, true},
		{"nothing", project.On, func(Issued) (string, string) { return "", "" }, false, false},
		{"garbage", project.On, func(Issued) (string, string) { return "x", "rt_x" }, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newIssuer(t)
			x.store.parties.Project.RevokeAllOnLogout = c.all
			issued := x.signedIn(t)
			if owner := x.SessionOwner(t.Context(), issued.RefreshToken, noon); owner != "Alice" {
				t.Errorf("the session is %q's", owner)
			}
			access, refresh := c.by(issued)
			ended, err := x.SignOut(t.Context(), []string{access}, []string{refresh}, noon)
			if err != nil || ended != (c.one || c.user) {
				t.Fatalf("ended: %v, %v", ended, err)
			}
			g := issued.Grant
			one := x.Sessions.DenyList.Denied(revocation.Subject{Family: g.ID, Epoch: 99}) != ""
			user := x.Sessions.DenyList.Denied(revocation.Subject{Project: "acme", Subject: "Alice", Epoch: 5}) != ""
			if one != c.one || user != c.user {
				t.Errorf("denied are the session: %v, the user: %v", one, user)
			}
		})
	}
}

// TestSignOutGoesOnForAGoneClient: who closes the window after signing out has signed out.
func TestSignOutGoesOnForAGoneClient(t *testing.T) {
	for _, all := range []project.Switch{project.Off, project.On} {
		t.Run(fmt.Sprint("all ", all == project.On), func(t *testing.T) {
			x := newIssuer(t)
			x.store.parties.Project.RevokeAllOnLogout = all
			issued := x.signedIn(t)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			ended, err := x.SignOut(ctx, []string{issued.AccessToken}, nil, noon)
			if err != nil || !ended {
				t.Errorf("ended: %v, %v", ended, err)
			}
		})
	}
}

// Whoever has authenticated may come with another key or certificate, and nobody without one where the
// grant began with one (RFC 9449, section 5; RFC 8705, section 4).
func TestRefreshTokensBelongToKeysAndCertificates(t *testing.T) {
	for _, tc := range []struct {
		name                 string
		g                    session.Grant
		r                    Refresh
		public, confidential bool
	}{
		{"not bound", session.Grant{}, Refresh{}, true, true},
		{"not bound before", session.Grant{}, Refresh{JKT: "a", X5T: "b"}, true, true},
		{"the same", session.Grant{JKT: "a", X5T: "b"}, Refresh{JKT: "a", X5T: "b"}, true, true},
		{"another key", session.Grant{JKT: "a", X5T: "b"}, Refresh{JKT: "c", X5T: "b"}, false, true},
		{"another certificate", session.Grant{JKT: "a", X5T: "b"}, Refresh{JKT: "a", X5T: "c"}, false, true},
		{"no key", session.Grant{JKT: "a", X5T: "b"}, Refresh{X5T: "b"}, false, false},
		{"no certificate", session.Grant{JKT: "a", X5T: "b"}, Refresh{JKT: "a"}, false, false},
		{"a certificate for a key", session.Grant{JKT: "a"}, Refresh{X5T: "a"}, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.r.hasKey(tc.g); got != tc.public {
				t.Errorf("public: %v", got)
			}
			tc.r.AnyKey = true
			if got := tc.r.hasKey(tc.g); got != tc.confidential {
				t.Errorf("confidential: %v", got)
			}
		})
	}
}
