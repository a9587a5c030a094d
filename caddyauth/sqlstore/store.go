package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Store is one database. It may be shared by several configurations and used by many goroutines; nothing is read, created
// or written before Open or OpenReadOnly.
type Store struct {
	path string        // absolute
	busy time.Duration // how long to wait for the lock of another process

	mu      sync.Mutex // one opening or closing at a time
	handles atomic.Pointer[handles]
}

// handles are the connections of an open store.
type handles struct {
	read  *sql.DB
	write *writer // nil: opened for reading only
}

// querier runs a query on a reader or inside a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// New makes a store of a URL in any form which Canonical knows, and touches nothing.
func New(rawURL string) (*Store, error) {
	path, err := filePath(rawURL)
	if err != nil {
		return nil, err
	}
	return &Store{path: path, busy: 5 * time.Second}, nil
}

// Open creates the file (0600) and its folder (0700) where they are missing, brings the schema up to date and starts the
// writer. On an open store it does nothing; on one opened for reading only it opens for writing. Several calls at once, and
// several processes, do no harm. After an error the store is closed and Open may be called again; a schema which is too new
// and a file which holds something else are refused without ErrUnavailable, as waiting does not help.
func (s *Store) Open(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.handles.Load()
	if old != nil && old.write != nil {
		return nil
	}
	// The reader's end must come first: within one process SQLite shares the log's index among all connections, and
	// would hand the reader's read-only one to the writer.
	s.handles.Store(nil)
	old.close()
	h, err := s.openForWriting(ctx)
	if err != nil {
		return err
	}
	s.handles.Store(h)
	return nil
}

// OpenReadOnly opens what there is without writing: no file and no folder is created, changed or left behind, also beside a
// running writer. A missing or empty file is an empty store. On an open store it does nothing. Verbs which write are refused
// until Open. It is meant for looking once: when nobody had the database open, what another process writes to it later is
// not seen.
func (s *Store) OpenReadOnly(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handles.Load() != nil {
		return nil
	}
	h, err := s.openForReading(ctx)
	if err != nil {
		return err
	}
	s.handles.Store(h)
	return nil
}

// Close answers the transactions which have begun, refuses the others with ErrUnavailable, and ends the writer and all
// connections before it returns. On a store which is not open it does nothing. A closed store may be opened again.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handles.Swap(nil).close()
}

// close ends the writer last: the last connection is the one that takes the log into the database.
func (h *handles) close() error {
	if h == nil {
		return nil
	}
	err := h.read.Close()
	if h.write != nil {
		err = errors.Join(err, h.write.close())
	}
	return failure(err)
}

// Ping asks whether the store can be read and, unless it is opened for reading only, whether it can be locked for writing.
func (s *Store) Ping(ctx context.Context) error {
	db, err := s.reader()
	if err != nil {
		return err
	}
	if _, _, err := schemaVersion(ctx, db); err != nil {
		return err
	}
	if err := s.write(ctx, func(*tx) error { return nil }); err != errReadOnly {
		return err
	}
	return nil
}

// reader is where verbs that only read ask.
func (s *Store) reader() (querier, error) {
	h := s.handles.Load()
	if h == nil {
		return nil, errNotOpen
	}
	return h.read, nil
}

// write runs verb in a transaction of its own: what it did is durable when write returns nil, and undone otherwise. An error
// of verb is returned as it is. When ctx ends before verb began, verb does not run; once begun it is waited for.
func (s *Store) write(ctx context.Context, verb func(*tx) error) error {
	h := s.handles.Load()
	switch {
	case h == nil:
		return errNotOpen
	case h.write == nil:
		return errReadOnly
	}
	return h.write.do(ctx, verb)
}
