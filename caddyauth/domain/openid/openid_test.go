package openid

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestScopesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		scopes Scopes
		want   string
	}{
		{"standard", Scopes{{Name: "email"}}, `scope "email": its claims are given`},
		{"openid", Scopes{{Name: "openid"}}, `scope "openid": its claims are given`},
		{"duplicate", Scopes{{Name: "groups"}, {Name: "groups"}}, `scope "groups": duplicate`},
		{"empty", Scopes{{}}, `scope "": the name is not`},
		{"space", Scopes{{Name: "a b"}}, `scope "a b": the name is not`},
		{"quote", Scopes{{Name: `a"`}}, `the name is not`},
		{"long", Scopes{{Name: strings.Repeat("a", 101)}}, "the name is not"},
		{"description", Scopes{{Name: "a", Description: strings.Repeat("a", 201)}},
			"201 bytes are above the limit of 200"},
		{"claims", Scopes{{Name: "a", Claims: make([]string, 101)}}, "101 are above the limit of 100"},
		{"many", make(Scopes, 101), "101 scopes are above the limit of 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.scopes.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestClaimsOfScopes(t *testing.T) {
	own := Scopes{{Name: "groups", Description: "Read your groups", Claims: []string{"groups", "email"}}}
	if err := own.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		scopes []string
		want   []string
	}{
		{"none", nil, nil},
		{"openid", []string{"openid", "offline_access"}, nil},
		{"email", []string{"email"}, []string{"email", "email_verified"}},
		{"own", []string{"email", "groups"}, []string{"email", "email_verified", "groups"}},
		{"unknown", []string{"reports:read"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := own.Claims(c.scopes...); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	if names := own.Names(); !slices.Contains(names, "groups") || names[0] != "openid" {
		t.Errorf("%q", names)
	}
}

// TestPersonTellsTypedClaims: a claim whose value has another type than the specification gives it is
// not told.
func TestPersonTellsTypedClaims(t *testing.T) {
	changed := time.Unix(1767225600, 0)
	address := map[string]any{"locality": "Berlin"}
	for _, c := range []struct {
		name, claim string
		value       any // nil: the person has no such claim
		want        any // nil: it is not told
	}{
		{"text", "email", "a@example.com", "a@example.com"},
		{"boolean", "email_verified", true, true},
		{"text for a boolean", "email_verified", "false", nil},
		{"number", "updated_at", json.Number("17"), json.Number("17")},
		{"number of a file", "updated_at", 17.0, 17.0},
		{"text for a number", "updated_at", "yesterday", nil},
		{"last change", "updated_at", nil, int64(1767225600)},
		{"object", "address", address, address},
		{"text for an object", "address", "Berlin", nil},
		{"list for a text", "name", []any{"Alice"}, nil},
		{"account", "preferred_username", nil, "alice"},
		{"own name", "preferred_username", "Al", "Al"},
		{"own list", "groups", []any{"staff"}, []any{"staff"}},
		{"missing", "name", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Person{Name: "alice", Changed: changed, Claims: map[string]any{"role": "admin"}}
			if c.value != nil {
				p.Claims[c.claim] = c.value
			}
			want := map[string]any{}
			if c.want != nil {
				want[c.claim] = c.want
			}
			if got := p.Tell([]string{c.claim}); !reflect.DeepEqual(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

// TestDescribe says in words what a client learns, each thing once.
func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		name           string
		scopes, claims []string
		can, learns    []string
	}{
		{"nothing", nil, nil, nil, nil},
		{"a scope of nobody", []string{"read"}, nil, []string{"read"}, nil},
		{"words of people", []string{"phone"}, []string{"zoneinfo", "given_name"}, []string{"Read your phone number"},
			[]string{"phone number", "whether your phone number was checked", "time zone", "given name"}},
		{"a claim of a scope that is asked for, too", []string{"address"}, []string{"address"},
			[]string{"Read your postal address"}, []string{"postal address"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if can, learns := (Scopes)(nil).Describe(c.scopes, c.claims...); !slices.Equal(can, c.can) ||
				!slices.Equal(learns, c.learns) {
				t.Errorf("%q, %q", can, learns)
			}
		})
	}
}
