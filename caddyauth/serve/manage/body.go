package manage

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// maxBody is the largest body that is read, in bytes.
const maxBody = 64 << 10

// object is the JSON object of a body. Its methods move members into their targets, and leave the
// target alone if the member is absent; done returns the first error.
type object struct {
	members map[string]json.RawMessage
	taken   map[string]bool
	err     error
}

// body reads the one JSON object that the request must have.
func (c *call) body() (*object, error) {
	members, err := endpoint.ReadObject(c.w, c.r, maxBody, endpoint.PatchType)
	switch {
	case errors.Is(err, endpoint.ErrMediaType):
		return nil, refuse(http.StatusUnsupportedMediaType, "unsupported_media_type",
			"Content-Type must be application/json")
	case errors.Is(err, endpoint.ErrTooLarge):
		return nil, refuse(http.StatusRequestEntityTooLarge, "too_large", "the body is above the limit of %d bytes",
			maxBody)
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "invalid_request", "the body is not one JSON object: %v", err)
	}
	c.sent = &object{members: members, taken: map[string]bool{}}
	return c.sent, nil
}

// names are the members of the body, for the audit trail.
func (o *object) names() string {
	return strings.Join(slices.Sorted(maps.Keys(o.members)), " ")
}

// done returns the first error, or the refusal of an unknown member.
func (o *object) done() error {
	if o.err != nil {
		return o.err
	}
	for _, name := range slices.Sorted(maps.Keys(o.members)) {
		if !o.taken[name] {
			return invalid("%.70q: unknown field", name)
		}
	}
	return nil
}

func (o *object) fail(err error) {
	if o.err == nil && err != nil {
		if _, ok := errors.AsType[*refusal](err); !ok {
			err = invalid("%s", err.Error())
		}
		o.err = err
	}
}

// take removes a member and returns its text, and whether it was there.
func (o *object) take(name string) (text json.RawMessage, there bool) {
	o.taken[name] = true
	text, there = o.members[name]
	return text, there
}

// text takes a string.
func (o *object) text(name string, into *string) {
	raw, there := o.take(name)
	if !there {
		return
	}
	if raw[0] != '"' || json.Unmarshal(raw, into) != nil {
		o.fail(invalid("%s: it must be a string", name))
	}
}

// required takes a string that must be there and must not be empty.
func (o *object) required(name string, into *string) {
	o.text(name, into)
	if *into == "" {
		o.fail(invalid("%s: it is required", name))
	}
}

// flag takes true or false.
func (o *object) flag(name string, into *bool) {
	raw, there := o.take(name)
	if !there {
		return
	}
	switch string(raw) {
	case "true", "false":
		*into = string(raw) == "true"
	default:
		o.fail(invalid("%s: it must be true or false", name))
	}
}

// stringList takes a list of strings.
func (o *object) stringList(name string, into *[]string) {
	raw, there := o.take(name)
	if !there {
		return
	}
	var list []any
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		o.fail(invalid("%s: it must be a list of strings", name))
		return
	}
	words := make([]string, len(list))
	for i, element := range list {
		word, ok := element.(string)
		if !ok {
			o.fail(invalid("%s: it must be a list of strings", name))
			return
		}
		words[i] = word
	}
	*into = words
}

// allowed takes a list of strings that must be among some.
func (o *object) allowed(name string, into *[]string, among []string) {
	o.stringList(name, into)
	for _, w := range *into {
		if _, there := o.members[name]; there && !slices.Contains(among, w) {
			o.fail(invalid("%s: %.70q is not one of %q", name, w, among))
		}
	}
}

// claims takes an object of claims; null removes them.
func (o *object) claims(name string, into *map[string]any) {
	raw, there := o.take(name)
	if !there {
		return
	}
	if string(raw) == "null" {
		*into = nil
		return
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // big integers keep their digits
	var claims map[string]any
	if raw[0] != '{' || dec.Decode(&claims) != nil {
		o.fail(invalid("%s: it must be an object", name))
		return
	}
	o.fail(identity.ValidateClaims(claims))
	*into = claims
}

var integerForm = regexp.MustCompile(`^-?[0-9]+$`)

// seconds takes a duration in whole seconds between two limits; null and 0 remove it. A value
// outside is refused, never moved to the limit, and so is a number with a fraction or an exponent.
func (o *object) seconds(name string, into *time.Duration, least, utmost time.Duration) {
	raw, there := o.take(name)
	value := string(raw)
	switch {
	case !there:
	case value == "null" || value == "0":
		*into = 0
	case !integerForm.MatchString(value):
		o.fail(invalid("%s: it must be a whole number of seconds, or null", name))
	default:
		o.within(name, value, into, least, utmost)
	}
}

func (o *object) within(name, value string, into *time.Duration, least, utmost time.Duration) {
	low, high := int64(least/time.Second), int64(utmost/time.Second)
	// beyond 64 bits it is the nearest that there is, which is over every limit
	n, err := strconv.ParseInt(value, 10, 64)
	if len(value) > 20 {
		value = value[:20] + "..."
	}
	switch {
	case n < low:
		o.fail(invalid("%s: %s is below the limit of %d seconds", name, value, low))
	case n > high || err != nil:
		o.fail(invalid("%s: %s is above the limit of %d seconds", name, value, high))
	default:
		*into = time.Duration(n) * time.Second
	}
}
