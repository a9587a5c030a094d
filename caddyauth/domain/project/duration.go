package project

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// maxDurationText bounds what is read as a length of time, in bytes.
const maxDurationText = 128

// ParseDuration reads a length of time as every setting and command takes it: as Go writes it
// (`1h30m`, `90s`), with days of 24 hours and years of 365 days besides (`1y`, `90d`, `1y30d12h`).
// The error holds no text but that of a number without a unit.
func ParseDuration(text string) (time.Duration, error) {
	switch {
	case len(text) > maxDurationText:
		return 0, fmt.Errorf("longer than %d bytes", maxDurationText)
	case !strings.ContainsAny(text, "dy"):
		return goDuration(text)
	}
	rest, negative := strings.CutPrefix(text, "-")
	if !negative {
		rest = strings.TrimPrefix(rest, "+")
	}
	var sum time.Duration
	for rest != "" {
		part, left, err := firstPart(rest)
		if err != nil {
			return 0, err
		}
		if part > math.MaxInt64-sum {
			return 0, errTooLong
		}
		sum, rest = sum+part, left
	}
	if negative {
		return -sum, nil
	}
	return sum, nil
}

// ErrNoUnit is wrapped by the error about a bare number, which also says what to write instead.
var ErrNoUnit = errors.New("a number without a unit")

var (
	errNoDuration = errors.New("not a length of time such as 90s, 15m, 12h, 30d or 1y")
	errTooLong    = errors.New("a length of time above 292 years")
)

func goDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err == nil:
		return d, nil
	case len(text) <= maxBareNumber && strings.Trim(text, "-+.0123456789") == "" &&
		strings.ContainsAny(text, "0123456789"):
		return 0, fmt.Errorf("%w; add a unit: %ss", ErrNoUnit, text)
	}
	return 0, errNoDuration
}

// maxBareNumber is up to how many bytes a number without a unit stands in the error.
const maxBareNumber = 20

// firstPart reads a number with its unit.
func firstPart(text string) (part time.Duration, rest string, err error) {
	const digits = "0123456789."
	unit := strings.TrimLeft(text, digits)
	number := text[:len(text)-len(unit)]
	if next := strings.IndexAny(unit, digits); next >= 0 {
		unit, rest = unit[:next], unit[next:]
	}
	times := int64(1)
	switch unit {
	case "d":
		times, unit = int64(day/time.Hour), "h"
	case "y":
		times, unit = int64(year/time.Hour), "h"
	}
	if number == "" { // a sign in the middle would be taken
		return 0, "", errNoDuration
	}
	if part, err = goDuration(number + unit); err != nil {
		return 0, "", err
	}
	if int64(part) > math.MaxInt64/times {
		return 0, "", errTooLong
	}
	return time.Duration(int64(part) * times), rest, nil
}

// FormatDuration writes a length of time as people and the Caddyfile do: 30d instead of 720h0m0s.
// ParseDuration reads it.
func FormatDuration(d time.Duration) string {
	switch {
	case d >= year && d%year == 0:
		return fmt.Sprintf("%dy", d/year)
	case d >= day && d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
