package explain

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/module/terminal"
)

// nobodyAnswers says that no site of the server has the host of a request, empty when one has it.
func nobodyAnswers(server *caddyhttp.Server, r *http.Request) string {
	repl := caddy.NewReplacer()
	asked := caddyhttp.PrepareRequest(r.Clone(r.Context()), repl, &recording{header: make(http.Header)}, server)
	var hosts []string
	for _, route := range server.Routes {
		taken, names := takesHost(route, asked)
		if taken {
			return ""
		}
		hosts = append(hosts, names...)
	}
	return fmt.Sprintf("no site of the configuration has the host %s, so the server answers 200 with nothing; "+
		"its sites on this port: %s",
		terminal.Plain(r.Host), strings.Join(hosts, " "))
}

// takesHost reports whether a route takes requests for the host, and otherwise the hosts that it
// takes.
func takesHost(route caddyhttp.Route, r *http.Request) (taken bool, hosts []string) {
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
