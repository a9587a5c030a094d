package caddyauth

import "github.com/caddyserver/caddy/v2"

// begin starts an app as Caddy does when every other app starts, too.
func (a *App) begin() error {
	if err := a.Start(); err != nil {
		return err
	}
	return onStarted{a}.Handle(a.ctx, caddy.Event{})
}
