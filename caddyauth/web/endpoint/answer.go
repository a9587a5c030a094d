package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"
)

// StatusClientGone is the status of an answer that no client receives, because it closed the
// connection. In an access log it tells that from a fault of the server; other servers use the same
// number.
const StatusClientGone = 499

// IsGone reports whether the client has closed the connection of the request with this context.
func IsGone(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// RetryLater is how long a client should wait when the fault is the server's.
const RetryLater = 5 * time.Second

// Error is the body of every error (RFC 6749, section 5.2).
type Error struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// WriteError answers with an error as JSON.
func WriteError(w http.ResponseWriter, status int, code, description string) {
	WriteJSON(w, status, Error{code, description})
}

// Unavailable answers 503 to a request that may succeed a little later. The reason is a word.
func Unavailable(w http.ResponseWriter, reason string) {
	SetRetryAfter(w.Header(), RetryLater)
	WriteError(w, http.StatusServiceUnavailable, "temporarily_unavailable", reason)
}

// WriteJSON answers with JSON. The answer is private, see [SetPrivate]. A nil body is no body, and a
// json.RawMessage is written as it is.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	SetPrivate(w.Header())
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)

	// Both fail only when the client has gone.
	if text, ok := body.(json.RawMessage); ok {
		_, _ = w.Write(text)
		return
	}
	_ = json.NewEncoder(w).Encode(body)
}

// SetPrivate keeps an answer out of caches (RFC 9111, section 5.2.2.5), and out of pages of other
// origins unless the operation allows those.
func SetPrivate(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cross-Origin-Resource-Policy") == "" {
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
	}
}

// SetRetryAfter sets Retry-After in whole seconds, rounded up. Zero sets no header.
func SetRetryAfter(h http.Header, wait time.Duration) {
	if wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
}
