package auth

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() { httpcaddyfile.RegisterGlobalOption("auth", parseGlobalOption) }

// parseGlobalOption parses the global option `auth`.
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next() // option name, whose line the error tells
		return nil, d.Err("duplicate option \"auth\"")
	}
	var app App
	if err := app.Settings.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "auth", Value: caddyconfig.JSON(app.Settings, nil)}, nil
}
