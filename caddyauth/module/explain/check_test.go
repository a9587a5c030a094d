package explain

import (
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/module/finding"
)

// TestFindingsAsText: one line each, and `ok` only without an error.
func TestFindingsAsText(t *testing.T) {
	warning := finding.Finding{
		Severity: finding.Warning,
		Where:    "server srv0",
		Text:     "it is open",
		Hint:     "add `jwt_auth`",
	}
	for _, c := range []struct {
		name  string
		found []finding.Finding
		want  string
	}{
		{"none", nil, "ok\n"},
		{"a warning", []finding.Finding{warning}, "warning: server srv0: it is open; add `jwt_auth`\nok\n"},
		{"an error", []finding.Finding{{Severity: finding.Error, Text: "nobody can sign in"}, warning},
			"error: nobody can sign in\nwarning: server srv0: it is open; add `jwt_auth`\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			if printFindings(&b, c.found); b.String() != c.want {
				t.Errorf("%q, want %q", b.String(), c.want)
			}
		})
	}
}

// TestFindingsAsJSON: programs read a list, also when it is empty.
func TestFindingsAsJSON(t *testing.T) {
	for _, c := range []struct {
		name  string
		found []finding.Finding
		want  string
	}{
		{"none", nil, `{ "ok": true, "findings": [] }`},
		{"an error", []finding.Finding{{Severity: finding.Error, Text: "a & b"}},
			`{ "ok": false, "findings": [ { "severity": "error", "text": "a & b" } ] }`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			err := printFindingsJSON(&b, c.found)
			if got := strings.Join(strings.Fields(b.String()), " "); err != nil || got != c.want {
				t.Errorf("%s, %v, want %s", got, err, c.want)
			}
		})
	}
}
