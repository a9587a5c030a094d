package survey

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// SignIn is what the survey must know of the server to tell why a person who is sent to the login
// page would not come back signed in.
type SignIn struct {
	PublicURL      *url.URL // nil: there is no login page
	ReturnTo       []string // canonical origins
	Issuer         string   // the server's own
	SessionCookie  string
	AccessLifetime time.Duration
	MaxLifetime    time.Duration
	Projects       []project.Project // the declared ones
	Path           string            // below which gates at other hosts answer
}

// SignIn lists why a person who is sent to the login page would not come back signed in. The
// server's session cookie belongs to the host of the public URL alone, on every port; gates at other
// hosts make sessions of their own.
func (s *Survey) SignIn(server SignIn) (found []finding.Finding) {
	http := s.HTTP()
	if http == nil || server.PublicURL == nil {
		return nil
	}
	w := signInSurvey{server: server, http: http}
	gates := w.gates()
	found = append(found, server.findReturnTargets(gates)...)
	for _, g := range gates {
		found = append(found, g.findings()...)
	}
	found = append(found, w.findShadowed(gates)...)
	if len(gates) > 0 {
		found = append(found, server.findRefusedTokens()...)
	}
	return append(found, w.findLoginPage(gates)...)
}

// findReturnTargets lists origins to which a person can be sent back, and where no gate signs them in.
func (v SignIn) findReturnTargets(gates []webGate) (found []finding.Finding) {
	for _, origin := range v.ReturnTo {
		u, err := url.Parse(origin)
		if err != nil || v.isOwn(u.Hostname()) ||
			slices.ContainsFunc(gates, func(g webGate) bool { return g.servesHost(u) }) {
			continue
		}
		found = append(found, finding.Finding{
			Severity: finding.Warning,
			Where:    "return_to " + origin,
			Text: fmt.Sprintf("the session cookie belongs to %s alone, and no gate with audience `web` stands at the "+
				"other host: browsers can be sent there, and are not signed in there", v.PublicURL.Hostname()),
		})
	}
	return found
}

// findRefusedTokens lists settings of the server by which the token of every sign-in would be
// refused.
func (v SignIn) findRefusedTokens() (found []finding.Finding) {
	access := v.AccessLifetime
	if longest := v.MaxLifetime; access > longest {
		found = append(found, finding.Finding{
			Severity: finding.Error,
			Where:    "max_lifetime",
			Text: fmt.Sprintf("it is %s, and access tokens are issued for %s: gates refuse every one of them",
				project.FormatDuration(longest), project.FormatDuration(access)),
			Hint: "raise max_lifetime, or shorten `lifetimes { access_token }`",
		})
	}
	for _, p := range v.Projects {
		if p.Slug == project.Default && len(p.Audiences) > 0 && !slices.Contains(p.Audiences, "web") {
			found = append(found, finding.Finding{
				Severity: finding.Error,
				Where:    "project default",
				Text:     "its audiences are without `web`, which browsers sign in for: every sign-in is refused",
				Hint:     "add `web` to its audiences",
			})
		}
	}
	return found
}

// webGate is a gate that sends browsers to the server's own login page.
type webGate struct {
	Guard
	server SignIn
	where  string
	hosts  []string // of the routes around it; nil for any
	site   *caddyhttp.Server
}

// findings says why this gate would not accept who comes back from the login page.
func (g webGate) findings() (found []finding.Finding) {
	own, gated := g.server.Issuer, g.Gate()
	_, acceptsOwn := gated.Issuers[own]
	for _, c := range []struct {
		wrong      bool
		text, hint string
	}{
		{
			!g.readsCookie(),
			"it sends browsers to the login page and does not read the session cookie",
			"add `from cookie`, or `login off`",
		},
		{
			gated.Project != project.Default,
			"it sends browsers to the login page, where people sign in to the project default," +
				" and takes only tokens of the project " + gated.Project,
			"take the project away, or add `login off`",
		},
		{!acceptsOwn, "it sends browsers to the login page and does not accept the server's own issuer",
			"add " + own + " to its `issuer`, or add `login off`"},
		{
			gated.Resource != "",
			"it sends browsers to the login page, and the tokens of the login page name no resource",
			"take `resource` away, or add `login off`",
		},
	} {
		if c.wrong {
			found = append(found, finding.Finding{Severity: finding.Error, Where: g.where, Text: c.text, Hint: c.hint})
		}
	}
	return append(found, g.findHosts()...)
}

// signInSurvey looks for the login page and for the gates that send people there.
type signInSurvey struct {
	server  SignIn
	http    *caddyhttp.App
	servers []string // where an auth_server stands, for messages
}

// gates returns the gates that send browsers to the own login page, and notes where auth_server
// stands.
func (s *signInSurvey) gates() (found []webGate) {
	own := s.server.PublicURL.JoinPath("login").String()
	for _, name := range sortedServers(s.http) {
		server := s.http.Servers[name]
		visit(server.Routes, server.NamedRoutes, nil, func(handler caddyhttp.MiddlewareHandler, hosts []string) {
			if moduleID(handler) == serverID {
				s.noteServer(name, server, hosts)
				return
			}
			g, ok := handler.(Guard)
			if ok && g.Gate() != nil && !g.ReportsOnly() && g.LoginPage() == own {
				where := "server " + name + ", " + g.Describe()
				found = append(found, webGate{
					Guard:  g,
					server: s.server,
					where:  where,
					hosts:  hosts,
					site:   server,
				})
			}
		})
	}
	return found
}

