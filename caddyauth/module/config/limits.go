package config

import (
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// Limits bound the lifetimes that projects, clients and the API may set.
type Limits struct {
	// The shortest lifetime of an access token; 60s and more. Default: 60s.
	MinAccessToken option.Duration `json:"min_access_token,omitempty"`
	// The longest lifetime of an access token; up to 1y. Default: 1y.
	MaxAccessToken option.Duration `json:"max_access_token,omitempty"`
	// The shortest lifetime of a refresh token; 60s and more. Default: 60s.
	MinRefreshToken option.Duration `json:"min_refresh_token,omitempty"`
	// The longest absolute lifetime of a sign-in; up to 10y. Default: 10y.
	MaxRefreshToken option.Duration `json:"max_refresh_token,omitempty"`
}

func (l Limits) domain() project.Limits {
	return project.Limits{
		MinAccess:  time.Duration(l.MinAccessToken),
		MaxAccess:  time.Duration(l.MaxAccessToken),
		MinRefresh: time.Duration(l.MinRefreshToken),
		MaxRefresh: time.Duration(l.MaxRefreshToken),
	}
}

// unmarshalLimits parses:
//
//	limits {
//		access_token  <shortest> <longest>
//		refresh_token <shortest> <longest>
//	}
func (s *Settings) unmarshalLimits(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return option.Block(d, func() error {
		var err error
		switch word := d.Val(); word {
		case "access_token":
			err = twoDurations(d, &s.Limits.MinAccessToken, &s.Limits.MaxAccessToken)
		case "refresh_token":
			err = twoDurations(d, &s.Limits.MinRefreshToken, &s.Limits.MaxRefreshToken)
		default:
			err = d.Errf("limits: unrecognized option %q", word)
		}
		if err != nil {
			return err
		}
		return option.At(d, s.validateLevels())
	})
}

// twoDurations reads the shortest and the longest lifetime.
func twoDurations(d *caddyfile.Dispenser, shortest, longest *option.Duration) error {
	word := d.Val()
	texts := d.RemainingArgs()
	if len(texts) != 2 {
		return d.Errf("limits: %s: it takes two durations, the shortest and the longest, not %d", word, len(texts))
	}
	for i, into := range []*option.Duration{shortest, longest} {
		value, err := option.ParseDuration(d, "limits: "+word, texts[i], "15m or 30d")
		if err != nil {
			return err
		}
		if value == 0 {
			return d.Errf("limits: %s: %q is below the limit of %s",
				word, texts[i], project.FormatDuration(minLifetime))
		}
		*into = option.Duration(value)
	}
	return nil
}
