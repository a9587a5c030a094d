package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
)

// findHashKinds warns of users whose passwords are hashed in different ways: each refused sign-in then takes the time of one of each. What
// lies in a store that cannot be read does not count.
func (a *App) findHashKinds(caddy.Context) []finding {
	var kinds []string
	for _, u := range a.declared.Users {
		kinds = append(kinds, identity.HashKind(u.PasswordHash))
	}
	if stored, err := a.store.HashKinds(a.ctx); err == nil {
		kinds = append(kinds, stored...)
	}
	if !identity.MixedKinds(kinds) {
		return nil
	}
	slices.Sort(kinds)
	kinds = slices.DeleteFunc(slices.Compact(kinds), func(kind string) bool { return kind == "" })
	return []finding{{
		Severity: warned,
		Where:    "users",
		Text: fmt.Sprintf("passwords are hashed in different ways (%s): each refused sign-in takes as long as one of each, "+
			"so that none tells who exists", strings.Join(kinds, ", ")),
		Hint: "hash the declared passwords with `caddy hash-password --algorithm argon2id`; those of other users are renewed when they sign in",
	}}
}
