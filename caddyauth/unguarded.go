package caddyauth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
)

// warnUnguarded says which routes reach an application without passing a gate or a strip, in sites that have gates.
func (a *App) warnUnguarded() {
	for _, route := range a.unguarded() {
		a.logger.Warn("a route to an upstream is behind neither a gate nor `jwt_auth off`: clients can forge identity headers on it",
			zap.String("route", route))
	}
}

// unguarded describes the routes to upstreams which no gate and no strip covers, in sites that have gates.
func (a *App) unguarded() []string {
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	var found []string
	for name, server := range app.(*caddyhttp.App).Servers {
		lists := []caddyhttp.RouteList{server.Routes}
		if server.Errors != nil {
			lists = append(lists, server.Errors.Routes)
		}
		for _, routes := range lists {
			found = append(found, unguardedSites(name, routes)...)
		}
	}
	slices.Sort(found)
	return found
}

// unguardedSites looks at each site, a top-level route, on its own.
func unguardedSites(server string, routes caddyhttp.RouteList) []string {
	var found []string
	for _, site := range routes {
		if !hasGate(caddyhttp.RouteList{site}) {
			continue
		}
		s := survey{}
		s.walk(caddyhttp.RouteList{site}, false, "server "+server)
		found = append(found, s.unguarded...)
	}
	return found
}

// survey walks routes in the order in which requests meet them.
type survey struct{ unguarded []string }

// walk reports whether a request that leaves routes at their end has surely passed a gate or a strip.
func (s *survey) walk(routes caddyhttp.RouteList, covered bool, where string) bool {
	for _, route := range routes {
		after := s.walkRoute(route, covered, where+describe(route))
		if len(route.MatcherSets) == 0 && route.Group == "" {
			covered = after // with a matcher, or as one of several alternatives, a request may have gone round it
		}
	}
	return covered
}

func (s *survey) walkRoute(route caddyhttp.Route, covered bool, where string) bool {
	for _, handler := range route.Handlers {
		switch h := handler.(type) {
		case *JWTAuth:
			covered = covered || h.Mode != "report_only"
		case *caddyhttp.Subroute:
			inner := s.walk(h.Routes, covered, where)
			if h.Errors != nil {
				s.walk(h.Errors.Routes, covered, where+", handle_errors")
			}
			covered = inner
		case *reverseproxy.Handler:
			if !covered {
				s.unguarded = append(s.unguarded, where+": "+upstreamsOf(h))
			}
		}
	}
	return covered
}

func hasGate(routes caddyhttp.RouteList) bool {
	return slices.ContainsFunc(routes, func(route caddyhttp.Route) bool {
		return slices.ContainsFunc(route.Handlers, func(handler caddyhttp.MiddlewareHandler) bool {
			switch h := handler.(type) {
			case *JWTAuth:
				return h.gate != nil
			case *caddyhttp.Subroute:
				return hasGate(h.Routes)
			}
			return false
		})
	})
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
