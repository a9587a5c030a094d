package auth

import (
	"strings"
	"testing"
	"time"
)

// TestJSONTenancyIsRefused: what the Caddyfile parser refuses is refused of a JSON configuration, too.
func TestJSONTenancyIsRefused(t *testing.T) {
	hour := Duration(time.Hour)
	for want, s := range map[string]Settings{
		`preset: "lax" is unknown`:                      {Preset: "lax"},
		`project "acme": preset: "lax" is unknown`:      {Projects: []Project{{Slug: "acme", Preset: "lax"}}},
		`project "acme": it is there twice`:             {Projects: []Project{{Slug: "acme"}, {Slug: "acme"}}},
		`project "Acme": slug: `:                        {Projects: []Project{{Slug: "Acme"}}},
		`access_token minimum: 1h is above the maximum`: {Limits: Limits{MinAccessToken: hour, MaxAccessToken: hour / 2}},
		`access_token: 1h is above the limit of 30m`:    {Lifetimes: Lifetimes{AccessToken: hour}, Limits: Limits{MaxAccessToken: hour / 2}},
		`refresh_token: 2h is above refresh_absolute`:   {Lifetimes: Lifetimes{RefreshToken: 2 * hour, RefreshAbsolute: hour}},
		`client "c": claims: "aud" is reserved`:         {Clients: []Client{{ID: "c", Claims: map[string]any{"aud": "x"}}}},
		`client "c": refresh_rotation: "maybe"`:         {Clients: []Client{{ID: "c", RefreshRotation: "maybe"}}},
		`client "c": refresh_reuse_interval: 1h is`:     {Clients: []Client{{ID: "c", RefreshReuseInterval: &hour}}},
		`client "caddyauth": the name belongs`:          {Clients: []Client{{ID: firstPartyClient}}},
	} {
		switch err := s.check(); {
		case err == nil:
			t.Errorf("%s: it was taken", want)
		case !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n"):
			t.Errorf("%v, want %s", err, want)
		}
	}
}
