package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs the program with what is added to its environment, and returns what it printed.
func (p *process) run(t *testing.T, env []string, args ...string) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(p.env, env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// reload is `caddy reload` with its environment.
func (p *process) reload(t *testing.T, env []string, more ...string) {
	t.Helper()
	p.run(t, env,
		append([]string{
			"reload", "--config", p.config, "--adapter", "caddyfile", "--address", p.g.addr(p.name + "-admin"),
		}, more...)...)
	p.g.settle()
}

// keyStates are the keys of the running server with their states.
func (p *process) keyStates(t *testing.T) map[string]string {
	t.Helper()
	var keys []struct{ ID, State string }
	out := p.run(t, nil, "auth", "keys", "list", "--address", p.g.addr(p.name+"-admin"), "--json")
	if err := json.Unmarshal([]byte(out), &keys); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	states := map[string]string{}
	for _, key := range keys {
		states[key.ID] = key.State
	}
	return states
}

// recipeSite guards an answer.
const recipeSite = "\tauth_server\n\troute /app {\n\t\tjwt_auth api\n\t\trespond \"hello\"\n\t}"

// tokenOf signs a person in with the API and returns the token and the id of its key.
func (p *process) tokenOf(t *testing.T, name, password string) (raw, kid string) {
	t.Helper()
	got := sendHTTP1(t, p.g.addr(p.name),
		call{method: http.MethodPost, target: "/api/default/auth/login", host: p.g.host(p.name),
			lines: []string{"Content-Type: application/json"},
			body:  `{"username":"` + name + `","password":"` + password + `"}`})
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != http.StatusOK {
		return "", ""
	}
	p.g.tokens.remember(body.Token)
	return body.Token, signedWith(t, body.Token)
}

func (p *process) visits(t *testing.T, raw string) int {
	t.Helper()
	return sendHTTP1(t, p.g.addr(p.name),
		call{target: "/app", host: p.g.host(p.name), lines: []string{"Authorization: Bearer " + raw}}).status
}

// TestRotationRecipeOfTheProductionExample follows the words of the example: each step, with the
// commands it names, and what holds after it.
func TestRotationRecipeOfTheProductionExample(t *testing.T) {
	g := newGateway(t)
	example, err := os.ReadFile(filepath.Join("..", "Caddyfile.production.example"))
	if err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile(`(?s)\t\tkeys \{file\./etc/caddy/auth/jwt\.keys\} \{.*?\n\t\t\}\n`).
		FindString(string(example))
	commands := regexp.MustCompile("`(caddy [^`]*)`").FindAllStringSubmatch(string(example), -1)
	if keys == "" || len(commands) < 5 {
		t.Fatalf("the example has no recipe: %q %q", keys, commands)
	}
	file := filepath.Join(g.dir, "jwt.keys")
	first := g.newHMACEntry(t, "2026a")
	writeFile(t, file, first+"\n")
	auth := "auth {\n\tissuer {{url \"node\"}}\n" + strings.ReplaceAll(keys, "/etc/caddy/auth", g.dir) +
		"\tuser alice {\n\t\tpassword_hash {{hash \"alice\"}}\n\t}\n}"
	g.extra["Level"] = "INFO"
	p := g.startProcess(t, "node", auth, recipeSite)
	p.awaitReady(t)
	old, kid := p.tokenOf(t, "alice", alicePassword)
	if kid != "2026a" || p.visits(t, old) != http.StatusOK {
		t.Fatalf("signed with %q", kid)
	}

	// 1. The new one behind the old one.
	second := g.newHMACEntry(t, "2026b")
	writeFile(t, file, first+","+second+"\n")
	if p.reload(t, nil); len(p.keyStates(t)) != 1 {
		t.Error("a reload without --force reads the file, which the recipe says it does not")
	}
	p.reload(t, nil, "--force")
	if states := p.keyStates(t); states["2026a"] != "active" || states["2026b"] != "verifying" {
		t.Errorf("after step 1: %v", states)
	}
	if _, kid := p.tokenOf(t, "alice", alicePassword); kid != "2026a" || p.visits(t, old) != http.StatusOK {
		t.Errorf("after step 1: signed with %q", kid)
	}

	// 2. The new one signs.
	text, err := os.ReadFile(p.config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, p.config, strings.Replace(string(text), "active 2026a", "active 2026b", 1))
	p.reload(t, nil)
	fresh, kid := p.tokenOf(t, "alice", alicePassword)
	if kid != "2026b" || p.visits(t, fresh) != http.StatusOK || p.visits(t, old) != http.StatusOK {
		t.Errorf("after step 2: signed with %q, the old token: %d", kid, p.visits(t, old))
	}

	// 3. The old one goes.
	writeFile(t, file, second+"\n")
	p.reload(t, nil, "--force")
	if states := p.keyStates(t); len(states) != 1 || states["2026b"] != "active" {
		t.Errorf("after step 3: %v", states)
	}
	if p.visits(t, fresh) != http.StatusOK || p.visits(t, old) != http.StatusUnauthorized {
		t.Errorf("after step 3: the new token %d, the old one %d", p.visits(t, fresh), p.visits(t, old))
	}
}

// newHMACEntry makes an entry as the recipe says.
func (g *gateway) newHMACEntry(t *testing.T, kid string) string {
	t.Helper()
	out, stderr, err := command("", "keygen", "--alg", "HS256", "--kid", kid)
	if err != nil {
		t.Fatalf("%v %s", err, stderr)
	}
	entry := strings.TrimSpace(out)
	g.secret("the key "+kid, strings.TrimPrefix(entry, kid+":"))
	return entry
}

// TestWhatAReloadSees: files are read again, `{$NAME}` is read by `caddy reload`, and `{env.NAME}`
// is that of the process which runs.
func TestWhatAReloadSees(t *testing.T) {
	g := newGateway(t)
	file := filepath.Join(g.dir, "file.hash")
	before, after := cheapHash(alicePassword), cheapHash(bobPassword)
	writeFile(t, file, before)
	auth := "auth {\n\tissuer {{url \"node\"}}\n\tuser env {\n\t\tpassword_hash {env.ENV_HASH}\n\t}\n\tuser file {\n" +
		"\t\tpassword_hash {file." + file +
		"}\n\t}\n\tuser text {\n\t\tpassword_hash {$TEXT_HASH}\n\t}\n}"
	g.extra["Level"] = "INFO"
	p := g.startProcess(t, "node", auth, recipeSite, "ENV_HASH="+before, "TEXT_HASH="+before)
	p.awaitReady(t)
	for _, name := range []string{"env", "file", "text"} {
		if raw, _ := p.tokenOf(t, name, alicePassword); raw == "" {
			t.Fatalf("%s cannot sign in", name)
		}
	}
	writeFile(t, file, after)
	p.reload(t, []string{"ENV_HASH=" + after, "TEXT_HASH=" + after}, "--force")
	for _, c := range []struct {
		name string
		sees bool
	}{{"env", false}, {"file", true}, {"text", true}} {
		t.Run(c.name, func(t *testing.T) {
			old, _ := p.tokenOf(t, c.name, alicePassword)
			changed, _ := p.tokenOf(t, c.name, bobPassword)
			if (old == "") != c.sees || (changed != "") != c.sees {
				t.Errorf("%s: the old password is good: %v, the new one: %v", c.name, old != "", changed != "")
			}
		})
	}
}
