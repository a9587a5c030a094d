package survey

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"

	"github.com/caddyauth/gateway/caddyauth/guard/browser"

	"github.com/caddyauth/gateway/caddyauth/module/finding"
)

// lateHeader returns the field that a handler before a gate changes after the gate has settled the
// answer: one by which caches would keep a renewed session or a refusal, or by which the gateway's
// cookies get lost. It is empty for all other handlers.
func lateHeader(handler caddyhttp.MiddlewareHandler) string {
	h, ok := handler.(*headers.Handler)
	if !ok || h.Response == nil || h.Response.HeaderOps == nil || !h.Response.Deferred && h.Response.Require == nil {
		return ""
	}
	late := slices.Clone(h.Response.Delete)
	for name, values := range h.Response.Set {
		if !slices.ContainsFunc(values, keepsAway) {
			late = append(late, name)
		}
	}
	for name := range h.Response.Add {
		late = append(late, name)
	}
	for name := range h.Response.Replace {
		late = append(late, name)
	}
	slices.Sort(late)
	for _, name := range late {
		name = http.CanonicalHeaderKey(name)
		if concernsCookies(name) && !onlyWhereAbsent(h, name) {
			return name
		}
	}
	return ""
}

// keepsAway reports whether a field's value keeps shared caches away.
func keepsAway(value string) bool {
	value = strings.ToLower(value)
	return strings.Contains(value, "no-store") || strings.Contains(value, "private")
}

// concernsCookies reports whether a field, or some field that a name with `*` stands for, is one
// that goes with the gateway's cookies.
func concernsCookies(name string) bool {
	if !strings.Contains(name, "*") {
		switch name {
		case "Set-Cookie":
			return true
		case "Expires", "Pragma", "Age": // Cache-Control counts more, RFC 9111, section 5.3
			return false
		}
		return browser.SpeaksToCaches(name)
	}
	part := strings.ToLower(strings.Trim(name, "*"))
	return slices.ContainsFunc([]string{"set-cookie", "cache-control"}, func(ours string) bool {
		switch {
		case strings.HasPrefix(name, "*") && strings.HasSuffix(name, "*"):
			return strings.Contains(ours, part)
		case strings.HasPrefix(name, "*"):
			return strings.HasSuffix(ours, part)
		}
		return strings.HasPrefix(ours, part)
	})
}

// onlyWhereAbsent reports whether a handler leaves alone an answer that has Cache-Control, as all
// have that the gate has settled.
func onlyWhereAbsent(h *headers.Handler, name string) bool {
	if h.Response.Require == nil || name != "Cache-Control" {
		return false
	}
	values, named := h.Response.Require.Headers[name]
	return named && values == nil
}

// noteLate notes a handler before a gate, or before the server's own routes, that changes the
// header of their answers last.
func (s *surveyor) noteLate(what string, at position) {
	if at.late == "" {
		return
	}
	s.site.findings = append(s.site.findings, finding.Finding{
		Severity: finding.Warning,
		Where:    at.where + ", " + what,
		Text: "`header` before it changes " + at.late + " when the answer goes out, after the gateway has " +
			"settled the answer: a cache may keep a session or a refusal, or a session gets lost",
		Hint: "let `header` come later, with `order header after jwt_auth` or in a `route` block; or write the field " +
			"at once: not with `>`, `?` or `defer`, and not in a block that deletes a field or has a default",
	})
}
