package auth

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// maxGateName bounds the name that a gate without one gets, in bytes.
const maxGateName = 120

// nameGates gives each gate its label for logs and metrics: the configured name, or one of its site and path, with a number where others
// have the same. Servers are visited by name, so that a reload gives the same labels.
func (a *App) nameGates(servers map[string]*caddyhttp.Server) {
	n := naming{taken: make(map[string]int)}
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
	for _, j := range a.gates {
		n.name(j, strings.Join(j.Audiences, "+")) // below a handler that is not known here
	}
}

// naming counts the labels that are taken.
type naming struct{ taken map[string]int }

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

// listenPort is the first port that a server listens on, as in `:8080`; the address of one that has none.
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
		case *JWTAuth:
			if h.gate != nil {
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
			s.host = first(*m, s.host)
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

// name gives a gate that has no name the label of its place.
func (n naming) name(j *JWTAuth, place string) {
	if j.named != "" {
		return
	}
	place = place[:min(len(place), maxGateName)]
	n.taken[place]++
	if n.taken[place] == 1 {
		j.countAs(place)
		return
	}
	j.countAs(fmt.Sprintf("%s#%d", place, n.taken[place]))
}

// countAs gives the gate its label, and the counters that go with it.
func (j *JWTAuth) countAs(label string) {
	j.named, j.count = label, countDecisions(label, strings.Join(j.Audiences, "+"))
}

// label is what the gate is called in logs and metrics, once the app has found its place.
func (j *JWTAuth) label() string {
	switch {
	case j.gate == nil:
		return modeOff
	case j.named != "":
		return j.named
	}
	return strings.Join(j.Audiences, "+")
}

// warnReporting names the gates that only report.
func (a *App) warnReporting() {
	a.findPlaces()
	for _, j := range a.gates {
		if j.reports() {
			a.logger.Warn("a gate only reports: it refuses nothing and removes nothing; use it for roll-outs, never to protect",
				zap.String("gate", j.label()))
		}
	}
}
