package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// operatorAuth declares one user, whom the commands may look at only, and has keys of its own
// making.
const operatorAuth = `auth {
	issuer {{url "auth"}}
	user root {
		password_hash {{hash "alice"}}
		admin
	}
}`

const operatorSites = authSite + `
{{url "app"}} {
	log
	jwt_auth api {
		forward sub X-User-Id
	}
	respond "hello"
}
`

// desk is where an operator sits: a running server with an admin endpoint, and the program.
type desk struct {
	*gateway
	program string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{gateway: newGateway(t), program: path}
	d.loadWithAdmin(t)
	t.Cleanup(func() { // before the log is looked through; the endpoint would outlive the test
		if err := caddy.Load([]byte(`{"admin":{"disabled":true,"config":{"persist":false}}}`), true); err != nil {
			t.Error(err)
		}
	})
	return d
}

// loadWithAdmin is load with an admin endpoint, in place of what runs.
func (d *desk) loadWithAdmin(t *testing.T) {
	t.Helper()
	text := strings.Replace(d.caddyfile(operatorAuth, operatorSites), "admin off", "admin "+d.addr("admin"), 1)
	if err := errors.Join(os.WriteFile(d.configFile(), []byte(text), 0o600), loadText(text)); err != nil {
		t.Fatal(err)
	}
	d.settle()
}

func (d *desk) configFile() string { return filepath.Join(d.dir, "operator.Caddyfile") }

// run runs `caddy auth` and returns what it wrote and its exit code.
func (d *desk) run(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), d.program, append([]string{"auth"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// does runs a command that must succeed, and reads its JSON.
func (d *desk) does(t *testing.T, into any, stdin string, args ...string) {
	t.Helper()
	out, errs, code := d.run(t, stdin, append(args, "--address", d.addr("admin"), "--json")...)
	if code != 0 || errs != "" {
		t.Fatalf("%q: exit code %d: %s", args, code, errs)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("%q: %v in %s", args, err, out)
	}
}

// object and list are does for the two shapes of answers.
func (d *desk) object(t *testing.T, stdin string, args ...string) (o map[string]any) {
	t.Helper()
	d.does(t, &o, stdin, args...)
	return o
}

func (d *desk) list(t *testing.T, args ...string) (l []map[string]any) {
	t.Helper()
	d.does(t, &l, "", args...)
	return l
}

// says runs a command that must succeed, for a person.
func (d *desk) says(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, errs, code := d.run(t, stdin, append(args, "--address", d.addr("admin"))...)
	if code != 0 {
		t.Fatalf("%q: exit code %d: %s", args, code, errs)
	}
	return out
}

// fails runs a command that must fail with one line that holds a text, and prints nothing else.
func (d *desk) fails(t *testing.T, want, stdin string, args ...string) {
	t.Helper()
	out, errs, code := d.run(t, stdin, append(args, "--address", d.addr("admin"))...)
	if code != 1 || out != "" || !strings.Contains(errs, want) || strings.Count(strings.TrimSpace(errs), "\n") != 0 {
		t.Errorf("%q: exit code %d, printed %q, said %q; want %q", args, code, out, errs, want)
	}
}

// logIn signs in as a program does, and returns the access token.
func (d *desk) logIn(t *testing.T, project, name, password string, status int) string {
	t.Helper()
	a := sendHTTP1(t, d.addr("auth"), call{
		method: http.MethodPost, target: "/api/" + project + "/auth/login", host: d.host("auth"),
		lines: []string{"Content-Type: application/json", "User-Agent: Mozilla/5.0 (X11; Linux x86_64)"},
		body:  `{"username":"` + name + `","password":"` + password + `"}`,
	})
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if a.status != status || json.Unmarshal([]byte(a.body), &got) != nil {
		t.Fatalf("signing in as %s: status %d, want %d: %s %v", name, a.status, status, a.body, a.broken)
	}
	return got.AccessToken
}

// passes demands that the gate answers so to a token.
func (d *desk) passes(t *testing.T, token string, status int) {
	t.Helper()
	a := sendHTTP1(t, d.addr("app"), call{host: d.host("app"), lines: []string{"Authorization: Bearer " + token}})
	if a.status != status {
		t.Errorf("the gate answers %d, want %d: %s %v", a.status, status, a.body, a.broken)
	}
}

const (
	firstPassword  = "first-correct-horse-battery"
	secondPassword = "second-correct-horse-battery"
)

func TestOperator(t *testing.T) {
	d := newDesk(t)
	d.secret("a password", firstPassword, secondPassword)
	for _, c := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"projects", d.keepsProjects}, {"users", d.keepsUsers}, {"claims", d.setsClaims}, {"clients", d.keepsClients},
		{"sessions", d.endsSessions}, {"test tokens", d.mints}, {"API tokens", d.keepsAPITokens}, {"keys", d.keepsKeys},
		{"audit", d.readsTheTrail}, {"people", d.readsTables}, {"refusals", d.isRefused}, {"reload", d.survivesAReload},
		{"help", d.helps},
	} {
		t.Run(c.name, c.run)
	}
}

