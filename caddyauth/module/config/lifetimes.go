package config

import (
	"cmp"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/module/option"
)

const (
	minLifetime = time.Minute
	// MaxLifetime is the longest lifetime of a token that may be configured.
	MaxLifetime = 365 * 24 * time.Hour

	defaultRefreshWindow = 5 * time.Minute
	defaultRefreshCheck  = time.Minute
)

// Lifetimes are the lifetimes of tokens and sessions.
type Lifetimes struct {
	// Lifetime of an access token; 60s to 1y. Default: 15m.
	AccessToken option.Duration `json:"access_token,omitempty"`

	// How long a refresh token may stay unused; 60s to refresh_absolute. Default: 30d.
	RefreshToken option.Duration `json:"refresh_token,omitempty"`

	// How long a sign-in lasts, however often it is refreshed; 60s to 10y. Default: 1y.
	RefreshAbsolute option.Duration `json:"refresh_absolute,omitempty"`

	// Lifetime of an authorization code; 10s to 10m. Default: 60s.
	AuthorizationCode option.Duration `json:"authorization_code,omitempty"`

	// How long a person has to enter the code that a device shows; 60s to 30m. Default: 5m.
	DeviceCode option.Duration `json:"device_code,omitempty"`

	// Lifetime of an ID token; 60s to 1d. Default: 1h.
	IDToken option.Duration `json:"id_token,omitempty"`

	// How long after a rotation the previous refresh token still gets the same successor, so that a
	// lost response does not end the session; up to 60s. Projects and clients may override it.
	// Default: 10s, and 0s for sign-ins by the login API.
	RefreshReuseInterval *option.Duration `json:"refresh_reuse_interval,omitempty"`

	// How long before its end a browser's access token is renewed; at most a third of its lifetime
	// is used. 1s to 1h. Default: 5m.
	RefreshWindow option.Duration `json:"refresh_window,omitempty"`

	// How often `session.js` checks whether a renewal is due; 5s to 1h. Default: 60s.
	RefreshCheck option.Duration `json:"refresh_check,omitempty"`
}

func (l *Lifetimes) durations() []option.DurationRange {
	return []option.DurationRange{
		{Name: "access_token", Value: &l.AccessToken, Min: minLifetime, Max: MaxLifetime},
		{Name: "refresh_token", Value: &l.RefreshToken, Min: minLifetime, Max: 10 * MaxLifetime},
		{Name: "refresh_absolute", Value: &l.RefreshAbsolute, Min: minLifetime, Max: 10 * MaxLifetime},
		{Name: "authorization_code", Value: &l.AuthorizationCode, Min: project.MinCode, Max: project.MaxCode},
		{Name: "device_code", Value: &l.DeviceCode, Min: project.MinDeviceCode, Max: project.MaxDeviceCode},
		{Name: "id_token", Value: &l.IDToken, Min: project.MinIDToken, Max: project.MaxIDToken},
		{Name: "refresh_window", Value: &l.RefreshWindow, Min: time.Second, Max: time.Hour},
		{Name: "refresh_check", Value: &l.RefreshCheck, Min: 5 * time.Second, Max: time.Hour},
	}
}

// lifetimesOver fills zero lifetimes from a preset, if one is named.
func lifetimesOver(own project.Lifetimes, preset string) (project.Lifetimes, error) {
	if preset == "" {
		return own, nil
	}
	base, err := project.Preset(preset)
	return own.Over(base), err
}

// serverLifetimes are the server's own settings, over its preset.
func (s *Settings) serverLifetimes() (project.Lifetimes, error) {
	l, limits := s.Lifetimes, s.Limits.domain()
	own := project.Lifetimes{
		Access:          time.Duration(l.AccessToken),
		Refresh:         time.Duration(l.RefreshToken),
		RefreshAbsolute: time.Duration(l.RefreshAbsolute),
		Code:            time.Duration(l.AuthorizationCode),
		DeviceCode:      time.Duration(l.DeviceCode),
		IDToken:         time.Duration(l.IDToken),
	}
	lifetimes, err := lifetimesOver(own, s.Preset)
	if err != nil {
		return project.Lifetimes{}, err
	}
	_, absolute := limits.Refresh(cmp.Or(lifetimes.RefreshAbsolute, project.Defaults.RefreshAbsolute))
	effective := project.Lifetimes{Refresh: lifetimes.Refresh, RefreshAbsolute: absolute}
	if err = lifetimes.Validate(limits); err == nil {
		err = effective.Validate(limits)
	}
	if err != nil {
		return project.Lifetimes{}, fmt.Errorf("lifetimes: %w", err)
	}
	return lifetimes, nil
}

