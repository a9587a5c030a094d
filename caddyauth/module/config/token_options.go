package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// onWords are the values of an option that is on or off; empty is the default.
var onWords = []string{"", "on", option.Off}

// tokenOptions returns the options of the server, a project or a client.
func tokenOptions(format, rotation string, reuse *option.Duration) (project.TokenOptions, error) {
	o := project.TokenOptions{AccessTokenFormat: format}
	switch rotation {
	case "on":
		o.RefreshRotation = project.On
	case option.Off:
		o.RefreshRotation = project.Off
	}
	if !slices.Contains(onWords, rotation) {
		return o, fmt.Errorf("refresh_rotation: %q is neither on nor off", rotation)
	}
	if err := option.ValidateZeroable("refresh_reuse_interval", reuse, session.MaxReuse); err != nil {
		return o, err
	}
	if reuse != nil {
		o.RefreshReuseInterval = time.Duration(*reuse)
		if *reuse == 0 {
			o.RefreshReuseInterval = project.None
		}
	}
	return o, o.Validate()
}

// tokenOptions are the server's own options, under those of projects and clients.
func (s *Settings) tokenOptions() (project.TokenOptions, error) {
	return tokenOptions(s.AccessTokenFormat, s.RefreshRotation, s.Lifetimes.RefreshReuseInterval)
}

func (s *Settings) validateTokenOptions() error {
	_, err := s.tokenOptions()
	return err
}

// revocation are the server's own options, under those of projects.
func (s *Settings) revocation() project.RevocationOptions {
	// Defaults stay Inherit, so that the management API can tell them from explicit values.
	var o project.RevocationOptions
	if s.KeepRefreshOnPasswordChange {
		o.RevokeRefreshOnPasswordChange = project.Off
	}
	if s.RevokeAllOnLogout {
		o.RevokeAllOnLogout = project.On
	}
	return o
}

// unmarshalDefault reads an option that is the default of projects and clients, or refuses an
// unknown option.
func (s *Settings) unmarshalDefault(d *caddyfile.Dispenser) error {
	var err error
	switch word := d.Val(); word {
	case "access_token_format":
		err = option.One(d, &s.AccessTokenFormat)
	case "refresh_rotation":
		err = option.One(d, &s.RefreshRotation)
	case "revoke_refresh_on_password_change":
		var revoke bool
		revoke, err = option.OnOff(d)
		s.KeepRefreshOnPasswordChange = !revoke
	case "revoke_all_on_logout":
		s.RevokeAllOnLogout, err = option.Flag(d)
	case "insecure_development":
		s.InsecureDevelopment = true
		return option.None(d)
	case "access_token", "refresh_token", "refresh_absolute", "authorization_code", "device_code", "id_token",
		"refresh_reuse_interval", "refresh_window", "refresh_check":
		return d.Errf("auth: unrecognized option %q; write `lifetimes { %s <duration> }`", word, word)
	default:
		return d.Errf("auth: unrecognized option %q", word)
	}
	if err != nil {
		return err
	}
	return option.At(d, s.validateTokenOptions())
}

// optionalFlag reads an option of a project or client, which inherits it if it is absent.
func optionalFlag(d *caddyfile.Dispenser, read func(*caddyfile.Dispenser) (bool, error), negated bool) (*bool, error) {
	on, err := read(d)
	if err != nil {
		return nil, err
	}
	on = on != negated
	return &on, nil
}

// unmarshalReuse reads refresh_reuse_interval of a project or client.
func unmarshalReuse(d *caddyfile.Dispenser, into **option.Duration) error {
	return option.ReadZeroable(d, into, session.MaxReuse)
}