func (s *signInSurvey) noteServer(name string, server *caddyhttp.Server, hosts []string) {
	where := "server " + name + " (" + strings.Join(server.Listen, " ") + ")"
	if hosts != nil {
		where += ", host " + strings.Join(hosts, " ")
	}
	s.servers = append(s.servers, where)
}

// visit calls f for every handler, however deep, with the hosts that the routes around it name; nil
// for any. Named routes are not followed into further ones: they may name each other.
func visit(
	routes caddyhttp.RouteList, named map[string]*caddyhttp.Route, hosts []string,
	f func(handler caddyhttp.MiddlewareHandler, hosts []string),
) {
	for _, route := range routes {
		inner := hostsOf(route, hosts)
		for _, handler := range route.Handlers {
			f(handler, inner)
			switch h := handler.(type) {
			case *caddyhttp.Subroute:
				visit(h.Routes, named, inner, f)
			case *caddyhttp.Invoke:
				if route := named[h.Name]; route != nil {
					visit(caddyhttp.RouteList{*route}, nil, inner, f)
				}
			}
		}
	}
}

// hostsOf returns the hosts a route takes: its own, or those around it when some of its matchers
// take any.
func hostsOf(route caddyhttp.Route, around []string) []string {
	var hosts []string
	for _, set := range route.MatcherSets {
		named := false
		for _, matcher := range set {
			if m, ok := matcher.(*caddyhttp.MatchHost); ok {
				hosts, named = append(hosts, *m...), true
			}
		}
		if !named {
			return around
		}
	}
	if hosts == nil {
		return around
	}
	return hosts
}

// findLoginPage follows a request for the login page through the servers.
func (s *signInSurvey) findLoginPage(gates []webGate) []finding.Finding {
	page := s.server.PublicURL.JoinPath("login").String()
	if len(s.servers) == 0 {
		return s.findNoServer(gates, page)
	}
	var wrong, mapped *finding.Finding
	for _, name := range sortedServers(s.http) {
		server := s.http.Servers[name]
		comes, sure := s.listens(server)
		if !comes {
			continue
		}
		login := requestFor(s.server.PublicURL, "/login")
		e := errand{r: login, login: login.URL.Path, named: server.NamedRoutes}
		e.follow(server.Routes)
		switch f := e.blocked(page); {
		case f != nil:
			f.Where, wrong = "server "+name, f
		case e.reached && sure:
			return nil
		case e.reached:
			mapped = &finding.Finding{
				Severity: finding.Warning,
				Where:    "public URL " + s.server.PublicURL.String(),
				Text: "`auth_server` stands in server " + name + " (" + strings.Join(server.Listen, " ") +
					"), on another port:" +
					" browsers reach it only when something in front leads there",
			}
		}
	}
	switch {
	case wrong != nil:
		return []finding.Finding{*wrong}
	case mapped != nil:
		return []finding.Finding{*mapped}
	}
	return []finding.Finding{{
		Severity: finding.Error,
		Where:    "public URL " + s.server.PublicURL.String(),
		Text: "no site with `auth_server` answers " + page + "; `auth_server` stands in " +
			strings.Join(slices.Compact(s.servers), ", and in "),
		Hint: "let `issuer` or `public_url` be the URL of the site that has `auth_server`, or move `auth_server`",
	}}
}

// findNoServer: a gate whose `login` was written out may be meant for a server elsewhere.
func (s *signInSurvey) findNoServer(gates []webGate, page string) (found []finding.Finding) {
	for _, g := range gates {
		if !g.LoginIsGiven() {
			found = append(found, finding.Finding{
				Severity: finding.Error,
				Where:    g.where,
				Text:     "it sends browsers to " + page + ", and no site has `auth_server`",
				Hint: "add `auth_server` to the site, or `login off` to the gate; with a server elsewhere write its " +
					"login page:" +
					" `login " + page + "`",
			})
		}
	}
	return found
}

// listens reports whether requests for the public URL may come to the server, and whether that is
// sure. On a loopback host nothing stands in front. Elsewhere another proxy may: it takes TLS off,
// or maps the port of its scheme.
func (s *signInSurvey) listens(server *caddyhttp.Server) (comes, sure bool) {
	base, tls := s.server.PublicURL, len(server.TLSConnPolicies) > 0
	loopback := weburl.IsLoopback(base.Hostname())
	switch {
	case tls != (base.Scheme == "https"):
		return !loopback, true
	case s.hasPort(server):
		return true, true
	}
	return !loopback && base.Port() == "", false
}

// hasPort reports whether the server listens on the port of the public URL.
func (s *signInSurvey) hasPort(server *caddyhttp.Server) bool {
	port := s.server.PublicURL.Port()
	switch {
	case s.server.PublicURL.Scheme == "https" && (port == "" || port == "443"):
		port = fmt.Sprint(cmp.Or(s.http.HTTPSPort, 443))
	case s.server.PublicURL.Scheme == "http" && (port == "" || port == "80"):
		port = fmt.Sprint(cmp.Or(s.http.HTTPPort, 80))
	}
	return slices.ContainsFunc(server.Listen, func(address string) bool {
		at, err := caddy.ParseNetworkAddress(address)
		if err != nil || at.IsUnixNetwork() || at.IsFdNetwork() {
			return true // what comes there has come through something else
		}
		return slices.ContainsFunc(at.Expand(), func(one caddy.NetworkAddress) bool {
			return fmt.Sprint(one.StartPort) == port
		})
	})
}

func sortedServers(app *caddyhttp.App) []string {
	names := make([]string, 0, len(app.Servers))
	for name := range app.Servers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
