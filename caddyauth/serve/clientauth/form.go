package clientauth

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

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
	switch {
	case errors.Is(err, endpoint.ErrMediaType):
		return nil, nil, Refuse(InvalidRequest, "The body must be application/x-www-form-urlencoded.")
	case errors.Is(err, endpoint.ErrTooLarge):
		return nil, nil, Refuse(InvalidRequest, "The body is larger than 16 KiB.")
	case err != nil:
		return nil, nil, noForm()
	}
	return parse(string(body))
}

func noForm() error { return Refuse(InvalidRequest, "The body is not a form.") }

// parse reads a form as url.ParseQuery does, and tells what may be repeated from what may not. It does
// without a list for each parameter, and the map that holds them.
func parse(body string) (Form, Lists, error) {
	form, duplicate := make(Form, 8), false
	var lists Lists
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		name, value, ok := parameter(pair)
		switch {
		case !ok:
			return nil, nil, noForm()
		case slices.Contains(repeatable, name):
			lists = lists.with(name, value)
		default:
			_, before := form[name]
			form[name], duplicate = value, duplicate || before
		}
	}
	if duplicate {
		return nil, nil, Refuse(InvalidRequest, "The body has a duplicate parameter.")
	}
	maps.DeleteFunc(form, func(_, value string) bool { return value == "" })
	return form, lists, nil
}

// parameter reads a parameter. A semicolon was a separator once, so that readers disagree.
func parameter(pair string) (name, value string, ok bool) {
	name, value, _ = strings.Cut(pair, "=")
	name, errName := url.QueryUnescape(name)
	value, errValue := url.QueryUnescape(value)
	return name, value, errName == nil && errValue == nil && !strings.Contains(pair, ";")
}

// with adds a value.
func (l Lists) with(name, value string) Lists {
	if value == "" {
		return l
	}
	if l == nil {
		l = make(Lists)
	}
	l[name] = append(l[name], value)
	return l
}
