package auth

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// pacedApp has one project with a window of 10 minutes.
func pacedApp(t *testing.T) (*App, func(window time.Duration)) {
	t.Helper()
	a := auditedApp(t)
	a.Lifetimes.RefreshCheck = Duration(30 * time.Second)
	now := time.Now()
	if err := a.store.AddProject(t.Context(), project.Project{ID: project.NewID(), Slug: "acme", Active: true, Created: now}); err != nil {
		t.Fatal(err)
	}
	set := func(window time.Duration) {
		t.Helper()
		p, err := a.store.FindProject(t.Context(), "acme")
		if err == nil {
			p.RefreshWindow = window
			_, err = a.store.ChangeProject(t.Context(), p, now)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	set(10 * time.Minute)
	return a, set
}

func TestPaceIsAskedForOnceInAWhile(t *testing.T) {
	a, set := pacedApp(t)
	now := time.Now()
	expect := func(after, window time.Duration) {
		t.Helper()
		if got := a.pace(t.Context(), "acme", now.Add(after)); got != (pace{window, 30 * time.Second}) {
			t.Errorf("after %v: %v, want a window of %v", after, got, window)
		}
	}
	expect(0, 10*time.Minute)
	set(time.Minute)
	expect(paceFor-1, 10*time.Minute) // nobody has asked since
	expect(paceFor, time.Minute)
	set(0)
	expect(2*paceFor, 5*time.Minute) // the server's
	set(time.Hour)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if got := a.pace(gone, "acme", now.Add(3*paceFor)); got.window != 5*time.Minute {
		t.Errorf("without the store: %v", got)
	}
	expect(4*paceFor, time.Hour)
	if got := a.pace(t.Context(), "gone", now); got.window != 5*time.Minute {
		t.Errorf("of no project: %v", got)
	}
}

// TestOthersDoNotWaitForWhoAsks: one at a time asks, and the others go on with what was known.
func TestOthersDoNotWaitForWhoAsks(t *testing.T) {
	var p paces
	now, server := time.Now(), pace{time.Minute, time.Minute}
	if known, ask := p.recall("acme", server, now); !ask || known != server {
		t.Errorf("the first: %v, %v", known, ask)
	}
	if known, ask := p.recall("acme", server, now); ask || known != server {
		t.Errorf("the second: %v, %v", known, ask)
	}
}

// TestTheStoreIsNotAskedBeforeTheLastThird: most requests of a session are before it.
func TestTheStoreIsNotAskedBeforeTheLastThird(t *testing.T) {
	a, _ := pacedApp(t)
	now := time.Now()
	at := func(left time.Duration) bool {
		return a.due(t.Context(), &token.Token{Project: "acme", IssuedAt: now.Add(left - time.Hour), Expiry: now.Add(left)}, now)
	}
	for _, left := range []time.Duration{time.Hour, 30 * time.Minute, 20 * time.Minute} {
		if at(left) || len(a.paces.known) != 0 {
			t.Errorf("%v: due, or asked %v", left, a.paces.known)
		}
	}
	for _, c := range []struct {
		left time.Duration
		due  bool
	}{{15 * time.Minute, false}, {11 * time.Minute, false}, {9 * time.Minute, true}, {-time.Minute, true}} {
		t.Run(fmt.Sprint(c.left), func(t *testing.T) {
			if at(c.left) != c.due {
				t.Errorf("%v left: due %v, want %v", c.left, !c.due, c.due)
			}
		})
	}
}
