package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// keptStatements is how many texts of reads are kept prepared. There are fewer; the limit is there
// because lists are put together from filters.
const keptStatements = 200

// statements are the reads of a SQLite database, prepared. Reading a text takes SQLite several times
// as long as finding a row: of a token for a client, a third of everything.
type statements struct {
	mu   sync.RWMutex
	kept map[string]*sql.Stmt
}

// of returns the prepared statement of a text, on whichever connection; nil if no more are kept.
func (s *statements) of(ctx context.Context, db *sql.DB, text string) (*sql.Stmt, error) {
	s.mu.RLock()
	stmt, full := s.kept[text], len(s.kept) >= keptStatements
	s.mu.RUnlock()
	if stmt != nil || full {
		return stmt, nil
	}
	made, err := db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if stmt := s.kept[text]; stmt != nil { // another caller was faster
		_ = made.Close()
		return stmt, nil
	}
	if s.kept == nil {
		s.kept = make(map[string]*sql.Stmt)
	}
	s.kept[text] = made
	return made, nil
}

// close lets go of the statements, before their database is closed.
func (s *statements) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stmt := range s.kept {
		_ = stmt.Close() // what is left of it goes with its connection
	}
	clear(s.kept)
}
