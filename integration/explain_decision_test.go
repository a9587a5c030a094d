package integration

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

const decisionSites = authSite + `
{{url "app"}} {
	jwt_auth /admin* api {
		require role admin
	}
	handle /admin* {
		respond "administration"
	}
	handle /public/* {
		respond "everybody"
	}
	handle_path /bare/* {
		header X-Bare yes
	}
}
http://*.wild.localhost:{{port "app"}} {
	bind 127.0.0.1
	respond "wild"
}
`

// TestExplainForTests: exit codes and JSON are for scripts. What nobody answers is not taken for
// what is allowed.
func TestExplainForTests(t *testing.T) {
	d := newDesk(t)
	config := d.otherFile("decisions", d.caddyfile(standardAuth, decisionSites))
	editor := d.tokens.mint("es1", "bob", map[string]any{"role": "editor"})
	admin := d.tokens.mint("es1", "alice", map[string]any{"role": "admin"})
	app, _, _ := strings.Cut(d.host("app"), ":")
	other := strings.Replace(d.url("app"), app, "nobody.example", 1)
	app = d.url("app")
	wild := strings.Replace(other, "nobody.example", "x.wild.localhost", 1)
	for _, c := range []struct {
		name, url, token, expect string
		code                     int
		decision, reason, check  string
		complaint                string
	}{
		{name: "allowed", url: app + "/admin", token: admin, decision: "allow"},
		{name: "allowed, as expected", url: app + "/admin", token: admin, expect: "allow", decision: "allow"},
		{name: "no gate was asked", url: app + "/public/x", expect: "allow", decision: "allow"},
		{name: "a site with a wildcard", url: wild + "/", expect: "allow", decision: "allow"},
		{name: "denied", url: app + "/admin", token: editor, decision: "deny", reason: "claim_denied", check: "policy"},
		{name: "denied, as expected", url: app + "/admin", token: editor, expect: "deny",
			decision: "deny", reason: "claim_denied", check: "policy"},
		{name: "the expected reason", url: app + "/admin", token: editor, expect: "claim_denied",
			decision: "deny", reason: "claim_denied", check: "policy"},
		{name: "another reason", url: app + "/admin", token: editor, expect: "expired", code: 2,
			decision: "deny", reason: "claim_denied", check: "policy",
			complaint: "expected expired, got deny claim_denied"},
		{name: "allowed, not expected", url: app + "/admin", token: admin, expect: "deny", code: 2,
			decision: "allow", complaint: "expected deny, got allow"},
		{name: "denied, not expected", url: app + "/admin", expect: "allow", code: 2,
			decision: "deny", reason: "no_credential", check: "credential",
			complaint: "expected allow, got deny no_credential"},
		{name: "an ambiguous path at a gate", url: app + "/admin/..%5cx", token: admin, expect: "ambiguous_path",
			decision: "deny",
			reason:   "ambiguous_path", check: "path"},
		{
			name:     "an ambiguous path beside a gate",
			url:      app + "/public/..;/admin",
			token:    admin,
			expect:   "ambiguous_path",
			decision: "deny",
			reason:   "ambiguous_path",
			check:    "path",
		},
		{name: "a host of no site", url: other + "/admin", token: admin, code: 2,
			decision: "unanswered", complaint: "no site answers"},
		{name: "a host of no site, expected to be allowed", url: other + "/admin", expect: "allow", code: 2,
			decision: "unanswered", complaint: "no site answers"},
		{name: "a host of no site, expected to be denied", url: other + "/admin", expect: "deny", code: 2,
			decision: "unanswered", complaint: "no site answers"},
		{name: "a path that nothing answers", url: app + "/nothing", code: 2,
			decision: "unanswered", complaint: "no site answers"},
		{name: "a path that only headers are set on", url: app + "/bare/x", code: 2,
			decision: "unanswered", complaint: "no site answers"},
		{name: "an expectation that cannot be", url: app + "/admin", expect: "claim_denyed",
			code: 1, complaint: `"claim_denyed" is neither allow nor deny nor a reason code`},
		{name: "an empty expectation", url: app + "/admin", expect: "an empty variable",
			code: 1, complaint: `--expect: "" is neither allow nor deny nor a reason code`},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"explain", "--config", config, "--url", c.url}
			if c.token != "" {
				args = append(args, "--token", c.token)
			}
			switch c.expect {
			case "":
			case "an empty variable":
				args = append(args, "--expect", "")
			default:
				args = append(args, "--expect", c.expect)
			}
			text, _, code := d.run(t, "", args...)
			out, stderr, jsonCode := d.run(t, "", append(args, "--json")...)
			if code != c.code || jsonCode != c.code {
				t.Errorf("exit codes %d and %d, want %d: %s%s", code, jsonCode, c.code, stderr, text)
			}
			if (c.complaint == "") != (stderr == "") || !strings.Contains(stderr, c.complaint) ||
				strings.Count(stderr, "\n") > 1 {
				t.Errorf("standard error %q", stderr)
			}
			if c.code == 1 {
				return
			}
			var got struct {
				Decision, Reason, Check string
				Store                   struct{ Name string }
				Notes                   []string
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got.Decision != c.decision || got.Reason != c.reason || got.Check != c.check || got.Notes == nil {
				t.Errorf("%+v", got)
			}
			path := filepath.Join(d.dir, "data", "caddy", "auth", "auth.db")
			if got.Store.Name != path || !strings.HasPrefix(text, "Store: "+path) {
				t.Errorf("store %q, want %q: %s", got.Store.Name, path, text)
			}
			if c.reason != "" && !strings.Contains(text, "Deciding check: "+c.check+" ("+c.reason) {
				t.Errorf("%s", text)
			}
			ofHost := strings.Contains(text, "note: no site of the configuration has the host nobody.example")
			ofPath := strings.Contains(text, "note: no handler answers this path")
			if (c.decision == "unanswered") != (ofHost || ofPath) || ofHost != strings.Contains(c.url, "nobody") {
				t.Errorf("%s", text)
			}
			if c.token != "" && strings.Contains(out+text, c.token) {
				t.Error("it prints the token")
			}
		})
	}
}