func (d *desk) keepsProjects(t *testing.T) {
	added := d.object(t, "", "project", "add", "acme", "--name", "Acme Ltd", "--audience", "web,api")
	if added["slug"] != "acme" || added["name"] != "Acme Ltd" || added["active"] != true {
		t.Errorf("added %v", added)
	}
	if l := d.list(t, "project", "list"); len(l) != 2 || l[0]["slug"] != "acme" || l[1]["slug"] != "default" {
		t.Errorf("list %v", l)
	}
	if p := d.object(t, "", "project", "show", "acme"); p["id"] != added["id"] {
		t.Errorf("show %v", p)
	}
	ttl := d.object(t, "", "project", "ttl", "acme", "--access", "5m", "--refresh", "7d")
	if ttl["jwt_access_ttl"] != 300.0 || ttl["jwt_refresh_ttl"] != 604800.0 {
		t.Errorf("lifetimes %v", ttl)
	}
	if ttl = d.object(t, "", "project", "ttl", "acme", "--refresh", "default"); ttl["jwt_access_ttl"] != 300.0 ||
		ttl["jwt_refresh_ttl"] != nil {
		t.Errorf("lifetimes %v", ttl)
	}
	if ttl = d.object(t, "", "project", "ttl", "acme"); ttl["jwt_access_ttl"] != 300.0 ||
		ttl["defaults"].(map[string]any)["access_ttl"] != 900.0 {
		t.Errorf("lifetimes %v", ttl)
	}
	if p := d.object(t, "", "project", "pause", "acme"); p["active"] != false {
		t.Errorf("paused %v", p)
	}
	if p := d.object(t, "", "project", "resume", "acme"); p["active"] != true {
		t.Errorf("resumed %v", p)
	}
	d.object(t, "", "project", "add", "short-lived")
	if got := d.object(t, "", "project", "remove", "short-lived"); got["result"] != "removed" ||
		got["target"] != "short-lived" {
		t.Errorf("removed %v", got)
	}
	d.fails(t, "there is no such project", "", "project", "show", "short-lived")
	d.fails(t, "access", "", "project", "ttl", "acme", "--access", "59s")
	d.fails(t, "the slug or id is in use", "", "project", "add", "acme")
}

func (d *desk) keepsUsers(t *testing.T) {
	added := d.object(t, firstPassword+"\n", "user", "add", "alice", "--claim", "role=editor", "--claim", "level:=3")
	if claims := added["claims"].(map[string]any); added["name"] != "alice" || claims["role"] != "editor" ||
		claims["level"] != 3.0 {
		t.Errorf("added %v", added)
	}
	d.object(t, "", "user", "add", "bob", "--project", "acme", "--no-password")
	if l := d.list(t, "user", "list"); len(l) != 3 || l[0]["name"] != "bob" || l[1]["name"] != "alice" ||
		l[2]["declared"] != true {
		t.Errorf("list %v", l)
	}
	if u := d.object(t, "", "user", "show", "Alice"); u["id"] != added["id"] {
		t.Errorf("show %v", u)
	}
	token := d.logIn(t, "default", "alice", firstPassword, http.StatusOK)
	d.passes(t, token, http.StatusOK)
	if u := d.object(t, "", "user", "disable", "alice"); u["disabled"] != true {
		t.Errorf("disabled %v", u)
	}
	d.passes(t, token, http.StatusUnauthorized)
	d.logIn(t, "default", "alice", firstPassword, http.StatusUnauthorized)
	d.object(t, "", "user", "enable", "alice")
	if got := d.object(t, secondPassword, "user", "passwd", "alice"); got["result"] != "password_changed" ||
		got["target"] != "alice" {
		t.Errorf("passwd %v", got)
	}
	d.logIn(t, "default", "alice", firstPassword, http.StatusUnauthorized)
	d.passes(t, d.logIn(t, "default", "alice", secondPassword, http.StatusOK), http.StatusOK)
	d.object(t, "", "user", "remove", "bob", "--project", "acme")
	d.fails(t, `user "bob" not found in project "acme"`, "", "user", "show", "bob", "--project", "acme")
	d.fails(t, "no password on standard input", "", "user", "add", "carol")
	d.fails(t, "the project has a user of this name", firstPassword, "user", "add", "ALICE")
	d.fails(t, "the Caddyfile declares the user", firstPassword, "user", "passwd", "root")
	d.fails(t, "password", "short", "user", "passwd", "alice")
	d.fails(t, "accepts 1 arg", firstPassword, "user", "passwd", "alice", firstPassword)
}

