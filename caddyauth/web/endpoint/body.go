package endpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"
)

// Media types of bodies.
const (
	FormType  = "application/x-www-form-urlencoded"
	JSONType  = "application/json"
	PatchType = "application/merge-patch+json" // RFC 7396
)

// Errors of bodies. Any other error says what is wrong with the text of the body,
// without repeating any of it.
var (
	ErrMediaType = errors.New("the media type is not supported")
	ErrTooLarge  = errors.New("the body is too large")
	ErrDuplicate = errors.New("duplicate name")
)

// MediaType returns the type of the request's body without its parameters; "" if it is missing or
// malformed.
func MediaType(r *http.Request) string {
	line := r.Header.Get("Content-Type")
	if line == FormType || line == JSONType { // as programs send it
		return line
	}
	t, _, err := mime.ParseMediaType(line)
	if err != nil {
		return ""
	}
	return t
}

// ReadBody reads a body of one of the media types, of at most limit bytes.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64, types ...string) ([]byte, error) {
	if !slices.Contains(types, MediaType(r)) {
		return nil, ErrMediaType
	}
	var body bytes.Buffer
	body.Grow(int(min(max(r.ContentLength, 0), limit)) + bytes.MinRead) // room to find the end
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, ErrTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("it could not be read: %w", err)
	}
	return body.Bytes(), nil
}

// ReadForm reads a form whose parameters occur once each. The query of the address is not looked
// at: credentials there would end up in logs (RFC 6749, section 2.3.1).
func ReadForm(w http.ResponseWriter, r *http.Request, limit int64) (map[string]string, error) {
	body, err := ReadBody(w, r, limit, FormType)
	if err != nil {
		return nil, err
	}
	return ParseForm(body)
}

// ParseForm is ReadForm for a body that was read.
func ParseForm(body []byte) (map[string]string, error) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("it is not a form")
	}
	form := make(map[string]string, len(values))
	for name, v := range values {
		if len(v) != 1 {
			return nil, ErrDuplicate
		}
		form[name] = v[0]
	}
	return form, nil
}

// maxDepth is how deep a JSON body may be nested.
const maxDepth = 16

// ReadObject reads one JSON object, see [ParseObject]. JSONType is always among the media types.
func ReadObject(
	w http.ResponseWriter,
	r *http.Request,
	limit int64,
	types ...string,
) (map[string]json.RawMessage, error) {
	body, err := ReadBody(w, r, limit, append(types, JSONType)...)
	if err != nil {
		return nil, err
	}
	return ParseObject(body)
}

// ParseObject reads one JSON object of valid UTF-8. A duplicate member, at any depth, is refused,
// because readers disagree on which one counts. Names are compared exactly, which a struct of
// encoding/json would not do.
func ParseObject(text []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("it does not begin with a brace")
	}
	if err := checkNested(dec, '{', maxDepth); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is text after the object")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, errSyntax
	}
	return members, nil
}

var errSyntax = errors.New("it is incomplete or has a syntax error")

// checkNested reads to the end of an object or array that is open.
func checkNested(dec *json.Decoder, open json.Delim, depth int) error {
	if depth == 0 {
		return fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	names := map[string]bool{}
	for dec.More() {
		if open == '{' {
			token, err := dec.Token()
			name, isName := token.(string)
			if err != nil || !isName {
				return errSyntax
			}
			if names[name] {
				return ErrDuplicate
			}
			names[name] = true
		}
		if err := checkValue(dec, depth); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return errSyntax
	}
	return nil
}

func checkValue(dec *json.Decoder, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return errSyntax
	}
	if open, ok := token.(json.Delim); ok {
		return checkNested(dec, open, depth-1)
	}
	return nil
}
