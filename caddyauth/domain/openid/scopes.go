package openid

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The scopes that have a meaning of their own and stand for no claims.
const (
	// OpenID makes a request one of OpenID Connect: there are an ID token and /userinfo.
	OpenID = "openid"

	// OfflineAccess lets the client have tokens while the person is not signed in.
	OfflineAccess = "offline_access"
)

// Scope is a scope and the claims that it stands for.
type Scope struct {
	// Name is the word in the parameter `scope` (RFC 6749, section 3.3). Required.
	Name string

	// Description tells people what a client with the scope may do. Default: the name.
	Description string

	// Claims are the names of the claims that a client with the scope learns. Default: none.
	Claims []string
}

// standard are the scopes of OpenID Connect Core, section 5.4.
var standard = []Scope{
	{OpenID, "Know who you are", nil},
	{OfflineAccess, "Stay connected while you are not signed in", nil},
	{"profile", "Read your profile: name, picture and the like", []string{
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
		"website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	}},
	{"email", "Read your e-mail address", []string{"email", "email_verified"}},
	{"address", "Read your postal address", []string{"address"}},
	{"phone", "Read your phone number", []string{"phone_number", "phone_number_verified"}},
}

// Scopes are the operator's own scopes, beside the standard ones.
type Scopes []Scope

const (
	maxScopes      = 100
	maxDescription = 200 // bytes
	maxClaims      = 100 // of one scope
)

// Validate refuses scopes that cannot be: a name that is not a scope token or is taken. The error
// names the scope.
func (s Scopes) Validate() error {
	if len(s) > maxScopes {
		return fmt.Errorf("%d scopes are above the limit of %d", len(s), maxScopes)
	}
	for i, scope := range s {
		if err := scope.validate(); err != nil {
			return fmt.Errorf("scope %q: %w", scope.Name, err)
		}
		if Scopes(standard).has(scope.Name) {
			return fmt.Errorf("scope %q: its claims are given by OpenID Connect; choose another name", scope.Name)
		}
		if s[:i].has(scope.Name) {
			return fmt.Errorf("scope %q: duplicate", scope.Name)
		}
	}
	return nil
}

func (s Scope) validate() error {
	switch {
	case !isToken(s.Name) || len(s.Name) > 100:
		return errors.New("the name is not 1 to 100 printable characters without space, quote and backslash")
	case len(s.Description) > maxDescription:
		return fmt.Errorf("description: %d bytes are above the limit of %d", len(s.Description), maxDescription)
	case len(s.Claims) > maxClaims:
		return fmt.Errorf("claims: %d are above the limit of %d", len(s.Claims), maxClaims)
	}
	return nil
}

// isToken holds a name against RFC 6749, section 3.3.
func isToken(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return name != ""
}

func (s Scopes) has(name string) bool {
	return slices.ContainsFunc(s, func(scope Scope) bool { return scope.Name == name })
}

// Find returns a scope by its name, the operator's or a standard one.
func (s Scopes) Find(name string) (scope Scope, ok bool) {
	for _, list := range []Scopes{standard, s} {
		if i := slices.IndexFunc(list, func(scope Scope) bool { return scope.Name == name }); i >= 0 {
			return list[i], true
		}
	}
	return Scope{}, false
}

// Names lists all scopes, the standard ones first.
func (s Scopes) Names() []string {
	var names []string
	for _, list := range []Scopes{standard, s} {
		for _, scope := range list {
			names = append(names, scope.Name)
		}
	}
	return names
}

// Describe says in words what scopes let a client do, and what they and single claims let it learn.
func (s Scopes) Describe(scopes []string, claims ...string) (can, learns []string) {
	for _, name := range scopes {
		word := name
		if scope, ok := s.Find(name); ok && scope.Description != "" {
			word = scope.Description
		}
		can = append(can, word)
	}
	for _, name := range append(s.Claims(scopes...), claims...) {
		word, ok := spoken[name]
		if !ok {
			word = strings.ReplaceAll(name, "_", " ")
		}
		if !slices.Contains(learns, word) {
			learns = append(learns, word)
		}
	}
	return can, learns
}

// spoken are the standard claims whose names are no words of people (OpenID Connect Core, section
// 5.1).
var spoken = map[string]string{
	"preferred_username":    "user name",
	"profile":               "profile page",
	"birthdate":             "date of birth",
	"zoneinfo":              "time zone",
	"locale":                "language",
	"updated_at":            "when your profile was changed",
	"email_verified":        "whether your e-mail address was checked",
	"address":               "postal address",
	"phone_number_verified": "whether your phone number was checked",
}

// Claims lists what scopes stand for, each claim once.
func (s Scopes) Claims(scopes ...string) []string {
	var claims []string
	for _, name := range scopes {
		scope, _ := s.Find(name)
		for _, claim := range scope.Claims {
			if !slices.Contains(claims, claim) {
				claims = append(claims, claim)
			}
		}
	}
	return claims
}
