package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// TestStoreMoves: a server on SQLite moves to PostgreSQL, and back, by a file that is written while
// it runs. Its sessions go on, what was revoked stays revoked, and nothing but the right secret
// opens the file.
func TestStoreMoves(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		t.Run(format, func(t *testing.T) { storeMoves(t, format) })
	}
}

// storeMoves moves it with access tokens in one format: what they are made with moves along.
func storeMoves(t *testing.T, format string) {
	database := pgtest.Server(t)
	g := newGateway(t)
	g.secret("the sealing secret", goodSecret)
	g.extra["Level"], g.extra["More"] = "DEBUG", "access_token_format "+format
	n := &nodes{gateway: g, all: map[string]*process{}}
	node := func(name, store string) *process {
		n.all[name] = g.newProcess(t, name, nodeAuth, nodeSite, "TEST_STORE="+store, "TEST_SECRET=seal:"+goodSecret)
		return n.all[name]
	}
	file := filepath.Join(g.dir, "auth.export")
	old, moved := node("old", "sqlite:"+filepath.Join(g.dir, "old.db")), node("moved", database.URL(t))
	back := node("back", "sqlite:"+filepath.Join(g.dir, "back.db"))

	old.fails(t, "no server has used it", "store", "export", file)
	old.start(t)
	old.awaitReady(t)
	held, out := n.signedIn(t, "old", "10.1.0.1"), n.signedIn(t, "old", "10.1.0.2")
	if a := n.signOutAt(t, "old", out); a.status != http.StatusNoContent {
		t.Fatal(a.status, a.body)
	}
	old.prints(t, "grants 2", "store", "export", file)
	checkExportFile(t, file, out.access, held.access, goodSecret, "alice", "$2a$")
	old.fails(t, "exists", "store", "export", file)
	old.fails(t, "stop the server", "store", "import", "--replace", file)
	old.atAnotherAdmin(t).fails(t, "stop the server", "store", "import", "--replace", file)
	old.kill(t)

	for _, next := range []*process{moved, back} {
		next.refusesOtherFiles(t, file)
		next.prints(t, "imported: ", "store", "import", file)
		next.fails(t, "--replace", "store", "import", file)
		next.start(t)
		next.awaitReady(t)
		explained, _, _ := next.command(t, "explain", "--url", n.url(next.name))
		line, _, _ := strings.Cut(explained, "\n")
		if strings.HasPrefix(line, "Store: postgres://") != (next == moved) || strings.Contains(explained, "@") {
			t.Errorf("%s: explain names its store as %s", next.name, line)
		}
		if a := n.at(t, next.name, cookies{access: held.access}); a.status != http.StatusOK {
			t.Errorf("%s: the access token of before: status %d, reason %q", next.name, a.status, a.reason(t))
		}
		held = n.renewedAt(t, next.name, held.refresh)
		if a := n.at(t, next.name, out); a.status != http.StatusUnauthorized || a.reason(t) != "revoked" {
			t.Errorf("%s: who signed out before: status %d, reason %q", next.name, a.status, a.reason(t))
		}
		n.signedIn(t, next.name, "10.1.0.3")
		next.prints(t, `"store.import"`, "audit", "--json")
		next.prints(t, `"login"`, "audit", "--json")
		next.atAnotherAdmin(t).fails(t, "stop the server", "store", "import", "--replace", file)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if next == moved {
			next.prints(t, "grants 3", "store", "export", file)
		}
		next.kill(t)
	}
}

// atAnotherAdmin is the process by a configuration that names another admin endpoint, at which
// nobody answers.
func (p *process) atAnotherAdmin(t *testing.T) *process {
	t.Helper()
	text, err := os.ReadFile(p.config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "admin "+p.g.addr(p.name+"-admin"), "admin "+p.g.addr(p.name+"-nobody"), 1)
	if changed == string(text) {
		t.Fatal("the configuration names no admin endpoint")
	}
	other := *p
	other.config = p.config + ".other"
	if err := os.WriteFile(other.config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return &other
}

// prints runs a command that succeeds.
func (p *process) prints(t *testing.T, word string, args ...string) {
	t.Helper()
	if stdout, stderr, code := p.command(t, args...); code != 0 || !strings.Contains(stdout, word) {
		t.Fatalf("%s: %q: exit code %d, want %q in\n%s%s", p.name, args, code, word, stdout, stderr)
	}
}

// fails runs a command that ends with exit code 1 and one line.
func (p *process) fails(t *testing.T, word string, args ...string) {
	t.Helper()
	stdout, stderr, code := p.command(t, args...)
	if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, word) {
		t.Errorf("%s: %q: exit code %d, want %q in one line\n%s%s", p.name, args, code, word, stdout, stderr)
	}
}

// checkExportFile looks whether anything in the file can be read without the secret.
func checkExportFile(t *testing.T, file string, canaries ...string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range canaries {
		if strings.Contains(string(content), word) {
			t.Errorf("the file holds %.20q", word)
		}
	}
}

// refusesOtherFiles: another secret, a file that is cut off or altered; each time nothing is
// imported.
func (p *process) refusesOtherFiles(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	altered := []byte(string(content))
	altered[len(altered)*3/4] ^= 1
	env := p.env
	for _, c := range []struct {
		name, secret, want string
		content            []byte
	}{
		{"cut off", goodSecret, "nothing was imported", content[:len(content)-20]},
		{"cut off early", goodSecret, "nothing was imported", content[:len(content)/3]},
		{"altered", goodSecret, "nothing was imported", altered},
		{"another file", goodSecret, "not sealed", []byte("SQLite format 3\x00")},
		{
			"another secret", "YW5vdGhlciBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcywgb3IgbW9yZQ==",
			"not the secret of the server", content,
		},
	} {
		t.Run(p.name+", "+c.name, func(t *testing.T) {
			bad := filepath.Join(t.TempDir(), "bad.export")
			if err := os.WriteFile(bad, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			p.env = append(env[:len(env):len(env)], "TEST_SECRET=seal:"+c.secret)
			stdout, stderr, code := p.command(t, "store", "import", bad)
			if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.want) {
				t.Errorf("%d %q %q", code, stdout, stderr)
			}
		})
	}
	p.env = env
	p.fails(t, "no server has used it", "store", "export", filepath.Join(t.TempDir(), "x"))
}
