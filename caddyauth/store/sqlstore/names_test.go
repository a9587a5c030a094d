package sqlstore

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// refusesName makes sure that an error says which client is in the way and what to do.
func refusesName(t *testing.T, err error) {
	t.Helper()
	for _, want := range []string{
		`client "caddyauth-web"`, "nothing was changed", "caddy auth client remove caddyauth-web", "another name",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	if errors.Is(err, ErrUnavailable) {
		t.Errorf("%v is no fault of the database", err)
	}
}

// TestClientsWithTheNameOfTheServersOwn: a store in which an operator's client has the name of a client
// that exists without being stored is not opened, whatever release made it, and stays as it was.
func TestClientsWithTheNameOfTheServersOwn(t *testing.T) {
	stores := []struct {
		name string
		at   func(t *testing.T) string
		exec func(t *testing.T, url, script string)
	}{
		{"sqlite", func(t *testing.T) string { return filepath.Join(t.TempDir(), "auth.db") }, rawExec},
		{"postgres", func(t *testing.T) string { return pgtest.Server(t).URL(t) },
			func(t *testing.T, url, script string) { rawPostgres(t, url, script) }},
	}
	for _, store := range stores {
		t.Run(store.name, func(t *testing.T) {
			t.Run("an older release", func(t *testing.T) {
				url := store.at(t)
				store.exec(t, url, strings.Replace(olderSchema(t, 10), "'secret' AS id", "'"+clients.Web+"' AS id", 1))
				refusesName(t, newStore(t, url).Open(t.Context()))
				if err := newStore(t, url).OpenReadOnly(t.Context()); !errors.Is(err, ErrOlderSchema) ||
					!strings.Contains(err.Error(), "schema version 10 ") {
					t.Errorf("the schema has changed: %v", err)
				}
				store.exec(t, url, `DELETE FROM client WHERE id = '`+clients.Web+`'`)
				must(t, newStore(t, url).Open(t.Context()))
			})
			t.Run("this release", func(t *testing.T) {
				url := store.at(t)
				s := newStore(t, url)
				must(t, s.Open(t.Context()))
				must(t, s.AddProject(t.Context(), project.Project{ID: "p", Slug: "default", Active: true}))
				must(t, s.AddClient(t.Context(), clients.Client{ID: clients.Web, Project: "default", Active: true}))
				var export bytes.Buffer
				_, err := s.Export(t.Context(), &export, noon)
				must(t, err)
				must(t, s.Close())
				refusesName(t, newStore(t, url).Open(t.Context()))

				other := newStore(t, store.at(t))
				must(t, other.OpenAlone(t.Context()))
				_, err = other.Import(t.Context(), &export, false)
				refusesName(t, err)

				store.exec(t, url, `UPDATE client SET active = 0`) // as what is no longer declared
				must(t, newStore(t, url).Open(t.Context()))
			})
		})
	}
}
