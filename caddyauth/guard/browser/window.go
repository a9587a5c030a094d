package browser

import (
	"context"
	"sync"
	"time"
)

// RenewalWindow says when the browser sessions of a project are renewed.
type RenewalWindow struct {
	// Length is how long before the end of its access token a session is renewed (refresh_window).
	Length time.Duration
	// Check is how often an open page looks (refresh_check).
	Check time.Duration
}

const (
	// windowAge is how long a project's window is remembered. A change made through the management
	// API, on any node, holds soon after. The store is asked once in that time and project, only
	// while sessions are near their end or pages ask.
	windowAge     = 3 * time.Second
	windowTimeout = time.Second
)

// renewalWindows remembers the window of each project.
type renewalWindows struct {
	mu    sync.Mutex
	known map[string]knownWindow // by slug; slugs are those of the server's own tokens
}

type knownWindow struct {
	RenewalWindow
	asked time.Time
}

// recall returns what is known of a project, or otherwise, and whether the caller must ask anew.
// Whoever comes while the caller asks goes on with what was known.
func (w *renewalWindows) recall(slug string, otherwise RenewalWindow, now time.Time) (known RenewalWindow, ask bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k, found := w.known[slug]
	if found && now.Sub(k.asked) < windowAge {
		return k.RenewalWindow, false
	}
	if !found {
		k.RenewalWindow = otherwise
	}
	w.put(slug, knownWindow{k.RenewalWindow, now})
	return k.RenewalWindow, true
}

func (w *renewalWindows) put(slug string, k knownWindow) {
	if w.known == nil {
		w.known = make(map[string]knownWindow)
	}
	w.known[slug] = k
}

func (w *renewalWindows) learn(slug string, learnt RenewalWindow, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.put(slug, knownWindow{learnt, now})
}

// window returns the window of a project. While the store cannot say, what it said last counts.
func (s *Sessions) window(ctx context.Context, slug string, now time.Time) RenewalWindow {
	known, ask := s.windows.recall(slug, s.Window, now)
	if !ask {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, windowTimeout)
	defer cancel()
	learnt, err := s.FindWindow(ctx, slug)
	if err != nil {
		return known
	}
	s.windows.learn(slug, learnt, now)
	return learnt
}
