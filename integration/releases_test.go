package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// storeAuth keeps its keys in the store that the environment names.
const storeAuth = `auth {
	issuer {{url "auth"}}
	secret seal:` + goodSecret + `
	store {env.TEST_STORE}
	user alice {
		password_hash {{hash "alice"}}
		claim role admin
	}
}`

// onStoreOfEachEngine runs a test on a new store, whose URL is in the environment. raw runs a
// script in it behind the server's back; name is what errors call it.
func onStoreOfEachEngine(t *testing.T, test func(t *testing.T, g *gateway, name string, raw func(script string))) {
	t.Run("sqlite", func(t *testing.T) {
		g := newGateway(t)
		path := filepath.Join(g.dir, "store.db")
		t.Setenv("TEST_STORE", "sqlite:"+path)
		if err := os.WriteFile(path, nil, 0o600); err != nil { // SQLite alone would make it 0644
			t.Fatal(err)
		}
		test(t, g, "store "+path, func(script string) {
			t.Helper()
			db, err := sql.Open("sqlite", path)
			if err == nil {
				_, err = db.Exec(script)
				err = errors.Join(err, db.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("postgres", func(t *testing.T) {
		g := newGateway(t)
		url := pgtest.Server(t).URL(t)
		t.Setenv("TEST_STORE", url)
		test(t, g, "store postgres://127.0.0.1/t", func(script string) {
			t.Helper()
			conn, err := pgx.Connect(t.Context(), url)
			if err == nil {
				_, err = conn.Exec(t.Context(), script)
				err = errors.Join(err, conn.Close(context.WithoutCancel(t.Context())))
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	})
}

// migrationFiles are the schema's steps, in order.
func migrationFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../caddyauth/store/sqlstore/migrations/*.sql")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	return files
}

// olderStore is a script which makes the store of a release that knew only the first migrations.
func olderStore(t *testing.T, version int) string {
	t.Helper()
	var script strings.Builder
	for _, file := range migrationFiles(t)[:version] {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		script.Write(text)
	}
	return script.String() + fmt.Sprintf("\nINSERT INTO meta (name, value) VALUES ('schema', '%d')", version)
}

// saysOneLine runs a command that must fail with one line which holds all the words.
func saysOneLine(t *testing.T, words, args []string) {
	t.Helper()
	out, stderr, err := command("gone.by.now", args...)
	if err == nil || out != "" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("%q: %q %q %v", args, out, stderr, err)
	}
	for _, word := range words {
		if !strings.Contains(stderr, word) {
			t.Errorf("%q should say %q: %s", args, word, stderr)
		}
	}
}

// TestCommandsOnTheStoreOfAnOlderRelease: the new program is tried out before the server is started
// with it. What needs the store says why it cannot read it; check has nothing against the
// configuration. None of them migrates; the start does.
func TestCommandsOnTheStoreOfAnOlderRelease(t *testing.T) {
	onStoreOfEachEngine(t, func(t *testing.T, g *gateway, name string, raw func(string)) {
		g.secret("the sealing secret", goodSecret)
		config := g.configFile(storeAuth, apiSite)
		needed := len(migrationFiles(t))
		raw(olderStore(t, 2))
		words := []string{
			name, "schema version 2 ", fmt.Sprintf("needs %d", needed), "start the server with this release",
		}
		saysOneLine(t, words, []string{"explain", "--config", config, "--url", g.url("api")})
		saysOneLine(t, words, []string{"token", "inspect", "--config", config})
		out, stderr, err := command("", "check", "--config", config)
		if err != nil || stderr != "" ||
			!strings.HasPrefix(out, "warning: the content of the store was not checked: ") ||
			!strings.HasSuffix(out, "\nok\n") {
			t.Errorf("check: %q %q %v", out, stderr, err)
		}
		for _, word := range words {
			if !strings.Contains(out, word) {
				t.Errorf("check should say %q: %s", word, out)
			}
		}

		g.load(storeAuth, apiSite)
		token := g.login(t, "alice", alicePassword)
		if err := stopServer(); err != nil {
			t.Fatal(err)
		}
		out, stderr, err = command("", "explain", "--config", config, "--url", g.url("api"), "--token", token)
		if err != nil || !strings.Contains(out, "admitted as alice") {
			t.Errorf("explain after the start: %q %q %v", out, stderr, err)
		}
		if out, stderr, err := command("", "check", "--config", config); out != "ok\n" || err != nil {
			t.Errorf("check after the start: %q %q %v", out, stderr, err)
		}
	})
}

// TestStoreOfANewerReleaseIsRefused: by a start, by a reload, which leaves alone what runs, and by
// commands.
func TestStoreOfANewerReleaseIsRefused(t *testing.T) {
	onStoreOfEachEngine(t, func(t *testing.T, g *gateway, name string, raw func(string)) {
		g.secret("the sealing secret", goodSecret)
		g.load(storeAuth, apiSite)
		if err := stopServer(); err != nil {
			t.Fatal(err)
		}
		raw(`UPDATE meta SET value = '7000' WHERE name = 'schema'`)
		words := []string{
			name, "schema version 7000 ", fmt.Sprintf("up to %d;", len(migrationFiles(t))),
			"use that release, or restore a backup",
		}
		refused := func() {
			t.Helper()
			err := g.tryLoad(storeAuth, apiSite)
			for _, word := range words {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("the error should say %q: %v", word, err)
				}
			}
		}
		refused()
		if got := g.get(t, "api", "/", ""); got.broken == nil {
			t.Errorf("the refused server answers: status %d", got.status)
		}

		g.load(generatedAuth, apiSite)
		token := g.login(t, "alice", alicePassword)
		refused()
		g.checkPasses(t, token)
		g.checkPasses(t, g.login(t, "alice", alicePassword))

		config := g.configFile(storeAuth, apiSite)
		saysOneLine(t, words, []string{"check", "--config", config})
		saysOneLine(t, words, []string{"explain", "--config", config, "--url", g.url("api")})
		saysOneLine(t, words, []string{"token", "inspect", "--config", config})
	})
}

// TestRunningServerOutlivesAMigration: a node of an older release goes on, also through a reload,
// when another one has migrated their store. It is not started again.
func TestRunningServerOutlivesAMigration(t *testing.T) {
	onStoreOfEachEngine(t, func(t *testing.T, g *gateway, name string, raw func(string)) {
		g.load(storeAuth, apiSite)
		token := g.login(t, "alice", alicePassword)
		raw(`UPDATE meta SET value = '7000' WHERE name = 'schema'`)
		g.checkPasses(t, token)
		g.load(storeAuth, apiSite)
		g.checkPasses(t, g.login(t, "alice", alicePassword))
		if got := g.get(t, "auth", "/healthz", ""); got.status != http.StatusOK {
			t.Errorf("health: status %d: %s", got.status, got.body)
		}
		if err := stopServer(); err != nil {
			t.Fatal(err)
		}
		if err := g.tryLoad(storeAuth, apiSite); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("started again: %v", err)
		}
	})
}