func (d *desk) keepsClients(t *testing.T) {
	added := d.object(t, "", "client", "add", "reports", "--audience", "api", "--scope", "read,write")
	secret, _ := added["client_secret"].(string)
	if added["id"] != "reports" || len(secret) < 32 {
		t.Fatalf("added %v", added)
	}
	d.secret("a client's secret", secret)
	public := d.object(t, "", "client", "add", "spa", "--public", "--project", "acme")
	if public["client_secret"] != nil || public["public"] != true {
		t.Errorf("public %v", public)
	}
	if l := d.list(t, "client", "list"); len(l) != 2 || l[0]["client_secret"] != nil {
		t.Errorf("list %v", l)
	}
	if l := d.list(t, "client", "list", "--project", "acme"); len(l) != 1 || l[0]["id"] != "spa" {
		t.Errorf("list %v", l)
	}
	if c := d.object(t, "", "client", "show", "reports"); c["project"] != "default" || c["client_secret"] != nil {
		t.Errorf("show %v", c)
	}
	if c := d.object(t, "", "client", "pause", "reports"); c["active"] != false {
		t.Errorf("paused %v", c)
	}
	if c := d.object(t, "", "client", "resume", "reports"); c["active"] != true {
		t.Errorf("resumed %v", c)
	}
	other, _ := d.object(t, "", "client", "secret", "reports")["client_secret"].(string)
	if len(other) < 32 || other == secret {
		t.Errorf("the new secret has %d bytes", len(other))
	}
	d.secret("a client's secret", other)
	if ttl := d.object(t, "", "client", "ttl", "reports", "--access", "2m"); ttl["jwt_access_ttl"] != 120.0 {
		t.Errorf("lifetimes %v", ttl)
	}
	d.changesClients(t)
	d.object(t, "", "client", "remove", "spa")
	d.fails(t, "there is no such client", "", "client", "show", "spa")
	d.fails(t, `client "../users" not found`, "", "client", "show", "../users")
}

