package auth

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// charge is whether a configuration has taken over. What it declares is taken into the store, which
// it shares with the configuration before it, only when the load has succeeded: one that another
// app refuses, because a port is in use for example, changes nothing.
type charge struct {
	ctx    context.Context // the configuration's
	logger *zap.Logger
	runs   func() bool  // whether Caddy runs the configuration
	open   func() error // does what needs the store
	take   func() error // takes what the configuration declares into the store

	started chan struct{} // closed once the configuration is in charge
	away    atomic.Bool   // the store could not be reached at the start, and is being tried

	mu     sync.Mutex
	opened bool // the store
	begun  bool // the configuration is the one that runs
	taken  bool
}

// inCharge is the configuration that runs, and the one that follows it if its load succeeds. Caddy
// stops the old configuration only after that.
var inCharge struct {
	sync.Mutex
	current, next *charge
}

// onStarted hears when every app of the configuration has started. It holds no exported field:
// Caddy logs the handlers of its events.
type onStarted struct{ charge *charge }

// Handle is called by Caddy's event `started`. The load may still fail, unless there is nothing
// that would go on instead.
func (h onStarted) Handle(_ context.Context, e caddy.Event) error {
	if e.Origin() != nil { // another module's event of that name
		return nil
	}
	inCharge.Lock()
	defer inCharge.Unlock()
	promote()
	switch {
	case inCharge.current != nil:
		inCharge.next = h.charge
	case caddy.ActiveContext().Context != nil:
		// What runs has no App that hears when it stops.
		inCharge.next = h.charge
		go h.charge.await()
	default:
		inCharge.current = h.charge
		h.charge.begin()
	}
	return nil
}

// promote puts the next configuration in charge if its load has succeeded and there was none before it. The
// caller holds the lock.
func promote() {
	if inCharge.current == nil && inCharge.next != nil && inCharge.next.runs() {
		inCharge.current, inCharge.next = inCharge.next, nil
		inCharge.current.begin()
	}
}

// chargePace is how often await looks; requests wait meanwhile.
const chargePace = 10 * time.Millisecond

// await waits until the configuration is in charge, or its configuration ends.
func (c *charge) await() {
	ticker := time.NewTicker(chargePace)
	defer ticker.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-ticker.C:
		}
		inCharge.Lock()
		promote()
		waits := inCharge.next == c
		inCharge.Unlock()
		if !waits {
			return
		}
	}
}

// onStopping hears when the configuration ends.
type onStopping struct{ charge *charge }

// Handle is called by Caddy's event `stopping`, which comes before any app is stopped: a web server
// may wait long for its last requests.
func (h onStopping) Handle(_ context.Context, e caddy.Event) error {
	if e.Origin() != nil { // another module's event of that name
		return nil
	}
	inCharge.Lock()
	defer inCharge.Unlock()
	if inCharge.current == nil && inCharge.next == h.charge { // it ran, and await has not seen it
		inCharge.current, inCharge.next = h.charge, nil
		h.charge.begin()
	}
	if inCharge.current != h.charge {
		return nil
	}
	inCharge.current, inCharge.next = inCharge.next, nil
	if inCharge.current != nil {
		inCharge.current.begin()
	}
	return nil
}

// leave is for a configuration that ends without having been told so: its load has failed.
func (c *charge) leave() error {
	inCharge.Lock()
	defer inCharge.Unlock()
	if inCharge.next == c {
		inCharge.next = nil
	}
	if inCharge.current == c {
		inCharge.current = nil
	}
	return nil
}

// begin makes the configuration the one that runs.
func (c *charge) begin() {
	c.mu.Lock()
	c.begun = true
	c.mu.Unlock()
	if err := c.takeOver(); err != nil {
		c.logger.Error("what the configuration declares is not in the store yet", zap.Error(err))
		c.away.Store(true)
		go c.keepOpening()
	}
}

// openStore does what needs the store, once.
func (c *charge) openStore() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened {
		return nil
	}
	if err := c.open(); err != nil {
		return err
	}
	c.opened = true
	return nil
}

// ready waits until Start has succeeded: Caddy starts its apps in any order, and the server may be
// first.
func (c *charge) ready(ctx context.Context) error {
	select {
	case <-c.started:
		return nil
	default:
	}
	if c.away.Load() { // this may take long
		return keyring.ErrKeysUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	select {
	case <-c.started:
		return nil
	case <-ctx.Done():
		return keyring.ErrKeysUnavailable
	}
}

// takeOver takes the declared projects, clients and users into the store, once both the store is
// open and all apps have started, and lets the requests in that wait for it.
func (c *charge) takeOver() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.opened || !c.begun || c.taken {
		return nil
	}
	if err := c.take(); err != nil {
		return err
	}
	c.taken = true
	close(c.started)
	return nil
}

// keepOpening tries again until the store is there, and what the configuration declares in it, or
// the configuration ends.
func (c *charge) keepOpening() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-ticker.C:
		}
		switch err := errors.Join(c.openStore(), c.takeOver()); {
		case err == nil:
			c.away.Store(false)
			c.logger.Info("the store is there")
			return
		case !errors.Is(err, sqlstore.ErrUnavailable) && c.ctx.Err() == nil:
			c.logger.Error("the store cannot be used", zap.Error(err))
		}
	}
}
