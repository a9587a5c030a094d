package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// readers is the number of connections for reading: reads are short, and a second core is all they can use beside a writer.
const readers = 4

// openForWriting opens the file, creating it first where it is missing, and leaves no handle behind when it fails.
func (s *Store) openForWriting(ctx context.Context) (*handles, error) {
	if err := s.createFile(); err != nil {
		return nil, err
	}
	db, err := s.connect("mode", "rw", "_foreign_keys", "1", "_synchronous", "FULL")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := s.prepareFile(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	w := startWriter(db)
	if err := w.do(ctx, migrate); err != nil {
		return nil, errors.Join(s.named(err), w.close())
	}
	read, err := s.connect("mode", "rw", "_query_only", "1")
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return &handles{read: read, write: w}, nil
}

// createFile makes an empty file with its final mode before SQLite sees it; the log and its index take the same mode. A file
// which stands is not opened here: closing it would drop the locks which this process holds on it (POSIX).
func (s *Store) createFile() error {
	info, err := os.Stat(s.path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("store %s: this is not a regular file", s.path)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return unreachable(err)
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return unreachable(err)
	}
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	}
	if err != nil {
		return unreachable(err)
	}
	return f.Close()
}

// prepareFile looks what the file holds before anything changes it, then switches it to write-ahead logging, which the file
// remembers.
func (s *Store) prepareFile(ctx context.Context, db *sql.DB) error {
	if _, err := s.recognise(ctx, db); err != nil {
		return err
	}
	mode, err := s.switchToLog(ctx, db)
	if err != nil {
		return s.named(failure(err))
	}
	if mode != "wal" {
		return fmt.Errorf("store %s: the file system does not allow write-ahead logging (journal mode stays %q)", s.path, mode)
	}
	return nil
}

// switchToLog asks again while the database is locked: SQLite does not wait for the lock when two processes that both read
// a new file want to switch it.
func (s *Store) switchToLog(ctx context.Context, db *sql.DB) (mode string, err error) {
	deadline := time.Now().Add(s.busy)
	for {
		err = db.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode)
		if resultCode(err)&0xff != sqlite3.SQLITE_BUSY || time.Now().After(deadline) {
			return mode, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// recognise returns the schema version of the file, 0 when it is empty, and refuses one which holds something other than our
// tables in a version we know.
func (s *Store) recognise(ctx context.Context, q querier) (int, error) {
	version, tables, err := schemaVersion(ctx, q)
	switch {
	case errors.Is(err, errNotDatabase):
		return 0, fmt.Errorf("store %s: %w", s.path, errNotDatabase)
	case err != nil:
		return 0, s.named(err)
	case version == 0 && tables > 0:
		return 0, fmt.Errorf("store %s: the database belongs to something else: it has %d tables and no schema version", s.path, tables)
	}
	return version, s.named(checkVersion(version))
}

// openForReading opens an existing file in the one way that writes nothing, and an empty database in memory for a missing one.
func (s *Store) openForReading(ctx context.Context) (*handles, error) {
	how, err := s.quietly()
	if errors.Is(err, fs.ErrNotExist) {
		return s.openEmpty(ctx)
	}
	if err != nil {
		return nil, err
	}
	db, err := s.connect(append(how, "mode", "ro")...)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	version, err := s.recognise(ctx, db)
	if err != nil || version > 0 {
		return readHandles(db, err)
	}
	if err := db.Close(); err != nil {
		return nil, s.named(failure(err))
	}
	return s.openEmpty(ctx)
}

// quietly is how to read the file so that nothing is created. Where a log stands, SQLite takes part in the locking and reads
// it, through the index which a writer made (readonly_shm: a reader may not make one); where none stands, nobody is writing,
// and SQLite would create both unless told that the file does not change (immutable).
func (s *Store) quietly() ([]string, error) {
	path, err := filepath.EvalSymlinks(s.path) // SQLite keeps the log beside the file itself
	if err != nil {
		return nil, unreachable(err)
	}
	log, err := os.Stat(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return []string{"immutable", "1"}, nil
	}
	if err != nil {
		return nil, unreachable(err)
	}
	if _, err = os.Stat(path + "-shm"); err == nil {
		return []string{"readonly_shm", "1"}, nil
	}
	if log.Size() == 0 {
		return []string{"immutable", "1"}, nil
	}
	return nil, fmt.Errorf("%w: store %s has a write-ahead log without its index, as in a copy: only a server which opens it for writing can recover it", ErrUnavailable, s.path)
}

// unreachable is an error of the file system, which names the file itself.
func unreachable(err error) error {
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// openEmpty is a store without a row, so that verbs need not know that there is no file.
func (s *Store) openEmpty(ctx context.Context) (*handles, error) {
	db, err := sql.Open("sqlite", "file::memory:")
	if err != nil {
		return nil, failure(err)
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err == nil {
		err = errors.Join(migrate(&tx{conn: conn}), conn.Close())
	}
	return readHandles(db, err)
}

// readHandles closes db again when preparing it met an error.
func readHandles(db *sql.DB, err error) (*handles, error) {
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &handles{read: db}, nil
}

// connect makes a pool for the file with SQLite's and the driver's parameters; it opens nothing yet.
func (s *Store) connect(pairs ...string) (*sql.DB, error) {
	q := url.Values{"_busy_timeout": {strconv.FormatInt(s.busy.Milliseconds(), 10)}, "_dqs": {"0"}}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	u := url.URL{Scheme: "file", Path: slashed(s.path), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	return db, s.named(failure(err))
}

// named adds the file to an error.
func (s *Store) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store %s: %w", s.path, err)
}
