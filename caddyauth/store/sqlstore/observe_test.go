package sqlstore

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/device"
	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// observed is one call of Observe.
type observed struct {
	verb string
	took time.Duration
	err  error
}

// watch collects what is observed.
type watch struct {
	mu   sync.Mutex
	seen []observed
}

func (w *watch) observe(verb string, took time.Duration, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, observed{verb, took, err})
}

func (w *watch) take() []observed {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

// TestVerbsAreObserved: each call of a verb is told once, under its name, with its time, and an
// error only when the store failed.
func TestVerbsAreObserved(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		var w watch
		s := open()
		s.Observe = w.observe
		ctx, now := t.Context(), time.Now()
		home := project.Project{ID: "p", Slug: "default", Active: true}
		zoe := identity.User{ID: "z", Project: "default", Name: "zoe"}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		for _, c := range []struct {
			name   string
			do     func() error
			want   error // of the verb
			failed bool
		}{
			{"Epoch", func() error { _, err := s.Epoch(ctx); return err }, nil, false},
			{"AddGrant", func() error { return s.AddGrant(ctx, livingGrant("x", now)) }, nil, false},
			{"FindGrant", func() error { _, err := s.FindGrant(ctx, "none"); return err }, session.ErrNoGrant, false},
			{
				"ListGrants", func() error { _, err := s.ListGrants(ctx, session.Filter{Limit: 10}); return err }, nil,
				false,
			},
			{"RevokeGrant", func() error { _, err := s.RevokeGrant(ctx, "none", "test", now); return err }, nil, false},
			{"DeleteOver", func() error { _, err := s.DeleteOver(ctx, now, 10); return err }, nil, false},
			{"AddProject", func() error { return s.AddProject(ctx, home) }, nil, false},
			{"AddProject", func() error { return s.AddProject(ctx, home) }, project.ErrTaken, false},
			{"RemoveProject", func() error { return s.RemoveProject(ctx, "p", 0) }, project.ErrIsDefault, false},
			{"AddUser", func() error { return s.AddUser(ctx, zoe) }, nil, false},
			{"AddUser", func() error { return s.AddUser(ctx, zoe) }, identity.ErrNameTaken, false},
			{
				"DecideDevice", func() error { return s.DecideDevice(ctx, "none", device.Approval{}, true, now) },
				device.ErrNotFound, false,
			},
			{"CheckDeclaration", func() error { return s.CheckDeclaration(ctx, Declaration{}, now) }, nil, false},
			{"Ping", func() error { return s.Ping(ctx) }, nil, false},
			{"CountGrants", func() error { _, err := s.CountGrants(ctx, now); return err }, nil, false},
			{"Epoch", func() error { _, err := s.Epoch(ended); return err }, context.Canceled, false},
			{"Epoch", func() error { _ = s.Close(); _, err := s.Epoch(ctx); return err }, ErrUnavailable, true},
		} {
			t.Run(c.name, func(t *testing.T) {
				w.take()
				if err := c.do(); !errors.Is(err, c.want) {
					t.Fatal(err)
				}
				seen := w.take()
				if len(seen) == 0 {
					t.Fatal("nothing was observed")
				}
				for _, o := range seen {
					if o.verb != c.name || (o.err != nil) != c.failed || o.took < 0 || o.took > time.Minute ||
						o.took == 0 && !c.failed {
						t.Errorf("%+v", o)
					}
				}
			})
		}
	})
}

func livingGrant(id string, now time.Time) session.Grant {
	g := wholeGrant(id)
	g.Kind, g.Revoked, g.RevokedFor, g.IdleEnds, g.Ends = "api", time.Time{}, "", now.Add(time.Hour), now.Add(
		2*time.Hour,
	)
	return g
}

// TestGrantsAreCountedByKind: what has ended or was revoked does not live.
func TestGrantsAreCountedByKind(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, now := open(), time.Now()
		for i, change := range []func(*session.Grant){
			func(*session.Grant) {},
			func(g *session.Grant) { g.Kind = "browser" },
			func(g *session.Grant) { g.Kind = "browser" },
			func(g *session.Grant) { g.IdleEnds = now.Add(-time.Second) },
			func(g *session.Grant) { g.Kind = "browser" }, // is revoked
		} {
			g := livingGrant(string(rune('A'+i)), now)
			change(&g)
			if err := s.AddGrant(t.Context(), g); err != nil {
				t.Fatal(err)
			}
			if i == 4 {
				if _, err := s.RevokeGrant(t.Context(), g.ID, "test", now); err != nil {
					t.Fatal(err)
				}
			}
		}
		got, err := s.CountGrants(t.Context(), now)
		if err != nil || len(got) != 2 || got["api"] != 1 || got["browser"] != 2 {
			t.Errorf("%v %v", got, err)
		}
		if got, err = s.CountGrants(t.Context(), now.Add(1000*time.Hour)); err != nil || len(got) != 0 {
			t.Errorf("later: %v %v", got, err)
		}
	})
}
