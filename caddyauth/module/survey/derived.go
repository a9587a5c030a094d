package survey

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// derived are parts of requests that handlers of the site may have made of the path, so that
// matchers that look at them look at the path.
type derived struct{ headers, query, method bool }

// passed notes what a handler that is no rewrite may have set. One that is not known may have set
// anything.
func (d *derived) passed(handler caddyhttp.MiddlewareHandler, at position) {
	h, ok := handler.(*headers.Handler)
	if value, plain := handler.(headers.Handler); plain {
		h, ok = &value, true
	}
	ours := moduleID(handler) == errorFilterID
	switch {
	case ours:
	case ok:
		d.headers = d.headers || h.Request != nil && (at.byPath || setsFromPlaceholder(h.Request))
	case kindOf(handler) == unknown:
		d.headers, d.query, d.method = true, true, true
	}
}

func setsFromPlaceholder(o *headers.HeaderOps) bool {
	for _, set := range []map[string][]string{o.Add, o.Set} {
		if strings.Contains(fmt.Sprint(set), "{") {
			return true
		}
	}
	return strings.Contains(strings.Join(slices.Sorted(maps.Keys(o.Replace)), ""), "{") || replacesFromPlaceholder(o)
}

func replacesFromPlaceholder(o *headers.HeaderOps) bool {
	for _, all := range o.Replace {
		if slices.ContainsFunc(all,
			func(r headers.Replacement) bool { return strings.Contains(r.Replace+r.Search, "{") }) {
			return true
		}
	}
	return false
}

func (d *derived) rewritten(h *rewrite.Rewrite, at position) {
	d.query = d.query || strings.Contains(h.URI, "{") || at.byPath && (h.Query != nil || strings.Contains(h.URI, "?"))
	d.query = d.query || h.Query != nil && strings.Contains(fmt.Sprintf("%+v", *h.Query), "{http.request.")
	d.method = d.method || h.Method != "" && (at.byPath || strings.Contains(h.Method, "{"))
}

// decide reports whether a request's path, or something that is not known, may decide whether
// matchers take it.
func (d derived) decide(sets caddyhttp.MatcherSets) bool {
	return slices.ContainsFunc(sets, func(set caddyhttp.MatcherSet) bool { return slices.ContainsFunc(set, d.decides) })
}

func (d derived) decides(matcher any) bool {
	if not, ok := matcher.(*caddyhttp.MatchNot); ok {
		return d.decide(not.MatcherSets)
	}
	if not, ok := matcher.(caddyhttp.MatchNot); ok {
		return d.decide(not.MatcherSets)
	}
	if expression, ok := matcher.(*caddyhttp.MatchExpression); ok {
		return !ofStatus.MatchString(expression.Expr)
	}
	placeholder := func() bool { return strings.Contains(fmt.Sprint(matcher), "{") } // it may hold the path
	switch moduleID(matcher) {
	case "http.matchers.protocol", "http.matchers.tls", "http.matchers.remote_ip", "http.matchers.client_ip":
		return false
	case "http.matchers.method":
		return d.method
	case "http.matchers.header_regexp":
		return d.headers
	case "http.matchers.host", "http.matchers.header":
		return d.headers || placeholder()
	case "http.matchers.query":
		return d.query || placeholder()
	}
	return true
}
