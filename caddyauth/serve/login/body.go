package login

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"unicode/utf8"
)

// maxBody is the largest body that is read, in bytes.
const maxBody = 16 << 10

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// fields are the single-valued members of a form or a JSON object.
type fields map[string]string

// text returns a member and whether it was there.
func (f fields) text(name string) (string, bool) {
	v, ok := f[name]
	return v, ok
}

// mediaType returns the type of the request's body without its parameters; "" when there is none.
func mediaType(r *http.Request) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// readFields reads a body of one of the types. The query of the address is never looked at: credentials
// there would end up in logs.
func readFields(w http.ResponseWriter, r *http.Request, types ...string) (fields, result) {
	mt := mediaType(r)
	parse := map[string]func([]byte) (fields, error){formType: parseForm, jsonType: parseObject}[mt]
	allowed := false
	for _, t := range types {
		allowed = allowed || t == mt
	}
	if !allowed || parse == nil {
		return nil, unsupportedMediaType
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, tooLargeBody
	}
	if err != nil {
		return nil, invalidRequest
	}
	f, err := parse(body)
	if err != nil {
		return nil, invalidRequest
	}
	return f, ""
}

var errRepeated = errors.New("a field is there twice")

func parseForm(body []byte) (fields, error) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	f := make(fields, len(values))
	for name, v := range values {
		if len(v) != 1 {
			return nil, errRepeated
		}
		f[name] = v[0]
	}
	return f, nil
}

// parseObject reads one JSON object. Members that are no strings are left out unless they have a name
// that is used, unknown ones are ignored, repeated ones are refused. Names are compared exactly, which
// a struct of encoding/json would not do.
func parseObject(body []byte) (fields, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	f, seen := fields{}, map[string]bool{}
	for dec.More() {
		if err := parseMember(dec, f, seen); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the object")
	}
	return f, nil
}

func parseMember(dec *json.Decoder, f fields, seen map[string]bool) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	name, _ := token.(string)
	if seen[name] {
		return errRepeated
	}
	seen[name] = true
	var value json.RawMessage
	if err := dec.Decode(&value); err != nil {
		return err
	}
	if name != "username" && name != "password" && name != "audience" {
		return nil
	}
	var text string
	if value[0] != '"' {
		return errors.New("a member is not a string")
	}
	if err := json.Unmarshal(value, &text); err != nil {
		return err
	}
	f[name] = text
	return nil
}
