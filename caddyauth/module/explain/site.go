package explain

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/module/terminal"
)

// unmatchedHost says that no site of the server has the host of a request; empty if one has it.
func unmatchedHost(server *caddyhttp.Server, r *http.Request) string {
	repl := caddy.NewReplacer()
	asked := caddyhttp.PrepareRequest(r.Clone(r.Context()), repl, &recording{header: make(http.Header)}, server)
	var hosts []string
	for _, route := range server.Routes {
		taken, names := matchHost(route, asked)
		if taken {
			return ""
		}
		hosts = append(hosts, names...)
	}
	return fmt.Sprintf("no site of the configuration has the host %s, so the server answers 200 with nothing; "+
		"its sites on this port: %s",
		terminal.Printable(r.Host), strings.Join(hosts, " "))
}

// matchHost reports whether a route matches the host of a request, and otherwise the hosts that it
// matches.
func matchHost(route caddyhttp.Route, r *http.Request) (taken bool, hosts []string) {
	if len(route.MatcherSets) == 0 {
		return true, nil
	}
	for _, set := range route.MatcherSets {
		fits := true
		for _, matcher := range set {
			m, ok := matcher.(*caddyhttp.MatchHost)
			if !ok {
				continue
			}
			hosts = append(hosts, *m...)
			matched, err := m.MatchWithError(r)
			fits = fits && matched && err == nil
		}
		if fits {
			return true, nil
		}
	}
	return false, hosts
}
