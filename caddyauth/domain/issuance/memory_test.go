package issuance

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// memory is a store without a database, for one project, client and user.
type memory struct {
	session.Store // the rest is not called

	mu      sync.Mutex
	parties Parties
	grants  map[string]session.Grant
	records []Record
	fail    error          // what every verb returns, when set
	reads   int            // of the parties
	adding  error          // what AddSignIn returns
	subject clients.Client // another client, whose token is exchanged
	denied  bool
}

// lockedIn is locked for a verb that heeds its context, as all do of a real store.
func (m *memory) lockedIn(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return m.locked(f)
}

func (m *memory) locked(f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	return f()
}

func (m *memory) FindParties(_ context.Context, slug, clientID, name string) (p Parties, err error) {
	err = m.locked(func() error {
		m.reads++
		p = m.parties
		return nil
	})
	return p, err
}

// FindClientParties knows the client of the parties, and every other as one of another project.
func (m *memory) FindClientParties(_ context.Context, clientID, name string) (p Parties, err error) {
	err = m.locked(func() error {
		m.reads++
		switch p = m.parties; clientID {
		case p.Client.ID:
		case m.subject.ID:
			p.Client = m.subject
		default:
			p.Client = clients.Client{}
		}
		if p.User != nil && p.User.Name != name {
			p.User = nil
		}
		return nil
	})
	return p, err
}

func (m *memory) IsDenied(context.Context, revocation.Subject) (denied bool, err error) {
	err = m.locked(func() error { denied = m.denied; return nil })
	return denied, err
}

func (m *memory) FindProject(ctx context.Context, _ string) (p project.Project, err error) {
	err = m.lockedIn(ctx, func() error { p = m.parties.Project; return nil })
	return p, err
}

func (m *memory) AddSignIn(_ context.Context, r Record) error {
	return m.locked(func() error {
		if m.adding != nil {
			return m.adding
		}
		m.records = append(m.records, r)
		m.grants[r.Grant.ID] = r.Grant
		return nil
	})
}

func (m *memory) FindGrant(ctx context.Context, id string) (g session.Grant, err error) {
	err = m.lockedIn(ctx, func() error {
		var found bool
		if g, found = m.grants[id]; !found {
			return session.ErrNoGrant
		}
		return nil
	})
	return g, err
}

// ListGrants knows the filter of a sign-in.
func (m *memory) ListGrants(_ context.Context, f session.Filter) (all []session.Grant, err error) {
	err = m.locked(func() error {
		for _, g := range m.grants {
			if g.Project == f.Project && g.Subject == f.Subject && g.ClientID == f.ClientID &&
				(g.ID == f.SignIn || g.Parent == f.SignIn || g.SignIn == f.SignIn) && g.Lives(f.LiveAt) {
				all = append(all, g)
			}
		}
		return nil
	})
	return all, err
}

func (m *memory) RotateGrant(_ context.Context, r session.Rotation, now time.Time) (done session.Rotated, err error) {
	err = m.locked(func() error {
		done.Epoch = m.parties.Epoch
		done.Grant, done.Verdict = m.grants[r.ID].Use(r, now)
		m.grants[r.ID] = done.Grant
		return nil
	})
	return done, err
}

func (m *memory) RevokeGrant(ctx context.Context, id, reason string,
	now time.Time) (denials []revocation.Denial, err error) {
	err = m.lockedIn(ctx, func() error {
		g := m.grants[id]
		g.Revoked, g.RevokedFor = now, reason
		m.grants[id] = g
		denials = append(denials,
			revocation.Denial{Kind: revocation.FamilyKind, ID: id, Until: g.AccessUntil.Add(revocation.Margin)})
		return nil
	})
	return denials, err
}

func (m *memory) RevokeAll(ctx context.Context, o revocation.Revocation,
	_ time.Time) (n int, d revocation.Denial, err error) {
	err = m.lockedIn(ctx, func() error {
		m.parties.Epoch++
		d = revocation.Denial{
			Kind:  o.Kind,
			Scope: o.Project,
			ID:    o.ID,
			Epoch: m.parties.Epoch,
			Until: o.Until.Add(revocation.Margin),
		}
		return nil
	})
	return len(m.grants), d, err
}

