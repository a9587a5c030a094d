package auth

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// status answers what may be asked of a server that is not in charge yet, or whose store is away:
// its public keys, and whether it is well.
type status struct {
	ring   func(context.Context) (*keyring.Ring, error)
	ready  func(context.Context) error
	store  *pooledStore
	maxAge time.Duration // for which the keys may be kept
}

// keySet answers with the public keys (RFC 7517, section 5), readable by scripts of any origin.
func (s status) keySet(w http.ResponseWriter, r *http.Request) {
	ring, err := s.ring(r.Context())
	if err != nil {
		endpoint.Unavailable(w, "keys_unavailable")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(s.maxAge.Seconds())))
	_, _ = w.Write(ring.JWKS())
}

// health answers 200 when tokens can be issued, 503 when not.
func (s status) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if _, err := s.ring(ctx); err != nil {
		endpoint.Unavailable(w, "keys_unavailable")
		return
	}
	if err := s.ready(ctx); err != nil {
		endpoint.Unavailable(w, "store_unavailable") // the configuration is not in charge yet
		return
	}
	err := s.store.Ping(ctx)
	health := map[string]any{"status": "ok"}
	if age := s.store.watch.Stale(time.Now()); age != math.MaxInt64 {
		health["revocation_list_age"] = age.Round(time.Millisecond).Seconds()
	}
	if err == nil {
		endpoint.WriteJSON(w, http.StatusOK, health)
		return
	}
	health["status"] = "unavailable"
	health["error"], health["error_description"] = "temporarily_unavailable", "store_unavailable"
	endpoint.SetRetryAfter(w.Header(), endpoint.RetryLater)
	endpoint.WriteJSON(w, http.StatusServiceUnavailable, health)
}
