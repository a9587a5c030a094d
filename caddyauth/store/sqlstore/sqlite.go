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

// readers is the number of connections for reading. Reads are short, so a few are enough beside the
// writer.
const readers = 4

// busyTimeout is how long to wait for another process, which holds the lock for one commit.
const busyTimeout = 5 * time.Second

// sqliteTables lists the tables of a SQLite database.
const sqliteTables = `SELECT name FROM sqlite_master WHERE type = 'table'`

// sqliteFile is where a SQLite database lies.
type sqliteFile struct {
	path  string        // absolute
	busy  time.Duration // how long to wait for the lock of another process
	woken func()
}

// sqliteDatabase is an open SQLite database.
type sqliteDatabase struct {
	read     *sql.DB
	prepared statements // of read
	apartDB  *sql.DB    // one connection, for apart; nil: opened for reading only
	writer   *writer    // nil: opened for reading only
	unlocked string     // the path of a file that is read without locks
}

func (s *sqliteFile) connections() int { return readers }

func (d *sqliteDatabase) query(ctx context.Context, text string, args ...any) (rows, error) {
	stmt, err := d.prepared.of(ctx, d.read, text)
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return queryOn(ctx, d.read, text, args)
	}
	found, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, err // not a nil *sql.Rows in an interface
	}
	return found, nil
}

// apart implements database.
func (d *sqliteDatabase) apart() querier {
	if d.apartDB == nil {
		return d
	}
	return apartReader{d.apartDB}
}

// apartReader is a connection that nothing else uses.
type apartReader struct{ *sql.DB }

func (r apartReader) query(ctx context.Context, text string, args ...any) (rows, error) {
	return queryOn(ctx, r.DB, text, args)
}

func queryOn(ctx context.Context, db *sql.DB, text string, args []any) (rows, error) {
	found, err := db.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err // not a nil *sql.Rows in an interface
	}
	return found, nil
}

func (d *sqliteDatabase) write(ctx context.Context, verb func(tx) error) error {
	if d.writer == nil {
		return errReadOnly
	}
	return d.writer.do(ctx, verb)
}

// writeOne saves the savepoint: a statement that fails is undone alone.
func (d *sqliteDatabase) writeOne(ctx context.Context, verb func(tx) error) error {
	if d.writer == nil {
		return errReadOnly
	}
	return d.writer.doOne(ctx, verb)
}

// holding is empty, because nothing else writes during a transaction of SQLite.
func (d *sqliteDatabase) holding() string { return "" }

// skipLocked is empty, because SQLite has no locked rows.
func (d *sqliteDatabase) skipLocked() string { return "" }

// clock is 0: SQLite runs in this process and has no clock of its own.
func (d *sqliteDatabase) clock() string { return "0" }

func (d *sqliteDatabase) writable() bool { return d.writer != nil }

// ping reads, and takes the lock for writing unless it may not write.
func (d *sqliteDatabase) ping(ctx context.Context) error {
	if _, _, err := schemaVersion(ctx, d, sqliteTables); err != nil {
		return err
	}
	if d.writer == nil {
		return nil
	}
	return d.write(ctx, func(tx) error { return nil })
}

// probe takes the lock for writing.
func (d *sqliteDatabase) probe(ctx context.Context) error {
	return d.writer.do(ctx, func(tx) error { return nil })
}

// readsHang is false: with a write-ahead log, writers do not block readers.
func (d *sqliteDatabase) readsHang() bool { return false }

// dropConnections does nothing: the writer reconnects after each error.
func (d *sqliteDatabase) dropConnections() {}

// close closes the writer last: the last connection copies the log into the database.
func (d *sqliteDatabase) close() error {
	d.prepared.close()
	err := d.read.Close()
	if d.apartDB != nil {
		err = errors.Join(err, d.apartDB.Close())
	}
	if d.writer != nil {
		err = errors.Join(err, d.writer.close())
	}
	return failure(err)
}

// aloneTimeout is how long to wait for a command that reads: a server does not go away.
const aloneTimeout = time.Second

// openForWriting opens the file, creating it first where it is missing, and leaves no handle behind
// when it fails. The mark of who uses it is SQLite's own: each connection to a file with a
// write-ahead log holds a shared lock on it until it is closed.
func (s *sqliteFile) openForWriting(ctx context.Context, alone bool) (database, error) {
	if err := s.createFile(); err != nil {
		return nil, err
	}
	how := []string{"mode", "rw", "_foreign_keys", "1", "_synchronous", "FULL"}
	if alone {
		how = append(how, "_busy_timeout", strconv.FormatInt(aloneTimeout.Milliseconds(), 10), "_pragma",
			"locking_mode(exclusive)")
	}
	db, err := s.connect(how...)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := s.prepareFile(ctx, db); err != nil {
		if alone && isError[timeout](err) {
			err = s.named(ErrInUse)
		}
		return nil, errors.Join(err, db.Close())
	}
	w := startWriter(db, s.woken)
	if err := w.do(ctx, migrateSQLite); err != nil {
		return nil, errors.Join(s.named(err), w.close())
	}
	read, err := s.reader(readers)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	looks, err := s.reader(1)
	if err != nil {
		return nil, errors.Join(err, read.Close(), w.close())
	}
	return &sqliteDatabase{read: read, apartDB: looks, writer: w}, nil
}

