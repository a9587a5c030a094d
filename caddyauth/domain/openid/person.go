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
		return value, fits(name, value)
	}
	switch {
	case name == "preferred_username" && p.Name != "":
		return p.Name, true
	case name == "updated_at" && !p.Changed.IsZero():
		return p.Changed.Unix(), true
	}
	return nil, false
}

// fits holds a standard claim against its type (OpenID Connect Core, section 5.1): a client may take
// a text where a boolean belongs for true. All other claims have the type that they have.
func fits(name string, value any) bool {
	switch name {
	case "email_verified", "phone_number_verified":
		_, ok := value.(bool)
		return ok
	case "updated_at":
		return isNumber(value)
	case "address":
		_, ok := value.(map[string]any)
		return ok
	case "name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
		"website", "gender", "birthdate", "zoneinfo", "locale", "email", "phone_number":
		_, ok := value.(string)
		return ok
	}
	return true
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
