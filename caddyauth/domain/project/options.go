package project

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Switch is an on/off option of one level (server, project or client). The zero value says nothing:
// the level above counts.
type Switch int

// The values of a Switch.
const (
	Inherit Switch = iota
	On
	Off
)

// SwitchOf returns On or Off.
func SwitchOf(on bool) Switch {
	if on {
		return On
	}
	return Off
}

// Or returns s, or fallback if no level set the option.
func (s Switch) Or(fallback bool) bool {
	if s == Inherit {
		return fallback
	}
	return s == On
}

// The formats of access tokens.
const (
	// JWT is a signed token that a gate verifies by itself.
	JWT = "jwt"

	// Opaque is a token that says nothing to its holder.
	Opaque = "opaque"
)

// MaxReuseInterval is the longest time for which a refresh token may be presented again.
const MaxReuseInterval = time.Minute

// TokenOptions says how tokens are made and renewed. A zero field inherits: a client from its
// project, a project from the server, the server from the defaults.
type TokenOptions struct {
	// AccessTokenFormat is JWT or Opaque. Default: JWT.
	AccessTokenFormat string

	// RefreshRotation off keeps the same refresh token good again and again. Default: On.
	RefreshRotation Switch

	// RefreshReuseInterval is for how long a rotated refresh token gives the same successor again;
	// up to 60s, None for 0s. Default: DefaultBrowserReuse for browser sessions and what clients are
	// granted, 0s for sign-ins by the login API.
	RefreshReuseInterval time.Duration
}

// DefaultBrowserReuse is the reuse interval of browser sessions if no level sets one: tabs send the
// same cookie at the same time. So it is of what codes and devices are granted: many clients refresh
// twice at the same time, or once more after an answer that was lost.
const DefaultBrowserReuse = 10 * time.Second

// Over returns o where it says something, and base elsewhere.
func (o TokenOptions) Over(base TokenOptions) TokenOptions {
	return TokenOptions{
		AccessTokenFormat:    cmp.Or(o.AccessTokenFormat, base.AccessTokenFormat),
		RefreshRotation:      cmp.Or(o.RefreshRotation, base.RefreshRotation),
		RefreshReuseInterval: cmp.Or(o.RefreshReuseInterval, base.RefreshReuseInterval),
	}
}

// Validate refuses options that cannot be; the error names the option, the value and the limit.
func (o TokenOptions) Validate() error {
	return errors.Join(validateFormat(o.AccessTokenFormat), validateReuse(o.RefreshReuseInterval))
}

func validateFormat(format string) error {
	if format != "" && format != JWT && format != Opaque {
		return fmt.Errorf("access_token_format: %.70q is neither %s nor %s", format, JWT, Opaque)
	}
	return nil
}

func validateReuse(d time.Duration) error {
	if d == 0 || d == None {
		return nil
	}
	return ValidateWithin("refresh_reuse_interval", d, 0, MaxReuseInterval)
}

// Reuse returns the reuse interval in force; fallback is the default where no level sets one.
func (o TokenOptions) Reuse(fallback time.Duration) time.Duration {
	return max(0, cmp.Or(o.RefreshReuseInterval, fallback))
}

// RevocationOptions says what else ends a person's sign-ins. A zero field inherits: a project from
// the server, the server from the defaults.
type RevocationOptions struct {
	// RevokeRefreshOnPasswordChange ends all sign-ins of a person whose password changes. Default:
	// On.
	RevokeRefreshOnPasswordChange Switch

	// RevokeAllOnLogout ends all sign-ins of a person who signs out of one. Default: Off.
	RevokeAllOnLogout Switch
}

// Over returns o where it says something, and base elsewhere.
func (o RevocationOptions) Over(base RevocationOptions) RevocationOptions {
	return RevocationOptions{
		RevokeRefreshOnPasswordChange: cmp.Or(o.RevokeRefreshOnPasswordChange, base.RevokeRefreshOnPasswordChange),
		RevokeAllOnLogout:             cmp.Or(o.RevokeAllOnLogout, base.RevokeAllOnLogout),
	}
}

// OnPasswordChange reports whether a new password ends the sign-ins before it.
func (o RevocationOptions) OnPasswordChange() bool { return o.RevokeRefreshOnPasswordChange.Or(true) }

// OnLogout reports whether signing out of one session ends all of the person's.
func (o RevocationOptions) OnLogout() bool { return o.RevokeAllOnLogout.Or(false) }
