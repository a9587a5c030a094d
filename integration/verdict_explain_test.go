package integration

import (
	"fmt"
	"strings"
	"testing"
)

// TestExplainVerdicts: `explain` says what a proxy would be answered.
func TestExplainVerdicts(t *testing.T) {
	g := newGateway(t)
	config := g.configFile(verdictAuth+verdictServers("verdict"), authSite+verdictSite("traefik"))
	tokens := people(g.tokens)
	for _, c := range []struct {
		name, path, token string
		decision, reason  string
	}{
		{"verified", "/app", tokens["bob"], "allow", ""},
		{"nobody", "/app", "", "deny", "no_credential"},
		{"not for bob", "/admin", tokens["bob"], "deny", "claim_denied"},
		{"public", "/public/x", "", "allow", ""},
		{"no gate", "/other", tokens["bob"], "deny", "no_gate"},
		{"a filter is no gate", "/off/x", tokens["bob"], "deny", "no_gate"},
		{"a trial is no gate", "/trial/x", tokens["bob"], "deny", "no_gate"},
		{"a path of the gateway", "/.auth/login", tokens["bob"], "deny", "own_path"},
		{"a token in the URL", "/query/x?key=" + tokens["bob"], "", "deny", "credential_in_url"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := fmt.Sprintf("http://app.localhost:%d%s", g.port("verdict"), c.path)
			args := []string{"explain", "--config", config, "--url", address}
			if c.token != "" {
				args = append(args, "--token", c.token)
			}
			text, stderr, err := command("", args...)
			if err != nil || c.reason != "" && !strings.Contains(text, " ("+c.reason) {
				t.Errorf("%v %s%s", err, stderr, text)
			}
			if passes := strings.Contains(text, "behind the other proxy"); passes != (c.decision == "allow") {
				t.Errorf("it says %s", text)
			}
			if strings.Contains(text, "X-User-Id: bob") != (c.name == "verified") {
				t.Errorf("it says of the headers %s", text)
			}
			if _, stderr, err := command("", append(args, "--expect", c.decision)...); err != nil {
				t.Errorf("want %s: %v %s", c.decision, err, stderr)
			}
		})
	}
}
