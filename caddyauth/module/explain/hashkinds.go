package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/module/auth"
	"github.com/caddyauth/gateway/caddyauth/module/finding"
)

// findHashKinds warns of users whose passwords are hashed in different ways: each refused sign-in
// then takes the time of one of each. Users of a store that cannot be read do not count.
func findHashKinds(ctx caddy.Context, app *auth.App) []finding.Finding {
	config := app.Read()
	var kinds []string
	for _, u := range config.Declared.Users {
		kinds = append(kinds, identity.HashKind(u.PasswordHash))
	}
	if stored, err := config.Store.HashKinds(ctx); err == nil {
		kinds = append(kinds, stored...)
	}
	if !identity.MixedKinds(kinds) {
		return nil
	}
	slices.Sort(kinds)
	kinds = slices.DeleteFunc(slices.Compact(kinds), func(kind string) bool { return kind == "" })
	return []finding.Finding{{
		Severity: finding.Warning,
		Where:    "users",
		Text: fmt.Sprintf("passwords are hashed in different ways (%s): "+
			"each refused sign-in takes as long as one of each, "+
			"so that its duration does not tell which users exist", strings.Join(kinds, ", ")),
		Hint: "hash the declared passwords with `caddy hash-password --algorithm argon2id`;" +
			" those of other users are renewed when they sign in",
	}}
}
