package endpoint

import (
	"net/http"
	"strings"
)

// RedirectQuietly sends a browser on, with 303 whatever brought it (RFC 9700, section 4.12), to an
// address whose query is nobody else's business. What was sent is sent: the header that an access log
// writes afterwards does not hold the query.
func RedirectQuietly(w http.ResponseWriter, to string) {
	h := w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Length", "0")
	h.Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	if http.NewResponseController(w).Flush() != nil {
		return
	}
	if bare, _, query := strings.Cut(to, "?"); query {
		h.Set("Location", bare)
	}
}
