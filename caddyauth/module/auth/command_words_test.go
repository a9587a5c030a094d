package auth

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
