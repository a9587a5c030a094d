// Package sqlstore owns the database: where it lies, its schema and its migrations, and how many
// callers share it. It implements the atomic verbs that other packages declare (keyring.Store,
// identity.ThrottleStore); the rules behind the verbs stay in those packages.
//
// There is one SQL text for every engine: placeholders are $1, types are TEXT, BIGINT and BYTEA, a
// conflict is settled by ON CONFLICT, and what two callers may race for is decided by one statement
// or behind a row lock. The clock of the database is never read: `now` is an argument, in unix
// milliseconds. The transactions of both engines look alike to a verb (tx). What only SQLite knows
// is in sqlite.go, writer.go and failure.go; what only PostgreSQL knows is in the files of that
// name.
//
// On SQLite all writing goes through one goroutine (writer.go) which puts the transactions that
// wait into one commit. A caller is answered after the commit, with its own verdict. Reading goes
// past it, on a few connections of its own.
//
// On PostgreSQL (pgx, a pool) a verb which is one statement takes one round trip, and a transaction
// as many as it must know answers: BEGIN goes out with the first statement. Transactions are read
// committed, and begun again a few times when the server undoes one for the sake of another.
// Several nodes which start at once migrate behind an advisory lock, and hear of each other's
// denials by NOTIFY (Store.Wake). A connection pooler between must keep sessions, not only
// transactions.
//
// Errors: whatever may pass without a change of the program or its configuration (disk full,
// read-only, locked, closed, out of reach) wraps ErrUnavailable, and the next call tries afresh. No
// error shows SQL or a stored value.
package sqlstore