// reader makes a pool of n connections for reading beside the writer.
func (s *sqliteFile) reader(n int) (*sql.DB, error) {
	db, err := s.connect("mode", "rw", "_query_only", "1")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// createFile creates an empty file with its final mode before SQLite sees it; the log and its index
// get the same mode. An existing file is not opened here: closing it would release the locks that
// this process holds on it (POSIX).
func (s *sqliteFile) createFile() error {
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
		return nil // another process has created it
	}
	if err != nil {
		return unreachable(err)
	}
	return f.Close()
}

// prepareFile checks what the file contains before it changes anything, then switches it to
// write-ahead logging, which is stored in the file.
func (s *sqliteFile) prepareFile(ctx context.Context, db *sql.DB) error {
	if _, err := s.recognise(ctx, db); err != nil {
		return err
	}
	mode, err := s.switchToLog(ctx, db)
	if err != nil {
		return s.named(failure(err))
	}
	if mode != "wal" {
		return fmt.Errorf("store %s: the file system does not allow write-ahead logging (journal mode stays %q)",
			s.path, mode)
	}
	return nil
}

// switchToLog tries again while the database is locked: SQLite does not wait for the lock when two
// processes switch a new file at the same time.
func (s *sqliteFile) switchToLog(ctx context.Context, db *sql.DB) (mode string, err error) {
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

// recognise returns the schema version of the file, 0 when it is empty, and refuses one which holds
// something other than our tables in a version we know.
func (s *sqliteFile) recognise(ctx context.Context, db *sql.DB) (int, error) {
	version, err := recognise(ctx, &sqliteDatabase{read: db}, sqliteTables)
	if errors.Is(err, errNotDatabase) {
		err = errNotDatabase // waiting does not help here
	}
	return version, s.named(err)
}

// openForReading opens an existing file in the one way that writes nothing, and an empty database
// in memory for a missing one.
func (s *sqliteFile) openForReading(ctx context.Context) (database, error) {
	how, err := s.readOnlyParameters()
	if errors.Is(err, fs.ErrNotExist) {
		return openEmpty(ctx)
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
	if err == nil {
		err = s.named(readable(version))
	}
	if err != nil || version > 0 {
		unlocked := ""
		if how[0] == "immutable" {
			unlocked = s.path
		}
		return readHandles(db, unlocked, err)
	}
	if err := db.Close(); err != nil {
		return nil, s.named(failure(err))
	}
	return openEmpty(ctx)
}

// readOnlyParameters are the parameters with which SQLite reads the file and creates nothing. If
// there is a log, SQLite takes part in the locking and reads it through the index that a writer
// made (readonly_shm: a reader may not make one). If there is none, nobody is writing, and SQLite
// would create both unless it is told that the file does not change (immutable).
func (s *sqliteFile) readOnlyParameters() ([]string, error) {
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
	return nil, fmt.Errorf("%w: store %s has a write-ahead log without its index, as in a copy: only a server which "+
		"opens it for writing can recover it", ErrUnavailable, s.path)
}

// unreachable wraps an error of the file system, which names the file already.
func unreachable(err error) error {
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// openEmpty opens an empty store in memory, so that verbs need not handle a missing file, or, on
// PostgreSQL, missing tables.
func openEmpty(ctx context.Context) (database, error) {
	db, err := sql.Open("sqlite", "file::memory:")
	if err != nil {
		return nil, failure(err)
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err == nil {
		err = errors.Join(migrateSQLite(&sqliteTx{conn: conn}), conn.Close())
	}
	return readHandles(db, "", err)
}

// readHandles prepares db for reading, and closes it after an error.
func readHandles(db *sql.DB, unlocked string, err error) (database, error) {
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &sqliteDatabase{read: db, unlocked: unlocked}, nil
}

// connect makes a pool for the file with SQLite's and the driver's parameters; it opens nothing
// yet.
func (s *sqliteFile) connect(pairs ...string) (*sql.DB, error) {
	q := url.Values{"_busy_timeout": {strconv.FormatInt(s.busy.Milliseconds(), 10)}, "_dqs": {"0"}}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	u := url.URL{Scheme: "file", Path: slashed(s.path), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	return db, s.named(failure(err))
}

func (s *sqliteFile) title() string { return s.path }

// named adds the file to an error.
func (s *sqliteFile) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store %s: %w", s.path, err)
}
