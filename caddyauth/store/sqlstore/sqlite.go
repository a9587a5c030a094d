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

// readers is the number of connections for reading: reads are short, and a second core is all they
// can use beside a writer.
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
	looks    *sql.DB // one connection, for apart; nil: opened for reading only
	writer   *writer // nil: opened for reading only
	unlocked string  // the path of a file that is read without locks
}

func (s *sqliteFile) connections() int { return readers }

func (d *sqliteDatabase) query(ctx context.Context, text string, args ...any) (rows, error) {
	return queryOn(ctx, d.read, text, args)
}

// apart implements database.
func (d *sqliteDatabase) apart() querier {
	if d.looks == nil {
		return d
	}
	return apartReader{d.looks}
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

// writeOne gains nothing over write: there is no round trip to save, and the commit is shared
// either way.
func (d *sqliteDatabase) writeOne(ctx context.Context, verb func(tx) error) error {
	return d.write(ctx, verb)
}

// skipLocked is empty, because SQLite has no locked rows.
func (d *sqliteDatabase) skipLocked() string { return "" }

// clock is none: the file lies on the machine that asks, or is written by it alone.
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

// look takes the lock for writing.
func (d *sqliteDatabase) look(ctx context.Context) error {
	return d.writer.do(ctx, func(tx) error { return nil })
}

// readsHang is false: in a write-ahead log nobody who writes holds up those who read.
func (d *sqliteDatabase) readsHang() bool { return false }

// distrust gives up nothing: the writer makes its connection anew after each error.
func (d *sqliteDatabase) distrust() {}

// close ends the writer last: the last connection is the one that takes the log into the database.
func (d *sqliteDatabase) close() error {
	err := d.read.Close()
	if d.looks != nil {
		err = errors.Join(err, d.looks.Close())
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
	return &sqliteDatabase{read: read, looks: looks, writer: w}, nil
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

// createFile makes an empty file with its final mode before SQLite sees it; the log and its index
// take the same mode. A file which stands is not opened here: closing it would drop the locks which
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
		return nil // another process was faster
	}
	if err != nil {
		return unreachable(err)
	}
	return f.Close()
}

// prepareFile looks what the file holds before anything changes it, then switches it to write-ahead
// logging, which the file remembers.
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

// switchToLog asks again while the database is locked: SQLite does not wait for the lock when two
// processes that both read a new file want to switch it.
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
	how, err := s.quietly()
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

// quietly is how to read the file so that nothing is created. Where a log stands, SQLite takes part
// in the locking and reads it, through the index which a writer made (readonly_shm: a reader may
// not make one); where none stands, nobody is writing, and SQLite would create both unless told
// that the file does not change (immutable).
func (s *sqliteFile) quietly() ([]string, error) {
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

// unreachable is an error of the file system, which names the file itself.
func unreachable(err error) error {
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// openEmpty is a store without a row, so that verbs need not know that there is no file, and on
// PostgreSQL that there are no tables.
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

// readHandles closes db again when preparing it met an error.
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
