package config

import (
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// DataDir is the directory of the gateway's own files.
func DataDir() string { return filepath.Join(caddy.AppDataDir(), "auth") }

// storeURL returns the configured store, or the default one in Caddy's data directory.
func (s *Settings) storeURL(r option.Resolver) (string, error) {
	if s.Store == "" {
		return "sqlite:" + filepath.Join(DataDir(), "auth.db"), nil
	}
	return r.Text("store", s.Store)
}