// changesClients: settings, a second secret, and lifetimes.
func (d *desk) changesClients(t *testing.T) {
	c := d.object(
		t,
		"",
		"client",
		"set",
		"reports",
		"--redirect-uri",
		"https://reports.example/cb?a=1,2",
		"--grant-type",
		"authorization_code,token-exchange",
		"--pkce",
		"optional",
		"--require-par",
		"--consent",
		"always",
	)
	if fmt.Sprint(c["redirect_uris"]) != "[https://reports.example/cb?a=1,2]" || c["pkce"] != "optional" ||
		c["require_pushed_authorization_requests"] != true || c["consent"] != "always" ||
		fmt.Sprint(c["grant_types"]) != "[authorization_code urn:ietf:params:oauth:grant-type:token-exchange]" {
		t.Errorf("set %v", c)
	}
	c = d.object(t, "", "client", "set", "reports", "--grant-type", "", "--consent", "", "--require-par=false")
	if c["consent"] != "once" || c["require_pushed_authorization_requests"] != false ||
		fmt.Sprint(c["grant_types"]) != "[authorization_code refresh_token]" {
		t.Errorf("reset %v", c)
	}
	d.fails(t, `redirect_uri: "javascript:x"`, "", "client", "set", "reports", "--redirect-uri", "javascript:x")
	d.fails(t, "--refresh-rotation", "", "client", "set", "reports", "--refresh-rotation", "maybe")

	second := d.object(t, "", "client", "add-secret", "reports", "--expires-in", "90d", "--others-expire-in", "1d")
	text, _ := second["client_secret"].(string)
	if secrets, _ := second["secrets"].([]any); len(text) < 32 || len(secrets) != 2 {
		t.Errorf("second secret %v", second["secrets"])
	}
	d.secret("a client's second secret", text)
	d.fails(t, "remove one first", "", "client", "add-secret", "reports")
	d.object(t, "", "client", "remove-secret", "reports", "1")
	d.fails(t, "the only secret", "", "client", "remove-secret", "reports", "2")
	d.fails(t, "--expires-in", "", "client", "add-secret", "reports", "--expires-in", "90")

	l := d.object(t, "", "client", "lifetimes", "reports", "--authorization-code", "30s", "--id-token", "10m")
	if inForce, _ := l["in_force"].(map[string]any); l["id_token"] != 600.0 || inForce["authorization_code"] != 30.0 {
		t.Errorf("lifetimes %v", l)
	}
	d.fails(
		t,
		"authorization_code: 700 is above",
		"",
		"client",
		"lifetimes",
		"reports",
		"--authorization-code",
		"700s",
	)
	shown := regexp.MustCompile(`(?s)For the settings of the application:\n` +
		`  Issuer +https?://.*Discovery URL +https?://.*/\.well-known/openid-configuration\n` +
		`  Client id +shown\n  Client secret +cacs_.*Redirect URI +https://shown.example/cb\n  Scopes +openid\n`)
	out := d.says(t, "", "client", "add", "shown", "--redirect-uri", "https://shown.example/cb", "--scope", "openid")
	if !shown.MatchString(out) {
		t.Errorf("printed\n%s", out)
	}
	d.object(t, "", "client", "remove", "shown")
}

func (d *desk) endsSessions(t *testing.T) {
	token := d.logIn(t, "default", "alice", secondPassword, http.StatusOK)
	l := d.list(t, "session", "list", "--user", "ALICE")
	if len(l) == 0 {
		t.Fatal("there is no session")
	}
	last := l[0]
	if last["active"] != true || last["user"] != "alice" || last["kind"] != "api" ||
		last["device"] != "Mozilla/5.0 (X11; Linux x86_64)" || last["client_ip"] != "127.0.0.1" {
		t.Errorf("session %v", last)
	}
	if used, err := time.Parse(time.RFC3339, last["last_used_at"].(string)); err != nil ||
		time.Since(used) > time.Hour {
		t.Errorf("last use %v", last["last_used_at"])
	}
	d.passes(t, token, http.StatusOK)
	for _, s := range l {
		if got := d.object(t, "", "session", "revoke", s["id"].(string)); got["result"] != "revoked" ||
			got["sessions"] != 1.0 {
			t.Errorf("revoked %v", got)
		}
	}
	d.passes(t, token, http.StatusUnauthorized)
	if left := d.list(t, "session", "list", "--user", "alice"); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	ended := d.list(t, "session", "list", "--user", "alice", "--ended", "--limit", "100")
	if i := slices.IndexFunc(ended, func(s map[string]any) bool { return s["id"] == last["id"] }); i < 0 ||
		ended[i]["revoked_for"] != "operator" {
		t.Errorf("ended %v", ended)
	}
	for _, args := range [][]string{{"--user", "alice"}, {"--project", "default"}} {
		token := d.logIn(t, "default", "alice", secondPassword, http.StatusOK)
		if got := d.object(t, "", append([]string{"session", "revoke"}, args...)...); got["sessions"] != 1.0 {
			t.Errorf("%q: %v", args, got)
		}
		d.passes(t, token, http.StatusUnauthorized)
	}
	if got := d.object(t, "", "session", "revoke", "--client", "reports"); got["sessions"] != 0.0 {
		t.Errorf("of the client: %v", got)
	}
	d.fails(t, "there is no such session", "", "session", "revoke", "NONE")
	d.fails(t, "there is no such user", "", "session", "revoke", "--user", "nobody")
	d.fails(t, "want either a session id", "", "session", "revoke")
	d.fails(t, "want either a session id", "", "session", "revoke", last["id"].(string), "--user", "alice")
}

