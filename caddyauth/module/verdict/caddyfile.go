package verdict

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/module/option"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("auth_verdict", parse)
	// Every other directive of the site, and its matcher, sees the request that is asked about.
	httpcaddyfile.RegisterDirectiveOrder("auth_verdict", httpcaddyfile.Before, "tracing")
}

// parse parses the directive:
//
//	auth_verdict [<matcher>] nginx|traefik|caddy|haproxy|envoy
func parse(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // directive name
	v := new(Verdict)
	if err := option.One(h.Dispenser, &v.Proxy); err != nil {
		return nil, err
	}
	if h.NextBlock(0) {
		return nil, h.Errf("%s: it has no options", directive)
	}
	return v, option.At(h.Dispenser, v.check())
}
