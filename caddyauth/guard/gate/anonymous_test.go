package gate

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// TestAnonymousRequestsPassManyHeaders: a gate may let a request pass that carries no identity,
// however many headers it would set.
func TestAnonymousRequestsPassManyHeaders(t *testing.T) {
	w := newTokenFixture(t)
	expired := w.mint(t, func(c *token.Claims) { c.IssuedAt, c.Expiry = now.Add(-time.Hour), now.Add(-time.Minute) })
	for _, c := range []struct {
		name string
		mode Mode
		send func(*http.Request)
	}{
		{"nothing", Optional, nil},
		{"an expired cookie", Optional, cookie(expired)},
		{"a preflight", Required, func(r *http.Request) {
			r.Method = "OPTIONS"
			r.Header.Set("Origin", "https://other.example")
			r.Header.Set("Access-Control-Request-Method", "POST")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for headers := range 12 {
				g := w.gate(t, func(g *Gate) {
					g.Mode, g.Preflight, g.Forward = c.mode, true, nil
					for i := range headers {
						g.Forward = append(g.Forward,
							Mapping{Claim: "claim" + strconv.Itoa(i), Header: "X-Claim-" + strconv.Itoa(i)})
					}
				})
				admission, err := g.Admit(request(c.send), nil, now)
				if err != nil || admission.Token != nil {
					t.Errorf("%d headers: %v, %v", headers, admission, err)
				}
			}
		})
	}
}
