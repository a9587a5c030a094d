package explain

import (
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/module/survey"
)

// keptHandlers run as they are: they look at the request and the response and reach nothing else.
var keptHandlers = []string{
	"jwt_auth", "auth_server", "subroute", "static_response", "error", "headers", "rewrite", "vars", "map", "encode",
	"authentication",
	"request_body", "log_append", "timeouts", "invoke", "intercept", "copy_response", "copy_response_headers",
}

// answeringHandlers end a request, and what they need to do so is outside: an application, a disk,
// an authority.
var answeringHandlers = []string{"reverse_proxy", "file_server", "acme_server", "metrics", "php"}

// leftOut are Caddy's own handlers which pass requests on, and without which a request is decided
// in the same way.
var leftOut = []string{"templates", "push", "tracing"}

// harmless makes the http app of a configuration one that can be asked without a request leaving
// the process: whatever would answer from outside is replaced by an empty 200. It returns the
// handlers it does not know, which are left out.
func (d Document) harmless() (unknown []string) {
	http, _ := d.apps()["http"].(map[string]any)
	delete(http, "metrics")
	servers, _ := http["servers"].(map[string]any)
	for _, value := range servers {
		server, _ := value.(map[string]any)
		for _, name := range []string{
			"logs", "metrics", "tls_connection_policies", "listener_wrappers", "packet_conn_wrappers",
		} {
			delete(server, name)
		}
		server["automatic_https"] = map[string]any{"disable": true}
		if source, _ := server["trusted_proxies"].(map[string]any); source["source"] != "static" {
			delete(server, "trusted_proxies")
		}
		unknown = tame(server, unknown)
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

// tame walks through all handlers, wherever routes may stand.
func tame(value any, unknown []string) []string {
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			unknown = tame(e, unknown)
		}
	case map[string]any:
		if handlers, ok := v["handle"].([]any); ok {
			v["handle"], unknown = tameHandlers(handlers, unknown)
		}
		for _, e := range v {
			unknown = tame(e, unknown)
		}
	}
	return unknown
}

func tameHandlers(handlers []any, unknown []string) ([]any, []string) {
	kept := make([]any, 0, len(handlers))
	for _, value := range handlers {
		handler, _ := value.(map[string]any)
		name, _ := handler["handler"].(string)
		switch {
		case slices.Contains(keptHandlers, name):
			kept = append(kept, handler)
		case name == "reverse_proxy" && asksElsewhere(handler):
			unknown = append(unknown, "forward_auth")
		case slices.Contains(answeringHandlers, name):
			kept = append(kept, emptyAnswer(name, handler))
		case !slices.Contains(leftOut, name):
			unknown = append(unknown, name)
		}
	}
	return kept, unknown
}

// asksElsewhere recognises what `forward_auth` is made of: a subrequest whose answer decides
// whether the request goes on.
func asksElsewhere(handler map[string]any) bool {
	rewrite, _ := handler["rewrite"].(map[string]any)
	return handler["handle_response"] != nil && rewrite["method"] == "GET"
}

func emptyAnswer(name string, handler map[string]any) map[string]any {
	if name == "reverse_proxy" {
		name += dials(handler)
		if transport, _ := handler["transport"].(map[string]any); transport["protocol"] == "fastcgi" {
			name += survey.StandInFastCGI
		}
	}
	return map[string]any{
		"handler":     "static_response",
		"status_code": 200,
		"headers":     map[string]any{survey.StandInHeader: []any{name}},
	}
}

func dials(handler map[string]any) string {
	var all []string
	upstreams, _ := handler["upstreams"].([]any)
	for _, value := range upstreams {
		upstream, _ := value.(map[string]any)
		if dial, ok := upstream["dial"].(string); ok {
			all = append(all, dial)
		}
	}
	if len(all) == 0 {
		return " with dynamic upstreams"
	}
	return " to " + strings.Join(all, " ")
}
