package config

import (
	"cmp"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/module/option"
	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

const defaultWebPath = "/.auth"

// resolveWebPath sets the path below which gates answer.
func (s *Settings) resolveWebPath(r option.Resolver, v *Server) error {
	path, err := r.Text("web_path", s.WebPath)
	if err != nil {
		return err
	}
	v.WebPath = cmp.Or(path, defaultWebPath)
	if err := weburl.ValidatePath(v.WebPath); err != nil {
		return fmt.Errorf("web_path: %w", err)
	}
	return nil
}

func (s *Settings) unmarshalWebPath(d *caddyfile.Dispenser) error {
	if err := option.One(d, &s.WebPath); err != nil || option.HasPlaceholder(s.WebPath) {
		return err
	}
	if err := weburl.ValidatePath(s.WebPath); err != nil {
		return d.Errf("web_path: %v", err)
	}
	return nil
}
