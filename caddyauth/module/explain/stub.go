package explain

import (
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/module/survey"
)

// keptHandlers run unchanged: they use only the request and the response.
var keptHandlers = []string{
	"jwt_auth", "auth_server", "subroute", "static_response", "error", "headers", "rewrite", "vars", "map", "encode",
	"authentication",
	"request_body", "log_append", "timeouts", "invoke", "intercept", "copy_response", "copy_response_headers",
}

// answeringHandlers answer a request from outside the process: from an application, a disk or a
// certificate authority. They are replaced by stubs.
var answeringHandlers = []string{"reverse_proxy", "file_server", "acme_server", "metrics", "php"}

// droppedHandlers pass requests on and do not change a decision.
var droppedHandlers = []string{"templates", "push", "tracing"}

// stubHandlers changes the http app of a configuration so that no request leaves the process: each
// handler that answers from outside is replaced by an empty 200. It returns the unknown handlers,
// which are removed.
func (d Document) stubHandlers() (unknown []string) {
	http, _ := d.apps()["http"].(map[string]any)
	delete(http, "metrics")
	servers, _ := http["servers"].(map[string]any)
	for _, value := range servers {
		server, _ := value.(map[string]any)
		for _, name := range []string{"logs", "metrics", "listener_wrappers", "packet_conn_wrappers"} {
			delete(server, name)
		}
		stubTLS(server)
		if source, _ := server["trusted_proxies"].(map[string]any); source["source"] != "static" {
			delete(server, "trusted_proxies")
		}
		unknown = stubRoutes(server, unknown)
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

// stubTLS leaves of TLS that a server has it: where people can sign in depends on it. Nothing is loaded,
// and no certificate is obtained.
func stubTLS(server map[string]any) {
	if policies, _ := server["tls_connection_policies"].([]any); len(policies) > 0 {
		server["tls_connection_policies"] = []any{map[string]any{}}
	}
	automatic, _ := server["automatic_https"].(map[string]any)
	server["automatic_https"] = map[string]any{
		"disable":              automatic["disable"] == true,
		"disable_certificates": true,
		"disable_redirects":    true,
	}
}

// stubRoutes stubs the handlers of all routes in a JSON value, however deep.
func stubRoutes(value any, unknown []string) []string {
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			unknown = stubRoutes(e, unknown)
		}
	case map[string]any:
		if handlers, ok := v["handle"].([]any); ok {
			v["handle"], unknown = stubRouteHandlers(handlers, unknown)
		}
		for _, e := range v {
			unknown = stubRoutes(e, unknown)
		}
	}
	return unknown
}

func stubRouteHandlers(handlers []any, unknown []string) ([]any, []string) {
	kept := make([]any, 0, len(handlers))
	for _, value := range handlers {
		handler, _ := value.(map[string]any)
		name, _ := handler["handler"].(string)
		switch {
		case slices.Contains(keptHandlers, name):
			kept = append(kept, handler)
		case name == "auth_verdict":
			kept = append(kept, stubVerdict())
		case name == "reverse_proxy" && isForwardAuth(handler):
			unknown = append(unknown, "forward_auth")
		case slices.Contains(answeringHandlers, name):
			kept = append(kept, stubAnswer(name, handler))
		case !slices.Contains(droppedHandlers, name):
			unknown = append(unknown, name)
		}
	}
	return kept, unknown
}

// isForwardAuth recognises what `forward_auth` is made of: a subrequest whose answer decides
// whether the request goes on.
func isForwardAuth(handler map[string]any) bool {
	rewrite, _ := handler["rewrite"].(map[string]any)
	return handler["handle_response"] != nil && rewrite["method"] == "GET"
}

func stubAnswer(name string, handler map[string]any) map[string]any {
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
