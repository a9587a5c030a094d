package project

import (
	"strings"
	"testing"
	"time"
)

func TestEffectiveLifetimes(t *testing.T) {
	h := time.Hour
	for _, c := range []struct {
		name                    string
		server, project, client Lifetimes
		limits                  Limits
		want                    Lifetimes
	}{
		{name: "nobody says anything", want: inForce(15*time.Minute, 30*24*h, 365*24*h)},
		{
			name:    "client over project over server",
			server:  lifetimes(1*h, 2*h, 3*h),
			project: lifetimes(4*h, 5*h, 6*h),
			client:  lifetimes(7*h, 8*h, 9*h),
			want:    inForce(7*h, 8*h, 9*h),
		},
		{
			name:    "each field for itself",
			server:  Lifetimes{RefreshAbsolute: 48 * h},
			project: Lifetimes{Refresh: 24 * h},
			client:  Lifetimes{Access: h},
			want:    inForce(h, 24*h, 48*h),
		},
		{
			name:    "clamped to the limits",
			project: Lifetimes{Access: time.Second, Refresh: time.Second, RefreshAbsolute: 100 * 365 * 24 * h},
			want:    inForce(time.Minute, time.Minute, 10*365*24*h),
		},
		{
			name:    "clamped to a raised floor",
			project: Lifetimes{Access: 2 * time.Minute},
			limits:  Limits{MinAccess: 10 * time.Minute},
			want:    inForce(10*time.Minute, 30*24*h, 365*24*h),
		},
		{
			name:   "clamped to a lowered ceiling",
			client: Lifetimes{Access: 2 * h},
			limits: Limits{MaxAccess: h},
			want:   inForce(h, 30*24*h, 365*24*h),
		},
		{
			name:    "idle at most absolute",
			project: Lifetimes{RefreshAbsolute: h},
			client:  Lifetimes{Refresh: 5 * h},
			want:    inForce(15*time.Minute, h, h),
		},
		{
			name:    "no refresh tokens",
			project: Lifetimes{Refresh: None, RefreshAbsolute: h},
			want:    inForce(15*time.Minute, 0, 0),
		},
		{
			name:    "refresh tokens for one client",
			project: Lifetimes{Refresh: None},
			client:  Lifetimes{Refresh: h},
			want:    inForce(15*time.Minute, h, 365*24*h),
		},
		{
			name:   "a negative lifetime is no trick",
			client: Lifetimes{Access: -h},
			want:   inForce(time.Minute, 30*24*h, 365*24*h),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Effective(c.server, c.project, c.client, c.limits); got != c.want {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		})
	}
}

func TestLifetimesOutsideTheLimitsAreRefused(t *testing.T) {
	for _, c := range []struct {
		want string
		l    Lifetimes
	}{
		{"access_token: 59s is below the limit of 1m", Lifetimes{Access: 59 * time.Second}},
		{"access_token: 8760h1m is above the limit of 1y", Lifetimes{Access: year + time.Minute}},
		{
			"refresh_token: 2h is above refresh_absolute, which is 1h",
			Lifetimes{Refresh: 2 * time.Hour, RefreshAbsolute: time.Hour},
		},
		{"refresh_token: 1s is below the limit of 1m", Lifetimes{Refresh: time.Second}},
		{"refresh_absolute: 30s is below the limit of 1m", Lifetimes{RefreshAbsolute: 30 * time.Second}},
		{"access_token: 1m0.5s is not a whole number of seconds", Lifetimes{Access: time.Minute + time.Second/2}},
		{"access_token: -1ns is below the limit of 1m", Lifetimes{Access: -1}},
		{"", Lifetimes{Access: time.Minute, Refresh: None}},
		{"refresh_absolute: 87600h0m1s is above the limit of 10y", Lifetimes{RefreshAbsolute: 10*year + time.Second}},
		{"refresh_token: 20y is above the limit of 10y", Lifetimes{Refresh: 20 * year}},
		{
			"refresh_token: 1h0m0.001s is not a whole number of seconds",
			Lifetimes{Refresh: time.Hour + time.Millisecond},
		},
	} {
		t.Run(c.want, func(t *testing.T) {
			err := c.l.Validate(Limits{})
			if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
				t.Errorf("%v: %v, want %s", c.l, err, c.want)
			}
		})
	}
}

func TestLimitsAreNeverWiderThanTheWidest(t *testing.T) {
	for _, l := range []Limits{
		{MinAccess: time.Second}, {MaxAccess: 2 * year}, {MinAccess: time.Hour, MaxAccess: time.Minute * 30},
		{MinRefresh: time.Second}, {MaxRefresh: 11 * year}, {MinRefresh: 2 * time.Hour, MaxRefresh: time.Hour},
		{MinAccess: -time.Hour},
	} {
		if err := l.Validate(); err == nil {
			t.Errorf("%+v was taken", l)
		}
	}
	for _, l := range []Limits{
		{}, {MinAccess: 5 * time.Minute, MaxAccess: time.Hour, MinRefresh: time.Hour, MaxRefresh: year},
	} {
		if err := l.Validate(); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestPresets(t *testing.T) {
	for _, c := range []struct {
		name string
		want Lifetimes
	}{
		{"high_security", lifetimes(5*time.Minute, 8*time.Hour, 24*time.Hour)},
		{"standard", lifetimes(15*time.Minute, 30*day, year)},
		{"convenient", lifetimes(time.Hour, 90*day, year)},
		{"api_only", lifetimes(15*time.Minute, None, 0)},
		{"production", lifetimes(24*time.Hour, 90*day, year)},
		{"development", lifetimes(30*day, 180*day, year)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Preset(c.name)
			if err != nil || got != c.want {
				t.Errorf("%v, %v, want %v", got, err, c.want)
			}
			if err := got.Validate(Limits{}); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := Preset("lax"); err == nil ||
		!strings.Contains(err.Error(), "high_security, standard, convenient, api_only") {
		t.Error(err)
	}
	preset, _ := Preset("high_security")
	if got := (Lifetimes{Access: time.Hour}).Over(preset); got.Access != time.Hour || got.Refresh != 8*time.Hour {
		t.Errorf("what is set beside a preset: %v", got)
	}
}

func lifetimes(access, refresh, absolute time.Duration) Lifetimes {
	return Lifetimes{Access: access, Refresh: refresh, RefreshAbsolute: absolute}
}

// inForce are lifetimes with the defaults where the cases say nothing.
func inForce(access, refresh, absolute time.Duration) Lifetimes {
	l := Defaults
	l.Access, l.Refresh, l.RefreshAbsolute = access, refresh, absolute
	return l
}
