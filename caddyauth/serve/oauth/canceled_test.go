package oauth

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// TestAClientThatWentAwayIsNoError: what fails because of it has a word of its own and no error;
// what failed otherwise keeps its own.
func TestAClientThatWentAwayIsNoError(t *testing.T) {
	for _, gone := range []bool{true, false} {
		h := newFixture(t)
		raw := h.begin(t, "spa").RefreshToken
		h.store.fail = errors.New("the disk is full")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if gone {
			cancel()
		}
		leaves := func(r *http.Request) { *r = *r.WithContext(ctx) }
		for _, c := range []struct {
			path   string
			fields []string
		}{
			{"/token", []string{"grant_type", "refresh_token", "refresh_token", raw, "client_id", "spa"}},
			{"/revoke", []string{"token", raw, "client_id", "spa"}},
		} {
			t.Run(c.path, func(t *testing.T) {
				w := h.post(c.path, leaves, c.fields...)
				want, status := temporarilyUnavailable, http.StatusServiceUnavailable
				if gone {
					want, status = canceled, endpoint.StatusClientGone
				}
				if e := h.last(t); e.Result != want || (e.Err == nil) != gone || w.Code != status {
					t.Errorf("%s, gone %v: %s, %v, status %d", c.path, gone, e.Result, e.Err, w.Code)
				}
			})
		}
	}
}
