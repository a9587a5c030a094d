package survey

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/caddyauth/gateway/caddyauth/module/finding"
)

// Find tells each gate and header filter where it stands in the routes of the configuration, once.
// Caddy starts its apps in any order, so the first request may be the one that asks.
func (s *Survey) Find() { s.once.Do(s.find) }

func (s *Survey) find() {
	servers := s.servers()
	s.nameGates(servers)
	verdicts := make(map[Guard]*Place)
	for name, server := range servers {
		s.noteFiltered(server)
		sites := surveyServer(name, server)
		if server.Errors != nil {
			sites = append(sites, surveyErrors(server, sites))
		}
		for _, site := range sites {
			site.judge(verdicts)
			s.findings = append(s.findings, site.findings...)
		}
	}
	shared := make(outlooks)
	for g, p := range verdicts {
		p.ahead = shared.of(p.later)
		g.Place().settle(p)
	}
}

// Rewritten says which gates have matchers that see a path which clients did not ask for, or not
// the one that the application gets.
func (s *Survey) Rewritten() []finding.Finding {
	s.Find()
	return s.findings
}

// site is what a survey learns of the routes that belong together: in a Caddyfile, those of a site
// block.
type site struct {
	gates    []Guard // and filters
	placed   map[Guard]setters
	guards   []guard
	byPath   bool // paths decide on a gate, on an answer, or on the application that gets the request
	rewrites bool
	users    bool // something besides gates may say who the user is
	asked    bool // another proxy asks about the requests
	findings []finding.Finding
	behind   []rewriteBehind
	ends     []end
	derived  derived
	set      setters

	errorEnds []end // where requests that fail leave the routes
}

// judge adds what the site means for its gates. One that several sites invoke is as strict as the
// strictest of them demands.
func (s *site) judge(verdicts map[Guard]*Place) {
	for _, j := range s.gates {
		p := verdicts[j]
		if p == nil {
			p = &Place{untouched: true, alone: true}
			p.Paths.Undecided = true
			verdicts[j] = p
		}
		p.untouched = p.untouched && !s.rewrites
		p.alone = p.alone && !s.users
		p.Paths.Undecided = p.Paths.Undecided && !s.byPath
		p.met++
		p.set = s.placed[j]
		if s.rewrites && p.guards == nil {
			p.guards = slices.Clip(s.guards) // all of the site share them
		} else if s.rewrites {
			p.guards = append(p.guards, s.guards...)
		}
	}
	s.lookAhead(verdicts)
}

// position is what is known about a request at one point of the routes.
type position struct {
	byPath    bool               // the path has decided that requests come here
	steps     []step             // what requests were asked on the way, below the site
	rewritten string             // the directive that has changed the path since; empty when none has
	misled    string             // the one that changed it before a matcher on the way
	met       []guard            // gates and filters before it that requests meet, or may go past
	within    []*rewrite.Rewrite // those that all requests have come through
	root      string             // of files
	late      string             // the field that `header` changes last; empty when none is that matters
	where     string
	depth     int
	captures  int // counted where the last of steps begins
}

// surveyServer looks at each site on its own: top-level routes that end there and are not chosen by
// path. All others belong together.
func surveyServer(name string, server *caddyhttp.Server) []*site {
	rest := new(site)
	sites := []*site{rest}
	at := position{where: "server " + name}
	for i, route := range server.Routes {
		if !route.Terminal || rest.derived.decide(route.MatcherSets) {
			w := surveyor{named: server.NamedRoutes, site: rest}
			at, _ = w.walk(server.Routes[i:i+1], at)
			continue
		}
		w := surveyor{named: server.NamedRoutes, site: new(site)}
		w.site.derived = rest.derived
		// Requests come here through the routes before.
		w.site.rewrites, w.site.users, w.site.set = rest.rewrites, rest.users, rest.set
		w.site.asked = rest.asked
		sites = append(sites, w.site)
		below := at
		below.where += describe(route)
		w.walkRoute(route, below)
	}
	return sites
}

