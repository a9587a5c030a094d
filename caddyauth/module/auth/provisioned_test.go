package auth

import (
	"encoding/json"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/caddyauth/module/config"
)

// provisioned provisions a configuration of this app alone, without starting it.
func provisioned(tb testing.TB, settings config.Settings) *App {
	tb.Helper()
	tb.Setenv("XDG_DATA_HOME", tb.TempDir())
	raw, err := json.Marshal(settings)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&caddy.Config{AppsRaw: caddy.ModuleMap{"auth": raw}})
	if err != nil {
		tb.Fatal(err)
	}
	loaded, err := ctx.AppIfConfigured("auth")
	if err != nil {
		tb.Fatal(err)
	}
	a := loaded.(*App)
	tb.Cleanup(func() { _ = a.Cleanup() })
	return a
}
