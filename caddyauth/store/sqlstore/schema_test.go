package sqlstore

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// olderSchema is a script which makes the database of a release that knew only the first
// migrations, with its one key.
func olderSchema(t *testing.T, version int) string {
	t.Helper()
	var script strings.Builder
	for _, name := range migrationNames()[:version] {
		text, err := migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		script.Write(text)
	}
	fmt.Fprintf(&script, `
		INSERT INTO meta (name, value) VALUES ('schema', '%d');
		INSERT INTO key (id, algorithm, created, sealed) VALUES ('old', 'ES256', %d, 'sealed');`, version,
		noon.UnixMilli())
	if version >= 5 {
		script.WriteString(`UPDATE key SET since = created;`)
	}
	if version >= 3 {
		fmt.Fprintf(&script,
			`INSERT INTO project (id, slug, name, active, declared, audiences, access, refresh, refresh_absolute,
			own_access, own_refresh, own_refresh_absolute, refresh_window, refresh_check, keep_refresh,
			revoke_all_on_logout, version, created, changed)
			VALUES ('p', 'default', '', 1, 0, '[]', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, %[1]d, %[1]d);`, noon.UnixMilli())
	}
	for i, hash := range append(hashes, "") {
		if version >= 3 {
			fmt.Fprintf(&script,
				`INSERT INTO account (id, project, canonical, name, password_hash, password_changed, disabled,
				declared, claims, version, created, changed)
				VALUES ('u%[1]d', 'default', 'u%[1]d', 'u%[1]d', '%[2]s', 0, 0, 1, '{}', 1, %[3]d, %[3]d);`,
				i, hash, noon.UnixMilli())
		}
	}
	if version >= 3 && !strings.Contains(script.String(), "DROP COLUMN secret_hash") {
		fmt.Fprintf(&script, `INSERT INTO client (id, project, name, secret_hash, access_token_format, fixed_refresh,
			reuse_interval, audience, scopes, claims, access, refresh, refresh_absolute, own_access, own_refresh,
			own_refresh_absolute, active, declared, version, created, changed)
			SELECT id, 'default', '', hash, '', 0, 0, '["api"]', '[]', '{}', 0, 0, 0, 0, 0, 0, 1, 0, 1, %[1]d, %[1]d
			FROM (SELECT 'secret' AS id, 'h-_1' AS hash UNION SELECT 'public', '') AS standing;`, noon.UnixMilli())
	}
	return script.String()
}

// onEachOlderSchema runs a test for the schema of every release before this one.
func onEachOlderSchema(t *testing.T, test func(t *testing.T, version int)) {
	for version := 1; version < len(migrationNames()); version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) { test(t, version) })
	}
}

func TestOlderFileIsRefusedUnchangedByReadersAndMigratedByWriters(t *testing.T) {
	onEachOlderSchema(t, func(t *testing.T, version int) {
		path := filepath.Join(t.TempDir(), "auth.db")
		rawExec(t, path, olderSchema(t, version))
		before := listing(t, filepath.Dir(path))
		s := newStore(t, path)
		isOlder(t, s, version, "store "+path)
		sameListing(t, before, listing(t, filepath.Dir(path)))
		isMigrated(t, s, newStore(t, path), version)
	})
}

func TestOlderPostgresDatabaseIsRefusedUnchangedByReadersAndMigratedByWriters(t *testing.T) {
	onEachOlderSchema(t, func(t *testing.T, version int) {
		url := pgtest.Server(t).URL(t)
		rawPostgres(t, url, olderSchema(t, version))
		s := newStore(t, url)
		isOlder(t, s, version, "store postgres://127.0.0.1/t")
		rawPostgres(t, url,
			fmt.Sprintf(`DO $$ BEGIN ASSERT (SELECT value FROM meta WHERE name = 'schema') = '%d'; END $$`, version))
		isMigrated(t, s, newStore(t, url), version)
	})
}

// isOlder opens for reading, which must be refused with the name of the store and both versions.
func isOlder(t *testing.T, s *Store, version int, name string) {
	t.Helper()
	err := s.OpenReadOnly(t.Context())
	if !errors.Is(err, ErrOlderSchema) || errors.Is(err, ErrUnavailable) {
		t.Fatalf("OpenReadOnly = %v, want ErrOlderSchema alone", err)
	}
	for _, want := range []string{
		name, fmt.Sprintf("schema version %d ", version), fmt.Sprintf("needs %d", len(migrationNames())),
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("OpenReadOnly = %v; want %q", err, want)
		}
	}
	if _, err := s.Keys(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the refused store answers: %v", err)
	}
}

// isMigrated opens for writing and looks with a reader: the one key that stood goes on signing, and
// the kinds of the users' hashes are known.
func isMigrated(t *testing.T, s, reader *Store, version int) {
	t.Helper()
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := reader.OpenReadOnly(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := keyring.Record{
		ID:        "old",
		Algorithm: "ES256",
		Created:   noon,
		Sealed:    []byte("sealed"),
		State:     keyring.Active,
		Since:     noon,
	}
	same(t, keySetOf(t, reader).Records, []keyring.Record{want})
	hasClients(t, reader, version)
	if version < 3 || version >= 7 {
		return // the release knew no users, or kept the kinds itself
	}
	kinds, err := reader.HashKinds(t.Context())
	must(t, err)
	same(t, kinds, []string{"$2a$14$", "$argon2id$v=19$m=47104,t=1,p=1$", "$argon2id$v=19$m=65536,t=3,p=4$"})
	for i, hash := range hashes {
		u, err := reader.FindUserByID(t.Context(), fmt.Sprint("u", i))
		must(t, err)
		if u.PasswordHash != hash || u.Admin {
			t.Errorf("%+v", u)
		}
	}
}

// hasClients looks whether the clients of before are what they were.
func hasClients(t *testing.T, reader *Store, version int) {
	t.Helper()
	if version < 3 {
		return
	}
	found, err := reader.ListClients(t.Context(), "", project.Page{Limit: 10})
	must(t, err)
	if len(found) == 0 && version >= 11 {
		return // the release kept the secrets as this one does
	}
	public := clients.Client{
		ID:       "public",
		Project:  "default",
		Audience: []string{"api"},
		Active:   true,
		Version:  1,
		Created:  noon,
		Changed:  noon,
	}
	secret := public
	secret.ID, secret.Secrets = "secret", []clients.Secret{{Number: 1, Hash: "h-_1"}}
	same(t, found, []clients.Client{public, secret})
}
