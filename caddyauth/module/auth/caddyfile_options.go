package auth

import (
	"errors"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

// unmarshalDefault reads an option of the server that projects and clients may set for themselves, or one that has no
// level below.
func (s *Settings) unmarshalDefault(d *caddyfile.Dispenser) error {
	var err error
	switch word := d.Val(); word {
	case "access_token_format":
		err = oneArg(d, &s.AccessTokenFormat)
	case "refresh_rotation":
		err = oneArg(d, &s.RefreshRotation)
	case "revoke_refresh_on_password_change":
		var revoke bool
		revoke, err = onOff(d)
		s.KeepRefreshOnPasswordChange = !revoke
	case "revoke_all_on_logout":
		s.RevokeAllOnLogout, err = flagOrOff(d)
	case "insecure_development":
		s.InsecureDevelopment = true
		return noArgs(d)
	case "access_token", "refresh_token", "refresh_absolute", "refresh_reuse_interval", "refresh_window", "refresh_check":
		return d.Errf("auth: unrecognized option %q; write `lifetimes { %s <duration> }`", word, word)
	default:
		return d.Errf("auth: unrecognized option %q", word)
	}
	if err != nil {
		return err
	}
	_, err = s.serverTokenOptions()
	return at(d, err)
}

// onOff reads an option whose value is the word on or off.
func onOff(d *caddyfile.Dispenser) (on bool, err error) {
	word, args := d.Val(), d.RemainingArgs()
	if len(args) != 1 || args[0] != "on" && args[0] != modeOff {
		return false, d.Errf("%s: want on or off, not %q", word, strings.Join(args, " "))
	}
	return args[0] == "on", nil
}

// flagOrOff reads an option that is on when it stands alone.
func flagOrOff(d *caddyfile.Dispenser) (on bool, err error) {
	if d.CountRemainingArgs() == 0 {
		return true, nil
	}
	return onOff(d)
}

// optionalFlag reads an option of a level that inherits where the option is absent.
func optionalFlag(d *caddyfile.Dispenser, read func(*caddyfile.Dispenser) (bool, error), negated bool) (*bool, error) {
	on, err := read(d)
	if err != nil {
		return nil, err
	}
	on = on != negated
	return &on, nil
}

// unmarshalReuse reads refresh_reuse_interval of a project or client.
func unmarshalReuse(d *caddyfile.Dispenser, into **Duration) error {
	return unmarshalZeroable(d, into, session.MaxReuse)
}

// parseDuration reads the duration of a setting; example is what the error shows.
func parseDuration(d *caddyfile.Dispenser, setting, text, example string) (time.Duration, error) {
	value, err := project.ParseDuration(text)
	switch {
	case err == nil:
		return value, nil
	case errors.Is(err, project.ErrNoUnit):
		return 0, d.Errf("%s: %q is %v", setting, text, err)
	}
	return 0, d.Errf("%s: %q is not a duration such as %s", setting, text, example)
}
