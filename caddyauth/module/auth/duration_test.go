package auth

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
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

// TestEveryDurationHasYears: no setting reads its length of time in a way of its own.
func TestEveryDurationHasYears(t *testing.T) {
	seen := map[reflect.Type]bool{}
	found := 0
	var walk func(where string, v reflect.Type)
	walk = func(where string, v reflect.Type) {
		switch {
		case v == reflect.TypeFor[caddy.Duration]() || v == reflect.TypeFor[time.Duration]():
			t.Errorf("%s is a %s", where, v)
		case v == reflect.TypeFor[Duration]():
			found++
		case v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice || v.Kind() == reflect.Map:
			walk(where, v.Elem())
		case v.Kind() == reflect.Struct && !seen[v]:
			seen[v] = true
			for field := range v.Fields() {
				if field.Tag.Get("json") != "" || field.Anonymous {
					walk(where+"."+field.Name, field.Type)
				}
			}
		}
	}
	walk("Settings", reflect.TypeFor[Settings]())
	walk("JWTAuth", reflect.TypeFor[JWTAuth]())
	walk("AuthServer", reflect.TypeFor[AuthServer]())
	if found < 20 {
		t.Errorf("only %d durations were found", found)
	}
}

func TestLengthsOfTimeAreSpelledAsInACaddyfile(t *testing.T) {
	for _, c := range []struct {
		want string
		d    time.Duration
	}{
		{"30d", 720 * time.Hour}, {"36h", 36 * time.Hour}, {"5m", 5 * time.Minute}, {"1m30s", 90 * time.Second},
		{"59s", 59 * time.Second}, {"0s", 0}, {"1h5m", 65 * time.Minute}, {"-1m", -time.Minute},
		{"10m0.5s", 10*time.Minute + 500*time.Millisecond},
	} {
		t.Run(c.want, func(t *testing.T) {
			if got := spell(c.d); got != c.want {
				t.Errorf("%v: %s, want %s", c.d, got, c.want)
			}
		})
	}
}
