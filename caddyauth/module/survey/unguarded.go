package survey

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// Unguarded describes the routes to upstreams which no gate and no header filter covers, in sites
// that have gates.
func (s *Survey) Unguarded() (found []string) {
	for name, server := range s.servers() {
		found = append(found, unguardedSites(name, server)...)
	}
	slices.Sort(found)
	return found
}

// sitesOf takes the routes of a server apart: each top-level route that ends there is a site, and
// all others are one.
func sitesOf(server *caddyhttp.Server) (sites []caddyhttp.RouteList) {
	var rest caddyhttp.RouteList
	for _, route := range server.Routes {
		if route.Terminal {
			sites = append(sites, caddyhttp.RouteList{route})
		} else {
			rest = append(rest, route)
		}
	}
	return append(sites, rest)
}

// unguardedSites looks at each site with gates on its own. A request may fail before it meets a
// gate, so the site's error routes start uncovered where no filter stands before them.
func unguardedSites(name string, server *caddyhttp.Server) (found []string) {
	s := walker{named: server.NamedRoutes}
	where := "server " + name
	var gated []string
	for _, site := range sitesOf(server) {
		if s.hasGate(site) {
			for _, route := range site {
				gated = append(gated, describe(route))
			}
			s.walk(site, false, where)
		}
	}
	if server.Errors != nil && !slices.ContainsFunc(server.Errors.Routes, leadsToErrorFilter) {
		for _, site := range server.Errors.Routes {
			if slices.Contains(gated, describe(site)) {
				s.walk(caddyhttp.RouteList{site}, false, where+", handle_errors")
			}
		}
	}
	for _, p := range s.proxied {
		if !p.covered {
			found = append(found, p.String())
		}
	}
	return found
}

// proxied is a place where requests leave for an application.
type proxied struct {
	handler *reverseproxy.Handler
	where   string
	covered bool // all requests have passed a gate or a header filter
}

func (p proxied) String() string { return p.where + ": " + upstreamsOf(p.handler) }

// walker walks routes in the order in which requests meet them.
type walker struct {
	named    map[string]*caddyhttp.Route
	proxied  []proxied
	invoking []string // names of routes on the way, which may invoke themselves
	invoked  int
}

// walk reports whether a request that leaves routes at their end has surely passed a gate or a
// header filter.
func (s *walker) walk(routes caddyhttp.RouteList, covered bool, where string) bool {
	for _, route := range routes {
		after := s.walkRoute(route, covered, where+describe(route))
		if len(route.MatcherSets) == 0 && route.Group == "" {
			covered = after // with a matcher, or as one of several alternatives, a request may have bypassed it
		}
	}
	return covered
}

func (s *walker) walkRoute(route caddyhttp.Route, covered bool, where string) bool {
	for _, handler := range route.Handlers {
		switch h := handler.(type) {
		case Guard:
			covered = covered || !h.ReportsOnly()
		case *caddyhttp.Subroute:
			inner := s.walk(h.Routes, covered, where)
			if h.Errors != nil {
				s.walk(h.Errors.Routes, covered, where+", handle_errors")
			}
			covered = inner
		case *caddyhttp.Invoke:
			if route := s.named[h.Name]; route != nil && s.invoked < most && !slices.Contains(s.invoking, h.Name) {
				s.invoked++
				s.invoking = append(s.invoking, h.Name)
				covered = s.walkRoute(*route, covered, where+", invoke "+h.Name) &&
					(covered || len(route.MatcherSets) == 0)
				s.invoking = s.invoking[:len(s.invoking)-1]
			}
		case *reverseproxy.Handler:
			s.proxied = append(s.proxied, proxied{h, where, covered})
		default:
			covered = covered || moduleID(handler) == errorFilterID
		}
	}
	return covered
}

func (s *walker) hasGate(routes caddyhttp.RouteList) bool {
	return s.has(routes, func(handler caddyhttp.MiddlewareHandler) bool {
		g, ok := handler.(Guard)
		return ok && g.Gate() != nil
	})
}

// has reports whether routes lead to a handler of some kind.
func (s *walker) has(routes caddyhttp.RouteList, is func(caddyhttp.MiddlewareHandler) bool) bool {
	return slices.ContainsFunc(routes, func(route caddyhttp.Route) bool {
		return slices.ContainsFunc(route.Handlers,
			func(handler caddyhttp.MiddlewareHandler) bool { return s.leads(handler, is) })
	})
}

func (s *walker) leads(handler caddyhttp.MiddlewareHandler, is func(caddyhttp.MiddlewareHandler) bool) bool {
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		return s.has(h.Routes, is)
	case *caddyhttp.Invoke:
		route := s.named[h.Name]
		if route == nil || slices.Contains(s.invoking, h.Name) {
			return false
		}
		s.invoking = append(s.invoking, h.Name) // it stays there while the search goes on, as once is enough
		found := s.has(caddyhttp.RouteList{*route}, is)
		s.invoking = s.invoking[:len(s.invoking)-1]
		return found
	}
	return is(handler)
}

// describe says which requests a route takes, as far as hosts and paths tell.
func describe(route caddyhttp.Route) string {
	var b strings.Builder
	for _, set := range route.MatcherSets {
		for _, matcher := range set {
			switch m := matcher.(type) {
			case *caddyhttp.MatchHost:
				fmt.Fprintf(&b, ", host %s", strings.Join(*m, " "))
			case *caddyhttp.MatchPath:
				fmt.Fprintf(&b, ", path %s", strings.Join(*m, " "))
			}
		}
	}
	return b.String()
}

func upstreamsOf(h *reverseproxy.Handler) string {
	if len(h.Upstreams) == 0 {
		return "reverse_proxy with dynamic upstreams"
	}
	dials := make([]string, len(h.Upstreams))
	for i, u := range h.Upstreams {
		dials[i] = u.Dial
	}
	return "reverse_proxy to " + strings.Join(dials, " ")
}
