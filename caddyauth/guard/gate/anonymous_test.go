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

// TestAnonymousGateBehindAnotherSetsNoHeaders: a gate that sees no credential leaves the identity
// of an earlier gate alone, however many headers it would set.
func TestAnonymousGateBehindAnotherSetsNoHeaders(t *testing.T) {
	w := newTokenFixture(t)
	first := w.gate(t, nil)
	second := w.gate(t, func(g *Gate) {
		g.Mode = Optional
		g.Sources = []Source{{Kind: Header, Name: "X-Other"}}
		g.Forward = []Mapping{{Claim: "role", Header: "X-Other-Role"}}
	})
	r := request(bearer(w.mint(t, nil)))
	prior, err := first.Admit(r, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	admission, err := second.Admit(r, prior, now)
	if err != nil || admission.Token != prior.Token || r.Header.Get("X-Other-Role") != "" {
		t.Errorf("%v, %v, header %q", admission, err, r.Header.Get("X-Other-Role"))
	}
}
