package survey

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// maxGateName bounds the name that a gate without one gets, in bytes.
const maxGateName = 120

// nameGates gives each gate its label for logs and metrics: the configured name, or one of its site
// and path, with a number where others have the same. Servers are visited by name, so that a reload
// gives the same labels.
func (s *Survey) nameGates(servers map[string]*caddyhttp.Server) {
	n := naming{taken: make(map[string]int), named: make(map[Guard]bool)}
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		server := servers[name]
		at := spot{port: listenPort(server)}
		n.walk(server.Routes, at)
		if server.Errors != nil {
			n.walk(server.Errors.Routes, at)
		}
		for _, route := range slices.Sorted(maps.Keys(server.NamedRoutes)) {
			n.walkRoute(*server.NamedRoutes[route], spot{host: "&" + route})
		}
	}
	for _, g := range s.guards {
		n.name(g, strings.Join(g.Gate().Audiences, "+")) // below a handler that is not known here
	}
}

// naming counts the labels that are taken.
type naming struct {
	taken map[string]int
	named map[Guard]bool
}

// spot is where a walk is: the host and path that the innermost matchers name.
type spot struct{ port, host, path string }

// String is the site as people write it, then the path.
func (s spot) String() string {
	if s.host == "" {
		return s.port + s.path
	}
	if s.port == ":80" || s.port == ":443" {
		return s.host + s.path
	}
	return s.host + s.port + s.path
}

// listenPort is the first port that a server listens on, as in `:8080`; the address of one that has
// none.
func listenPort(server *caddyhttp.Server) string {
	if len(server.Listen) == 0 {
		return ""
	}
	address, err := caddy.ParseNetworkAddress(server.Listen[0])
	if err != nil || address.StartPort == 0 {
		return server.Listen[0]
	}
	return fmt.Sprintf(":%d", address.StartPort)
}

func (n naming) walk(routes caddyhttp.RouteList, at spot) {
	for _, route := range routes {
		n.walkRoute(route, at)
	}
}

func (n naming) walkRoute(route caddyhttp.Route, at spot) {
	at = at.below(route)
	for _, handler := range route.Handlers {
		switch h := handler.(type) {
		case Guard:
			if h.Gate() != nil {
				n.name(h, at.String())
			}
		case *caddyhttp.Subroute:
			n.walk(h.Routes, at)
			if h.Errors != nil {
				n.walk(h.Errors.Routes, at)
			}
		}
	}
}

// below is the spot of requests that take the route. Of several hosts or paths it names the first.
func (s spot) below(route caddyhttp.Route) spot {
	if len(route.MatcherSets) == 0 {
		return s
	}
	for _, matcher := range route.MatcherSets[0] {
		switch m := matcher.(type) {
		case *caddyhttp.MatchHost:
			s.host = hostInURL(first(*m, s.host))
		case *caddyhttp.MatchPath:
			s.path = first(*m, s.path)
		}
	}
	return s
}

func first(list []string, otherwise string) string {
	if len(list) == 0 {
		return otherwise
	}
	return list[0]
}

// name gives a gate the label of its place, unless it has one.
func (n naming) name(g Guard, place string) {
	if n.named[g] || g.Place().Named {
		return
	}
	n.named[g] = true
	place = place[:min(len(place), maxGateName)]
	n.taken[place]++
	if n.taken[place] == 1 {
		g.SetLabel(place)
		return
	}
	g.SetLabel(fmt.Sprintf("%s#%d", place, n.taken[place]))
}
