package config

import (
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/module/option"
)

const (
	defaultTokenCache = 20_000
	maxTokenCache     = 10_000_000

	defaultIntrospectionCache = time.Minute
	maxIntrospectionCache     = time.Hour
)

func (s *Settings) unmarshalTokenCache(d *caddyfile.Dispenser) error {
	var text string
	if err := option.One(d, &text); err != nil {
		return err
	}
	size := 0
	if text != option.Off {
		var err error
		if size, err = strconv.Atoi(text); err != nil {
			return d.Errf("token_cache: %q is neither a number nor off", text)
		}
	}
	s.TokenCache = &size
	return option.At(d, s.validateTokenCache())
}

func (s *Settings) validateTokenCache() error {
	if s.TokenCache != nil && (*s.TokenCache < 0 || *s.TokenCache > maxTokenCache) {
		return fmt.Errorf("token_cache: %d is not between 0 and %d", *s.TokenCache, maxTokenCache)
	}
	return nil
}

// tokenCache is how many verified tokens are cached; 0 turns the cache off.
func (s *Settings) tokenCache() int {
	if s.TokenCache == nil {
		return defaultTokenCache
	}
	return *s.TokenCache
}