func (d *desk) mints(t *testing.T) {
	minted := d.object(t, "", "token", "mint", "alice", "--expires", "2m", "--audience", "api,mcp")
	token, _ := minted["access_token"].(string)
	if minted["user"] != "alice" || minted["expires_in"] != 120.0 || token == "" {
		t.Fatalf("minted %v", minted)
	}
	d.passes(t, token, http.StatusOK)
	alone := d.says(t, "", "token", "mint", "alice")
	if !regexp.MustCompile(`^[\w-]+\.[\w-]+\.[\w-]+\n$`).MatchString(alone) {
		t.Errorf("printed %q", alone)
	}
	d.passes(t, strings.TrimSpace(alone), http.StatusOK)
	d.object(t, "", "session", "revoke", "--user", "alice")
	d.passes(t, token, http.StatusUnauthorized)
	if entries := d.list(t, "audit", "--action", "token.mint"); len(entries) != 2 ||
		!strings.Contains(entries[1]["detail"].(string), minted["token_id"].(string)) {
		t.Errorf("the audit trail says %v", entries)
	}
	d.object(t, "", "client", "add", "opaque-tester", "--access-token-format", "opaque", "--audience", "api")
	reference := d.object(t, "", "token", "mint", "alice", "--client", "opaque-tester")
	if raw, _ := reference["access_token"].(string); !strings.HasPrefix(raw, "at_") ||
		reference["client_id"] != "opaque-tester" {
		t.Errorf("minted for a client: %v, %v", reference["client_id"], reference["token_id"])
	} else {
		d.secret("an opaque token", raw)
		d.passes(t, raw, http.StatusOK)
		d.object(t, "", "client", "remove", "opaque-tester")
		d.passes(t, raw, http.StatusUnauthorized)
	}
	d.fails(t, "there is no such client", "", "token", "mint", "alice", "--client", "opaque-tester")
	d.fails(t, "expires_in", "", "token", "mint", "alice", "--expires", "2h")
	d.fails(t, "audience", "", "token", "mint", "alice", "--audience", "elsewhere")
	d.fails(t, "there is no such user", "", "token", "mint", "nobody")
	d.object(t, "", "user", "disable", "alice")
	d.fails(t, "nothing is issued", "", "token", "mint", "alice")
	d.object(t, "", "user", "enable", "alice")
}

func (d *desk) keepsAPITokens(t *testing.T) {
	made := d.object(t, "", "token", "create-api", "first", "--ability", "read", "--expires", "90d")
	token, _ := made["token"].(string)
	if made["name"] != "first" || token == "" {
		t.Fatalf("made %v", made)
	}
	d.secret("an API token", token)
	ask := func() int {
		return sendHTTP1(t, d.addr("auth"),
			call{target: "/api/users", host: d.host("auth"), lines: []string{"Authorization: Bearer " + token}}).status
	}
	if status := ask(); status != http.StatusOK {
		t.Errorf("the API answers %d", status)
	}
	if l := d.list(t, "token", "list-api"); len(l) != 1 || l[0]["id"] != made["id"] || l[0]["token"] != nil ||
		l[0]["last_used_at"] == nil {
		t.Errorf("list %v", l)
	}
	d.object(t, "", "token", "revoke-api", made["id"].(string))
	if status := ask(); status != http.StatusUnauthorized {
		t.Errorf("after its end the API answers %d", status)
	}
	alone := strings.TrimSpace(d.says(t, "", "token", "create-api", "second", "--ability", "admin", "--project",
		"acme"))
	if alone == "" || strings.ContainsAny(alone, " \n") {
		t.Errorf("printed %q", alone)
	}
	d.secret("an API token", alone)
	d.fails(t, "abilities", "", "token", "create-api", "third", "--ability", "everything")
	d.fails(t, "abilities", "", "token", "create-api", "third")
	d.fails(t, "there is no such API token", "", "token", "revoke-api", "none")
}

