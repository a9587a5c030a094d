package login

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// maxBody is the largest body that is read, in bytes.
const maxBody = 16 << 10

// fields are the single-valued members of a form or a JSON object.
type fields map[string]string

// text returns a member and whether it was there.
func (f fields) text(name string) (string, bool) {
	v, ok := f[name]
	return v, ok
}

// readFields reads a body of one of the types. The query of the address is never looked at:
// credentials there would end up in logs.
func readFields(w http.ResponseWriter, r *http.Request, types ...string) (fields, result) {
	body, err := endpoint.ReadBody(w, r, maxBody, types...)
	switch {
	case errors.Is(err, endpoint.ErrMediaType):
		return nil, unsupportedMediaType
	case errors.Is(err, endpoint.ErrTooLarge):
		return nil, tooLargeBody
	case err != nil:
		return nil, invalidRequest
	}
	parse := parseObject
	if endpoint.MediaType(r) == endpoint.FormType {
		parse = parseForm
	}
	f, err := parse(body)
	if err != nil {
		return nil, invalidRequest
	}
	return f, ""
}

func parseForm(body []byte) (fields, error) { return endpoint.ParseForm(body) }

// parseObject reads one JSON object, in which the members that are used must be strings. Unknown
// members are ignored.
func parseObject(body []byte) (fields, error) {
	members, err := endpoint.ParseObject(body)
	if err != nil {
		return nil, err
	}
	f := fields{}
	for _, name := range []string{"username", "password", "audience"} {
		value, ok := members[name]
		if !ok {
			continue
		}
		var text string
		if value[0] != '"' || json.Unmarshal(value, &text) != nil {
			return nil, errors.New(name + " is not a string")
		}
		f[name] = text
	}
	return f, nil
}
