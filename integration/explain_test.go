package integration

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// command runs `caddy auth` with arguments, as the binary would. It returns both outputs; the error
// is what makes the exit code 1.
func command(stdin string, args ...string) (stdout, stderr string, err error) {
	registered := caddycmd.Commands()["auth"]
	cmd := &cobra.Command{Use: registered.Name + " " + registered.Usage, Long: registered.Long, SilenceUsage: true}
	registered.CobraFunc(cmd)
	var out, hint bytes.Buffer
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&hint)
	cmd.SetArgs(args)
	err = cmd.Execute()
	return out.String(), hint.String(), err
}

// configFile writes a configuration where the commands can read it, and returns its path.
func (g *gateway) configFile(globals, sites string) string {
	g.t.Helper()
	path := filepath.Join(g.dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(g.caddyfile(globals, sites)), 0o600); err != nil {
		g.t.Fatal(err)
	}
	return path
}

const explainSites = authSite + `
{{url "app"}} {
	log
	jwt_auth /write* web api {
		require scope write
	}
	jwt_auth /admin* web api {
		require role admin
	}
	jwt_auth web api {
		forward sub X-User-Id
		forward role X-User-Role
	}
	reverse_proxy {{.Proxy}}
}
`

// broken is a request that a gate refuses.
type broken struct {
	name          string
	token         string
	path          string   // / when empty
	method        string   // GET when empty
	lines         []string // further headers
	check, reason string   // the deciding check, and the reason code
	ofGate        bool     // the check is a gate's, which `token inspect` cannot know
}

// brokenTokens are tokens that are refused, each for another reason or in another way.
func brokenTokens(w *tokenFixture) []broken {
	es1 := func(changes map[string]any) string { return w.mint("es1", "alice", changes) }
	header := func(header map[string]any) string { return w.mintHeader(header, "es1", "alice", nil) }
	good, past := es1(nil), time.Now().Add(-time.Hour).Unix()
	return []broken{
		{name: "not a token", token: "wonderland", check: "structure", reason: "malformed"},
		{name: "padding", token: good + "=", check: "structure", reason: "malformed"},
		{name: "too large", token: good + strings.Repeat("A", 8192), check: "structure", reason: "too_large"},
		{name: "refresh token", token: "rt_1.2.3.4", check: "structure", reason: "wrong_type"},
		{
			name:   "no algorithm",
			token:  w.raw(`{"typ":"at+jwt","kid":"es1"}`, w.payload("alice", nil), "es1"),
			check:  "header",
			reason: "malformed",
		},
		{
			name:   "alg none",
			token:  w.raw(`{"alg":"none","kid":"es1"}`, w.payload("alice", nil), "es1"),
			check:  "header",
			reason: "bad_algorithm",
		},
		{
			name:   "no kid",
			token:  header(map[string]any{"alg": "ES256", "typ": "at+jwt"}),
			check:  "header",
			reason: "unknown_key",
		},
		{
			name:   "crit",
			token:  header(map[string]any{"alg": "ES256", "kid": "es1", "crit": []string{"exp"}}),
			check:  "header",
			reason: "malformed",
		},
		{
			name:   "unknown key",
			token:  header(map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": "gone"}),
			check:  "issuer and key",
			reason: "unknown_key",
		},
		{
			name:   "unknown issuer",
			token:  es1(map[string]any{"iss": "https://evil.example"}),
			check:  "issuer and key",
			reason: "unknown_issuer",
		},
		{name: "no issuer", token: es1(map[string]any{"iss": nil}), check: "issuer and key", reason: "malformed"},
		{
			name: "public key as secret",
			token: w.hmacWith(`{"alg":"HS256","typ":"at+jwt","kid":"rs1"}`, w.payload("alice", nil),
				w.publicForms("rs1")["PEM"]),
			check:  "algorithm",
			reason: "bad_algorithm",
		},
		{name: "signature", token: spoil(good), check: "signature", reason: "bad_signature"},
		{
			name:   "type",
			token:  header(map[string]any{"alg": "ES256", "typ": "JWT", "kid": "es1"}),
			check:  "type",
			reason: "wrong_type",
		},
		{name: "no subject", token: es1(map[string]any{"sub": nil}), check: "claims", reason: "malformed"},
		{name: "no expiry", token: es1(map[string]any{"exp": nil}), check: "claims", reason: "malformed"},
		{
			name:   "claim twice",
			token:  w.raw(w.header("es1"), `{"sub":"alice","sub":"eve"}`, "es1"),
			check:  "claims",
			reason: "malformed",
		},
		{
			name:   "claim twice, key unknown",
			token:  w.raw(`{"alg":"ES256","kid":"gone"}`, `{"sub":"alice","sub":"eve"}`, "es1"),
			check:  "claims",
			reason: "malformed",
		},
		{name: "expired", token: es1(map[string]any{"iat": past - 60, "exp": past}), check: "times", reason: "expired"},
		{
			name:   "not yet valid",
			token:  es1(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}),
			check:  "times",
			reason: "not_yet_valid",
		},
		{
			name:   "too long",
			token:  es1(map[string]any{"exp": time.Now().AddDate(2, 0, 0).Unix()}),
			check:  "times",
			reason: "lifetime_too_long",
		},
		{name: "audience", token: es1(map[string]any{"aud": "elsewhere"}), check: "audience", reason: "wrong_audience"},
	}
}