func (d *desk) keepsKeys(t *testing.T) {
	before := d.list(t, "keys", "list")
	if len(before) != 1 || before[0]["state"] != "active" || before[0]["algorithm"] != "ES256" {
		t.Fatalf("keys %v", before)
	}
	after := d.list(t, "keys", "rotate")
	if len(after) != 2 ||
		!slices.ContainsFunc(after, func(k map[string]any) bool { return k["state"] == "announced" }) {
		t.Errorf("rotated %v", after)
	}
	token := strings.TrimSpace(d.says(t, "", "token", "mint", "alice"))
	d.passes(t, token, http.StatusOK)
	d.object(t, "", "keys", "revoke", before[0]["id"].(string))
	d.passes(t, token, http.StatusUnauthorized)
	if left := d.list(t, "keys", "list"); len(left) != 1 || left[0]["state"] != "active" ||
		left[0]["id"] == before[0]["id"] {
		t.Errorf("left %v", left)
	}
	d.passes(t, strings.TrimSpace(d.says(t, "", "token", "mint", "alice")), http.StatusOK)
	d.fails(t, "there is no such key", "", "keys", "revoke", "none")
}

// readsTheTrail looks for what the tests before have done. Every change stands there with its
// actor.
func (d *desk) readsTheTrail(t *testing.T) {
	var actions []string
	for _, e := range d.list(t, "audit", "--actor", "command", "--result", "success", "--limit", "0") {
		if e["client_ip"] != "127.0.0.1" || e["at"] == "" {
			t.Errorf("entry %v", e)
		}
		actions = append(actions, e["action"].(string))
	}
	for _, action := range []string{
		"project.create", "project.settings", "project.update", "project.delete", "user.create", "user.update",
		"user.password", "user.delete", "client.create", "client.update", "client.secret", "client.settings",
		"client.delete", "session.revoke", "token.mint", "api_token.create", "api_token.revoke", "key.rotate",
		"key.revoke",
	} {
		if !slices.Contains(actions, action) {
			t.Errorf("%s is missing in %q", action, actions)
		}
	}
	signIns := d.list(t, "audit", "--actor", "user:alice", "--action", "api_login", "--since", "1h")
	results := map[any]int{}
	for _, e := range signIns {
		results[e["result"]]++
	}
	if results["success"] != 5 || results["bad_credentials"] != 2 {
		t.Errorf("sign-ins %v", results)
	}
	if none := d.list(t, "audit", "--since", "2099-01-01T00:00:00Z"); len(none) != 0 {
		t.Errorf("of the future: %v", none)
	}
	if two := d.list(t, "audit", "--until", "0s", "--limit", "200"); len(two) < 30 {
		t.Errorf("all: %d", len(two))
	}
	d.fails(t, "--since", "", "audit", "--since", "yesterday")
}

// readsTables: without --json there is a table, or a member a line.
func (d *desk) readsTables(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"project", "list"}, `(?m)^SLUG +NAME.*\n(.*\n)*acme +Acme Ltd +yes`},
		{[]string{"user", "list"}, `(?m)^NAME +PROJECT.*\n(.*\n)*alice +default +no +yes +no`},
		{[]string{"client", "list"}, `(?m)^ID +PROJECT.*\nreports +default`},
		{
			[]string{"session", "list", "--ended"},
			`(?m)^ID +USER.*DEVICE +ADDRESS.*LAST USED.*\n(.*Mozilla/5.0.*127\.0\.0\.1.*\n)+`,
		},
		{[]string{"token", "list-api"}, `(?m)^ID +NAME.*\n(.*\n)*.* second +acme +admin`},
		{[]string{"keys", "list"}, `(?m)^ID +ALGORITHM +SIGNS.*\n.* ES256 +access_token +active`},
		{[]string{"audit", "--limit", "5"}, `(?m)^AT +ACTOR.*\n(20.*\n){5}`},
		{[]string{"user", "show", "alice"}, `(?m)^  name +alice$`},
		{[]string{"project", "ttl", "acme"}, `(?m)^  jwt_access_ttl +300$`},
	} {
		if out := d.says(t, "", c.args...); !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("%q printed\n%s", c.args, out)
		}
	}
	if out := d.says(t, "", "session", "revoke", "--user", "alice"); out != "revoked, sessions ended: 0\n" {
		t.Errorf("printed %q", out)
	}
	if out := d.says(t, "", "client", "remove", "reports"); out != "removed: reports\n" {
		t.Errorf("printed %q", out)
	}
}

