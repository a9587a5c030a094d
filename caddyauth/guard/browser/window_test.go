package browser

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// windowStore is a store whose one project has a window.
type windowStore struct {
	length time.Duration
	err    error
	asked  int
}

func (s *windowStore) find(context.Context, string) (RenewalWindow, error) {
	s.asked++
	return RenewalWindow{s.length, 30 * time.Second}, s.err
}

func TestWindowIsAskedForOnceInAWhile(t *testing.T) {
	store := &windowStore{length: 10 * time.Minute}
	s := &Sessions{Window: RenewalWindow{5 * time.Minute, 30 * time.Second}, FindWindow: store.find}
	now := time.Now()
	for _, step := range []struct {
		name   string
		change func()
		after  time.Duration
		want   time.Duration
		asked  int
	}{
		{"first", func() {}, 0, 10 * time.Minute, 1},
		{"changed, not asked yet", func() { store.length = time.Minute }, windowAge - 1, 10 * time.Minute, 1},
		{"changed", func() {}, windowAge, time.Minute, 2},
		{
			"the store fails", func() { store.length, store.err = time.Hour, errors.New("away") }, 2 * windowAge,
			time.Minute, 3,
		},
		{"the store is back", func() { store.err = nil }, 3 * windowAge, time.Hour, 4},
	} {
		step.change()
		got := s.window(t.Context(), "acme", now.Add(step.after))
		if want := (RenewalWindow{step.want, 30 * time.Second}); got != want || store.asked != step.asked {
			t.Errorf("%s: %v after %d questions, want %v after %d", step.name, got, store.asked, want, step.asked)
		}
	}
	store.err = errors.New("away")
	if got := s.window(t.Context(), "unknown", now); got != s.Window {
		t.Errorf("a project that was never read: %v", got)
	}
}

// TestOthersDoNotWaitForWhoAsks: one at a time asks, and the others go on with what was known.
func TestOthersDoNotWaitForWhoAsks(t *testing.T) {
	var w renewalWindows
	now, server := time.Now(), RenewalWindow{time.Minute, time.Minute}
	if known, ask := w.recall("acme", server, now); !ask || known != server {
		t.Errorf("the first: %v, %v", known, ask)
	}
	if known, ask := w.recall("acme", server, now); ask || known != server {
		t.Errorf("the second: %v, %v", known, ask)
	}
}

// TestTheStoreIsNotAskedBeforeTheLastThird: most requests of a session are before it.
func TestTheStoreIsNotAskedBeforeTheLastThird(t *testing.T) {
	now := time.Now().Truncate(time.Second) // a token has whole microseconds
	for _, c := range []struct {
		left       time.Duration
		due, asked bool
	}{
		{time.Hour, false, false},
		{30 * time.Minute, false, false},
		{20 * time.Minute, false, false},
		{15 * time.Minute, false, true},
		{11 * time.Minute, false, true},
		{9 * time.Minute, true, true},
		{-time.Minute, true, true},
	} {
		t.Run(c.left.String(), func(t *testing.T) {
			store := &windowStore{length: 10 * time.Minute}
			s := &Sessions{FindWindow: store.find}
			tok := &token.Token{
				Project:  "acme",
				IssuedAt: token.NewNumericDate(now.Add(c.left - time.Hour)),
				Expiry:   token.NewNumericDate(now.Add(c.left)),
			}
			if due := s.due(t.Context(), tok, now); due != c.due || (store.asked > 0) != c.asked {
				t.Errorf("due %v, asked %d times; want %v, %v", due, store.asked, c.due, c.asked)
			}
		})
	}
}
