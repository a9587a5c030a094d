package auth

import (
	"net/http"
	"slices"

	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// listedOrigin finds the listed origin that a request's host names; empty when none does.
func listedOrigin(listed []string) func(*http.Request) string {
	return func(r *http.Request) string {
		schemes := []string{"http", "https"}
		if r.TLS != nil {
			slices.Reverse(schemes)
		}
		for _, scheme := range schemes {
			if origin, err := weburl.CanonicalOrigin(scheme + "://" + r.Host); err == nil &&
				slices.Contains(listed, origin) {
				return origin
			}
		}
		return ""
	}
}
