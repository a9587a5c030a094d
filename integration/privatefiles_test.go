//go:build unix

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// filesAuth keeps everything in files: the generated secret, the database in a folder of its own,
// and a key.
const filesAuth = `auth {
	issuer {{url "auth"}}
	store "sqlite:{{.Dir}}/db/auth.db"
	user alice {
		password_hash {{hash "alice"}}
	}
}`

// keyFilesAuth has keys in files beside it: a private and a public one.
const keyFilesAuth = `auth {
	issuer {{url "auth"}}
	store "sqlite:{{.Dir}}/db/auth.db"
	keys {
		active es1
		file es1 "{{.Dir}}/private.pem"
	}
}`

// TestOpenFilesAreWarnedOf opens one file or folder to other users of the machine; the next load
// and `caddy auth check` must name it with its mode, and nothing else.
func TestOpenFilesAreWarnedOf(t *testing.T) {
	for _, c := range []struct {
		name, auth, path string // below the test's folder
		mode             os.FileMode
		warned           bool
	}{
		{"as made", filesAuth, "", 0, false},
		{"secret readable", filesAuth, "data/caddy/auth/secret.key", 0o644, true},
		{"secret writable", filesAuth, "data/caddy/auth/secret.key", 0o602, true},
		{"secret for a group", filesAuth, "data/caddy/auth/secret.key", 0o640, false},
		{"secret's folder open", filesAuth, "data/caddy/auth", 0o755, true},
		{"database readable", filesAuth, "db/auth.db", 0o604, true},
		{"log readable", filesAuth, "db/auth.db-wal", 0o644, true},
		{"index readable", filesAuth, "db/auth.db-shm", 0o644, true},
		{"database's folder writable", filesAuth, "db", 0o777, true},
		{"database's folder to be listed", filesAuth, "db", 0o755, false},
		{"private key readable", keyFilesAuth, "private.pem", 0o644, true},
		{"private key", keyFilesAuth, "private.pem", 0o600, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t)
			key, err := os.ReadFile(g.tokens.keyFile("es1"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(g.dir, "private.pem"), key, 0o600); err != nil {
				t.Fatal(err)
			}
			g.load(c.auth, apiSite)
			path := filepath.Join(g.dir, c.path)
			if c.path != "" {
				if err := os.Chmod(path, c.mode); err != nil {
					t.Fatal(err)
				}
			}
			before := len(g.log())
			g.load(c.auth, apiSite+"# again\n")
			g.isWarnedOf(t, "at load", g.log()[before:], path, c.warned)
			out, stderr, err := command("", "check", "--config", g.configFile(c.auth, apiSite))
			if err != nil || stderr != "" {
				t.Fatalf("%v %s", err, stderr)
			}
			g.isWarnedOf(t, "check", out, path, c.warned)
		})
	}
}

func (g *gateway) isWarnedOf(t *testing.T, where, text, path string, warned bool) {
	t.Helper()
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, "other users") {
			found = append(found, line)
		}
	}
	switch {
	case !warned && len(found) > 0:
		t.Errorf("%s: it warns: %q", where, found)
	case warned && (len(found) != 1 || !strings.Contains(found[0], path) || !strings.Contains(found[0], "mode 0")):
		t.Errorf("%s: it should warn of %s alone: %q", where, path, found)
	}
}
