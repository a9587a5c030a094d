package config

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/module/option"
)

func TestKeySetIsKeptNoLongerThanHalfOfTheAnnouncement(t *testing.T) {
	hours := func(n float64) option.Duration { return option.Duration(n * float64(time.Hour)) }
	every, off := hours(0.5), option.Duration(0)
	for _, c := range []struct {
		keys              *Keys
		announce, expires time.Duration
	}{
		{nil, time.Hour, 5 * time.Minute},
		{&Keys{}, time.Hour, 5 * time.Minute},
		{&Keys{RotateEvery: &off}, time.Hour, 5 * time.Minute},
		{&Keys{RotateEvery: &every}, 15 * time.Minute, 5 * time.Minute},
		{&Keys{Announce: hours(24)}, 24 * time.Hour, 5 * time.Minute},
		{&Keys{Announce: option.Duration(5 * time.Minute)}, 5 * time.Minute, 150 * time.Second},
	} {
		t.Run(fmt.Sprint(c.announce), func(t *testing.T) {
			if got := c.keys.rotation(); got.Announce != c.announce || got.JWKSMaxAge != c.expires {
				t.Errorf("announced for %v, kept for %v; want %v and %v",
					got.Announce, got.JWKSMaxAge, c.announce, c.expires)
			}
		})
	}
}
