package survey

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// responsesOf are what a handler does with the answers of an application or of what comes behind
// it.
func responsesOf(handler caddyhttp.MiddlewareHandler) []caddyhttp.ResponseHandler {
	switch h := handler.(type) {
	case *reverseproxy.Handler:
		return h.HandleResponse
	case *intercept.Intercept:
		return h.HandleResponse
	}
	return nil
}

// walkResponses follows requests into the routes that answers choose: these may lead to another
// application, under another path.
func (s *surveyor) walkResponses(handler caddyhttp.MiddlewareHandler, at position) {
	for _, answer := range responsesOf(handler) {
		if len(answer.Routes) == 0 {
			continue
		}
		s.site.set.values++ // the answer is known only now
		s.site.set.changes++
		behind, ends := len(s.site.behind), len(s.site.ends)
		s.responses++
		s.walkInner(answer.Routes, at)
		s.responses--
		if showsFiles(s.site.ends[ends:], at) {
			fixed := func(b rewriteBehind) bool { return changesByAnswer(b.rewrite) }
			s.site.behind = slices.Concat(s.site.behind[:behind], slices.DeleteFunc(s.site.behind[behind:], fixed))
		}
	}
}

// showsFiles reports whether all requests end at files, as pages of errors are.
func showsFiles(ends []end, at position) bool {
	isFile := func(address string) bool { return strings.HasPrefix(address, "files/") }
	all, sure := true, false
	for _, e := range ends {
		all = all && !slices.ContainsFunc(e.addresses, func(address string) bool { return !isFile(address) })
		sure = sure || len(tail(e.steps, at.steps)) == 0
	}
	return all && sure
}

// namedByAnswer reports whether an application says in a header of its answer where a rewrite
// leads, as in `X-Accel-Redirect`.
func namedByAnswer(h *rewrite.Rewrite) bool {
	return changesByAnswer(h) && (strings.HasPrefix(h.URI, "{http.reverse_proxy.header.") ||
		strings.HasPrefix(h.URI, "{http.intercept.header."))
}

// changesByAnswer reports whether the configuration and the answer say where a rewrite leads, as
// for pages of errors, and not the client.
func changesByAnswer(h *rewrite.Rewrite) bool {
	if h.URI == "" || h.StripPathPrefix+h.StripPathSuffix != "" || len(h.URISubstring) > 0 || len(h.PathRegexp) > 0 {
		return false
	}
	return !slices.ContainsFunc(placeholdersOf(h), func(placeholder string) bool {
		return !strings.HasPrefix(placeholder, "{http.reverse_proxy.") &&
			!strings.HasPrefix(placeholder, "{http.intercept.")
	})
}

// noteErrors notes where requests leave routes for errors.
func (s *surveyor) noteErrors(errors *caddyhttp.HTTPErrorConfig) {
	if errors == nil {
		return
	}
	w := surveyor{named: s.named, site: new(site)}
	w.walk(errors.Routes, position{})
	s.site.errorEnds = append(s.site.errorEnds, w.site.endsOfErrors()...)
}

func (s *site) endsOfErrors() []end {
	ends := slices.Concat(s.ends, s.errorEnds)
	for i := range ends {
		ends[i].errors = true
	}
	return ends
}
