package auth

import (
	"context"
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// asserting remembers for a while whether any client gets identity assertions, which the metadata says.
// Clients may be added and changed on any node.
type asserting struct {
	store clients.AssertionStore

	mu    sync.Mutex
	known bool
	until time.Time // for how long
}

const (
	assertingFor  = 30 * time.Second // how long what was found is remembered
	assertingWait = time.Second      // how long the metadata waits for the store, and then does not ask again
)

// any reports whether there is one. Where the store cannot tell, what it said before holds.
func (a *asserting) any(ctx context.Context) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if now.Before(a.until) {
		return a.known
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), assertingWait)
	defer cancel()
	known, err := a.store.AnyAsserting(ctx)
	if err != nil {
		a.until = now.Add(assertingWait)
		return a.known
	}
	a.known, a.until = known, now.Add(assertingFor)
	return known
}
