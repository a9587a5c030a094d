package sqlstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// The migrations are numbered without a gap from 0001 on. One that was released is never changed: a
// later one corrects it.
//
//go:embed migrations/*.sql
var migrations embed.FS

// errNotDatabase says that SQLite cannot read the file.
var errNotDatabase = errors.New("the file is not a SQLite database")

// ErrOlderSchema is wrapped by the error of OpenReadOnly for a database of an older release that no
// server of this release has opened yet. Open migrates it.
var ErrOlderSchema = errors.New("an older release made the database")

// migrationNames are the files in order; their number is the schema version of this release.
func migrationNames() []string {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	return names
}

// schemaVersion returns the version of the database, 0 if it has none, and the number of tables,
// which the query `listing` returns.
func schemaVersion(ctx context.Context, q querier, listing string) (version, tables int, err error) {
	var meta int
	if _, err := one(ctx, q, `SELECT count(*), coalesce(sum(CASE WHEN name = 'meta' THEN 1 ELSE 0 END), 0)
		FROM (`+listing+`) AS listing`, nil, &tables, &meta); err != nil || meta == 0 {
		return 0, tables, err
	}
	var value string
	if found, err := one(ctx, q, `SELECT value FROM meta WHERE name = 'schema'`, nil, &value); err != nil || !found {
		return 0, tables, err
	}
	if version, err = strconv.Atoi(value); err != nil || version < 1 {
		return 0, tables, errors.New("the schema version in the table meta is not a positive number")
	}
	return version, tables, nil
}

// recognise returns the schema version, 0 for an empty database. It refuses a database with foreign
// tables or an unknown version.
func recognise(ctx context.Context, q querier, listing string) (int, error) {
	version, tables, err := schemaVersion(ctx, q, listing)
	switch {
	case err != nil:
		return 0, err
	case version == 0 && tables > 0:
		return 0, fmt.Errorf("the database belongs to something else: it has %d tables and no schema version", tables)
	}
	return version, checkVersion(version)
}

// checkVersion refuses a database that a newer release has migrated.
func checkVersion(version int) error {
	if known := len(migrationNames()); version > known {
		return fmt.Errorf("a newer release has changed the database: it has schema version %d and this release "+
			"knows versions up to %d; use that release, or restore a backup made before the upgrade", version, known)
	}
	return nil
}

// readable refuses a database that must be migrated before it can be read. An empty one (0) is read
// as an empty store (openEmpty).
func readable(version int) error {
	if needed := len(migrationNames()); 0 < version && version < needed {
		return fmt.Errorf("%w: it has schema version %d and this release needs %d; start the server with this "+
			"release once, which migrates it, or use the release that the server runs now", ErrOlderSchema, version,
			needed)
	}
	return nil
}

// migrateSQLite is migrate behind the lock for writing, which every transaction of SQLite takes.
func migrateSQLite(t tx) error { return migrate(t, sqliteTables) }

// migrate brings the schema to this release's version in one transaction; a second process that has
// waited for it has nothing left to do.
func migrate(t tx, listing string) error {
	version, err := recognise(context.Background(), t, listing)
	if err != nil {
		return err
	}
	names := migrationNames()
	for _, name := range names[version:] {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		if err := t.script(string(text)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := checkNames(context.Background(), t); err != nil || version == len(names) {
		return err
	}
	_, err = t.exec(`INSERT INTO meta (name, value) VALUES ('schema', $1)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, strconv.Itoa(len(names)))
	return err
}

// checkNames refuses a store in which an operator's client has the name of a built-in one. An earlier
// release could store it, before the name was reserved; it must neither be used as the built-in
// client nor fail silently. The transaction is rolled back, so that the earlier release can go on
// with the store.
func checkNames(ctx context.Context, q querier) error {
	var id string
	found, err := one(ctx, q, `SELECT id FROM client WHERE active = 1
		AND id IN ('`+clients.FirstParty+`', '`+clients.Web+`')`, nil, &id)
	if err != nil || !found {
		return err
	}
	return fmt.Errorf("client %[1]q: the name belongs to the server's own sign-in now; nothing was changed: with the "+
		"release that ran before, give the program that uses it a client of another name, and remove this one "+
		"(`caddy auth client remove %[1]s`, or take it out of the configuration and reload)", id)
}

// one scans the first row of a query into the targets and reports whether there was one.
func one(ctx context.Context, q querier, query string, args []any, into ...any) (bool, error) {
	if !findable(args) {
		return false, nil
	}
	rows, err := q.query(ctx, query, args...)
	if resultCode(err)&0xff == sqlite3.SQLITE_NOTADB {
		return false, fmt.Errorf("%w: %w", ErrUnavailable, errNotDatabase)
	}
	if err != nil {
		return false, failure(err)
	}
	defer rows.Close()
	if !rows.Next() {
		return false, failure(rows.Err())
	}
	if err := rows.Scan(into...); err != nil {
		return false, failure(err)
	}
	return true, failure(rows.Close())
}