// surveyErrors looks at the error routes of a server: they are as strict as the sites that lead
// there. What they show is decided by what they make of the request, and not by what was refused.
func surveyErrors(server *caddyhttp.Server, sites []*site) *site {
	w := surveyor{named: server.NamedRoutes, site: new(site)}
	w.walk(server.Errors.Routes, position{})
	errors := &site{gates: w.site.gates, byPath: w.site.byPath}
	for _, s := range sites {
		s.errorEnds = append(s.errorEnds, w.site.endsOfErrors()...)
		errors.byPath = errors.byPath || s.byPath && len(s.gates) > 0
	}
	return errors
}

// surveyor walks the routes of one site in the order in which requests meet them.
type surveyor struct {
	named     map[string]*caddyhttp.Route
	site      *site
	invoked   int
	responses int // how deep in routes that answers choose
}

// group is what alternatives of which a request takes one have in common.
type group struct {
	before  position
	byPath  bool
	earlier []caddyhttp.MatcherSets
	met     []guard // in the alternatives
	changes int     // counted at the end of the last alternative
}

// walk returns what is known about requests that leave the routes at their end, and whether some
// may be answered before.
func (s *surveyor) walk(routes caddyhttp.RouteList, at position) (position, bool) {
	groups := make(map[string]*group)
	answered := false
	for _, route := range routes {
		if groups[route.Group] == nil || route.Group == "" {
			groups[route.Group] = &group{before: at, changes: s.site.set.changes}
		}
		alternatives := groups[route.Group]
		if alternatives.changes != s.site.set.changes {
			// What lies between may have led requests here that earlier alternatives take now, and
			// did not take then.
			alternatives.before, alternatives.earlier = at, nil
		}
		inner := alternatives.lead(route, s.site.derived)
		inner.met = without(at.met, alternatives.met)
		if len(inner.steps) > len(alternatives.before.steps) {
			inner.captures = s.site.set.captures
		}
		before := len(inner.met)
		after, answers := s.walkRoute(route, inner)
		s.site.set.matched(route.MatcherSets)
		alternatives.changes = s.site.set.changes
		if !route.Terminal {
			alternatives.met = append(alternatives.met, after.met[before:]...)
			at.met = append(slices.Clip(at.met), after.met[before:]...)
		}
		answered = answered || answers
		at.byPath = at.byPath || inner.byPath && (answers || route.Terminal)
		if after.rewritten != "" && !route.Terminal {
			at.rewritten = after.rewritten
		}
		if after.late != "" && !route.Terminal {
			at.late = after.late
		}
		if len(inner.steps) == len(alternatives.before.steps) && route.Group == "" {
			// All requests have come through.
			at.steps, at.within, at.root, at.captures = after.steps, after.within, after.root, after.captures
		}
	}
	return at, answered
}

// lead returns the position of requests that take the route, and counts it among the alternatives.
func (g *group) lead(route caddyhttp.Route, d derived) position {
	p := g.before
	if len(route.MatcherSets) > 0 || len(g.earlier) > 0 {
		p.steps = append(slices.Clip(p.steps), step{match: route.MatcherSets, unless: slices.Clone(g.earlier)})
	}
	g.byPath = g.byPath || d.decide(route.MatcherSets)
	g.earlier = append(g.earlier, route.MatcherSets)
	p.byPath = p.byPath || g.byPath
	if g.byPath && p.rewritten != "" {
		p.misled = p.rewritten
	}
	p.where += describe(route)
	return p
}

// without returns the gates that are not in others.
func without(all, others []guard) []guard {
	return slices.DeleteFunc(slices.Clone(all), func(g guard) bool {
		return slices.ContainsFunc(others,
			func(o guard) bool { return o.gate == g.gate && len(o.steps) == len(g.steps) })
	})
}

// walkRoute returns the position behind a route's handlers, and whether they may answer requests
// instead of passing them on.
func (s *surveyor) walkRoute(route caddyhttp.Route, at position) (position, bool) {
	answered := false
	for _, handler := range route.Handlers {
		var answers bool
		at, answers = s.walkHandler(handler, at)
		answered = answered || answers
	}
	return at, answered
}

