package session

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
)

// memory is a store without a database: the contract in its plainest form.
type memory struct {
	mu      sync.Mutex
	epoch   int64
	grants  map[string]Grant
	denials []revocation.Denial
	fail    error // what every method returns, when set
}

func (m *memory) locked(f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if m.grants == nil {
		m.grants, m.epoch = map[string]Grant{}, 1
	}
	return f()
}

func (m *memory) Epoch(context.Context) (epoch int64, err error) {
	err = m.locked(func() error { epoch = m.epoch; return nil })
	return epoch, err
}

func (m *memory) overtaken(g Grant) bool {
	var list revocation.DenyList
	list.Add(m.denials...)
	return list.Denied(
		revocation.Subject{Project: g.Project, Subject: g.Subject, ClientID: g.ClientID, Epoch: g.Epoch},
	) != ""
}

func (m *memory) AddGrant(_ context.Context, g Grant) error {
	return m.locked(func() error {
		if m.overtaken(g) {
			return ErrOvertaken
		}
		m.grants[g.ID] = g
		return nil
	})
}

func (m *memory) FindGrant(_ context.Context, id string) (g Grant, err error) {
	err = m.locked(func() error {
		if found, ok := m.grants[id]; ok {
			g = found
			return nil
		}
		return ErrNoGrant
	})
	return g, err
}

func (m *memory) RotateGrant(_ context.Context, r Rotation, now time.Time) (done Rotated, err error) {
	err = m.locked(func() error {
		g, ok := m.grants[r.ID]
		switch {
		case !ok:
			done.Verdict = Unknown
			return nil
		case m.overtaken(g):
			done.Grant, done.Verdict = g, Ended
			return nil
		}
		done.Epoch = m.epoch
		done.Grant, done.Verdict = g.Use(r, now)
		m.grants[r.ID] = done.Grant
		if done.Verdict == Reused {
			done.Denials = []revocation.Denial{m.denyFamily(g)}
		}
		return nil
	})
	return done, err
}

func (m *memory) denyFamily(g Grant) revocation.Denial {
	d := revocation.Denial{Kind: revocation.FamilyKind, ID: g.ID, Until: g.AccessUntil.Add(revocation.Margin)}
	m.denials = append(m.denials, d)
	return d
}

func (m *memory) RevokeGrant(
	_ context.Context,
	id, reason string,
	now time.Time,
) (denials []revocation.Denial, err error) {
	err = m.locked(func() error {
		if g, ok := m.grants[id]; ok && g.Revoked.IsZero() {
			g.Revoked, g.RevokedFor = now, reason
			m.grants[id] = g
			denials = append(denials, m.denyFamily(g))
		}
		return nil
	})
	return denials, err
}

func (m *memory) RevokeAll(
	_ context.Context,
	o revocation.Revocation,
	now time.Time,
) (n int, d revocation.Denial, err error) {
	err = m.locked(func() error {
		m.epoch++
		d = revocation.Denial{
			Kind:  o.Kind,
			Scope: o.Project,
			ID:    o.ID,
			Epoch: m.epoch,
			Until: o.Until.Add(revocation.Margin),
		}
		m.denials = append(m.denials, d)
		for id, g := range m.grants {
			if g.Revoked.IsZero() && m.overtaken(g) {
				g.Revoked, g.RevokedFor = now, o.Reason
				m.grants[id] = g
				n++
			}
		}
		return nil
	})
	return n, d, err
}

func (m *memory) RevokeToken(
	_ context.Context,
	issuer, id string,
	until, _ time.Time,
) (d revocation.Denial, err error) {
	err = m.locked(func() error {
		d = revocation.Denial{Kind: revocation.TokenKind, Scope: issuer, ID: id, Until: until.Add(revocation.Margin)}
		m.denials = append(m.denials, d)
		return nil
	})
	return d, err
}

func (m *memory) ListGrants(context.Context, Filter) (all []Grant, err error) {
	err = m.locked(func() error {
		all = slices.SortedFunc(maps.Values(m.grants), func(a, b Grant) int { return cmp.Compare(a.ID, b.ID) })
		return nil
	})
	return all, err
}

func (m *memory) Denials(
	_ context.Context,
	after revocation.Cursor,
) (all []revocation.Denial, next revocation.Cursor, err error) {
	err = m.locked(func() error {
		all, next = slices.Clone(m.denials[after:]), revocation.Cursor(len(m.denials))
		return nil
	})
	return all, next, err
}

func (m *memory) DeleteOver(context.Context, time.Time, int) (int, error) { return 0, nil }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func secret(id string, fill byte) Secret {
	key := make([]byte, 32)
	for i := range key {
		key[i] = fill
	}
	return Secret{ID: id, Key: key}
}

// newService is a service on an empty store.
func newService(*testing.T) (*Service, *memory) {
	store := &memory{}
	return &Service{
		Store: store, Tokens: Tokens{Secrets: []Secret{secret("k1", 1)}}, DenyList: &revocation.DenyList{},
	}, store
}

// accessLifetime is that of the tests' access tokens.
const accessLifetime = 15 * time.Minute

func grantRequest() GrantRequest {
	return GrantRequest{
		Project:  "default",
		Subject:  "alice",
		ClientID: "web",
		Kind:     "browser",
		Audience: []string{"web"},
		Access:   accessLifetime,
		Idle:     24 * time.Hour,
		Absolute: 30 * 24 * time.Hour,
		Reuse:    10 * time.Second,
	}
}

// use presents and uses a refresh token.
func use(ctx context.Context, s *Service, token, clientID string, now time.Time) (Issued, error) {
	p, err := s.Present(ctx, token)
	if err != nil {
		return Issued{}, err
	}
	return s.Use(ctx, p, clientID, now.Add(accessLifetime), now)
}

func begin(t *testing.T, s *Service, r GrantRequest) Issued {
	t.Helper()
	i, err := s.Begin(t.Context(), r, noon)
	if err != nil {
		t.Fatal(err)
	}
	return i
}
