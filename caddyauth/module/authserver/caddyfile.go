package authserver

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/module/option"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("auth_server", parseAuthServer)
	// The server's own routes come first, so that a gate on the same site does not guard the way
	// in.
	httpcaddyfile.RegisterDirectiveOrder("auth_server", httpcaddyfile.Before, "basic_auth")
}

// parseAuthServer parses the directive `auth_server`:
//
//	auth_server [<matcher>] {
//		manage <host>|off
//	}
func parseAuthServer(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // directive name
	if h.NextArg() {
		return nil, h.ArgErr()
	}
	s := new(AuthServer)
	return s, option.Block(h.Dispenser, func() error { return s.unmarshalOption(h.Dispenser) })
}

func (s *AuthServer) unmarshalOption(d *caddyfile.Dispenser) error {
	switch word := d.Val(); word {
	case "manage":
		if err := option.One(d, &s.Manage); err != nil || option.HasPlaceholder(s.Manage) {
			return err
		}
		return option.At(d, managedHost(s.Manage).check())
	default:
		return d.Errf("auth_server: unrecognized option %q", word)
	}
}
