// Package sqlstore owns the database: where it lies, its schema and its migrations, and how many callers share it. It
// implements the atomic verbs which the rooms below declare (keyring.Store, identity.ThrottleStore); the rules behind the
// verbs stay in those rooms.
//
// There is one SQL text for every engine: placeholders are $1, types are TEXT, BIGINT and BYTEA, a conflict is settled by
// ON CONFLICT, and what two callers may race for is decided by one statement or behind a row lock. The clock of the database
// is never read: `now` is an argument, in unix milliseconds. What only SQLite knows is in open.go, schema.go, writer.go and
// failure.go.
//
// On SQLite all writing goes through one goroutine (writer.go) which puts the transactions that wait into one commit. A
// caller is answered after the commit, with its own verdict. Reading goes past it, on a few connections of its own.
//
// Errors: whatever may pass without a change of the program or its configuration (disk full, read-only, locked, closed, out
// of reach) wraps ErrUnavailable, and the next call tries afresh. No error shows SQL or a stored value.
package sqlstore
