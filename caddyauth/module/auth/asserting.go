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
	until time.Time // when the store is asked again
}

const (
	assertingFor  = 30 * time.Second // how long an answer of the store is remembered
	assertingWait = time.Second      // the limit of a query, and the pause after one that failed
)

// any reports whether there is one. While the store is away, its last answer holds.
func (a *asserting) any(ctx context.Context) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Now().Before(a.until) {
		return a.known
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), assertingWait)
	defer cancel()
	known, err := a.store.AnyAsserting(ctx)
	if err != nil {
		a.until = time.Now().Add(assertingWait) // from the answer on: those who wait for the lock ask no more
		return a.known
	}
	a.known, a.until = known, time.Now().Add(assertingFor)
	return known
}
