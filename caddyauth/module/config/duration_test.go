package config

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestDurationsOfJSONHaveYears: a setting of a JSON configuration takes what the Caddyfile takes,
// and nanoseconds.
func TestDurationsOfJSONHaveYears(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
	}{
		{`"1y"`, 365 * 24 * time.Hour}, {`"1y30d"`, 395 * 24 * time.Hour}, {`"90s"`, 90 * time.Second},
		{`90000000000`, 90 * time.Second}, {`null`, 0},
	} {
		var s Settings
		if err := json.Unmarshal([]byte(`{"max_lifetime":`+c.text+`}`), &s); err != nil ||
			time.Duration(s.MaxLifetime) != c.want {
			t.Errorf("%s: %v, %v", c.text, time.Duration(s.MaxLifetime), err)
		}
	}
	for _, wrong := range []string{`"1 y"`, `"y"`, `""`, `1.5`, `"300y"`, `{}`} {
		var s Settings
		if err := json.Unmarshal([]byte(`{"max_lifetime":`+wrong+`}`), &s); err == nil {
			t.Errorf("%s is taken for %v", wrong, time.Duration(s.MaxLifetime))
		}
	}
	text, err := json.Marshal(Settings{MaxLifetime: 90e9})
	if err != nil || !strings.Contains(string(text), `"max_lifetime":90000000000`) {
		t.Errorf("%s, %v", text, err)
	}
}