// refusedRequests are requests whose token is good and which a gate refuses nevertheless.
func refusedRequests(w *tokenFixture) []broken {
	good := w.mint("es1", "bob", map[string]any{"scope": "read"})
	return []broken{
		{name: "anonymous", check: "credential", reason: "no_credential", ofGate: true},
		{
			name:   "basic",
			lines:  []string{"Authorization: Basic Ym9iOmJ1aWxkZXI="},
			check:  "credential",
			reason: "no_credential",
			ofGate: true,
		},
		{
			name:   "two",
			token:  good,
			lines:  []string{"Cookie: access_token=" + w.mint("es1", "eve", nil)},
			check:  "credential",
			reason: "multiple_credentials",
			ofGate: true,
		},
		{
			name:   "cross origin",
			method: "POST",
			lines: []string{
				"Cookie: access_token=" + good, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site",
			},
			check:  "origin",
			reason: "cross_origin",
			ofGate: true,
		},
		{
			name:   "project",
			token:  w.mint("es1", "bob", map[string]any{"project": "acme"}),
			check:  "project",
			reason: "wrong_project",
			ofGate: true,
		},
		{name: "scope", token: good, path: "/write", check: "policy", reason: "insufficient_scope", ofGate: true},
		{name: "role", token: good, path: "/admin", check: "policy", reason: "claim_denied", ofGate: true},
		{
			name:   "cookie",
			lines:  []string{"Cookie: access_token=" + spoil(good)},
			check:  "signature",
			reason: "bad_signature",
			ofGate: true,
		},
		{
			name:   "cookie, type",
			lines:  []string{"Cookie: access_token=rt_1.2"},
			check:  "structure",
			reason: "wrong_type",
			ofGate: true,
		},
	}
}

func (b broken) args(g *gateway, config string) []string {
	args := []string{"explain", "--config", config, "--url", g.url("app") + b.path}
	if b.token != "" {
		args = append(args, "--token", b.token)
	}
	if b.method != "" {
		args = append(args, "--method", b.method)
	}
	for _, line := range b.lines {
		args = append(args, "--header", line)
	}
	return args
}

