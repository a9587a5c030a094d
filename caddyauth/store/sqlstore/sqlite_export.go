package sqlstore

import (
	"context"
	"fmt"
	"os"
)

// snapshot reads the file in one transaction, which sees the state at its first statement. Writers
// continue; what they write stays in the log until the transaction ends.
func (d *sqliteDatabase) snapshot(ctx context.Context, look func(querier) error) error {
	conn, err := d.read.Conn(ctx)
	if err != nil {
		return failure(err)
	}
	t := &sqliteTx{conn: conn}
	defer t.discard()
	stays, err := d.checkUnchanged()
	if err != nil {
		return err
	}
	if _, err := t.exec("BEGIN"); err != nil {
		return err
	}
	if err := look(t); err != nil {
		return err
	}
	return stays()
}

// checkUnchanged returns a function that returns an error if the file has changed since. A file
// that nobody was writing is read without locks, so that no other file is created, and SQLite does
// not notice when a server starts to write to it.
func (d *sqliteDatabase) checkUnchanged() (stays func() error, err error) {
	if d.unlocked == "" {
		return func() error { return nil }, nil
	}
	before, err := os.Stat(d.unlocked)
	if err != nil {
		return nil, unreachable(err)
	}
	return func() error {
		after, err := os.Stat(d.unlocked)
		if err != nil {
			return unreachable(err)
		}
		if !after.ModTime().Equal(before.ModTime()) || after.Size() != before.Size() {
			return fmt.Errorf("%w: store %s: a server began to write while it was read; do it again", ErrUnavailable,
				d.unlocked)
		}
		return nil
	}, nil
}

// load is an ordinary transaction: there is one writer, so all others wait.
func (d *sqliteDatabase) load(ctx context.Context, verb func(tx) error) error {
	return d.write(ctx, verb)
}
