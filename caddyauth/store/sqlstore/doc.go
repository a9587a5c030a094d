// Package sqlstore owns the database: its location, its schema and migrations, and how many callers
// share it. It implements the atomic verbs that other packages declare (keyring.Store,
// identity.ThrottleStore); the rules behind the verbs stay in those packages.
//
// There is one SQL text for every engine: placeholders are $1, types are TEXT, BIGINT and BYTEA,
// conflicts are resolved by ON CONFLICT, and races are decided by one statement or behind a row
// lock. The clock of the database is never read: `now` is an argument, in unix milliseconds. A verb
// sees the transactions of both engines through one interface (tx). Code for SQLite only is in
// sqlite.go, writer.go and failure.go; code for PostgreSQL only is in postgres*.go.
//
// On SQLite one goroutine (writer.go) does all writing and puts the waiting transactions into one
// commit. A caller gets its own result after the commit. Reads use a few other connections.
//
// On PostgreSQL (pgx, a pool) a verb of one statement takes one round trip, and a transaction one
// for each answer that it needs before it can go on: BEGIN is sent with the first statement.
// Transactions are read committed, and are retried a few times if the server undoes one in favour
// of another. Nodes that start at the same time migrate behind an advisory lock, and learn of each
// other's denials through NOTIFY (Store.Wake). A connection pooler must keep sessions, not only
// transactions.
//
// Errors: what may go away without a change of the program or its configuration (disk full,
// read-only, locked, closed, unreachable) wraps ErrUnavailable, and the next call tries again. No
// error contains SQL or a stored value.
package sqlstore
