package verdict

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddyauth/gateway/caddyauth/module/option"
)

func init() {
	httpcaddyfile.RegisterDirective("auth_verdict", parse)
	// Every other directive of the site, and its matcher, sees the request that is asked about.
	httpcaddyfile.RegisterDirectiveOrder("auth_verdict", httpcaddyfile.Before, "tracing")
}

// parse parses the directive:
//
//	auth_verdict nginx|traefik|caddy|haproxy|envoy
//
// It has no matcher: other requests would meet the gates of the site as they are, with nothing behind.
func parse(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // directive name
	v := new(Verdict)
	if err := option.One(h.Dispenser, &v.Proxy); err != nil {
		return nil, err
	}
	if h.NextBlock(0) {
		return nil, h.Errf("%s: it has no options", directive)
	}
	return h.NewRoute(nil, v), option.At(h.Dispenser, v.check())
}