// TestCommandsNameTheirStore: and say when the server uses another one, as it does when somebody
// else runs the command.
func TestCommandsNameTheirStore(t *testing.T) {
	d := newDesk(t)
	config := d.configFile()
	token := d.login(t, "root", alicePassword)
	own := filepath.Join(d.dir, "data", "caddy", "auth", "auth.db")
	commands := [][]string{{"explain", "--url", d.url("app"), "--token", token}, {"token", "inspect", token}}
	for _, args := range commands {
		out, stderr, code := d.run(t, "", append(args, "--config", config)...)
		if code != 0 || !strings.Contains(out, "Store: "+own+"\n") || strings.Contains(out, "another store") {
			t.Errorf("%q: %d %s%s", args[:2], code, out, stderr)
		}
	}
	elsewhere := t.TempDir()
	t.Setenv("XDG_DATA_HOME", elsewhere)
	for _, args := range commands {
		out, _, _ := d.run(t, "", append(args, "--config", config)...)
		for _, want := range []string{
			"Store: " + filepath.Join(elsewhere, "caddy", "auth", "auth.db") + " (empty: no server has used it)\n",
			"note: the running server uses another store, " + own + ": ",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%q: it should say %q:\n%s", args[:2], want, out)
			}
		}
		out, _, _ = d.run(t, "", append(args, "--config", config, "--json")...)
		var got struct {
			Store struct {
				Empty   bool
				Running string
			}
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil || !got.Store.Empty || got.Store.Running != own {
			t.Errorf("%q: %v %s", args[:2], err, out)
		}
	}
	if left := files(t, elsewhere); len(left) > 0 {
		t.Errorf("looking left %q", left)
	}
}

// TestInspectJSON: what a program reads of a token, with and without a configuration.
func TestInspectJSON(t *testing.T) {
	g := newGateway(t)
	config := g.configFile(standardAuth, apiSite)
	good := g.tokens.mint("es1", "alice",
		map[string]any{"n": json.Number("12345678901234567890"), "list": []any{1, "x", nil}})
	forAPI := g.tokens.mint("es1", "alice", map[string]any{"aud": "api"})
	for _, c := range []struct {
		name     string
		args     []string
		verified bool
		reason   string
		failed   string
	}{
		{"decoded", []string{good}, false, "", ""},
		{"verified", []string{"--config", config, good}, true, "", ""},
		{"refused", []string{"--config", config, spoil(good)}, false, "bad_signature", "signature"},
		{
			"for somebody else", []string{"--config", config, "--audience", "web", forAPI}, false, "wrong_audience",
			"audience",
		},
		{"not a token", []string{"--config", config, "wonderland"}, false, "malformed", "structure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, stderr, err := command("", append([]string{"token", "inspect", "--json"}, c.args...)...)
			if (err != nil) != (c.reason != "") || stderr != "" {
				t.Errorf("%v %q", err, stderr)
			}
			var got struct {
				Verified       bool
				Reason         string
				Header, Claims map[string]any
				Checks         []struct{ Check, Outcome string }
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got.Verified != c.verified || got.Reason != c.reason ||
				(got.Claims == nil) != (c.reason == "malformed") {
				t.Errorf("%s", out)
			}
			failed := ""
			for _, check := range got.Checks {
				if check.Outcome == "failed" {
					failed += check.Check
				}
			}
			if failed != c.failed ||
				c.verified && (len(got.Checks) == 0 || !strings.Contains(out, `"n": 12345678901234567890,`)) {
				t.Errorf("failed %q: %s", failed, out)
			}
			if strings.Contains(out, good[strings.LastIndexByte(good, '.')+1:]) {
				t.Error("it prints the signature")
			}
		})
	}
}