// validateLifetimes refuses limits and server lifetimes that contradict each other.
func (s *Settings) validateLifetimes() error {
	if err := s.Limits.domain().Validate(); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	_, err := s.serverLifetimes()
	return err
}

func (s *Settings) unmarshalPreset(d *caddyfile.Dispenser) error {
	if err := option.One(d, &s.Preset); err != nil {
		return err
	}
	return option.At(d, s.validateLifetimes())
}

// unmarshalLifetimes parses:
//
//	lifetimes {
//		access_token           <duration>
//		refresh_token          <duration>
//		refresh_absolute       <duration>
//		authorization_code     <duration>
//		device_code            <duration>
//		id_token               <duration>
//		refresh_reuse_interval <duration>
//		refresh_window         <duration>
//		refresh_check          <duration>
//	}
func (s *Settings) unmarshalLifetimes(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	l := &s.Lifetimes
	err := option.Block(d, func() error {
		if d.Val() == "refresh_reuse_interval" {
			return option.ReadZeroable(d, &l.RefreshReuseInterval, session.MaxReuse)
		}
		return option.ReadDuration(d, l.durations())
	})
	if err != nil {
		return err
	}
	return option.At(d, s.validateLifetimes())
}

// OwnLifetimes are the lifetimes that a project or client sets for itself.
type OwnLifetimes struct {
	// Lifetime of an access token; within `limits`. Default: that of the level above.
	AccessToken option.Duration `json:"access_token,omitempty"`
	// How long a refresh token may stay unused; within `limits`. Default: that of the level above.
	RefreshToken option.Duration `json:"refresh_token,omitempty"`
	// How long a sign-in lasts, however often it is refreshed; within `limits`. Default: that of
	// the level above.
	RefreshAbsolute option.Duration `json:"refresh_absolute,omitempty"`
	// Lifetime of an authorization code; 10s to 10m. Default: that of the level above.
	AuthorizationCode option.Duration `json:"authorization_code,omitempty"`
	// How long a person has to enter the code that a device shows; 60s to 30m. Default: that of the level above.
	DeviceCode option.Duration `json:"device_code,omitempty"`
	// Lifetime of an ID token; 60s to 1d. Default: that of the level above.
	IDToken option.Duration `json:"id_token,omitempty"`
}

func (l OwnLifetimes) domain() project.Lifetimes {
	return project.Lifetimes{
		Access:          time.Duration(l.AccessToken),
		Refresh:         time.Duration(l.RefreshToken),
		RefreshAbsolute: time.Duration(l.RefreshAbsolute),
		Code:            time.Duration(l.AuthorizationCode),
		DeviceCode:      time.Duration(l.DeviceCode),
		IDToken:         time.Duration(l.IDToken),
	}
}

// unmarshal parses:
//
//	lifetimes {
//		access_token       <duration>
//		refresh_token      <duration>
//		refresh_absolute   <duration>
//		authorization_code <duration>
//		device_code        <duration>
//		id_token           <duration>
//	}
func (l *OwnLifetimes) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return option.Block(d, func() error { return option.ReadDuration(d, l.durations()) })
}

// durations have the widest limits. Those of the option `limits` are checked when the whole project
// or client is read.
func (l *OwnLifetimes) durations() []option.DurationRange {
	return []option.DurationRange{
		{Name: "access_token", Value: &l.AccessToken, Min: minLifetime, Max: MaxLifetime},
		{Name: "refresh_token", Value: &l.RefreshToken, Min: minLifetime, Max: 10 * MaxLifetime},
		{Name: "refresh_absolute", Value: &l.RefreshAbsolute, Min: minLifetime, Max: 10 * MaxLifetime},
		{Name: "authorization_code", Value: &l.AuthorizationCode, Min: project.MinCode, Max: project.MaxCode},
		{Name: "device_code", Value: &l.DeviceCode, Min: project.MinDeviceCode, Max: project.MaxDeviceCode},
		{Name: "id_token", Value: &l.IDToken, Min: project.MinIDToken, Max: project.MaxIDToken},
	}
}
