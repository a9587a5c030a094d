package auth

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("auth", parseGlobalOption)
	httpcaddyfile.RegisterDirective("jwt_auth", parseJWTAuth)
	httpcaddyfile.RegisterHandlerDirective("auth_server", parseAuthServer)
	// The server's own routes come first, so that a gate on the same site does not guard the way
	// in.
	httpcaddyfile.RegisterDirectiveOrder("auth_server", httpcaddyfile.Before, "basic_auth")
	httpcaddyfile.RegisterDirectiveOrder("jwt_auth", httpcaddyfile.After, "basic_auth")
}

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
