package config

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TestDeclaredNumbersThatWouldLoseDigits: Caddy reads a configuration into float64 before it arrives
// here. Such numbers became others in tokens without a word.
func TestDeclaredNumbersThatWouldLoseDigits(t *testing.T) {
	for _, c := range []struct {
		value string
		lost  string
	}{
		{"9007199254740991", ""},
		{"-9007199254740991", ""},
		{"1.5", ""},
		{`"12345678901234567890"`, ""},
		{"9007199254740993", "9007199254740993"},
		{"12345678901234567890", "12345678901234567890"},
		{"-12345678901234567890", "-12345678901234567890"},
		{"1e400", "1e400"},
		{`[{"n":9007199254740993}]`, "9007199254740993"},
		{`{"a":{"b":12345678901234567890}}`, "12345678901234567890"},
	} {
		t.Run(c.value, func(t *testing.T) {
			for _, block := range []string{"user alice", "client billing"} {
				d := caddyfile.NewTestDispenser("auth {\n" + block + " {\nclaim level := `" + c.value + "`\n}\n}")
				err := new(Settings).UnmarshalCaddyfile(d)
				if c.lost == "" && err != nil && strings.Contains(err.Error(), "digits") ||
					c.lost != "" && (err == nil || !strings.Contains(err.Error(), `"level"`) ||
						!strings.Contains(err.Error(), "number "+c.lost+" ")) {
					t.Errorf("%s: %v", block, err)
				}
			}
			var read any // as Caddy has it when the configuration is JSON
			if err := json.Unmarshal([]byte(c.value), &read); err != nil {
				return // Caddy refuses it
			}
			err := (&User{Name: "alice", Claims: map[string]any{"level": read}}).Validate()
			if (err != nil) != (c.lost != "") {
				t.Errorf("JSON: %v", err)
			}
		})
	}
}
