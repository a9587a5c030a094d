package verdict

import (
	"maps"
	"net/http"
	"slices"
)

// Dialect is how a kind of proxy asks, and what it makes of answers.
type Dialect struct {
	read func(r *http.Request) (Asked, error)
	// status is what a refusal is told as; nil where the proxy hands all of it to its client.
	status func(status int) int
	// keepsRefusals says that the proxy hands no field of a refusal to its client by itself.
	keepsRefusals bool
	// removed is the field that names those which the proxy takes from the request; empty where it
	// knows none.
	removed string
}

var dialects = map[string]Dialect{
	"caddy":   {read: readForwarded},
	"envoy":   {read: readEnvoy, removed: "X-Envoy-Auth-Headers-To-Remove"},
	"haproxy": {read: readForwarded},
	"nginx":   {read: readOriginal, status: statusOfNginx, keepsRefusals: true},
	"traefik": {read: readForwarded},
}

// Dialects are the names of the proxies, sorted.
func Dialects() []string { return slices.Sorted(maps.Keys(dialects)) }

// DialectOf returns the dialect of the proxy of this name.
func DialectOf(name string) (Dialect, bool) {
	d, ok := dialects[name]
	return d, ok
}

// statusOfNginx is the status for `auth_request`, which knows 401 and 403 and takes every other
// refusal for a failure of its own (500). A redirect becomes 401: `error_page` sends the client to
// its Location.
func statusOfNginx(status int) int {
	switch {
	case status < http.StatusBadRequest, status == http.StatusUnauthorized:
		return http.StatusUnauthorized
	case status < http.StatusInternalServerError:
		return http.StatusForbidden
	}
	return status
}
