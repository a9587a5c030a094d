package caddyauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/sqlstore"
)

// charge is whether a configuration has taken over. What it declares is taken into the store, which it
// shares with the configuration before it, only when every app of it has started: one that another
// app refuses, because a port is in use for example, changes nothing.
type charge struct {
	mu     sync.Mutex
	opened bool // the store
	begun  bool // every app has started
	taken  bool
}

// onStarted hears when every app of the configuration has started. It holds no exported field: Caddy logs
// the handlers of its events.
type onStarted struct{ app *App }

// Handle is called by Caddy's event `started`.
func (h onStarted) Handle(context.Context, caddy.Event) error {
	h.app.charge.mu.Lock()
	h.app.charge.begun = true
	h.app.charge.mu.Unlock()
	if err := h.app.takeOver(); err != nil {
		h.app.logger.Error("what the configuration declares is not in the store yet", zap.Error(err))
		h.app.away.Store(true)
		go h.app.keepOpening()
	}
	return nil
}

// provisionCharge asks to be told when all apps have started.
func (a *App) provisionCharge(ctx caddy.Context) error {
	app, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("caddy's events: %w", err)
	}
	return app.(*caddyevents.App).On("started", onStarted{a})
}

// checkDeclared refuses at Start what could not be taken into the store later.
func (a *App) checkDeclared() error {
	if err := a.store.CheckDeclaration(a.ctx, a.declared, time.Now()); err != nil {
		return fmt.Errorf("taking projects, clients and users into the store: %w", err)
	}
	return nil
}

// takeOver takes the declared projects, clients and users into the store, once both the store is open and
// all apps have started, and lets the requests in that wait for it.
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
	close(a.started)
	return nil
}

// keepOpening tries again until the store is there, and what the configuration declares in it, or the
// configuration ends.
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
			a.away.Store(false)
			a.logger.Info("the store is there")
			return
		case !errors.Is(err, sqlstore.ErrUnavailable) && a.ctx.Err() == nil:
			a.logger.Error("the store cannot be used", zap.Error(err))
		}
	}
}
