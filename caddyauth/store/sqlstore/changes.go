package sqlstore

import (
	"context"
	"regexp"
	"sync"
	"sync/atomic"
)

// Changes counts what this process has changed of projects, clients and users. Whoever remembers
// some of them reads it before they are read, and forgets them when it is another number: it rises
// after the commit and before the verb returns. What other processes change it does not tell.
func (s *Store) Changes() uint64 { return s.changes.Load() }

// counting counts the transactions that write to the tables of projects, clients and users. It sees
// the statements themselves, so that no verb has to say what it does.
type counting struct {
	database
	changes *atomic.Uint64
}

func (c counting) write(ctx context.Context, verb func(tx) error) error {
	return c.count(verb, func(verb func(tx) error) error { return c.database.write(ctx, verb) })
}

func (c counting) writeOne(ctx context.Context, verb func(tx) error) error {
	return c.count(verb, func(verb func(tx) error) error { return c.database.writeOne(ctx, verb) })
}

func (c counting) load(ctx context.Context, verb func(tx) error) error {
	return c.count(verb, func(verb func(tx) error) error { return c.database.load(ctx, verb) })
}

// count counts a transaction that failed, too: it may have been committed all the same.
func (c counting) count(verb func(tx) error, run func(verb func(tx) error) error) error {
	var changes atomic.Bool // the verb of a call that was given up may still run
	defer func() {
		if changes.Load() {
			c.changes.Add(1)
		}
	}()
	return run(func(t tx) error { return verb(countingTx{t, &changes}) })
}

// countingTx notes that a transaction has a statement that changes projects, clients or users.
type countingTx struct {
	tx
	changes *atomic.Bool
}

func (t countingTx) query(ctx context.Context, text string, args ...any) (rows, error) {
	t.note(text)
	return t.tx.query(ctx, text, args...)
}

func (t countingTx) exec(text string, args ...any) (int64, error) {
	t.note(text)
	return t.tx.exec(text, args...)
}

func (t countingTx) each(text string, lists ...[]any) ([]int64, error) {
	t.note(text)
	return t.tx.each(text, lists...)
}

func (t countingTx) all(statements ...statement) ([]int64, error) {
	for _, s := range statements {
		t.note(s.text)
	}
	return t.tx.all(statements...)
}

func (t countingTx) script(text string) error {
	t.note(text)
	return t.tx.script(text)
}

func (t countingTx) note(text string) {
	if changesParties(text) {
		t.changes.Store(true)
	}
}

// changing finds a statement that writes to one of the tables. A row that is set to what it is, to
// lock it, counts as well.
var changing = regexp.MustCompile(`(?i)\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(project|client|account)\b`)

// changers are the answers of changesParties: the texts are few.
var changers sync.Map // string -> bool

func changesParties(text string) bool {
	if known, ok := changers.Load(text); ok {
		return known.(bool)
	}
	changes := changing.MatchString(text)
	changers.Store(text, changes)
	return changes
}
