package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// packages is the folder with the npm packages of package-lock.json. They are installed once for all
// runs, into the user's cache.
var packages = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "caddyauth", "clients")
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		return "", err
	}
	installed := filepath.Join(dir, "installed.json") // a copy of the lock, made last
	if have, err := os.ReadFile(installed); err == nil && bytes.Equal(have, lock) {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, install(dir, installed, lock)
})

// install runs npm in a folder.
func install(dir, installed string, lock []byte) error {
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	npm := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return os.WriteFile(installed, lock, 0o644)
}

// node returns the program, with the npm packages in the folder that it is to run in.
func node(t *testing.T) (program, dir string) {
	t.Helper()
	program = requireProgram(t, "node")
	requireProgram(t, "npm")
	installed, err := packages()
	if err != nil {
		missing(t, err.Error())
	}
	dir = t.TempDir()
	scripts, err := filepath.Glob("*.mjs")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, script), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(installed, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return program, dir
}

// told is what the scripts are told of the gateway and its clients.
func (m *machine) told(settings ...string) string {
	client := func(id string) map[string]any {
		return map[string]any{
			"origin":   m.at(id),
			"callback": m.at(id) + "/callback",
			"goodbye":  m.at(id) + "/",
			"secret":   secretOf(strings.ToUpper(id) + "_SECRET"),
			"key":      m.keys[id],
		}
	}
	all := map[string]any{
		"issuer":   m.at("auth"),
		"api":      m.at("api") + "/",
		"user":     aliceName,
		"password": alicePassword,
		"settings": strings.Join(settings, "\n"),
	}
	for _, id := range applications {
		if id != "auth" && id != "api" {
			all[id] = client(id)
		}
	}
	all["notes"].(map[string]any)["callback"] = m.at("notes") + "/"
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// stepResult is what a script prints of each step.
type stepResult struct {
	Step    string          `json:"step"`
	Result  json.RawMessage `json:"result"`
	Problem string          `json:"problem"`
}

// want is what a step of a script must come to, as JSON.
type want struct{ step, result string }

// run runs a script, with settings of docs/clients.md if it takes some, and compares its steps with
// what is wanted.
func (m *machine) run(t *testing.T, script string, wanted []want, settings ...string) {
	t.Helper()
	program, dir := node(t)
	cmd := exec.CommandContext(t.Context(), program, script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CLIENT_TEST="+m.told(settings...))
	cmd.WaitDelay = time.Second
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v\n%s", script, err, problems.String())
	}
	var results []stepResult
	for line := range bytes.Lines(out) {
		var r stepResult
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s: %s", err, line)
		}
		results = append(results, r)
	}
	for i, w := range wanted {
		t.Run(w.step, func(t *testing.T) {
			switch {
			case i >= len(results) || results[i].Step != w.step:
				t.Fatalf("the script did not come to it: %+v", results[min(i, len(results)):])
			case results[i].Problem != "":
				t.Error(results[i].Problem)
			case string(results[i].Result) != w.result:
				t.Errorf("%s, want %s", results[i].Result, w.result)
			}
		})
	}
	if len(results) > len(wanted) {
		t.Errorf("steps that nothing is wanted of: %+v", results[len(wanted):])
	}
}
