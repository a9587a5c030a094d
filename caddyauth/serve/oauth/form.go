package oauth

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
)

// maxBody is the largest body that is read, in bytes.
const maxBody = 16 << 10

// form holds the parameters of a request. One without a value is like one that is not there (RFC 6749, section 3.2).
type form map[string]string

// readForm reads the parameters out of the body. There is nothing to be said in the query, where credentials would end up in logs
// (RFC 6749, section 2.3.1), so that any query is refused.
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	if r.URL.RawQuery != "" {
		return nil, refuse(invalidRequest, "Parameters belong into the body, not into the query.")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, refuse(invalidRequest, "The body must be application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, refuse(invalidRequest, "The body is larger than 16 KiB.")
	}
	if err != nil {
		return nil, refuse(invalidRequest, "The body could not be read.")
	}
	return parseForm(string(body))
}

// parseForm refuses parameters that stand twice (RFC 6749, section 3.2).
func parseForm(body string) (form, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, refuse(invalidRequest, "The body is not a form.")
	}
	f := make(form, len(values))
	for name, v := range values {
		if len(v) > 1 {
			return nil, refuse(invalidRequest, "A parameter is there twice.")
		}
		if v[0] != "" {
			f[name] = v[0]
		}
	}
	return f, nil
}
