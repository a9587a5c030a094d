package survey

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// Applications lists the canonical origins at which browsers can sign in although the host is not the
// server's: those that the sites of gates name, with each port on which the site listens and with the
// one of the scheme, which may be mapped; and those of `return_to` that have the scheme of the public
// URL, for which the cookies are made.
func (s *Survey) Applications(server SignIn) (origins []string) {
	http := s.HTTP()
	if http == nil || server.PublicURL == nil {
		return nil
	}
	w := signInSurvey{server: server, http: http}
	for _, g := range w.gates() {
		for _, host := range g.hosts {
			origins = append(origins, g.originsOf(host)...)
		}
	}
	for _, origin := range server.ReturnTo {
		u, err := url.Parse(origin)
		if err == nil && u.Scheme == server.PublicURL.Scheme && !server.isOwn(u.Hostname()) {
			origins = append(origins, origin)
		}
	}
	slices.Sort(origins)
	return slices.Compact(origins)
}

// isOwn reports whether a host is that of the server, where browsers have its session cookie.
func (v SignIn) isOwn(host string) bool { return strings.EqualFold(host, v.PublicURL.Hostname()) }

// originsOf are the origins of a host that the routes around the gate name; none for a pattern. They
// have the scheme of the public URL, for which the cookies are made. On a loopback host nothing stands
// in front that would take TLS off.
func (g webGate) originsOf(host string) (origins []string) {
	if resolved := caddy.NewReplacer().ReplaceKnown(host, ""); resolved != "" {
		host = resolved
	}
	scheme, tls := g.server.PublicURL.Scheme, len(g.site.TLSConnPolicies) > 0
	if strings.ContainsAny(host, "*{}") || g.server.isOwn(host) {
		return nil
	}
	ports := []string{""}
	switch {
	case tls == (scheme == "https"):
		ports = append(ports, portsOf(g.site)...)
	case tls || weburl.IsLoopback(host):
		return nil
	}
	for _, port := range ports {
		origin := scheme + "://" + hostInURL(host)
		if port != "" {
			origin += ":" + port
		}
		if canonical, err := weburl.CanonicalOrigin(origin); err == nil {
			origins = append(origins, canonical)
		}
	}
	return origins
}

// hostInURL is a host of a matcher as it stands in a URL: an IPv6 address has brackets there (RFC 3986,
// section 3.2.2).
func hostInURL(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		return "[" + host + "]"
	}
	return host
}

// portsOf lists the ports on which a server listens.
func portsOf(server *caddyhttp.Server) (ports []string) {
	for _, address := range server.Listen {
		at, err := caddy.ParseNetworkAddress(address)
		if err != nil || at.IsUnixNetwork() || at.IsFdNetwork() {
			continue
		}
		for _, one := range at.Expand() {
			ports = append(ports, fmt.Sprint(one.StartPort))
		}
	}
	return ports
}

// findHosts lists the hosts of the gate at which nobody can sign in.
func (g webGate) findHosts() (found []finding.Finding) {
	for _, host := range g.hosts {
		origins := g.originsOf(host)
		switch {
		case g.server.isOwn(host) || strings.Contains(host, "{") && origins == nil: // it shows with the request
		case strings.Contains(host, "*"):
			found = append(found, g.findUnnamed(host)...)
		case origins == nil:
			found = append(found, finding.Finding{
				Severity: finding.Error,
				Where:    g.where,
				Text: fmt.Sprintf("browsers of host %s cannot keep the session cookie, which is made for %s",
					host, g.server.PublicURL.Scheme),
				Hint: "serve the site over " + g.server.PublicURL.Scheme + ", or add `login off`",
			})
		}
		if len(origins) > 0 {
			found = append(found, g.findCallback(host, origins[0])...)
		}
	}
	return found
}

// findUnnamed is for a pattern of hosts of which no origin in `return_to` is one.
func (g webGate) findUnnamed(pattern string) []finding.Finding {
	named := slices.ContainsFunc(g.server.ReturnTo, func(origin string) bool {
		u, err := url.Parse(origin)
		return err == nil && !g.server.isOwn(u.Hostname()) && matchesHost(pattern, u)
	})
	if named {
		return nil
	}
	text := fmt.Sprintf("of the hosts %s none is named in `return_to`: browsers cannot sign in there", pattern)
	if matchesHost(pattern, g.server.PublicURL) {
		text = fmt.Sprintf("of the hosts %s browsers can sign in to %s alone: `return_to` names no other",
			pattern, g.server.PublicURL.Hostname())
	}
	return []finding.Finding{{
		Severity: finding.Warning,
		Where:    g.where,
		Text:     text,
		Hint:     "add the origin of each host to `return_to`",
	}}
}

