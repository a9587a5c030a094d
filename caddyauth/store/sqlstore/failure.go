package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrUnavailable is wrapped by every error that the caller did not cause and that may be temporary:
// it is answered with 503.
var ErrUnavailable = errors.New("the store is unavailable")

// errReadOnly is a bug of the caller: Start may write, Provision may not.
var errReadOnly = errors.New("the store is opened for reading only")

var (
	errNotOpen = fmt.Errorf("%w: it is not open", ErrUnavailable)
	errClosed  = fmt.Errorf("%w: it was closed", ErrUnavailable)
)

// temporaryFailures are the results of SQLite that wrap ErrUnavailable, with our error texts.
var temporaryFailures = map[int]string{
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

// failure turns an error of the database into one that may be logged: the original text can contain
// statements and values, so only the code is kept. Errors of PostgreSQL were converted by
// serverFailure and stay as they are.
func failure(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || isError[failureText](err) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	code := resultCode(err)
	if words := temporaryFailures[code&0xff]; words != "" {
		err = fmt.Errorf("%w: %s (SQLite result %d)", ErrUnavailable, words, code)
		if code&0xff == sqlite3.SQLITE_BUSY {
			return timeout{error: err}
		}
		return err
	}
	if code == 0 {
		return fmt.Errorf("%w: the connection failed", ErrUnavailable)
	}
	return failureText(fmt.Sprintf("the store refused a statement (SQLite result %d)", code))
}

// failureText is an error text of ours for a refusal of the database.
type failureText string

func (w failureText) Error() string { return string(w) }

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
