package project

import (
	"strings"
	"testing"
	"time"
)

func TestDurationsInYearsAndDays(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
	}{
		{"1y", year}, {"1y30d", year + 30*day},
		{"1y30d12h30m5s", year + 30*day + 12*time.Hour + 30*time.Minute + 5*time.Second}, {"90d", 90 * day},
		{"0.5d", 12 * time.Hour}, {"1.5y", year + year/2}, {"0", 0}, {"0s", 0}, {"0y", 0}, {"15m", 15 * time.Minute},
		{"1h1d", day + time.Hour}, {"1500ms", 1500 * time.Millisecond}, {"-1d", -day}, {"+1d", day},
		{"-1y1h", -year - time.Hour}, {"292y", 292 * year},
	} {
		if got, err := ParseDuration(c.text); err != nil || got != c.want {
			t.Errorf("%s: %v, %v; want %v", c.text, got, err, c.want)
		}
	}
	for _, wrong := range []string{
		"", "y", "1", "1 y", " 1y", "1y ", "1Y", "1w", "1mo", "1y-1d", "1.2.3d", ".d", "1e3d", "0x1d", "infd", "300y",
		"200y200y", "-300y", "292y300d", "one year", "1y_0d", strings.Repeat("1d", 1000),
	} {
		if got, err := ParseDuration(wrong); err == nil {
			t.Errorf("%.40q is taken for %v", wrong, got)
		}
	}
}

// TestBareNumbersAreToldTheirUnit: other products write seconds without a unit.
func TestBareNumbersAreToldTheirUnit(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"3600", "add a unit: 3600s"},
		{"1.5", "add a unit: 1.5s"},
		{"-60", "add a unit: -60s"},
		{strings.Repeat("9", 100), "not a length of time such as 90s, 15m, 12h, 30d or 1y"},
		{"abc", "not a length of time such as 90s, 15m, 12h, 30d or 1y"},
	} {
		t.Run(c.text, func(t *testing.T) {
			if _, err := ParseDuration(c.text); err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestSpelledDurationsAreThoseOfTheCaddyfile(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{year, "1y"}, {10 * year, "10y"}, {400 * day, "400d"}, {30 * day, "30d"}, {25 * time.Hour, "25h"},
		{90 * time.Minute, "1h30m"}, {90 * time.Second, "1m30s"}, {0, "0s"}, {-day, "-24h"},
		{1500 * time.Millisecond, "1.5s"},
	} {
		if got := FormatDuration(c.d); got != c.want {
			t.Errorf("%v: %q, want %q", c.d, got, c.want)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, text := range []string{"1y30d", "0.5d", "-1y1h", "8760h1m", "1e3d", "9223372036854775807ns"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		if again, err := ParseDuration(FormatDuration(d)); err != nil || again != d {
			t.Errorf("%q is %v, spelled %q, which is %v, %v", text, d, FormatDuration(d), again, err)
		}
		if !strings.ContainsAny(text, "dy") {
			if want, err := time.ParseDuration(text); err != nil || want != d {
				t.Errorf("%q is %v, for Go %v, %v", text, d, want, err)
			}
		}
	})
}
