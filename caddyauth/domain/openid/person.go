package openid

import (
	"encoding/json"
	"math"
	"time"
)

// Person is what is known of a person.
type Person struct {
	// Name is the name to sign in with.
	Name string

	// Changed is when something about the person was changed last. Default: not known.
	Changed time.Time

	// Claims are the person's own.
	Claims map[string]any
}

// Tell returns the claims of these names that the person has. A name to be called by and the time of
// the last change come from the account where there is no claim of that name.
func (p Person) Tell(names []string) map[string]any {
	told := make(map[string]any, len(names))
	for _, name := range names {
		if value, ok := p.claim(name); ok {
			told[name] = value
		}
	}
	return told
}

func (p Person) claim(name string) (value any, ok bool) {
	if value, ok = p.Claims[name]; ok {
		return value, TypeOf(name).Fits(value)
	}
	switch {
	case name == "preferred_username" && p.Name != "":
		return p.Name, true
	case name == "updated_at" && !p.Changed.IsZero():
		return p.Changed.Unix(), true
	}
	return nil, false
}

// Type is the JSON type that OpenID Connect gives a standard claim.
type Type string

// The types of standard claims. The claims of others have any.
const (
	Any     Type = ""
	Text    Type = "text"
	Boolean Type = "a boolean"
	Count   Type = "a number"
	Object  Type = "an object"
)

// TypeOf returns the type of a claim (OpenID Connect Core, section 5.1). No client is told a value of
// another type: it may take a text where a boolean belongs for true.
func TypeOf(name string) Type {
	switch name {
	case "email_verified", "phone_number_verified":
		return Boolean
	case "updated_at":
		return Count
	case "address":
		return Object
	case "name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
		"website", "gender", "birthdate", "zoneinfo", "locale", "email", "phone_number":
		return Text
	}
	return Any
}

// Fits reports whether a value is of the type.
func (t Type) Fits(value any) (ok bool) {
	switch t {
	case Boolean:
		_, ok = value.(bool)
	case Count:
		ok = isNumber(value)
	case Object:
		_, ok = value.(map[string]any)
	case Text:
		_, ok = value.(string)
	case Any:
		ok = true
	}
	return ok
}

func isNumber(value any) bool {
	switch v := value.(type) {
	case json.Number, int, int64:
		return true
	case float64:
		return !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	return false
}