// deepest bounds the depth to which routes that invoke each other are followed.
const deepest = 100

// most bounds how many invocations are followed in a site: if named routes invoke each other twice,
// their number doubles with each step.
const most = 500

func (s *surveyor) walkHandler(handler caddyhttp.MiddlewareHandler, at position) (position, bool) {
	switch h := handler.(type) {
	case Guard:
		if h.Gate() != nil && !h.ReportsOnly() {
			s.noteLate(h.Describe(), at)
		}
		s.meet(h, at)
		at.met = append(slices.Clip(at.met), guard{h, at.steps, s.site.set})
		s.site.set.changes++
		return at, true
	case *caddyhttp.Subroute:
		s.noteErrors(h.Errors)
		return s.walkInner(h.Routes, at)
	case *caddyhttp.Invoke:
		if route := s.named[h.Name]; route != nil && s.invoked < most {
			s.invoked++
			return s.walkInner(caddyhttp.RouteList{*route}, at)
		} else if route != nil {
			s.site.byPath, s.site.rewrites, s.site.users = true, true, true
			s.noteEndless(at)
		}
		return at, true
	case *rewrite.Rewrite:
		s.site.rewrites = true
		s.site.derived.rewritten(h, at)
		after := at.rewrittenBy(h)
		s.noteRewrite(h, spelledRewrite(h), mounts(h, at.steps), at)
		s.site.set.captures++
		s.site.set.changes++
		return after, false
	case *headers.Handler:
		at.late = cmp.Or(lateHeader(h), at.late)
	case caddyhttp.VarsMiddleware:
		at.root = rootOf(h, at.root)
	case *caddyhttp.VarsMiddleware:
		at.root = rootOf(*h, at.root)
	}
	switch moduleID(handler) {
	case serverID:
		s.noteLate("auth_server", at)
	case verdictID:
		s.site.asked = true
	}
	s.site.derived.passed(handler, at)
	kind := kindOf(handler)
	if kind == decides || kind == serves || kind == unknown {
		s.noteEnd(handler, at)
	}
	s.site.set.passed(handler, at.byPath && s.site.rewrites)
	s.walkResponses(handler, at)
	s.site.byPath = s.site.byPath || at.byPath && (kind == decides || kind == unknown)
	s.site.rewrites = s.site.rewrites || kind == unknown
	s.site.users = s.site.users || kind == unknown || moduleID(handler) == "http.handlers.authentication"
	return at, kind != passes
}

func (s *surveyor) walkInner(routes caddyhttp.RouteList, at position) (position, bool) {
	if at.depth == deepest {
		s.site.byPath, s.site.rewrites, s.site.users = true, true, true
		return at, true
	}
	at.depth++
	after, answers := s.walk(routes, at)
	after.depth--
	return after, answers
}

// meet notes that requests meet a gate or filter.
func (s *surveyor) meet(j Guard, at position) {
	s.site.gates = append(s.site.gates, j)
	if s.site.placed == nil {
		s.site.placed = make(map[Guard]setters)
	}
	set := s.site.set
	set.changes = 0 // it counts guards, too
	s.site.placed[j] = set
	s.site.byPath = s.site.byPath || at.byPath
	if s.site.asked {
		s.noteAsked(j, at)
	}
	if j.Gate() == nil || len(at.steps) == 0 {
		return
	}
	steps := at.steps
	if s.site.rewrites && s.site.set.byPath > 0 {
		// with the path before, other values would have been set
		steps = between{values: true, hosts: true}.known(steps)
	}
	s.site.guards = append(s.site.guards, guard{j, steps, s.site.set})
	if at.misled != "" {
		s.site.findings = append(s.site.findings, finding.Finding{
			Severity: finding.Warning,
			Where:    at.where + ", " + j.Describe(),
			Text: at.misled +
				" runs before the gate, whose matcher sees the path that it makes; the gate also holds where the " +
				"path before would have matched",
			Hint: "guard the whole site, or let the gate come first, with `order jwt_auth before rewrite` or in a " +
				"`route` block: " +
				"it is then asked about what clients ask for, and about what later rewrites make of that",
		})
	}
}

