package config

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// TestJSONTenancyIsRefused: what the Caddyfile parser refuses is refused of a JSON configuration,
// too.
func TestJSONTenancyIsRefused(t *testing.T) {
	hour := option.Duration(time.Hour)
	for _, c := range []struct {
		want string
		s    Settings
	}{
		{`preset: "lax" is unknown`, Settings{Preset: "lax"}},
		{`project "acme": preset: "lax" is unknown`, Settings{Projects: []Project{{Slug: "acme", Preset: "lax"}}}},
		{`project "acme": duplicate`, Settings{Projects: []Project{{Slug: "acme"}, {Slug: "acme"}}}},
		{`project "Acme": slug: `, Settings{Projects: []Project{{Slug: "Acme"}}}},
		{
			`access_token minimum: 1h is above the maximum`,
			Settings{Limits: Limits{MinAccessToken: hour, MaxAccessToken: hour / 2}},
		},
		{
			`access_token: 1h is above the limit of 30m`,
			Settings{Lifetimes: Lifetimes{AccessToken: hour}, Limits: Limits{MaxAccessToken: hour / 2}},
		},
		{
			`refresh_token: 2h is above refresh_absolute`,
			Settings{Lifetimes: Lifetimes{RefreshToken: 2 * hour, RefreshAbsolute: hour}},
		},
		{
			`client "c": claims: "aud" is reserved`,
			Settings{Clients: []Client{{ID: "c", Claims: map[string]any{"aud": "x"}}}},
		},
		{`client "c": refresh_rotation: "maybe"`, Settings{Clients: []Client{{ID: "c", RefreshRotation: "maybe"}}}},
		{
			`client "c": refresh_reuse_interval: 1h is`,
			Settings{Clients: []Client{{ID: "c", RefreshReuseInterval: &hour}}},
		},
		{`client "caddyauth": the id is reserved`, Settings{Clients: []Client{{ID: clients.FirstParty}}}},
	} {
		t.Run(c.want, func(t *testing.T) {
			switch err := c.s.Validate(); {
			case err == nil:
				t.Errorf("%s: it was taken", c.want)
			case !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n"):
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
