package survey

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// setters counts what the survey has met that later matchers and rewrites may look at. A gate
// cannot know what is set behind it.
type setters struct {
	values int // handlers that set variables, values of `map` or request headers, or that are not known
	roots  int // handlers that set the root of files, and nothing else
	hosts  int // those that may set the host
	// matchers and rewrites after which `{re.*}` is not what the matchers of a rewrite's own routes
	// make of its path
	captures int
	byPath   int // handlers that set values by a path which a rewrite has made
	// all that may make an earlier alternative take a request that it has left alone, or the other
	// way round
	changes int
	lazy    bool // `map` works out values of what matchers capture, and only when it is asked
}

func (c *setters) passed(handler caddyhttp.MiddlewareHandler, derived bool) {
	before := *c
	c.note(handler)
	if c.values == before.values && c.hosts == before.hosts && c.roots == before.roots {
		return
	}
	c.changes++
	if derived || len(pathsOf(handler)) > 0 {
		c.byPath++
	}
}

// pathsOf are the placeholders of a handler that stand for a path.
func pathsOf(handler caddyhttp.MiddlewareHandler) []string {
	return slices.DeleteFunc(placeholdersOf(handler), func(p string) bool {
		// which looks when it is asked, also on behalf of another path
		return moduleID(handler) == "http.handlers.map" ||
			!strings.HasPrefix(p, "{http.request.uri") && !strings.HasPrefix(p, "{http.request.method")
	})
}

func (c *setters) note(handler caddyhttp.MiddlewareHandler) {
	h, ok := handler.(*headers.Handler)
	if value, plain := handler.(headers.Handler); plain {
		h, ok = &value, true
	}
	proxy, _ := handler.(*reverseproxy.Handler)
	ours := moduleID(handler) == errorFilterID
	id := moduleID(handler)
	switch {
	case ours:
	case ok && h.Request != nil:
		c.values++
		if strings.Contains(strings.ToLower(fmt.Sprint(*h.Request)), "host") {
			c.hosts++
		}
	case id == "http.handlers.map":
		c.values++
		c.lazy = c.lazy || slices.ContainsFunc(placeholdersOf(handler), func(p string) bool {
			return isCaptured(p) || p == "{http.vars.root}"
		})
	case setsRootOnly(handler):
		c.roots++
	case id == "http.handlers.vars", id == "http.handlers.request_body":
		c.values++
	case proxy != nil && len(proxy.HandleResponse) > 0, kindOf(handler) == unknown: // as `forward_auth` copies headers
		c.values++
		c.hosts++
	}
}

// setsRootOnly reports whether a handler is `root`, which changes nothing but where files are
// looked for.
func setsRootOnly(handler caddyhttp.MiddlewareHandler) bool {
	vars, ok := handler.(caddyhttp.VarsMiddleware)
	if pointer, plain := handler.(*caddyhttp.VarsMiddleware); plain {
		vars, ok = *pointer, true
	}
	_, root := vars["root"]
	return ok && root && len(vars) == 1
}

// matched counts matchers beside those of a rewrite's own routes.
func (c *setters) matched(sets caddyhttp.MatcherSets) {
	for _, set := range sets {
		for _, matcher := range set {
			if id := moduleID(matcher); id != "http.matchers.path" && id != "http.matchers.host" &&
				id != "http.matchers.method" {
				c.captures++
			}
		}
	}
}

// between is what may have been set between two counts.
type between struct {
	values, hosts, captures, roots bool
	forwarded                      []string // headers that the gate itself sets
}

func (c setters) since(before setters) between {
	return between{
		values:   c.values > before.values || c.lazy,
		hosts:    c.hosts > before.hosts,
		captures: c.captures > before.captures,
		roots:    c.roots > before.roots,
	}
}

// forwardedHeaders are those that the gate sets, whose values only the token tells.
func forwardedHeaders(g Guard) (names []string) {
	if g.Gate() == nil {
		return nil
	}
	for _, m := range g.Gate().Forward {
		names = append(names, strings.ToLower(m.Header))
	}
	return names
}

// depends reports whether a text speaks of the user or of a header that the gate sets.
func (b between) depends(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "http.auth.") ||
		slices.ContainsFunc(b.forwarded, func(name string) bool { return strings.Contains(text, name) })
}

// isCaptured reports whether a placeholder stands for what a matcher has found.
func isCaptured(placeholder string) bool {
	name := strings.Trim(placeholder, "{}")
	return strings.HasPrefix(name, "http.regexp.") || strings.HasPrefix(name, "http.matchers.")
}

// placeholders finds those in the JSON of a rewrite, and no objects.
var placeholders = regexp.MustCompile(`\{[^{}"][^{}]*\}`)

// repeats is how regular expressions count.
var repeats = regexp.MustCompile(`^\{[0-9,]*\}$`)

func placeholdersOf(value any) []string {
	text, err := json.Marshal(value)
	if err != nil {
		return []string{"{unknown}"}
	}
	return slices.DeleteFunc(placeholders.FindAllString(string(text), -1), repeats.MatchString)
}

// knows reports whether what a placeholder stands for can be worked out before the handlers between
// have run.
func (b between) knows(placeholder string) bool {
	name := strings.Trim(placeholder, "{}")
	switch {
	case b.depends(name):
		return false // what gates set
	case isOfRequest(name) && !strings.HasPrefix(name, "http.request.body"):
		return true
	case strings.HasPrefix(name, "http.request.uri"), name == "http.request.method", name == "http.request.scheme",
		strings.HasPrefix(name, "http.request.remote"), strings.HasPrefix(name, "http.request.proto"):
		return true
	case strings.HasPrefix(name, "http.request.host"), name == "http.request.port":
		return !b.hosts
	case isCaptured(placeholder):
		return !b.values && !b.captures && !b.roots
	case name == "http.vars.root":
		return !b.values && !b.roots
	}
	return !b.values
}

