package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore"
)

// charge is whether a configuration has taken over. What it declares is taken into the store, which
// it shares with the configuration before it, only when the load has succeeded: one that another
// app refuses, because a port is in use for example, changes nothing.
type charge struct {
	started chan struct{} // closed once the configuration is in charge
	away    atomic.Bool   // the store could not be reached at the start, and is being tried

	mu     sync.Mutex
	opened bool // the store
	begun  bool // the configuration is the one that runs
	taken  bool
}

// inCharge is the App of the configuration that runs, and the one that follows it if its load
// succeeds. Caddy stops the old configuration only after that.
var inCharge struct {
	sync.Mutex
	current, next *App
}

// onStarted hears when every app of the configuration has started. It holds no exported field:
// Caddy logs the handlers of its events.
type onStarted struct{ app *App }

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
		inCharge.next = h.app
	case caddy.ActiveContext().Context != nil:
		// What runs has no App that hears when it stops.
		inCharge.next = h.app
		go h.app.awaitCharge()
	default:
		inCharge.current = h.app
		h.app.begin()
	}
	return nil
}

// promote puts the next App in charge if its load has succeeded and there was none before it. The
// caller holds the lock.
func promote() {
	if inCharge.current == nil && inCharge.next != nil && inCharge.next.runs() {
		inCharge.current, inCharge.next = inCharge.next, nil
		inCharge.current.begin()
	}
}

// runs reports whether Caddy runs the App's configuration.
func (a *App) runs() bool {
	app, err := caddy.ActiveContext().AppIfConfigured("auth")
	return err == nil && app == any(a)
}

// chargePace is how often awaitCharge looks; requests wait meanwhile.
const chargePace = 10 * time.Millisecond

// awaitCharge waits until the App is in charge, or its configuration ends.
func (a *App) awaitCharge() {
	ticker := time.NewTicker(chargePace)
	defer ticker.Stop()
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-ticker.C:
		}
		inCharge.Lock()
		promote()
		waits := inCharge.next == a
		inCharge.Unlock()
		if !waits {
			return
		}
	}
}

// onStopping hears when the configuration ends.
type onStopping struct{ app *App }

// Handle is called by Caddy's event `stopping`, which comes before any app is stopped: a web server
// may wait long for its last requests.
func (h onStopping) Handle(_ context.Context, e caddy.Event) error {
	if e.Origin() != nil { // another module's event of that name
		return nil
	}
	inCharge.Lock()
	defer inCharge.Unlock()
	if inCharge.current == nil && inCharge.next == h.app { // it ran, and awaitCharge has not seen it
		inCharge.current, inCharge.next = h.app, nil
		h.app.begin()
	}
	if inCharge.current != h.app {
		return nil
	}
	inCharge.current, inCharge.next = inCharge.next, nil
	if inCharge.current != nil {
		inCharge.current.begin()
	}
	return nil
}

// leave is for a configuration that ends without having been told so: its load has failed.
func (a *App) leave() error {
	inCharge.Lock()
	defer inCharge.Unlock()
	if inCharge.next == a {
		inCharge.next = nil
	}
	if inCharge.current == a {
		inCharge.current = nil
	}
	return nil
}

// begin makes the configuration the one that runs.
func (a *App) begin() {
	a.charge.mu.Lock()
	a.charge.begun = true
	a.charge.mu.Unlock()
	if err := a.takeOver(); err != nil {
		a.logger.Error("what the configuration declares is not in the store yet", zap.Error(err))
		a.charge.away.Store(true)
		go a.keepOpening()
	}
}

// provisionCharge asks to be told when all apps have started, and when the configuration ends.
func (a *App) provisionCharge(ctx caddy.Context) error {
	app, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("caddy's events: %w", err)
	}
	a.release = append(a.release, a.leave)
	events := app.(*caddyevents.App)
	return errors.Join(events.On("started", onStarted{a}), events.On("stopping", onStopping{a}))
}

// checkDeclared refuses at Start what could not be taken into the store later.
func (a *App) checkDeclared() error {
	if err := a.store.CheckDeclaration(a.ctx, a.declaration(), time.Now()); err != nil {
		return fmt.Errorf("taking projects, clients and users into the store: %w", err)
	}
	return nil
}

// takeOver takes the declared projects, clients and users into the store, once both the store is
// open and all apps have started, and lets the requests in that wait for it.
func (a *App) takeOver() error {
	a.charge.mu.Lock()
	defer a.charge.mu.Unlock()
	if !a.charge.opened || !a.charge.begun || a.charge.taken {
		return nil
	}
	if err := a.reconcile(); err != nil {
		return err
	}
	// The orders of this very transaction hold with the first request.
	if err := a.store.follow(a.ctx); err != nil {
		return fmt.Errorf("reading what is revoked: %w", err)
	}
	a.charge.taken = true
	close(a.charge.started)
	return nil
}

// keepOpening tries again until the store is there, and what the configuration declares in it, or
// the configuration ends.
func (a *App) keepOpening() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-ticker.C:
		}
		switch err := errors.Join(a.open(), a.takeOver()); {
		case err == nil:
			a.charge.away.Store(false)
			a.logger.Info("the store is there")
			return
		case !errors.Is(err, sqlstore.ErrUnavailable) && a.ctx.Err() == nil:
			a.logger.Error("the store cannot be used", zap.Error(err))
		}
	}
}
