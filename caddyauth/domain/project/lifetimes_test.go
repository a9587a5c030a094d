package project

import (
	"strings"
	"testing"
	"time"
)

func TestEffectiveLifetimes(t *testing.T) {
	h := time.Hour
	for name, c := range map[string]struct {
		server, project, client Lifetimes
		limits                  Limits
		want                    Lifetimes
	}{
		"nobody says anything": {want: Lifetimes{15 * time.Minute, 30 * 24 * h, 365 * 24 * h}},
		"client over project over server": {
			server: Lifetimes{1 * h, 2 * h, 3 * h}, project: Lifetimes{4 * h, 5 * h, 6 * h}, client: Lifetimes{7 * h, 8 * h, 9 * h},
			want: Lifetimes{7 * h, 8 * h, 9 * h},
		},
		"each field for itself": {
			server: Lifetimes{RefreshAbsolute: 48 * h}, project: Lifetimes{Refresh: 24 * h}, client: Lifetimes{Access: h},
			want: Lifetimes{h, 24 * h, 48 * h},
		},
		"clamped to the limits": {
			project: Lifetimes{Access: time.Second, Refresh: time.Second, RefreshAbsolute: 100 * 365 * 24 * h},
			want:    Lifetimes{time.Minute, time.Minute, 10 * 365 * 24 * h},
		},
		"clamped to a raised floor":       {project: Lifetimes{Access: 2 * time.Minute}, limits: Limits{MinAccess: 10 * time.Minute}, want: Lifetimes{10 * time.Minute, 30 * 24 * h, 365 * 24 * h}},
		"clamped to a lowered ceiling":    {client: Lifetimes{Access: 2 * h}, limits: Limits{MaxAccess: h}, want: Lifetimes{h, 30 * 24 * h, 365 * 24 * h}},
		"idle at most absolute":           {project: Lifetimes{RefreshAbsolute: h}, client: Lifetimes{Refresh: 5 * h}, want: Lifetimes{15 * time.Minute, h, h}},
		"no refresh tokens":               {project: Lifetimes{Refresh: None, RefreshAbsolute: h}, want: Lifetimes{Access: 15 * time.Minute}},
		"refresh tokens for one client":   {project: Lifetimes{Refresh: None}, client: Lifetimes{Refresh: h}, want: Lifetimes{15 * time.Minute, h, 365 * 24 * h}},
		"a negative lifetime is no trick": {client: Lifetimes{Access: -h}, want: Lifetimes{time.Minute, 30 * 24 * h, 365 * 24 * h}},
	} {
		if got := Effective(c.server, c.project, c.client, c.limits); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestLifetimesOutsideTheLimitsAreRefused(t *testing.T) {
	for want, l := range map[string]Lifetimes{
		"access_token: 59s is below the limit of 1m":               {Access: 59 * time.Second},
		"access_token: 8760h1m is above the limit of 1y":           {Access: year + time.Minute},
		"refresh_token: 2h is above refresh_absolute, which is 1h": {Refresh: 2 * time.Hour, RefreshAbsolute: time.Hour},
		"refresh_token: 1s is below the limit of 1m":               {Refresh: time.Second},
		"refresh_absolute: 30s is below the limit of 1m":           {RefreshAbsolute: 30 * time.Second},
		"access_token: 1m0.5s is not a whole number of seconds":    {Access: time.Minute + time.Second/2},
		"access_token: -1ns is below the limit of 1m":              {Access: -1},
		"": {Access: time.Minute, Refresh: None},
		"refresh_absolute: 87600h0m1s is above the limit of 10y":     {RefreshAbsolute: 10*year + time.Second},
		"refresh_token: 20y is above the limit of 10y":               {Refresh: 20 * year},
		"refresh_token: 1h0m0.001s is not a whole number of seconds": {Refresh: time.Hour + time.Millisecond},
	} {
		err := l.Check(Limits{})
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%v: %v, want %s", l, err, want)
		}
	}
}

func TestLimitsAreNeverWiderThanTheWidest(t *testing.T) {
	for _, l := range []Limits{
		{MinAccess: time.Second}, {MaxAccess: 2 * year}, {MinAccess: time.Hour, MaxAccess: time.Minute * 30},
		{MinRefresh: time.Second}, {MaxRefresh: 11 * year}, {MinRefresh: 2 * time.Hour, MaxRefresh: time.Hour}, {MinAccess: -time.Hour},
	} {
		if err := l.Check(); err == nil {
			t.Errorf("%+v was taken", l)
		}
	}
	for _, l := range []Limits{{}, {MinAccess: 5 * time.Minute, MaxAccess: time.Hour, MinRefresh: time.Hour, MaxRefresh: year}} {
		if err := l.Check(); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestPresets(t *testing.T) {
	for _, c := range []struct {
		name string
		want Lifetimes
	}{
		{"high_security", Lifetimes{5 * time.Minute, 8 * time.Hour, 24 * time.Hour}},
		{"standard", Lifetimes{15 * time.Minute, 30 * day, year}},
		{"convenient", Lifetimes{time.Hour, 90 * day, year}},
		{"api_only", Lifetimes{15 * time.Minute, None, 0}},
		{"production", Lifetimes{24 * time.Hour, 90 * day, year}},
		{"development", Lifetimes{30 * day, 180 * day, year}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Preset(c.name)
			if err != nil || got != c.want {
				t.Errorf("%v, %v, want %v", got, err, c.want)
			}
			if err := got.Check(Limits{}); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := Preset("lax"); err == nil || !strings.Contains(err.Error(), "high_security, standard, convenient, api_only") {
		t.Error(err)
	}
	preset, _ := Preset("high_security")
	if got := (Lifetimes{Access: time.Hour}).Over(preset); got.Access != time.Hour || got.Refresh != 8*time.Hour {
		t.Errorf("what is set beside a preset: %v", got)
	}
}