func (b between) knowsRewrite(h *rewrite.Rewrite) bool {
	return !slices.ContainsFunc(placeholdersOf(h), func(p string) bool { return !b.knows(p) })
}

func (b between) knowsSteps(steps []step) bool {
	return !slices.ContainsFunc(steps, func(s step) bool {
		unknown := func(sets caddyhttp.MatcherSets) bool { return !b.knowsSets(sets) }
		return s.strip == nil && (unknown(s.match) || slices.ContainsFunc(s.unless, unknown))
	})
}

func (b between) knowsSets(sets caddyhttp.MatcherSets) bool {
	return !slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool {
		return slices.ContainsFunc(set, func(matcher any) bool { return !b.knowsMatcher(matcher) })
	})
}

func (b between) knowsMatcher(matcher any) bool {
	if not, ok := matcher.(*caddyhttp.MatchNot); ok {
		return b.knowsSets(not.MatcherSets)
	}
	if not, ok := matcher.(caddyhttp.MatchNot); ok {
		return b.knowsSets(not.MatcherSets)
	}
	text := fmt.Sprint(matcher)
	switch {
	case b.depends(text), b.roots && looksForFiles(matcher, text):
		return false
	case !b.values:
		return !b.captures || !strings.Contains(text, "{re.") && !strings.Contains(text, "{file_match.") &&
			!strings.Contains(text, "http.regexp.") && !strings.Contains(text, "http.matchers.")
	}
	switch moduleID(matcher) {
	case "http.matchers.method", "http.matchers.protocol", "http.matchers.tls", "http.matchers.remote_ip",
		"http.matchers.client_ip",
		"http.matchers.path_regexp":
		return true
	case "http.matchers.path", "http.matchers.query":
		return !strings.Contains(fmt.Sprint(matcher), "{")
	case "http.matchers.host":
		return !b.hosts && !strings.Contains(fmt.Sprint(matcher), "{")
	}
	return false
}

// looksForFiles reports whether a matcher may look below the root of files, or at that root.
func looksForFiles(matcher any, text string) bool {
	switch moduleID(matcher) {
	case "http.matchers.path", "http.matchers.path_regexp", "http.matchers.host", "http.matchers.method",
		"http.matchers.header", "http.matchers.header_regexp", "http.matchers.query", "http.matchers.protocol",
		"http.matchers.tls", "http.matchers.remote_ip", "http.matchers.client_ip":
		return strings.Contains(text, "{http.vars.root") || strings.Contains(text, "{http.matchers.file.")
	}
	return true
}

// known returns steps that ask only what can be worked out.
func (b between) known(steps []step) (known []step) {
	for _, s := range steps {
		if s.strip != nil {
			known = append(known, s)
			continue
		}
		var k step
		for _, set := range s.match {
			k.match = append(k.match,
				slices.DeleteFunc(slices.Clone(set), func(m any) bool { return !b.knowsMatcher(m) }))
		}
		for _, sets := range s.unless {
			if b.knowsSets(sets) {
				k.unless = append(k.unless, sets)
			}
		}
		known = append(known, k)
	}
	return known
}

// asksQuery reports whether matchers on the way may look at the query.
func asksQuery(steps []step) bool {
	return slices.ContainsFunc(steps, func(s step) bool {
		return setsAskQuery(s.match) || slices.ContainsFunc(s.unless, setsAskQuery)
	})
}

func setsAskQuery(sets caddyhttp.MatcherSets) bool {
	return slices.ContainsFunc(sets,
		func(set caddyhttp.MatcherSet) bool { return slices.ContainsFunc(set, matcherAsksQuery) })
}

func matcherAsksQuery(matcher any) bool {
	if not, ok := matcher.(*caddyhttp.MatchNot); ok {
		return setsAskQuery(not.MatcherSets)
	}
	if not, ok := matcher.(caddyhttp.MatchNot); ok {
		return setsAskQuery(not.MatcherSets)
	}
	switch moduleID(matcher) {
	case "http.matchers.path", "http.matchers.path_regexp", "http.matchers.host", "http.matchers.method",
		"http.matchers.header",
		"http.matchers.remote_ip", "http.matchers.client_ip", "http.matchers.protocol", "http.matchers.tls":
		return strings.Contains(fmt.Sprint(matcher), "{http.")
	}
	return true
}

// asksFields reports whether matchers on the way may look at headers or the query.
func asksFields(steps []step) bool {
	return slices.ContainsFunc(steps, func(s step) bool {
		return setsAskFields(s.match) || slices.ContainsFunc(s.unless, setsAskFields)
	})
}

func setsAskFields(sets caddyhttp.MatcherSets) bool {
	return slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool {
		return slices.ContainsFunc(set, matcherAsksFields)
	})
}

func matcherAsksFields(matcher any) bool {
	switch not := matcher.(type) {
	case *caddyhttp.MatchNot:
		return setsAskFields(not.MatcherSets)
	case caddyhttp.MatchNot:
		return setsAskFields(not.MatcherSets)
	}
	return moduleID(matcher) == "http.matchers.header" || matcherAsksQuery(matcher)
}

// usesQuery reports whether a rewrite may make a path or method of the query.
func usesQuery(h *rewrite.Rewrite) bool {
	return len(h.URISubstring) > 0 || slices.ContainsFunc(placeholdersOf(h), func(p string) bool {
		return !strings.HasPrefix(p, "{http.request.uri.path") && p != "{http.request.method}"
	})
}
