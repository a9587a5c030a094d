package auth

import (
	"net/http"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// listedOrigin returns the listed origin that the request's host names; empty when none does.
func (a *App) listedOrigin(r *http.Request) string {
	schemes := []string{"http", "https"}
	if r.TLS != nil {
		slices.Reverse(schemes)
	}
	for _, scheme := range schemes {
		if origin, err := weburl.CanonicalOrigin(scheme + "://" + r.Host); err == nil &&
			slices.Contains(a.server.ReturnTo, origin) {
			return origin
		}
	}
	return ""
}
