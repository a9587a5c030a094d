package project

import (
	"cmp"
	"fmt"
	"time"
)

// Lifetimes says how long tokens are good for. A zero field inherits: a client from its project, a
// project from the server, the server from the defaults.
type Lifetimes struct {
	// Access is the lifetime of an access token. Default: 15m.
	Access time.Duration

	// Refresh is how long a refresh token may lie unused; None for no refresh tokens at all.
	// Default: 30d.
	Refresh time.Duration

	// RefreshAbsolute is how long a sign-in lasts however often it is refreshed. Default: 1y.
	RefreshAbsolute time.Duration

	// Code is the lifetime of an authorization code; 10s to 10m. Default: 60s.
	Code time.Duration

	// DeviceCode is how long a person has to enter the code that a device shows; 60s to 30m.
	// Default: 5m.
	DeviceCode time.Duration

	// IDToken is the lifetime of an ID token; 60s to 1d. Default: 1h.
	IDToken time.Duration
}

// None as Lifetimes.Refresh says that there are no refresh tokens.
const None time.Duration = -1

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// Defaults are the lifetimes where nobody says anything.
var Defaults = Lifetimes{
	Access:          15 * time.Minute,
	Refresh:         30 * day,
	RefreshAbsolute: year,
	Code:            time.Minute,
	DeviceCode:      5 * time.Minute,
	IDToken:         time.Hour,
}

// The shortest and longest lifetimes of what has no limits of the operator. A code lives for at
// most 10 minutes (RFC 6749, section 4.1.2).
const (
	MinCode       = 10 * time.Second
	MaxCode       = 10 * time.Minute
	MinDeviceCode = time.Minute
	MaxDeviceCode = 30 * time.Minute
	MinIDToken    = time.Minute
	MaxIDToken    = day

	// MaxRefreshAbsolute is the longest that a sign-in can last; the operator may allow less.
	MaxRefreshAbsolute = 10 * year
)

// Limits bound lifetimes. A zero field has its default.
type Limits struct {
	// MinAccess is the shortest lifetime of an access token; 60s to MaxAccess. Default: 60s.
	MinAccess time.Duration

	// MaxAccess is the longest lifetime of an access token; MinAccess to 1y. Default: 1y.
	MaxAccess time.Duration

	// MinRefresh is the shortest lifetime of a refresh token; 60s to MaxRefresh. Default: 60s.
	MinRefresh time.Duration

	// MaxRefresh is the longest absolute lifetime of refresh tokens; MinRefresh to 10y. Default:
	// 10y.
	MaxRefresh time.Duration
}

// widest are the limits that no operator may widen.
var widest = Limits{MinAccess: time.Minute, MaxAccess: year, MinRefresh: time.Minute, MaxRefresh: 10 * year}

// Validate refuses limits that are wider than the widest or that leave nothing between them; the
// error names the limit, its value and what bounds it.
func (l Limits) Validate() error {
	e := l.effective()
	for _, c := range []struct {
		name                                 string
		least, utmost, leastEver, utmostEver time.Duration
	}{
		{"access_token", e.MinAccess, e.MaxAccess, widest.MinAccess, widest.MaxAccess},
		{"refresh_token", e.MinRefresh, e.MaxRefresh, widest.MinRefresh, widest.MaxRefresh},
	} {
		if err := ValidateWithin(c.name+" minimum", c.least, c.leastEver, c.utmostEver); err != nil {
			return err
		}
		if err := ValidateWithin(c.name+" maximum", c.utmost, c.leastEver, c.utmostEver); err != nil {
			return err
		}
		if c.least > c.utmost {
			return fmt.Errorf("%s minimum: %s is above the maximum of %s", c.name, FormatDuration(c.least),
				FormatDuration(c.utmost))
		}
	}
	return nil
}

// Access returns the shortest and the longest lifetime that an access token may be given.
func (l Limits) Access() (least, utmost time.Duration) {
	e := l.effective()
	return e.MinAccess, e.MaxAccess
}

