package clientauth

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// MaxBody is the largest body that is read, in bytes.
const MaxBody = 16 << 10

// Form holds the parameters of a request that may occur once each. One without a value counts as
// absent (RFC 6749, section 3.2).
type Form map[string]string

// Lists are the parameters that may be repeated, without empty values.
type Lists map[string][]string

// repeatable may be repeated (RFC 8707, section 2; RFC 8693, section 2.1).
var repeatable = []string{"resource", "audience"}

// ReadForm reads the parameters from the body. A query is refused, whatever it says, because
// credentials in it would end up in logs (RFC 6749, section 2.3.1). The error is a *Problem.
func ReadForm(w http.ResponseWriter, r *http.Request) (Form, Lists, error) {
	if r.URL.RawQuery != "" {
		return nil, nil, Refuse(InvalidRequest, "Parameters belong into the body, not into the query.")
	}
	body, err := endpoint.ReadBody(w, r, MaxBody, endpoint.FormType)
	var values url.Values
	if err == nil {
		values, err = url.ParseQuery(string(body))
	}
	switch {
	case errors.Is(err, endpoint.ErrMediaType):
		return nil, nil, Refuse(InvalidRequest, "The body must be application/x-www-form-urlencoded.")
	case errors.Is(err, endpoint.ErrTooLarge):
		return nil, nil, Refuse(InvalidRequest, "The body is larger than 16 KiB.")
	case err != nil:
		return nil, nil, Refuse(InvalidRequest, "The body is not a form.")
	}
	return split(values)
}

// split tells what may be repeated from what may not.
func split(values url.Values) (Form, Lists, error) {
	lists := make(Lists)
	for _, name := range repeatable {
		for _, value := range values[name] {
			if value != "" {
				lists[name] = append(lists[name], value)
			}
		}
		delete(values, name)
	}
	form := make(Form, len(values))
	for name, v := range values {
		if len(v) != 1 {
			return nil, nil, Refuse(InvalidRequest, "The body has a duplicate parameter.")
		}
		if v[0] != "" {
			form[name] = v[0]
		}
	}
	return form, lists, nil
}