// isRefused holds the admin endpoint to its own rules, and the commands to their word when there is
// no server.
func (d *desk) isRefused(t *testing.T) {
	out, errs, code := d.run(t, "", "user", "list", "--address", "127.0.0.1:1")
	if code != 1 || out != "" || !strings.Contains(errs, "no Caddy answers at the admin address 127.0.0.1:1") ||
		strings.Count(errs, "\n") != 1 {
		t.Errorf("exit code %d: %q %q", code, out, errs)
	}
	if _, errs, code = d.run(t, "", "user", "frobnicate"); code != 1 ||
		!strings.Contains(errs, `unknown command "frobnicate"`) {
		t.Errorf("exit code %d: %s", code, errs)
	}
	for _, c := range []struct {
		method, target string
		lines          []string
		body           string
		status         int
	}{
		{"GET", "/auth/api/users", nil, "", 200},
		{"GET", "/auth/api/users", []string{"Authorization: Basic abc"}, "", 200},
		{"POST", "/auth/api/keys/rotate", []string{"Origin: https://evil.example"}, "", 403},
		{"POST", "/auth/api/keys/rotate", []string{"Sec-Fetch-Site: cross-site"}, "", 403},
		{"POST", "/auth/api/projects", []string{"Content-Type: text/plain"}, `{"slug":"forged"}`, 415},
		{"GET", "/auth/api/nothing", nil, "", 404},
		{"GET", "/auth/", nil, "", 404},
	} {
		a := sendHTTP1(t, d.addr("admin"),
			call{method: c.method, target: c.target, host: d.addr("admin"), lines: c.lines, body: c.body})
		if a.status != c.status {
			t.Errorf("%s %s %q: status %d: %s", c.method, c.target, c.lines, a.status, a.body)
		}
	}
	a := sendHTTP1(t, d.addr("admin"), call{target: "/auth/api/users", host: "rebound.example"})
	if a.status != http.StatusForbidden {
		t.Errorf("another host: status %d: %s", a.status, a.body)
	}
	// not on the public site
	for _, target := range []string{"/auth/api/sessions", "/api/sessions", "/api/keys", "/api/mint"} {
		if a := sendHTTP1(t, d.addr("auth"), call{target: target, host: d.host("auth")}); strings.Contains(a.body,
			"items") || a.status == http.StatusUnauthorized {
			t.Errorf("%s is served: %d %s", target, a.status, a.body)
		}
	}
}

// survivesAReload: the endpoint serves the configuration that runs, also after one that was refused
// half-way.
func (d *desk) survivesAReload(t *testing.T) {
	d.loadWithAdmin(t)
	d.object(t, "", "user", "show", "alice")
	text := strings.Replace(d.caddyfile(operatorAuth, operatorSites), "admin off", "admin "+d.addr("admin"), 1)
	// no address of this machine
	blocked := strings.Replace(text, "default_bind 127.0.0.1", "default_bind 192.0.2.1", 1)
	if err := loadText(blocked); err == nil {
		t.Fatal("a configuration that cannot listen was loaded")
	}
	d.object(t, "", "user", "show", "alice")
	out, errs, code := d.run(t, "", "user", "show", "alice", "--config", d.configFile())
	if code != 0 || !strings.Contains(out, "alice") {
		t.Errorf("with --config: exit code %d: %s", code, errs)
	}
	bare := "{\n\tadmin " + d.addr("admin") + "\n\tpersist_config off\n}\n"
	if err := loadText(bare); err != nil {
		t.Fatal(err)
	}
	d.fails(t, "no global option `auth`", "", "user", "list")
}

// helps: every command has a help with an example.
func (d *desk) helps(t *testing.T) {
	for _, c := range []struct{ group, commands string }{
		{"user", "add list show disable enable remove passwd"},
		{"client", "add set list show pause resume remove secret add-secret remove-secret lifetimes ttl"},
		{"project", "add list show pause resume remove lifetimes ttl"}, {"session", "list revoke"},
		{"token", "mint create-api list-api revoke-api"}, {"keys", "list rotate revoke"}, {"audit", ""},
	} {
		for command := range strings.FieldsSeq(c.commands) {
			d.hasExample(t, c.group, command)
		}
		if c.commands == "" {
			d.hasExample(t, c.group)
		}
	}
}

func (d *desk) hasExample(t *testing.T, command ...string) {
	t.Helper()
	out, _, code := d.run(t, "", append(command, "--help")...)
	name := "$ caddy auth " + strings.Join(command, " ")
	if code != 0 ||
		!strings.Contains(out, name) && !strings.Contains(out, "caddy auth "+strings.Join(command, " ")+" ") ||
		!strings.Contains(out, "--json") {
		t.Errorf("%s: exit code %d: %s", name, code, out)
	}
}