// changeClaims is a change of claims: the grants go on with a higher epoch, and what was made
// before is denied.
func (m *memory) changeClaims(list *revocation.DenyList, claims map[string]any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parties.Epoch += 10
	user := *m.parties.User
	user.Claims = claims
	m.parties.User = &user
	for id, g := range m.grants {
		g.Epoch = m.parties.Epoch
		m.grants[id] = g
	}
	list.Add(revocation.Denial{
		Kind:  revocation.UserKind,
		Scope: "acme",
		ID:    "Alice",
		Epoch: m.parties.Epoch,
		Until: noon.Add(time.Hour),
	})
}

// issuer is a service on a store in memory, with its surroundings.
type issuer struct {
	*Service
	store  *memory
	minted []time.Duration // the lifetimes that a key was asked for
	during func()          // happens while a key is asked for, once
	keys   error           // why no key is to be had
	seen   map[string]int  // what was observed
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := keyring.Generate("ES256", noon)
	if err != nil {
		t.Fatal(err)
	}
	store := &memory{grants: map[string]session.Grant{}, parties: Parties{
		Epoch:   5,
		Project: project.Project{Slug: "acme", Active: true},
		Client:  clients.Client{ID: clients.FirstParty, Active: true},
		User:    &identity.User{ID: "u", Project: "acme", Name: "Alice", Claims: map[string]any{"role": "admin"}},
	}}
	x := &issuer{store: store, seen: map[string]int{}}
	verifier, err := token.NewVerifier([]token.Issuer{{
		Name: "https://iss",
		Own:  true,
		Keys: func(context.Context, string) (*keyring.Key, error) { return key, nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	x.Service = &Service{
		Issuer: "https://iss",
		Store:  store,
		Sessions: &session.Service{
			Store: store,
			Tokens: session.Tokens{
				Secrets: []session.Secret{{ID: "1", Key: []byte("0123456789abcdef0123456789abcdef")}},
			},
			DenyList: &revocation.DenyList{},
		},
		SigningKey: func(_ context.Context, lifetime time.Duration, _ time.Time) (*keyring.Key, error) {
			x.minted = append(x.minted, lifetime)
			if x.during != nil {
				x.during()
				x.during = nil
			}
			return key, x.keys
		},
		Opaque:  func(token.Claims) (string, error) { return "at_sealed", nil },
		Verify:  verifier.Verify,
		Revoked: func(*token.Token, time.Time) error { return nil },
		Observe: func(kind string) { x.seen[kind]++ },
	}
	return x
}

// signIn is a sign-in of Alice.
func (x *issuer) signIn() SignIn {
	return SignIn{
		Parties:     x.store.parties,
		Kind:        BrowserGrant,
		Action:      "login",
		Audience:    "web",
		ACR:         PasswordClass,
		AMR:         []string{PasswordMethod},
		Device:      "Firefox",
		ClientIP:    "192.0.2.7",
		Forgiveness: identity.Forgiveness{Empty: "pair"},
		Now:         noon,
	}
}

func (x *issuer) signedIn(t *testing.T) Issued {
	t.Helper()
	issued, err := x.SignIn(t.Context(), x.signIn())
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// read is an access token as a gate sees it.
func (x *issuer) read(t *testing.T, raw string) (claims map[string]any) {
	t.Helper()
	parsed, err := x.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	claims = map[string]any{}
	for _, name := range []string{"role", "tier", "acr"} {
		if value, ok := parsed.Claim(name); ok {
			claims[name] = value
		}
	}
	if at, ok := parsed.Claim("auth_time"); ok {
		claims["auth_time"] = fmt.Sprint(at)
	}
	if amr, ok := parsed.Claim("amr"); ok {
		claims["amr"] = fmt.Sprint(amr)
	}
	maps.Copy(claims,
		map[string]any{
			"sub":   parsed.Subject,
			"epoch": parsed.Epoch,
			"sid":   parsed.Session,
			"exp":   parsed.Expiry.Time().Sub(noon),
		})
	return claims
}
