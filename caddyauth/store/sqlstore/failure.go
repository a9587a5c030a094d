package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrUnavailable is wrapped by every error which the caller did not cause and which may pass: it is
// answered with 503.
var ErrUnavailable = errors.New("the store is unavailable")

// errReadOnly is a fault of the program: writing is for Start, never for Provision.
var errReadOnly = errors.New("the store is opened for reading only")

var (
	errNotOpen = fmt.Errorf("%w: it is not open", ErrUnavailable)
	errClosed  = fmt.Errorf("%w: it was closed", ErrUnavailable)
)

// passing are the results of SQLite which wrap ErrUnavailable, in our words.
var passing = map[int]string{
	sqlite3.SQLITE_BUSY:      "another process holds the database",
	sqlite3.SQLITE_LOCKED:    "the database is locked",
	sqlite3.SQLITE_IOERR:     "reading or writing the file failed",
	sqlite3.SQLITE_FULL:      "the disk is full",
	sqlite3.SQLITE_READONLY:  "the file is read-only",
	sqlite3.SQLITE_CANTOPEN:  "the file cannot be opened",
	sqlite3.SQLITE_PERM:      "access to the file is denied",
	sqlite3.SQLITE_AUTH:      "access to the file is denied",
	sqlite3.SQLITE_NOMEM:     "memory is short",
	sqlite3.SQLITE_PROTOCOL:  "locking the file failed",
	sqlite3.SQLITE_INTERRUPT: "the statement was interrupted",
	sqlite3.SQLITE_CORRUPT:   "the file is damaged",
	sqlite3.SQLITE_NOTADB:    "the file is not a SQLite database",
}

// failure turns an error of the database into one that may be logged: its own text can show
// statements and values, so that only the code is taken over. What comes from PostgreSQL was worded
// before (serverFailure), and stays as it is.
func failure(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || isError[worded](err) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	code := resultCode(err)
	if words := passing[code&0xff]; words != "" {
		err = fmt.Errorf("%w: %s (SQLite result %d)", ErrUnavailable, words, code)
		if code&0xff == sqlite3.SQLITE_BUSY {
			return timeout{error: err}
		}
		return err
	}
	if code == 0 {
		return fmt.Errorf("%w: the connection failed", ErrUnavailable)
	}
	return worded(fmt.Sprintf("the store refused a statement (SQLite result %d)", code))
}

// worded is a refusal that was put into our words.
type worded string

func (w worded) Error() string { return string(w) }

func isError[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// resultCode is the extended result of SQLite in err, or 0.
func resultCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}
