package explain

import (
	"strings"
	"testing"
)

// TestCommandHarmlessLeavesNothingThatReachesOut: handlers are found wherever routes can stand.
func TestCommandHarmlessLeavesNothingThatReachesOut(t *testing.T) {
	proxy := func() map[string]any {
		return map[string]any{"handler": "reverse_proxy", "upstreams": []any{map[string]any{"dial": "a:1"}}}
	}
	route := func(handlers ...any) map[string]any { return map[string]any{"handle": handlers} }
	doc := Document{"apps": map[string]any{"http": map[string]any{"servers": map[string]any{"s": map[string]any{
		"trusted_proxies": map[string]any{"source": "cloud"},
		"routes": []any{
			route(map[string]any{
				"handler": "subroute",
				"routes":  []any{route(proxy(), map[string]any{"handler": "odd"})},
			}),
		},
		"errors": map[string]any{"routes": []any{route(proxy())}},
		"named_routes": map[string]any{
			"n": route(map[string]any{"handler": "file_server"}, map[string]any{"handler": "templates"}),
		},
	}}}}}
	unknown := doc.stubHandlers()
	text := quoteJSON(map[string]any(doc))
	for _, never := range []string{`"reverse_proxy"`, `"file_server", `, "templates", "odd", "cloud"} {
		if strings.Contains(text, `"handler": `+never) || strings.Contains(text, `"source": "`+never) {
			t.Errorf("%s is left in %s", never, text)
		}
	}
	if strings.Count(text, `"handler": "static_response"`) != 3 || len(unknown) != 1 || unknown[0] != "odd" {
		t.Errorf("unknown %q in %s", unknown, text)
	}
}