// rewrittenBy is the position behind a rewrite. A prefix that is taken off where the path has led
// (`handle_path`) is where an application is mounted and misleads nobody.
func (p position) rewrittenBy(h *rewrite.Rewrite) position {
	if only(h) && h.StripPathPrefix != "" {
		p.steps = append(slices.Clip(p.steps), step{strip: h, mount: mounts(h, p.steps)})
	}
	p.within = append(slices.Clip(p.within), h)
	switch {
	case only(h) && (h.StripPathPrefix == "" || p.byPath), strings.HasPrefix(h.URI, "?"): // method or query
	default:
		p.rewritten = spelledRewrite(h)
	}
	return p
}

// only reports whether a rewrite changes no path but for a prefix.
func only(h *rewrite.Rewrite) bool {
	return h.URI == "" && h.StripPathSuffix == "" && len(h.URISubstring) == 0 && len(h.PathRegexp) == 0
}

func spelledRewrite(h *rewrite.Rewrite) string {
	if h.URI != "" {
		return "`rewrite` or `try_files`"
	}
	return "`uri`"
}

func rootOf(vars caddyhttp.VarsMiddleware, before string) string {
	if root, ok := vars["root"].(string); ok {
		return root
	}
	return before
}

// kind is what a handler does with requests that paths have led to it.
type kind int

const (
	unknown kind = iota // and so it may rewrite them, too
	passes              // it passes all requests on, as they are
	serves              // it answers, and refuses nobody
	decides             // it refuses, or is an application to which other paths do not lead
)

var kinds = map[caddy.ModuleID]kind{
	"http.handlers.auth_verdict":          passes, // what is behind it never sees the asking request
	"http.handlers.authentication":        decides,
	"http.handlers.copy_response":         decides,
	"http.handlers.copy_response_headers": passes,
	"http.handlers.encode":                passes,
	"http.handlers.error":                 decides,
	"http.handlers.headers":               passes,
	"http.handlers.intercept":             passes,
	"http.handlers.log_append":            passes,
	"http.handlers.map":                   passes,
	"http.handlers.push":                  passes,
	"http.handlers.request_body":          passes,
	"http.handlers.templates":             passes,
	"http.handlers.timeouts":              passes,
	"http.handlers.tracing":               passes,
	"http.handlers.vars":                  passes,
	"http.handlers.acme_server":           serves,
	"http.handlers.auth_server":           serves,
	"http.handlers.file_server":           serves,
	"http.handlers.metrics":               serves,
	"http.handlers.static_response":       decides,
	"http.handlers.reverse_proxy":         decides,
}

func kindOf(handler caddyhttp.MiddlewareHandler) kind {
	switch h := handler.(type) {
	case *caddyhttp.StaticResponse:
		// for a handler that `caddy auth explain` has replaced
		if stands := h.Headers.Get(StandInHeader); stands != "" {
			if name, _, _ := strings.Cut(stands, " "); !strings.HasSuffix(stands, StandInFastCGI) {
				return kinds[caddy.ModuleID("http.handlers."+name)]
			}
			return serves
		}
		if strings.HasPrefix(string(h.StatusCode), "3") { // the client asks again for what it is sent to
			return passes
		}
	case *reverseproxy.Handler:
		// one application, which php_fastcgi gives `*.php`
		if moduleID(h.Transport) == "http.reverse_proxy.transport.fastcgi" {
			return serves
		}
	}
	return kinds[moduleID(handler)]
}

func moduleID(value any) caddy.ModuleID {
	if module, ok := value.(caddy.Module); ok {
		return module.CaddyModule().ID
	}
	return ""
}

// ofStatus is what `handle_errors` makes of status codes.
var ofStatus = regexp.MustCompile(`^({http\.error\.status_code}|[0-9 ,<>=&|\[\]]|\bin\b)*$`)
