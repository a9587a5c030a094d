package oauth

import (
	"errors"
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// maxBody is the largest body that is read, in bytes.
const maxBody = 16 << 10

// form holds the parameters of a request. One without a value counts as absent (RFC 6749, section
// 3.2).
type form map[string]string

// readForm reads the parameters from the body. A query is refused, whatever it says, because
// credentials in it would end up in logs (RFC 6749, section 2.3.1).
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	if r.URL.RawQuery != "" {
		return nil, refuse(invalidRequest, "Parameters belong into the body, not into the query.")
	}
	f, err := endpoint.ReadForm(w, r, maxBody)
	switch {
	case errors.Is(err, endpoint.ErrMediaType):
		return nil, refuse(invalidRequest, "The body must be application/x-www-form-urlencoded.")
	case errors.Is(err, endpoint.ErrTooLarge):
		return nil, refuse(invalidRequest, "The body is larger than 16 KiB.")
	case errors.Is(err, endpoint.ErrDuplicate):
		return nil, refuse(invalidRequest, "The body has a duplicate parameter.")
	case err != nil:
		return nil, refuse(invalidRequest, "The body is not a form.")
	}
	for name, value := range f {
		if value == "" {
			delete(f, name)
		}
	}
	return f, nil
}
