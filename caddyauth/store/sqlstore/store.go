package sqlstore

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Store is one database. It may be shared by several configurations and used by many goroutines;
// nothing is read, created or written before Open or OpenReadOnly.
type Store struct {
	// Observe is told of each thing that the database was asked for: by which verb, how long it
	// took, and the error when the store failed, not when a verb refused. It is called from many
	// goroutines and must not change after Open. Default: nobody is told.
	Observe func(verb string, took time.Duration, err error)

	source  source
	woken   chan struct{}
	known   knownRows
	changes atomic.Uint64 // see Changes

	mu     sync.Mutex // one opening or closing at a time
	opened atomic.Pointer[opened]
}

// opened is an open database. One that can be written to is used through a guard.
type opened struct {
	database
	guard *guard // nil: opened for reading only
}

// source is where a database is.
type source interface {
	// connections is the largest number of statements that run at once.
	connections() int
	// openForWriting marks the store as used until the database is closed, or with alone as used by
	// nobody else (ErrInUse).
	openForWriting(ctx context.Context, alone bool) (database, error)
	openForReading(ctx context.Context) (database, error)
	// title is the name shown to people, without user and password.
	title() string
}

// database is an open database of one engine.
type database interface {
	querier
	// write runs verb in a transaction; see Store.write.
	write(ctx context.Context, verb func(tx) error) error
	// writeOne runs verb, which is one statement; see Store.writeOne.
	writeOne(ctx context.Context, verb func(tx) error) error
	// snapshot runs look on a view of the database that stays as it is; see Store.Export.
	snapshot(ctx context.Context, look func(querier) error) error
	// load is write for one long verb, which is not retried and has no time limit.
	load(ctx context.Context, verb func(tx) error) error
	// apart runs queries on a connection of its own, and ends them with their context.
	apart() querier
	// clock is an expression for the time of the database server in milliseconds, 0 where there is
	// none.
	clock() string
	// skipLocked ends a SELECT that skips locked rows.
	skipLocked() string
	// holding ends a SELECT whose rows stay as they are until the transaction has ended.
	holding() string
	writable() bool
	ping(ctx context.Context) error
	// probe succeeds when most calls would; see guard.
	probe(ctx context.Context) error
	// readsHang reports whether reading can hang as writing can.
	readsHang() bool
	// dropConnections closes connections that may hang.
	dropConnections()
	close() error
}

// querier runs a query outside or inside a transaction.
type querier interface {
	query(ctx context.Context, text string, args ...any) (rows, error)
}

// rows are the answer to a query. They are closed by whoever asked, and may be closed twice.
type rows interface {
	Next() bool
	Columns() ([]string, error)
	Scan(into ...any) error
	Err() error
	Close() error
}

// tx is what a verb writes through. A statement does not end with the caller's context. A verb
// returns every error of the database: on PostgreSQL the transaction is lost.
type tx interface {
	querier
	// exec runs a statement and returns the number of rows it changed.
	exec(text string, args ...any) (int64, error)
	// each runs a statement once for each list of arguments, in order and in one round trip, and
	// returns the numbers of rows.
	each(text string, lists ...[]any) ([]int64, error)
	// all runs statements in order and in one round trip, and returns for each the number of rows
	// it changed, or found with SELECT.
	all(statements ...statement) ([]int64, error)
	// script runs several statements without arguments.
	script(text string) error
	// wake makes the commit wake every node (Store.Wake). In writeOne it is called before the
	// statement.
	wake()
}

// statement is one of several statements that are sent together.
type statement struct {
	text string
	args []any
}

// New makes a store from a URL in any form that Canonical accepts. It reads only the certificate
// and password files that a PostgreSQL URL or the environment names.
func New(rawURL string) (*Store, error) {
	s := &Store{woken: make(chan struct{}, 1)}
	if isPostgres(rawURL) {
		server, err := parsePostgres(rawURL)
		if err != nil {
			return nil, err
		}
		server.woken = s.wake
		s.source = server
		return s, nil
	}
	path, err := filePath(rawURL)
	if err != nil {
		return nil, err
	}
	s.source = &sqliteFile{path: path, busy: busyTimeout, woken: s.wake}
	return s, nil
}

// Files are the files of a SQLite database, whether they are there or not: the database, its log
// and the log's index. PostgreSQL has none.
func (s *Store) Files() []string {
	file, ok := s.source.(*sqliteFile)
	if !ok {
		return nil
	}
	path := file.path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // SQLite keeps the log beside the file itself
	}
	return []string{path, path + "-wal", path + "-shm"}
}

// Open brings the schema up to date and makes the store ready for writing. Of SQLite it creates the
// file (0600) and its folder (0700) where they are missing. On an open store it does nothing; on
// one opened for reading only it opens for writing. Several calls at once, and several processes,
// do no harm: one migrates, the others wait for it. After an error the store is closed and Open may
// be called again. A database that cannot be reached gives ErrUnavailable within `connect_timeout`
// for each host; a schema which is too new and a database which holds something else are refused
// without ErrUnavailable, as waiting does not help.
func (s *Store) Open(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.opened.Load()
	if old != nil && old.writable() {
		return nil
	}
	return s.openForWriting(ctx, false)
}