func matchesHost(pattern string, u *url.URL) bool {
	return caddyhttp.MatchHost{pattern}.Match(requestFor(u, "/"))
}

// findCallback follows a browser that comes back from signing in: a gate or a header filter has to meet
// it, whatever the path is that it guards.
func (g webGate) findCallback(host, origin string) []finding.Finding {
	u, err := url.Parse(origin)
	if err != nil {
		return nil
	}
	path := g.server.Path + "/callback"
	r := requestFor(u, path)
	e := errand{r: r, callback: true, named: g.site.NamedRoutes}
	e.follow(g.site.Routes)
	if e.reached {
		return nil
	}
	return []finding.Finding{{
		Severity: finding.Error,
		Where:    g.where,
		Text: fmt.Sprintf("browsers come back from signing in to %s%s, and no gate of host %s is asked there",
			origin, path, host),
		Hint: fmt.Sprintf("add `jwt_auth %s/* off` to the site", g.server.Path),
	}}
}

// servesHost reports whether a gate may stand at a host: browsers that a sign-in leads there are signed
// in there, too.
func (g webGate) servesHost(u *url.URL) bool {
	return g.hosts == nil || slices.ContainsFunc(g.hosts, func(host string) bool {
		return strings.Contains(host, "{") || matchesHost(host, u)
	})
}

// readsCookie reports whether the gate takes the session cookie.
func (g webGate) readsCookie() bool {
	return slices.Contains(g.Gate().Sources, gate.Source{Kind: gate.Cookie, Name: g.server.SessionCookie})
}

// findShadowed lists routes for paths that belong to the gateway at hosts of applications: their
// handlers are never asked there.
func (s *signInSurvey) findShadowed(gates []webGate) (found []finding.Finding) {
	for _, name := range sortedServers(s.http) {
		server := s.http.Servers[name]
		where := "server " + name
		s.shadowed(server.Routes, nil, where, func(hosts []string, where, pattern string) {
			if !slices.ContainsFunc(gates, func(g webGate) bool { return g.site == server && g.sharesHost(hosts) }) {
				return
			}
			found = append(found, finding.Finding{
				Severity: finding.Warning,
				Where:    where,
				Text: fmt.Sprintf("the gateway itself answers what is below %s at this host: the route for %s is "+
					"never asked", s.server.Path, pattern),
				Hint: "give the application another path, or set `web_path`",
			})
		})
	}
	return found
}

// shadowed calls f for each path of a route that lies below the gateway's.
func (s *signInSurvey) shadowed(
	routes caddyhttp.RouteList, hosts []string, where string, f func(hosts []string, where, pattern string),
) {
	for _, route := range routes {
		inner, at := hostsOf(route, hosts), where+describe(route)
		answers := func(h caddyhttp.MiddlewareHandler) bool { _, guards := h.(Guard); return !guards }
		for _, set := range route.MatcherSets {
			for _, matcher := range set {
				paths, ok := matcher.(*caddyhttp.MatchPath)
				if !ok || !slices.ContainsFunc(route.Handlers, answers) {
					continue
				}
				for _, pattern := range *paths {
					if s.server.ownsPattern(pattern) {
						f(inner, at, pattern)
					}
				}
			}
		}
		for _, handler := range route.Handlers {
			if h, ok := handler.(*caddyhttp.Subroute); ok {
				s.shadowed(h.Routes, inner, at, f)
			}
		}
	}
}

// ownsPattern reports whether the paths of a pattern lie below the gateway's. Caddy matches paths in
// any case, and has written the pattern in lower case.
func (v SignIn) ownsPattern(pattern string) bool {
	if len(pattern) < len(v.Path) || !strings.EqualFold(pattern[:len(v.Path)], v.Path) {
		return false
	}
	rest := pattern[len(v.Path):]
	return rest == "" || rest[0] == '/' || rest[0] == '*'
}

// sharesHost reports whether the gate stands at one of some hosts besides the server's; nil stands for
// any.
func (g webGate) sharesHost(hosts []string) bool {
	return slices.ContainsFunc(g.hosts, func(host string) bool {
		return !g.server.isOwn(host) && (hosts == nil || slices.Contains(hosts, host))
	})
}
