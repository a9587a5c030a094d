package auth

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

// setters counts what the survey has met that later matchers and rewrites may look at. A gate cannot know what is set behind it.
type setters struct {
	values   int // handlers that set variables, values of `map` or request headers, or that are not known
	hosts    int // those that may set the host
	captures int // matchers and rewrites after which `{re.*}` is not what the matchers of a rewrite's own routes make of its path
}

func (c *setters) passed(handler caddyhttp.MiddlewareHandler) {
	h, ok := handler.(*headers.Handler)
	if value, plain := handler.(headers.Handler); plain {
		h, ok = &value, true
	}
	proxy, _ := handler.(*reverseproxy.Handler)
	_, ours := handler.(*ErrorFilter)
	id := moduleID(handler)
	switch {
	case ours:
	case ok && h.Request != nil:
		c.values++
		if strings.Contains(strings.ToLower(fmt.Sprint(*h.Request)), "host") {
			c.hosts++
		}
	case id == "http.handlers.vars", id == "http.handlers.map":
		c.values++
	case proxy != nil && len(proxy.HandleResponse) > 0, kindOf(handler) == unknown: // as `forward_auth` copies headers
		c.values++
		c.hosts++
	}
}

// matched counts matchers beside those of a rewrite's own routes.
func (c *setters) matched(sets caddyhttp.MatcherSets) {
	for _, set := range sets {
		for _, matcher := range set {
			if id := moduleID(matcher); id != "http.matchers.path" && id != "http.matchers.host" && id != "http.matchers.method" {
				c.captures++
			}
		}
	}
}

// between is what may have been set between two counts.
type between struct{ values, hosts, captures bool }

func (c setters) since(before setters) between {
	return between{c.values > before.values, c.hosts > before.hosts, c.captures > before.captures}
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

// knows reports whether what a placeholder stands for can be worked out before the handlers between have run.
func (b between) knows(placeholder string) bool {
	name := strings.Trim(placeholder, "{}")
	switch {
	case strings.HasPrefix(name, "http.auth."), strings.HasPrefix(name, "http.request.orig_"):
		return false // what gates set, and what a form does not tell
	case strings.HasPrefix(name, "http.request.uri"), name == "http.request.method", name == "http.request.scheme",
		strings.HasPrefix(name, "http.request.remote"), strings.HasPrefix(name, "http.request.proto"):
		return true
	case strings.HasPrefix(name, "http.request.host"), name == "http.request.port":
		return !b.hosts
	case strings.HasPrefix(name, "http.regexp."):
		return !b.values && !b.captures
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
	if !b.values && !b.captures {
		return true
	}
	if not, ok := matcher.(*caddyhttp.MatchNot); ok {
		return b.knowsSets(not.MatcherSets)
	}
	if not, ok := matcher.(caddyhttp.MatchNot); ok {
		return b.knowsSets(not.MatcherSets)
	}
	if !b.values {
		text := fmt.Sprint(matcher)
		return !strings.Contains(text, "{re.") && !strings.Contains(text, "http.regexp.")
	}
	switch moduleID(matcher) {
	case "http.matchers.method", "http.matchers.protocol", "http.matchers.tls", "http.matchers.remote_ip", "http.matchers.client_ip",
		"http.matchers.path_regexp":
		return true
	case "http.matchers.path", "http.matchers.query":
		return !strings.Contains(fmt.Sprint(matcher), "{")
	case "http.matchers.host":
		return !b.hosts && !strings.Contains(fmt.Sprint(matcher), "{")
	}
	return false
}

// known returns steps that ask only what can be worked out.
func (b between) known(steps []step) (known []step) {
	for _, s := range steps {
		if s.strip != nil {
			continue
		}
		var k step
		for _, set := range s.match {
			k.match = append(k.match, slices.DeleteFunc(slices.Clone(set), func(m any) bool { return !b.knowsMatcher(m) }))
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
	return slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool { return slices.ContainsFunc(set, matcherAsksQuery) })
}

func matcherAsksQuery(matcher any) bool {
	if not, ok := matcher.(*caddyhttp.MatchNot); ok {
		return setsAskQuery(not.MatcherSets)
	}
	if not, ok := matcher.(caddyhttp.MatchNot); ok {
		return setsAskQuery(not.MatcherSets)
	}
	switch moduleID(matcher) {
	case "http.matchers.path", "http.matchers.path_regexp", "http.matchers.host", "http.matchers.method", "http.matchers.header",
		"http.matchers.remote_ip", "http.matchers.client_ip", "http.matchers.protocol", "http.matchers.tls":
		return strings.Contains(fmt.Sprint(matcher), "{http.")
	}
	return true
}

// usesQuery reports whether a rewrite may make a path or method of the query.
func usesQuery(h *rewrite.Rewrite) bool {
	return len(h.URISubstring) > 0 || slices.ContainsFunc(placeholdersOf(h), func(p string) bool {
		return !strings.HasPrefix(p, "{http.request.uri.path") && p != "{http.request.method}"
	})
}
