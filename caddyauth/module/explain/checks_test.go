package explain

import (
	"testing"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// TestEveryReasonHasItsCheck: explain names the check behind every reason code.
func TestEveryReasonHasItsCheck(t *testing.T) {
	for _, reason := range gate.Reasons {
		if check := checkOf("", &token.Refusal{Reason: reason}); check == "unnamed" {
			t.Errorf("%s: the check has no name", reason)
		}
	}
}

// TestCommandValuesCannotConfuseATerminal: what a hostile token holds is printed as what it is.
func TestCommandValuesCannotConfuseATerminal(t *testing.T) {
	got := quoteJSON(map[string]any{
		"b\x1b[31m": []any{"\u009b31m", "\u202egnp.exe", true, nil, token.Number("1e3")},
		"a":         map[string]any{"line": "one\ntwo"},
	})
	want := `{"a": {"line": "one\ntwo"}, "b\x1b[31m": ["\u009b31m", "\u202egnp.exe", true, null, 1e3]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
