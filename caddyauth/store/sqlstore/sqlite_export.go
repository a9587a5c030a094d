package sqlstore

import (
	"context"
	"fmt"
	"os"
)

// snapshot looks at the file through one connection in one transaction, whose view is that of its
// first statement. Writers go on writing; what they write stays in the log until the end.
func (d *sqliteDatabase) snapshot(ctx context.Context, look func(querier) error) error {
	conn, err := d.read.Conn(ctx)
	if err != nil {
		return failure(err)
	}
	t := &sqliteTx{conn: conn}
	defer t.discard()
	stays, err := d.still()
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

// still returns a function that says whether the file has changed since. A file beside which nobody
// was writing is read without locks, so that nothing is left beside it, and SQLite does not notice
// that a server starts to write to it.
func (d *sqliteDatabase) still() (stays func() error, err error) {
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

// load is a transaction like others: there is one writer, and whoever else wants to write waits.
func (d *sqliteDatabase) load(ctx context.Context, verb func(tx) error) error {
	return d.write(ctx, verb)
}
