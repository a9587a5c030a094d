package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// audiences returns all audience words of the server.
func (s *Settings) audiences() []string {
	if len(s.Audiences) > 0 {
		return s.Audiences
	}
	return []string{"web", "api", "a2a", "mcp"}
}

// ValidateAudiences refuses what cannot be an audience word, and duplicates.
func ValidateAudiences(words []string) error {
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\r\n\",\\") || len(w) > 255 {
			return fmt.Errorf("audiences: %q is not a word of 1 to 255 characters"+
				" without spaces, commas, quotes or backslashes", w)
		}
		if w == option.Off {
			return errors.New("audiences: `off` is a word of the directive and cannot be an audience")
		}
		if slices.Contains(words[:i], w) {
			return fmt.Errorf("audiences: duplicate %q", w)
		}
	}
	return nil
}

func (s *Settings) unmarshalAudiences(d *caddyfile.Dispenser) error {
	if err := option.Some(d, &s.Audiences); err != nil {
		return err
	}
	return option.At(d, ValidateAudiences(s.Audiences))
}
