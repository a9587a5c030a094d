package option

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// Duration is a duration in the settings. In JSON it is a string such as `90s`, `15m`, `30d` or
// `1y` (a day has 24 hours, a year 365 days), or a number of nanoseconds.
type Duration time.Duration

// UnmarshalJSON reads either form.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if len(data) == 0 || data[0] != '"' {
		return json.Unmarshal(data, (*int64)(d))
	}
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	value, err := project.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("duration %.40q: %w", text, err)
	}
	*d = Duration(value)
	return nil
}

// String returns the duration as a Caddyfile has it: 30d instead of 720h0m0s.
func (d Duration) String() string { return project.FormatDuration(time.Duration(d)) }

// Or returns the duration, or fallback if it is zero.
func (d Duration) Or(fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return time.Duration(d)
}

// DurationRange is one duration setting with its limits. Zero means the setting's default.
type DurationRange struct {
	Name     string
	Value    *Duration
	Min, Max time.Duration
}

// Validate refuses a value outside the limits.
func (r DurationRange) Validate() error {
	switch v := time.Duration(*r.Value); {
	case v == 0:
		return nil
	case v < r.Min:
		return fmt.Errorf("%s: %s is below the limit of %s",
			r.Name, project.FormatDuration(v), project.FormatDuration(r.Min))
	case v > r.Max:
		return fmt.Errorf("%s: %s is above the limit of %s",
			r.Name, project.FormatDuration(v), project.FormatDuration(r.Max))
	}
	return nil
}

// ReadDuration reads the duration of the setting that the current word names.
func ReadDuration(d *caddyfile.Dispenser, ranges []DurationRange) error {
	word := d.Val()
	i := slices.IndexFunc(ranges, func(r DurationRange) bool { return r.Name == word })
	if i < 0 {
		return d.Errf("lifetimes: unrecognized option %q", word)
	}
	var text string
	if err := One(d, &text); err != nil {
		return err
	}
	value, err := ParseDuration(d, word, text, "15m or 30d")
	if err != nil {
		return err
	}
	if value == 0 {
		return d.Errf("%s: %q is below the limit of %s", word, text, project.FormatDuration(ranges[i].Min))
	}
	*ranges[i].Value = Duration(value)
	return At(d, ranges[i].Validate())
}

// ReadZeroable reads a duration that may be 0s.
func ReadZeroable(d *caddyfile.Dispenser, into **Duration, limit time.Duration) error {
	word := d.Val()
	var text string
	if err := One(d, &text); err != nil {
		return err
	}
	value, err := ParseDuration(d, word, text, "10s or 15m")
	if err != nil {
		return err
	}
	*into = new(Duration(value))
	return At(d, ValidateZeroable(word, *into, limit))
}

// ValidateZeroable refuses a duration below 0s or above the limit. nil means the setting's default.
func ValidateZeroable(name string, value *Duration, limit time.Duration) error {
	if value != nil && (*value < 0 || time.Duration(*value) > limit) {
		return fmt.Errorf("%s: %s is not between 0s and %s", name, value, project.FormatDuration(limit))
	}
	return nil
}

// ParseDuration parses the duration of a setting. The error shows the example.
func ParseDuration(d *caddyfile.Dispenser, setting, text, example string) (time.Duration, error) {
	value, err := project.ParseDuration(text)
	switch {
	case err == nil:
		return value, nil
	case errors.Is(err, project.ErrNoUnit):
		return 0, d.Errf("%s: %q is %v", setting, text, err)
	}
	return 0, d.Errf("%s: %q is not a duration such as %s", setting, text, example)
}
