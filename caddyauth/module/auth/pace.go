package auth

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
)

// pace says when the browser sessions of a project are renewed.
type pace struct {
	window time.Duration // refresh_window
	every  time.Duration // refresh_check
}

// paceFor is how long a project's pace is remembered: a change made through the management API, on whatever node, holds soon after, and the
// store is asked once in that time and project, only while sessions are near their end or pages ask.
const paceFor = 3 * time.Second

// paces remembers the pace of each project.
type paces struct {
	mu    sync.Mutex
	known map[string]knownPace // by slug; slugs are those of the server's own tokens
}

type knownPace struct {
	pace
	asked time.Time
}

// recall returns what is known of a project, or otherwise, and whether it is up to the caller to ask anew. Whoever comes while that one is
// asking goes on with what was known.
func (p *paces) recall(slug string, otherwise pace, now time.Time) (known pace, ask bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, found := p.known[slug]
	if found && now.Sub(k.asked) < paceFor {
		return k.pace, false
	}
	if !found {
		k.pace = otherwise
	}
	p.put(slug, knownPace{k.pace, now})
	return k.pace, true
}

func (p *paces) put(slug string, k knownPace) {
	if p.known == nil {
		p.known = make(map[string]knownPace)
	}
	p.known[slug] = k
}

func (p *paces) learn(slug string, learnt pace, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(slug, knownPace{learnt, now})
}

// pace returns the pace of a project: its own settings, and the server's where it has none. While the store cannot say, what it said last
// counts.
func (a *App) pace(ctx context.Context, slug string, now time.Time) pace {
	server := pace{a.Lifetimes.of("refresh_window"), a.Lifetimes.of("refresh_check")}
	known, ask := a.paces.recall(slug, server, now)
	if !ask {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	p, err := a.store.FindProject(ctx, slug)
	if err != nil {
		return known
	}
	learnt := pace{cmp.Or(p.RefreshWindow, server.window), cmp.Or(p.RefreshCheck, server.every)}
	a.paces.learn(slug, learnt, now)
	return learnt
}

// pagePace is the pace of the session that a page has; without one, of the project that people sign in to.
func (a *App) pagePace(r *http.Request) (window, every time.Duration) {
	slug := defaultProject
	if t, err := a.session(r.Context(), gate.FindCookie(r, a.cookieName())); err == nil {
		slug = t.Project
	}
	p := a.pace(r.Context(), slug, time.Now())
	return p.window, p.every
}