// TestExplain holds the words of `caddy auth explain` against what is wrong with a request, and
// against what the running server does with the very same request.
func TestExplain(t *testing.T) {
	g := newGateway(t)
	config := g.configFile(standardAuth, explainSites)
	cases := append(brokenTokens(g.tokens), refusedRequests(g.tokens)...)
	for _, b := range cases {
		t.Run(b.name, func(t *testing.T) { b.explain(t, g, config) })
	}
	if left := files(t, filepath.Join(g.dir, "data")); len(left) > 0 {
		t.Errorf("explaining left %q", left)
	}
	if _, err := os.Stat(g.logFile); err == nil {
		t.Error("explaining made the log file")
	}
	g.load(standardAuth, explainSites)
	for _, b := range cases {
		t.Run("served, "+b.name, func(t *testing.T) { b.serve(t, g) })
	}
}

func (b broken) explain(t *testing.T, g *gateway, config string) {
	out, stderr, err := command("", b.args(g, config)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	if want := "Deciding check: " + b.check + " (" + b.reason; !strings.Contains(out, want+":") &&
		!strings.Contains(out, want+")") {
		t.Errorf("it should say %q:\n%s", want, out)
	}
	if strings.Contains(out, "Identity headers") {
		t.Errorf("the application would be asked:\n%s", out)
	}
	for _, raw := range append([]string{b.token}, b.lines...) {
		if at := strings.LastIndexByte(raw, '.'); at >= 0 && len(raw)-at > 40 && strings.Contains(out, raw[at+1:]) {
			t.Errorf("it prints the signature:\n%s", out)
		}
	}
}

// serve sends the request to the running server, whose answer must be the one that was explained.
func (b broken) serve(t *testing.T, g *gateway) {
	out, _, err := command("", b.args(g, filepath.Join(g.dir, "Caddyfile"))...)
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Clone(b.lines)
	if b.token != "" {
		lines = append(lines, "Authorization: Bearer "+b.token)
	}
	path := b.path
	if path == "" {
		path = "/"
	}
	got := protocols[0].send(t, g.addr("app"), call{method: b.method, target: path, host: g.host("app"), lines: lines})
	if !strings.Contains(out, fmt.Sprintf("  %d %s\n", got.status, http.StatusText(got.status))) {
		t.Errorf("the server answers %d %s, explained was:\n%s", got.status, got.body, out)
	}
	if challenge := got.header.Get("WWW-Authenticate"); !strings.Contains(out, "WWW-Authenticate: "+challenge+"\n") {
		t.Errorf("the server challenges with %q, explained was:\n%s", challenge, out)
	}
	if seen := g.proxy.take(); len(seen) > 0 {
		t.Errorf("the application was asked: %q", seen[0].raw)
	}
}

// TestExplainAdmitted: a good request, with what the application would and would not see.
func TestExplainAdmitted(t *testing.T) {
	g := newGateway(t)
	config := g.configFile(standardAuth, explainSites)
	token := g.tokens.mint("es1", "alice", map[string]any{"role": "admin", "scope": "write"})
	out, stderr, err := command(token+"\n", "explain", "--config", config, "--url", g.url("app")+"/admin/x", "--token",
		"-",
		"--header", "X-User-Role: root", "--header", "X_User_Id: mallory", "--header", "Connection: X-User-Id",
		"--header", "X-Kept: yes")
	if err != nil || stderr != "" {
		t.Fatal(err, stderr)
	}
	for _, want := range []string{
		"1. gate " + g.host("app") + "/admin* (require role admin): admitted as alice (credential: bearer)\n",
		"2. gate " + g.host("app") + ": admitted as alice", "Deciding check: none failed\n",
		"whatever the application answers: reverse_proxy to " + g.proxy.addr(), "  X-User-Id: alice\n",
		"  X-User-Role: admin\n", "removed: Authorization\n", "removed: Connection\n", "removed: X_user_id\n",
		"replaced: X-User-Role\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it should say %q", want)
		}
	}
	for _, never := range []string{"root", "mallory", "X-Kept", token} {
		if strings.Contains(out, never) {
			t.Errorf("it should not say %q", never)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	if seen := g.proxy.take(); len(seen) > 0 {
		t.Errorf("the application was asked: %q", seen[0].raw)
	}
}

// TestExplainBrowser: a browser is sent to the login page and back.
func TestExplainBrowser(t *testing.T) {
	g := newGateway(t)
	config := g.configFile(standardAuth, explainSites)
	out, _, err := command("", "explain", "-c", config, "-u", g.url("app")+"/page?a=1", "-H", navigation)
	if err != nil || !strings.Contains(out, "  303 See Other\n  Location: "+g.url("auth")+"/login?next=") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestExplainLeavesOutsideAlone: handlers that would reach something are replaced or left out,
// wherever they stand.
func TestExplainLeavesOutsideAlone(t *testing.T) {
	g := newGateway(t)
	config := g.configFile(standardAuth, `
{{url "app"}} {
	tracing {
		span never
	}
	handle_path /php/* {
		jwt_auth api
		php_fastcgi {{.PHP}} {
			root "{{.Dir}}"
		}
	}
	handle /files/* {
		jwt_auth api
		file_server browse {
			root "{{.Dir}}"
		}
	}
	handle /asked/* {
		forward_auth {{.Proxy}} {
			uri /check
		}
		jwt_auth api {
			forward sub X-User-Id
		}
		reverse_proxy {{.Proxy}} {
			health_uri /alive
		}
	}
	handle /fails/* {
		jwt_auth api
		error 418
	}
	handle_errors {
		jwt_auth off
		reverse_proxy {{.Proxy}}
	}
}
`)
	token := g.tokens.mint("es1", "alice", nil)
	for _, c := range []struct {
		path string
		want []string
	}{
		{"/php/a.php", []string{"reverse_proxy to " + g.php.addr()}},
		{"/files/x", []string{"whatever the application answers: file_server"}},
		{"/asked/x", []string{"note: the handler forward_auth was left out", "  X-User-Id: alice\n"}},
		{"/fails/x", []string{"whatever the application answers: reverse_proxy to " + g.proxy.addr()}},
		{"/elsewhere/x", []string{"none was asked", "  200 OK"}},
	} {
		t.Run(c.path, func(t *testing.T) {
			out, _, err := command("", "explain", "-c", config, "-u", g.url("app")+c.path, "-t", token)
			for _, word := range c.want {
				if err != nil || !strings.Contains(out, word) {
					t.Errorf("%s: it should say %q: %v\n%s", c.path, word, err, out)
				}
			}
		})
	}
	if seen := append(g.proxy.take(), g.php.take()...); len(seen) > 0 {
		t.Errorf("outside was asked: %q", seen[0].raw)
	}
}

// TestExplainIsClearAboutMistakes: one line each, and it says what to change.
func TestExplainIsClearAboutMistakes(t *testing.T) {
	g := newGateway(t)
	config := g.configFile(standardAuth, explainSites)
	for _, c := range []struct {
		want string
		args []string
	}{
		{"--url", []string{"-c", config}},
		{"no server", []string{"-c", config, "-u", "http://localhost:1/"}},
		{"--token and --token-file", []string{"-c", config, "-u", g.url("app"), "-t", "a", "--token-file", "b"}},
		{
			"reading the token",
			[]string{"-c", config, "-u", g.url("app"), "--token-file", filepath.Join(g.dir, "missing")},
		},
		{"reading the configuration", []string{"-c", filepath.Join(g.dir, "missing"), "-u", g.url("app")}},
		{"`Name: value`", []string{"-c", config, "-u", g.url("app"), "-H", "nonsense"}},
		{`"yaml" is unknown`, []string{"-c", config, "-a", "yaml", "-u", g.url("app")}},
		{"\"srv9\" not found", []string{"-c", config, "-u", g.url("app"), "--server", "srv9"}},
		{"unknown flag", []string{"--nothing"}},
		{"unknown command \"nothing\"", []string{"nothing"}},
		{
			"no global option `auth`",
			[]string{
				"-c", g.otherFile("plain", "http://localhost:1 {\n\trespond hello\n}\n"), "-u", "http://localhost:1",
			},
		},
		{
			"plain:2",
			[]string{"-c", g.otherFile("plain", "http://localhost:1 {\n\tjwt_auth\n}\n"), "-u", "http://localhost:1"},
		},
		{
			"env.NOT_SET} is empty",
			[]string{
				"-c", g.otherFile("env", "{\n\tauth {\n\t\tissuer {env.NOT_SET}\n\t}\n}\nhttp://localhost:1\n"), "-u",
				"http://localhost:1",
			},
		},
		{"not a JSON object", []string{"-c", g.otherFile("broken.json", "{"), "-u", "http://localhost:1"}},
		{
			"audience \"x\" is not among",
			[]string{
				"-c",
				g.otherFile("word", "{\n\tauth {\n\t\tissuer x\n\t}\n}\nhttp://localhost:1 {\n\tjwt_auth x\n}\n"),
				"-u", "http://localhost:1",
			},
		},
		{
			"listen on port 18999; choose",
			[]string{
				"-c",
				g.otherFile("two",
					"{\n\tauth {\n\t\tissuer x\n\t}\n}\nhttp://a.localhost:18999 {\n\tbind 127.0.0.1\n}\n"+
						"http://b.localhost:18999 {\n\tbind ::1\n}\n"),
				"-u", "http://a.localhost:18999",
			},
		},
	} {
		t.Run(c.want, func(t *testing.T) {
			c.args = append([]string{"explain"}, c.args...)
			if strings.Contains(c.want, "unknown command") {
				c.args = c.args[1:]
			}
			_, stderr, err := command("", c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") ||
				strings.Count(stderr, "\n") != 1 {
				t.Errorf("%q: it should name %q: %v\n%s", c.args, c.want, err, stderr)
			}
		})
	}
}

func (g *gateway) otherFile(name, text string) string {
	g.t.Helper()
	path := filepath.Join(g.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	return path
}

// outcomeLine is one line of the checks that `token inspect` prints.
var outcomeLine = regexp.MustCompile(`(?m)^  ([a-z ]+?)  +(ok|not reached|FAILED: .*)$`)

// TestCommandInspect: every check is named in its order, and none that was not reached is called
// good.
func TestCommandInspect(t *testing.T) {
	g := newGateway(t)
	config := g.configFile(standardAuth, explainSites)
	for _, b := range brokenTokens(g.tokens) {
		t.Run(b.name, func(t *testing.T) {
			out, stderr, err := command(b.token, "token", "inspect", "--config", config, "--audience", "api")
			if err == nil || stderr != "" {
				t.Fatalf("%v %s\n%s", err, stderr, out)
			}
			stage := "ok"
			for _, line := range outcomeLine.FindAllStringSubmatch(out, -1) {
				word := line[2]
				if line[1] == b.check {
					stage = "not reached"
					if !strings.HasPrefix(word, "FAILED: "+b.reason) {
						t.Errorf("%s: %s", line[1], word)
					}
				} else if word != stage {
					t.Errorf("%s: %s, want %s", line[1], word, stage)
				}
			}
			if stage == "ok" || !strings.Contains(out, "Refused: "+b.reason+".") {
				t.Errorf("check %s did not fail:\n%s", b.check, out)
			}
		})
	}
}

// TestCommandInspectGood: a good token in all ways of giving it, with and without a configuration.
func TestCommandInspectGood(t *testing.T) {
	g := newGateway(t)
	config := g.configFile(standardAuth, explainSites)
	token := g.tokens.mint("ed1", "alice",
		map[string]any{"name": "\u009b31mred\u202e", "nested": map[string]any{"big": 12345678901234567}})
	for _, run := range []struct {
		name  string
		stdin string
		args  []string
		want  string
	}{
		{"argument", "", []string{token}, "Not verified"},
		{"stdin", "Bearer " + token + "\n", nil, "Not verified"},
		{"dash", token, []string{"-"}, "Not verified"},
		{"verified", token, []string{"-c", config}, "Verified."},
		{"with audience", token, []string{"-c", config, "--audience", "api"}, "Verified."},
	} {
		t.Run(run.name, func(t *testing.T) {
			out, _, err := command(run.stdin, append([]string{"token", "inspect"}, run.args...)...)
			if err != nil || !strings.Contains(out, run.want) {
				t.Errorf("%s: %v\n%s", run.name, err, out)
			}
			for _, want := range []string{
				`"EdDSA"`, `"alice"`, ", in 10m0s)", `"\u009b31mred\u202e"`, "12345678901234567",
			} {
				if !strings.Contains(out, want) && !strings.Contains(out, strings.Replace(want, "10m0s", "9m59s", 1)) {
					t.Errorf("%s: it should say %s\n%s", run.name, want, out)
				}
			}
			if signature := token[strings.LastIndexByte(token, '.')+1:]; strings.Contains(out, signature) {
				t.Errorf("%s: it prints the signature", run.name)
			}
		})
	}
	for _, args := range [][]string{
		{"--audience", "api", token}, {"-c", config, "--audience", "nobody", token}, {"wonderland"}, {},
	} {
		if _, stderr, err := command("", append([]string{"token", "inspect"}, args...)...); err == nil ||
			strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: %v %q", args, err, stderr)
		}
	}
}

// TestCommandCheck: what is dangerous is named, what is refused is an error.
func TestCommandCheck(t *testing.T) {
	g := newGateway(t)
	out, stderr, err := command("", "check", "--config", g.configFile(standardAuth, explainSites))
	if out != "ok\n" || stderr != "" || err != nil {
		t.Errorf("%q %q %v", out, stderr, err)
	}
	out, _, err = command("", "check", "--config", g.configFile(standardAuth, `
{{url "app"}} {
	handle /open/* {
		reverse_proxy {{.Proxy}}
	}
	handle /try/* {
		jwt_auth api {
			mode report_only
			from insecure_query access_token
		}
		reverse_proxy {{.Proxy}}
	}
	handle {
		jwt_auth api
		reverse_proxy {{.Proxy}}
	}
}
`))
	if err != nil || !strings.HasSuffix(out, "\nok\n") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{"path /open/*", "only reports", `query parameter "access_token"`} {
		if !strings.Contains(out, want) {
			t.Errorf("it should warn of %s:\n%s", want, out)
		}
	}
	if out, _, err = command("", "check", "--json", "--config", filepath.Join(g.dir, "Caddyfile")); err != nil ||
		!json.Valid([]byte(out)) ||
		strings.Count(out, `"severity": "warning"`) != 4 {
		t.Errorf("%v\n%s", err, out)
	}
	refused := g.configFile(strings.Replace(standardAuth, "active hs1", "active gone", 1), explainSites)
	if out, stderr, err = command("", "check", "--json", "--config", refused); err == nil || stderr != "" ||
		!json.Valid([]byte(out)) ||
		!strings.Contains(out, `"ok": false`) {
		t.Errorf("%q %q %v", out, stderr, err)
	}
	out, stderr, err = command("", "check", "--config", refused)
	if err == nil || out != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, `"gone"`) ||
		strings.Contains(stderr, g.tokens.hmacText) {
		t.Errorf("%q %q %v", out, stderr, err)
	}
	mixed := strings.Replace(standardAuth, `{{hash "alice"}}`,
		"$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG", 1)
	out, _, err = command("", "check", "--config", g.otherFile("mixed", g.caddyfile(mixed, explainSites)))
	if err != nil ||
		!strings.Contains(out, "warning: users: passwords are hashed in different ways ($2a$04$, $2a$14$)") {
		t.Errorf("users with hashes of different costs: %v\n%s", err, out)
	}
	out, _, err = command("", "check", "--config", g.otherFile("alone", "{\n\tauth {\n\t\tissuer x\n\t}\n}\n"))
	if err != nil || !strings.Contains(out, "nothing is guarded") {
		t.Errorf("%q %v", out, err)
	}
}

// TestCommandCheckNamesWhatTheEnvironmentLacks: all of it at once, so that nobody mends one after
// the other.
func TestCommandCheckNamesWhatTheEnvironmentLacks(t *testing.T) {
	g := newGateway(t)
	_, stderr, err := command("", "check", "--config", g.configFile(`auth {
	issuer {{url "auth"}}
	keys {env.NOT_SET_KEYS}
	secret {env.NOT_SET_SECRET}
	user alice {
		password_hash {env.NOT_SET_HASH}
	}
}`, explainSites))
	for _, name := range []string{"NOT_SET_KEYS", "NOT_SET_SECRET", "NOT_SET_HASH"} {
		if err == nil || !strings.Contains(stderr, "{env."+name+"}") {
			t.Errorf("%s is not named: %v %s", name, err, stderr)
		}
	}
}

// productionExample writes the second example with its files in a folder, and returns its path. Its
// environment is set.
func productionExample(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "Caddyfile.production.example"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "/etc/caddy/auth", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AUTH_STORE", "postgres://auth:nobody@db.internal/auth?sslmode=verify-full")
	return path
}

// TestCommandCheckProductionExample: the second example is good as it is, once its files are there.
func TestCommandCheckProductionExample(t *testing.T) {
	dir, beside := t.TempDir(), t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	path := productionExample(t, beside)
	if _, stderr, err := command("", "check", "--config", path); err == nil || !strings.Contains(stderr, "{file.") {
		t.Errorf("without files: %q %v", stderr, err)
	}
	for _, c := range []struct{ name, kid string }{{"jwt.keys", "2026a"}, {"secret", "one"}} {
		entry, _, err := command("", "keygen", "--alg", "HS256", "--kid", c.kid)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(beside, c.name), entry)
	}
	writeFile(t, filepath.Join(beside, "alice.hash"), cheapHash(alicePassword)+"\n")
	writeFile(t, filepath.Join(beside, "bob.hash"), cheapHash(bobPassword)+"\n")
	out, stderr, err := command("", "check", "--config", path)
	if !strings.HasPrefix(out, "warning: the content of the store was not checked: store: store postgres://") ||
		!strings.HasSuffix(out, "\nok\n") || stderr != "" || err != nil {
		t.Errorf("%q %q %v", out, stderr, err)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
}

// TestCommandsWriteNothing: no command changes a byte of the data directory, be it empty or in use.
func TestCommandsWriteNothing(t *testing.T) {
	g := newGateway(t)
	config := g.configFile(generatedAuth, apiSite)
	data := filepath.Join(g.dir, "data")
	g.looksOnly(t, "empty", config, "gone.by.now", data)
	if left := files(t, data); len(left) > 0 {
		t.Errorf("it left %q", left)
	}

	g.load(generatedAuth, apiSite)
	token := g.login(t, "alice", alicePassword)
	g.looksOnly(t, "running", config, token, data)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if len(files(t, data)) == 0 {
		t.Fatal("the server left no store")
	}
	g.looksOnly(t, "used", config, token, data)
	out, _, err := command(token, "token", "inspect", "--config", config)
	if err != nil || !strings.Contains(out, "Verified.") {
		t.Errorf("the key of the store does not verify: %v\n%s", err, out)
	}
	out, _, err = command("", "explain", "--config", config, "--url", g.url("api"), "--token", token)
	if err != nil || !strings.Contains(out, "admitted as alice") || !strings.Contains(out, "X-User-Id: alice") {
		t.Errorf("%v\n%s", err, out)
	}

	err = os.Rename(filepath.Join(data, "caddy", "auth", "secret.key"), filepath.Join(g.dir, "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	g.looksOnly(t, "without the secret", config, token, data)
	if _, stderr, err := command("", "check", "--config", config); err == nil ||
		!strings.Contains(stderr, "secret: ") || !strings.Contains(stderr, "secret.key") {
		t.Errorf("check should miss the secret: %q %v", stderr, err)
	}
}

// looksOnly runs every command that reads a configuration and compares the data directory before
// and after.
func (g *gateway) looksOnly(t *testing.T, state, config, token, data string) {
	t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := bytes.Index(text, []byte("\tlog {")), bytes.Index(text, []byte("\tservers {"))
	before := fingerprint(t, data)
	_, _, _ = command("", "check", "--config", config)
	_, _, _ = command(token, "token", "inspect", "--config", config)
	_, _, _ = command("", "explain", "--config", config, "--url", g.url("api"), "--token", token)
	_, _, _ = command("", "explain", "--config", config, "--url", g.url("auth")+"/login", "--method", "POST",
		"--header", "Content-Type: application/json")
	_, _, _ = command("", "explain", "--config", config, "--url", g.url("auth")+"/healthz")
	if err := validate(string(text[:begin]) + string(text[end:])); err != nil { // a log file is Caddy's own business
		t.Errorf("%s: validate: %v", state, err)
	}
	if after := fingerprint(t, data); after != before {
		t.Errorf("%s: before:\n%s\nafter:\n%s", state, before, after)
	}
}

// fingerprint describes every file and folder below dir: name, mode, time and content.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	if _, err := os.Stat(dir); err != nil {
		return "nothing"
	}
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s", path, info.Mode())
		// the running server's own readers note in it what they read
		if !entry.IsDir() && !strings.HasSuffix(path, "-shm") {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %s %x", info.ModTime(), sha256.Sum256(content))
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestCommandHelp: every command has examples.
func TestCommandHelp(t *testing.T) {
	for _, args := range [][]string{
		{"keygen"}, {"token"}, {"token", "inspect"}, {"explain"}, {"check"}, {"store", "export"}, {"store", "import"},
	} {
		out, _, err := command("", append(args, "--help")...)
		if err != nil || !strings.Contains(out, "Examples:\n  $ caddy auth "+strings.Join(args, " ")) {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
	if out, _, err := command(""); err != nil || !strings.Contains(out, "explain") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestExplainSessionBesideGates: the strip beside a gate with a matcher hides the session from the
// application, and from no other gate.
func TestExplainSessionBesideGates(t *testing.T) {
	g := newGateway(t)
	config := g.configFile(standardAuth, `
{{url "app"}} {
	jwt_auth /admin* web {
		require role admin
	}
	jwt_auth /trial* web {
		mode report_only
	}
	jwt_auth /app* web {
		forward sub X-User-Id
	}
	reverse_proxy {{.Proxy}}
}
`)
	cookie := "Cookie: theme=dark; access_token=" + g.tokens.mint("es1", "alice", map[string]any{"aud": "web"})
	for _, c := range []struct{ path, want string }{
		{"/app", "admitted as alice (credential: cookie access_token)"},
		{"/trial", "would admit, but only reports"},
		{"/other", "none was asked"},
		{"/admin", "Deciding check: policy (claim_denied"},
	} {
		t.Run(c.path, func(t *testing.T) {
			out, _, err := command("", "explain", "-c", config, "-u", g.url("app")+c.path, "-H", cookie)
			if err != nil || !strings.Contains(out, c.want) {
				t.Errorf("%s: it should say %q: %v\n%s", c.path, c.want, err, out)
			}
			if c.path != "/admin" && !strings.Contains(out, "removed in part: Cookie") {
				t.Errorf("%s: the application would see the session:\n%s", c.path, out)
			}
		})
	}
}
