package option

import (
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

func TestLengthsOfTimeAreSpelledAsInACaddyfile(t *testing.T) {
	for _, c := range []struct {
		want string
		d    time.Duration
	}{
		{"30d", 720 * time.Hour}, {"36h", 36 * time.Hour}, {"5m", 5 * time.Minute}, {"1m30s", 90 * time.Second},
		{"59s", 59 * time.Second}, {"0s", 0},
		{"1h5m", 65 * time.Minute}, {"-1m", -time.Minute}, {"10m0.5s", 10*time.Minute + 500*time.Millisecond},
	} {
		t.Run(c.want, func(t *testing.T) {
			if got := project.FormatDuration(c.d); got != c.want {
				t.Errorf("%v: %s, want %s", c.d, got, c.want)
			}
		})
	}
}