// ErrInUse is wrapped by the error of OpenAlone about a store that another process has open.
var ErrInUse = errors.New("it is in use; stop the server, all that use it")

// OpenAlone is Open for whoever must be the only one, as the one that replaces everything: it is
// refused with ErrInUse while another Store, of this process or any other, has the store open for
// writing, and keeps Open from succeeding until Close. Only verbs that write can be used: on SQLite
// no second connection is let in, not even one of this Store. What is open already is closed first.
func (s *Store) OpenAlone(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openForWriting(ctx, true)
}

func (s *Store) openForWriting(ctx context.Context, alone bool) error {
	old := s.opened.Load()
	// The reader's end must come first: within one process SQLite shares the log's index among all
	// connections, and would hand the reader's read-only one to the writer.
	s.opened.Store(nil)
	old.end()
	return s.keep(s.source.openForWriting(ctx, alone))
}

// OpenReadOnly opens what there is without writing or migrating: no file and no folder is created,
// changed or left behind, also beside a running writer, and on PostgreSQL every transaction is
// read-only. A missing or empty database is an empty store; one of an older release is refused with
// ErrOlderSchema. On an open store it does nothing. Verbs which write are refused until Open. It is
// meant for looking once: what another process writes to a SQLite file later, or to a database that
// was empty, may not be seen.
func (s *Store) OpenReadOnly(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened.Load() != nil {
		return nil
	}
	return s.keep(s.source.openForReading(ctx))
}

func (s *Store) keep(db database, err error) error {
	if err != nil {
		return err
	}
	o := &opened{database: db}
	if db.writable() {
		o.guard = newGuard(db)
	}
	s.opened.Store(o)
	return nil
}

// Close answers the transactions that have begun, refuses the others with ErrUnavailable, and ends
// all goroutines and connections before it returns. On a store that is not open it does nothing. A
// closed store may be opened again.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened.Swap(nil).end()
}

func (o *opened) end() error {
	if o == nil {
		return nil
	}
	if o.guard != nil {
		return o.guard.close()
	}
	return o.close()
}

// Name is the name of the store shown to people: the path of a file, or postgres:// with hosts and
// database, without user and password.
func (s *Store) Name() string { return s.source.title() }

// Shared reports whether several nodes can use the store at once, as PostgreSQL's can be.
func (s *Store) Shared() bool {
	_, shared := s.source.(*postgresServer)
	return shared
}

// Connections is the largest number of statements that the store runs at once.
func (s *Store) Connections() int { return s.source.connections() }

// Ping asks whether the store can be read and, unless it is opened for reading only, whether it can
// be written: on SQLite it takes the lock, on PostgreSQL it asks whether the server takes writes (a
// standby does not). It ends with ctx.
func (s *Store) Ping(ctx context.Context) error {
	db, err := s.database()
	if err != nil {
		return err
	}
	return db.ping(ctx)
}

// Wake returns a channel, always the same one, that receives a message after any node, including
// this one, has committed something that every node should know soon. It holds one message: a
// message that was not read yet stands for all later ones, so one goroutine reads it and then asks
// the store. On SQLite only this process sends messages. On PostgreSQL a message also comes each
// time the listening connection is opened again, because some may have been missed; while it cannot
// be opened none comes, so the reader must poll as well. A store opened for reading only sends
// none.
func (s *Store) Wake() <-chan struct{} { return s.woken }

func (s *Store) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// database returns the open database; every verb calls it first.
func (s *Store) database() (database, error) {
	db := s.opened.Load()
	switch {
	case db == nil && s.Observe != nil:
		s.Observe(verbOf(), 0, errNotOpen)
		return nil, errNotOpen
	case db == nil:
		return nil, errNotOpen
	case s.Observe != nil:
		return watched{counting{db.guarded(), &s.changes}, s.Observe}, nil
	}
	return counting{db.guarded(), &s.changes}, nil
}

func (o *opened) guarded() database {
	if o.guard != nil {
		return o.guard
	}
	return o.database
}

// write runs verb in a transaction of its own: what it did is durable when write returns nil, and
// undone otherwise. An error of verb is returned as it is. When ctx ends before verb began, verb
// does not run; once it has begun, write waits for it, within bounds. verb may run several times,
// because the database may undo it in favour of another transaction (serialization, deadlock), so
// it must reset its results each time. After ErrUnavailable the commit may or may not have taken
// place.
func (s *Store) write(ctx context.Context, verb func(tx) error) error {
	db, err := s.database()
	if err != nil {
		return err
	}
	return db.write(ctx, verb)
}

// writeOne is write for a verb that calls the database once (exec, query, each or all): on PostgreSQL
// it takes one round trip, without BEGIN and COMMIT. An error that verb returns after that call
// undoes nothing.
func (s *Store) writeOne(ctx context.Context, verb func(tx) error) error {
	db, err := s.database()
	if err != nil {
		return err
	}
	return db.writeOne(ctx, verb)
}