// Refresh returns the shortest and the longest lifetime that a refresh token may be given, beside
// an absolute lifetime.
func (l Limits) Refresh(absolute time.Duration) (least, utmost time.Duration) {
	e := l.effective()
	return e.MinRefresh, min(max(absolute, e.MinRefresh), e.MaxRefresh)
}

func (l Limits) effective() Limits {
	return Limits{
		MinAccess:  cmp.Or(l.MinAccess, widest.MinAccess),
		MaxAccess:  cmp.Or(l.MaxAccess, widest.MaxAccess),
		MinRefresh: cmp.Or(l.MinRefresh, widest.MinRefresh),
		MaxRefresh: cmp.Or(l.MaxRefresh, widest.MaxRefresh),
	}
}

// Over returns l where it says something, and base elsewhere: how a preset, or the level below, is
// overridden.
func (l Lifetimes) Over(base Lifetimes) Lifetimes {
	return Lifetimes{
		Access:          cmp.Or(l.Access, base.Access),
		Refresh:         cmp.Or(l.Refresh, base.Refresh),
		RefreshAbsolute: cmp.Or(l.RefreshAbsolute, base.RefreshAbsolute),
		Code:            cmp.Or(l.Code, base.Code),
		DeviceCode:      cmp.Or(l.DeviceCode, base.DeviceCode),
		IDToken:         cmp.Or(l.IDToken, base.IDToken),
	}
}

// Validate refuses what lies outside the limits, and an idle lifetime above the absolute one beside
// it; a zero field says nothing. The error names the setting, the value and the limit. Whole
// seconds only: tokens carry no finer times.
func (l Lifetimes) Validate(limits Limits) error {
	e := limits.effective()
	for _, c := range []struct {
		name                 string
		value, least, utmost time.Duration
	}{
		{"access_token", l.Access, e.MinAccess, e.MaxAccess},
		{"authorization_code", l.Code, MinCode, MaxCode},
		{"device_code", l.DeviceCode, MinDeviceCode, MaxDeviceCode},
		{"id_token", l.IDToken, MinIDToken, MaxIDToken},
		{"refresh_absolute", l.RefreshAbsolute, e.MinRefresh, e.MaxRefresh},
	} {
		if err := ValidateWithin(c.name, c.value, c.least, c.utmost); c.value != 0 && err != nil {
			return err
		}
	}
	if l.Refresh == 0 || l.Refresh == None {
		return nil
	}
	if l.RefreshAbsolute != 0 && l.Refresh > l.RefreshAbsolute {
		return fmt.Errorf("refresh_token: %s is above refresh_absolute, which is %s", FormatDuration(l.Refresh),
			FormatDuration(l.RefreshAbsolute))
	}
	return ValidateWithin("refresh_token", l.Refresh, e.MinRefresh, e.MaxRefresh)
}

// ValidateWithin refuses a length of time outside of two limits, or with a fraction of a second.
func ValidateWithin(name string, value, least, utmost time.Duration) error {
	switch {
	case value < least:
		return fmt.Errorf("%s: %s is below the limit of %s", name, FormatDuration(value), FormatDuration(least))
	case value > utmost:
		return fmt.Errorf("%s: %s is above the limit of %s", name, FormatDuration(value), FormatDuration(utmost))
	case value%time.Second != 0:
		return fmt.Errorf("%s: %s is not a whole number of seconds", name, value)
	}
	return nil
}

// Effective returns the lifetimes that a token is issued with: client over project over server over
// default, clamped to the limits (which may have become narrower since a value was stored), and the
// idle lifetime at most the absolute one. Where there are no refresh tokens, Refresh and
// RefreshAbsolute are zero.
func Effective(server, project, client Lifetimes, l Limits) Lifetimes {
	e, limits := client.Over(project).Over(server).Over(Defaults), l.effective()
	e.Access = min(max(e.Access, limits.MinAccess), limits.MaxAccess)
	if e.Refresh < 0 {
		e.Refresh, e.RefreshAbsolute = 0, 0
		return e
	}
	e.RefreshAbsolute = min(max(e.RefreshAbsolute, limits.MinRefresh), limits.MaxRefresh)
	e.Refresh = min(max(e.Refresh, limits.MinRefresh), e.RefreshAbsolute)
	return e
}
