package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestCommandPasswordComesFromStandardInput(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"correct horse\n", "correct horse"}, {"correct horse", "correct horse"},
		{"correct horse\r\n", "correct horse"}, {" spaces count ", " spaces count "},
	} {
		t.Run(c.text, func(t *testing.T) {
			cmd := &cobra.Command{}
			cmd.SetIn(strings.NewReader(c.text))
			if got, err := readPassword(cmd); got != c.want || err != nil {
				t.Errorf("%q: %q, %v", c.text, got, err)
			}
		})
	}
	for _, c := range []struct{ text, want string }{
		{"", "no password"}, {"\n", "no password"}, {"one\ntwo\n", "more than one line"},
		{strings.Repeat("x", 1<<20), "limit"},
	} {
		t.Run(fmt.Sprintf("%.20q", c.text), func(t *testing.T) {
			cmd := &cobra.Command{}
			cmd.SetIn(strings.NewReader(c.text))
			if got, err := readPassword(cmd); got != "" || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%.20q: %q, %v", c.text, got, err)
			}
		})
	}
}

// TestCommandPasswordIsNotReadFromAFileAsFromATerminal: a file is a file, even though it is an
// *os.File.
func TestCommandPasswordIsNotReadFromAFileAsFromATerminal(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	cmd := &cobra.Command{}
	cmd.SetIn(null)
	if _, err := readPassword(cmd); err == nil || !strings.Contains(err.Error(), "no password") {
		t.Error(err)
	}
}

func TestCommandPasswordIsPromptedForTwice(t *testing.T) {
	for _, c := range []struct {
		typed []string
		fails error
		want  string // of the error
	}{
		{typed: []string{"correct horse", "correct horse"}},
		{typed: []string{"correct horse", "correct hose"}, want: "differ"},
		{typed: []string{"", ""}, want: "empty"},
		{fails: errors.New("interrupted"), want: "interrupted"},
	} {
		var shown strings.Builder
		got, err := promptPassword(&shown, func() ([]byte, error) {
			if c.fails != nil {
				return nil, c.fails
			}
			next := c.typed[0]
			c.typed = c.typed[1:]
			return []byte(next), nil
		})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) ||
			strings.Contains(shown.String(), "horse") {
			t.Errorf("%q, %v, shown %q", got, err, shown.String())
		}
	}
}

func TestCommandClaims(t *testing.T) {
	got, err := parseClaims([]string{"role=editor", "role=reviewer", "level:=3", "note=a=b", "team:={\"id\":1}",
		"empty=", "mixed:=null", "mixed=a", "list:=[1]", "list=b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want any
	}{{"role", []any{"editor", "reviewer"}}, {"note", "a=b"}, {"empty", ""}, {"mixed", []any{nil, "a"}},
		{"list", []any{json.Number("1"), "b"}}} {
		t.Run(c.name, func(t *testing.T) {
			if !reflect.DeepEqual(got[c.name], c.want) {
				t.Errorf("%s: %v", c.name, got[c.name])
			}
		})
	}
	if text := formatValue(got["level"]) + formatValue(got["team"]); text != `3{"id":1}` {
		t.Errorf("typed claims: %s", text)
	}
	for _, wrong := range []string{"role", "=x", ":=3", "level:=three", "level:=1 2",
		`team:={"id":1,"id":2}`, `team:=[{"a":1,"\u0061":2}]`} {
		if got, err := parseClaims([]string{wrong}); err == nil {
			t.Errorf("%s: %v", wrong, got)
		}
	}
}

func TestCommandTimes(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		text string
		want time.Time
	}{
		{"24h", now.Add(-24 * time.Hour)}, {"1d", now.Add(-24 * time.Hour)}, {"1y", now.AddDate(-1, 0, 0)},
		{"2026-02-28T00:00:00Z", now.Add(-36 * time.Hour)},
	} {
		t.Run(c.text, func(t *testing.T) {
			if got, err := parseTime("since", c.text, now); !got.Equal(c.want) || err != nil {
				t.Errorf("%s: %v, %v", c.text, got, err)
			}
		})
	}
	for _, c := range []struct {
		text string
		want int64
	}{{"15m", 900}, {"1d", 86400}, {"1y", 31536000}, {"1y30d", 34128000}, {"0", 0}} {
		t.Run(c.text, func(t *testing.T) {
			if got, err := parseSeconds("access", c.text); err != nil || *got != c.want {
				t.Errorf("%s: %v", c.text, err)
			}
		})
	}
	if got, err := parseSeconds("access", "default"); got != nil || err != nil {
		t.Errorf("default: %v, %v", got, err)
	}
	for _, wrong := range []string{"yesterday", "-1h", "1500ms", ""} {
		_, notSeconds := parseSeconds("access", wrong)
		_, notTime := parseTime("since", wrong, now)
		if notSeconds == nil || wrong != "1500ms" && notTime == nil {
			t.Errorf("%q: %v, %v", wrong, notSeconds, notTime)
		}
	}
}

// TestCommandTablesCannotConfuseATerminal: a device is whatever a stranger's program says.
func TestCommandTablesCannotConfuseATerminal(t *testing.T) {
	var out strings.Builder
	items := `{"id":"a","device":"\u001b[31m\nb","n":12345678901234567890,"at":"2026-03-01T12:00:00.123Z",` +
		`"none":null,"list":["a","b"],"yes":true}`
	err := printTable(&out, []json.RawMessage{json.RawMessage(items)}, []column{
		{"ID", "id"}, {"DEVICE", "device"}, {"N", "n"}, {"AT", "at"}, {"NONE", "none"}, {"MISSING", "missing"},
		{"LIST", "list"}, {"YES", "yes"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "ID  DEVICE           N                     AT                    NONE  MISSING  LIST  YES\n" +
		`a   "\x1b[31m\nb"    12345678901234567890  2026-03-01T12:00:00Z  -     -        a,b   yes` + "\n"
	if got := out.String(); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") ||
		strings.Count(got, "\n") != 2 {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestCommandSaysInOneLineWhyThereIsNoAnswer(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{
			`caddy responded with error: HTTP 404: {"error":"not_found","error_description":"there is no such client"}`,
			"there is no such client",
		},
		{`caddy responded with error: HTTP 403: {"error":"host not allowed: x"}`, "host not allowed: x"},
		{
			`caddy responded with error: HTTP 400: {"error":"x","error_description":"jwks: none\npkce: \"x\""}`,
			`jwks: none; pkce: "x"`,
		},
		{
			"caddy responded with error: HTTP 404: 404 page not found\n",
			"the Caddy at a:1 answers 404: 404 page not found, as if it was built without caddyauth",
		},
		{
			`performing request: Get "http://a:1/auth/api/users": dial tcp 127.0.0.1:1: connect: connection refused`,
			"no Caddy answers at the admin address a:1: dial tcp 127.0.0.1:1: connect: connection refused",
		},
		{"invalid admin address x y: something", "invalid admin address x y: something"},
	} {
		t.Run(c.want, func(t *testing.T) {
			if got := requestError("a:1", errors.New(c.text)).Error(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
