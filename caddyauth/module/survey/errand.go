package survey

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
)

// errand follows a browser's request, most often for the login page, through the routes of a
// server, and runs no handler. Matchers that look at more than the request itself may match or not:
// what lies behind them is followed, and nothing is concluded from it.
type errand struct {
	r     *http.Request
	login string // its path
	// callback says that the errand is of a browser which comes back to a gate from signing in.
	callback bool
	// meets is called for each gate and filter on the way, with whether every such request meets it. If
	// it is set, the walk goes on past all gates, and the login page is not looked for. Optional.
	meets func(g Guard, surely bool)
	// asSent ignores rewrites of the path, except for prefixes that routes strip.
	asSent bool
	named  map[string]*caddyhttp.Route

	unsure   int    // how many routes around may not be taken
	gate     Guard  // the first gate that surely refuses the request
	stripped string // the prefix that was taken from the path before auth_server
	reached  bool
	ended    bool // another handler has surely answered
}

// requestFor is a browser's request for a path beneath a public URL.
func requestFor(base *url.URL, path string) *http.Request {
	ctx := context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, make(map[string]any))
	r := &http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{Path: base.Path + path},
		Host:   base.Host,
		Header: http.Header{"Accept": {"text/html"}},
		Proto:  "HTTP/1.1",
	}
	r.RequestURI = r.URL.RequestURI()
	return r.WithContext(ctx)
}

// blocked says why the login page cannot be reached; nil when it can, or when no auth_server was
// met.
func (e *errand) blocked(page string) *finding.Finding {
	switch {
	case e.reached && e.gate != nil:
		return &finding.Finding{
			Severity: finding.Error,
			Text: fmt.Sprintf("the login page %s lies behind the %s, which sends browsers to it: they go round "+
				"in a circle",
				page, e.gate.Describe()),
			Hint: "let `auth_server` stand before the gate: outside `handle` and `route`, or with the gate in a " +
				"`handle` of its own",
		}
	case !e.reached && e.stripped != "":
		return &finding.Finding{
			Severity: finding.Error,
			Text: fmt.Sprintf("%s is taken from the path before `auth_server`, which then finds none of its routes: "+
				"%s is blank",
				e.stripped, page),
			Hint: fmt.Sprintf("write `handle %s/*`, not `handle_path`", e.stripped),
		}
	}
	return nil
}

func (e *errand) follow(routes caddyhttp.RouteList) {
	taken := map[string]bool{} // groups of which a route was taken
	for _, route := range routes {
		if e.reached || e.ended {
			return
		}
		matches, sure := e.matches(route)
		if !matches || route.Group != "" && taken[route.Group] {
			continue
		}
		if !sure {
			e.unsure++
		} else if route.Group != "" {
			taken[route.Group] = true
		}
		e.take(route)
		if !sure {
			e.unsure--
		} else if route.Terminal {
			return
		}
	}
}

// matches says whether the request may take the route, and whether that is sure.
func (e *errand) matches(route caddyhttp.Route) (matches, sure bool) {
	if len(route.MatcherSets) == 0 {
		return true, true
	}
	for _, set := range route.MatcherSets {
		all, known := true, true
		for _, matcher := range set {
			m, ok := matcher.(caddyhttp.RequestMatcherWithError)
			if !ok || !tellsByRequest(matcher) {
				known = false
				continue
			}
			if is, err := m.MatchWithError(e.r); err != nil || !is {
				all = false
			}
		}
		if all && known {
			return true, true
		}
		matches = matches || all
	}
	return matches, false
}

// tellsByRequest reports whether a matcher looks at nothing but what an errand has.
func tellsByRequest(matcher any) bool {
	switch m := matcher.(type) {
	case *caddyhttp.MatchHost, *caddyhttp.MatchPath, *caddyhttp.MatchPathRE, *caddyhttp.MatchMethod,
		*caddyhttp.MatchQuery:
		return true
	case *caddyhttp.MatchNot:
		for _, set := range m.MatcherSets {
			for _, inner := range set {
				if !tellsByRequest(inner) {
					return false
				}
			}
		}
		return true
	}
	return false
}

// take goes through the handlers of a route.
func (e *errand) take(route caddyhttp.Route) {
	for _, handler := range route.Handlers {
		if e.reached || e.ended {
			return
		}
		if moduleID(handler) == serverID {
			if !e.callback && e.meets == nil {
				e.arrive()
			}
			continue
		}
		switch h := handler.(type) {
		case Guard:
			e.meet(h)
		case *caddyhttp.Subroute:
			e.follow(h.Routes)
		case *caddyhttp.Invoke:
			if route := e.named[h.Name]; route != nil {
				named := e.named
				e.named = nil // named routes may name each other
				e.follow(caddyhttp.RouteList{*route})
				e.named = named
			}
		case *rewrite.Rewrite:
			e.rewrite(h)
		case *caddyhttp.StaticResponse, *reverseproxy.Handler:
			e.ended = e.unsure == 0
		}
	}
}

// meet notes a gate or filter.
func (e *errand) meet(g Guard) {
	switch {
	case e.meets != nil:
		e.meets(g, e.unsure == 0)
	case e.callback:
		e.reached = e.reached || !g.ReportsOnly()
	case e.gate == nil && e.unsure == 0 && g.Gate() != nil && g.Gate().Mode == gate.Required:
		e.gate = g
	}
}

func (e *errand) arrive() {
	if e.r.URL.Path == e.login {
		e.reached = true
		return
	}
	if prefix, ok := strings.CutSuffix(e.login, e.r.URL.Path); ok && e.r.URL.Path != "" && e.stripped == "" {
		e.stripped = prefix
	}
}

// rewrite changes the path as the handler would, where that is plain.
func (e *errand) rewrite(h *rewrite.Rewrite) {
	if prefix := h.StripPathPrefix; prefix != "" && !strings.Contains(prefix, "{") {
		e.r.URL.Path = strings.TrimPrefix(e.r.URL.Path, strings.TrimSuffix(prefix, "/"))
	}
	path, _, _ := strings.Cut(h.URI, "?")
	if path != "" && e.unsure == 0 && !e.asSent && !strings.Contains(path, "{") {
		e.r.URL.Path = path
	}
}
