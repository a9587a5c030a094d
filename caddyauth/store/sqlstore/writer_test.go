package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// commitTogether runs the verbs as one group on a writer without a goroutine, and returns their
// verdicts.
func commitTogether(t *testing.T, s *Store, verbs ...func(tx) error) []error {
	t.Helper()
	return commitGroup(t, s, false, verbs...)
}

// commitGroup is commitTogether, with single for verbs of one call each.
func commitGroup(t *testing.T, s *Store, single bool, verbs ...func(tx) error) []error {
	t.Helper()
	db, err := s.source.(*sqliteFile).connect("mode", "rw", "_foreign_keys", "1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w := &writer{db: db, woken: s.wake}
	defer w.disconnect()
	jobs := make([]*job, len(verbs))
	for i, verb := range verbs {
		jobs[i] = &job{ctx: t.Context(), verb: verb, single: single, answered: make(chan struct{})}
	}
	w.group = append(w.group, jobs...)
	w.commit()
	verdicts := make([]error, len(verbs))
	for i, j := range jobs {
		<-j.answered
		verdicts[i] = j.err
	}
	return verdicts
}

func put(name string) func(tx) error {
	return func(x tx) error {
		_, err := x.exec(`INSERT INTO meta (name, value) VALUES ($1, 'canary')`, name)
		return err
	}
}

func stands(t *testing.T, s *Store, name string) bool {
	t.Helper()
	db, err := s.database()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := one(t.Context(), db, `SELECT count(*) FROM meta WHERE name = $1`, []any{name}, &n); err != nil {
		t.Fatal(err)
	}
	return n == 1
}

func TestFailedTransactionRollsBackAlone(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "auth.db"))
	refusal := errors.New("refused by the verb")
	verdicts := commitTogether(t, s,
		put("a"),
		func(x tx) error { return errors.Join(put("b")(x), refusal) },
		func(x tx) error { return errors.Join(put("c")(x), put("c")(x)) }, // breaks the primary key
		put("d"),
	)
	for i, want := range []bool{true, false, false, true} {
		name := string(rune('a' + i))
		if got := stands(t, s, name); got != want || (verdicts[i] == nil) != want {
			t.Errorf("%s stands: %v, verdict %v; want %v", name, got, verdicts[i], want)
		}
	}
	if !errors.Is(verdicts[1], refusal) {
		t.Errorf("the verb's own error became %v", verdicts[1])
	}
	if text := fmt.Sprint(verdicts[2]); errors.Is(verdicts[2], ErrUnavailable) || strings.Contains(text, "meta") ||
		strings.Contains(text, "canary") {
		t.Errorf("a conflict is told as %q", text)
	}
}

func TestFailedCommitIsTheVerdictOfAll(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "auth.db"))
	onWriter(t, s, `CREATE TABLE parent (id TEXT PRIMARY KEY);
		CREATE TABLE child (id TEXT REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)`)
	refusal := errors.New("refused because of what a sibling wrote")
	verdicts := commitTogether(t, s,
		put("a"),
		func(tx) error { return refusal },
		func(x tx) error { return x.script(`INSERT INTO child (id) VALUES ('nobody')`) }, // found wrong by the commit
	)
	for i, verdict := range verdicts {
		if verdict == nil || errors.Is(verdict, refusal) {
			t.Errorf("verdict %d is %v", i, verdict)
		}
	}
	if stands(t, s, "a") {
		t.Error("a stands after a failed commit")
	}
	if verdicts := commitTogether(t, s, put("b")); verdicts[0] != nil || !stands(t, s, "b") {
		t.Errorf("the next transaction: %v", verdicts[0])
	}
}

func TestTransactionLostInTheMiddleIsTheVerdictOfAll(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "auth.db"))
	diskFull := fmt.Errorf("%w: the disk is full", ErrUnavailable)
	verdicts := commitTogether(t, s,
		put("a"),
		func(x tx) error { return errors.Join(x.script("ROLLBACK"), diskFull) }, // as SQLite itself may do it
		put("b"),
	)
	for i, verdict := range verdicts {
		if !errors.Is(verdict, diskFull) {
			t.Errorf("verdict %d is %v, want the full disk", i, verdict)
		}
	}
	if stands(t, s, "a") || stands(t, s, "b") {
		t.Error("something of a lost transaction stands")
	}
}

func TestEndedContextInAGroupIsSkipped(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "auth.db"))
	ctx, cancel := context.WithCancel(t.Context())
	verdicts := commitTogether(t, s,
		func(x tx) error { cancel(); return put("a")(x) },
		func(x tx) error {
			return (&writer{tx: x.(*sqliteTx)}).attempt(&job{ctx: ctx, verb: put("b")})
		},
	)
	if err := errors.Join(verdicts...); err != nil || !stands(t, s, "a") || stands(t, s, "b") {
		t.Errorf("verdicts %v; a stands: %v, b stands: %v; want only a", verdicts, stands(t, s, "a"), stands(t, s, "b"))
	}
}

// The first transaction is held until all others wait; then one commit takes them.
func TestWaitingTransactionsShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{jobs: make(chan *job), limit: groupLimit}
		for range 10 {
			go func() { w.jobs <- &job{} }()
		}
		synctest.Wait()
		if w.gather(<-w.jobs); len(w.group) != 10 {
			t.Errorf("the group has %d transactions, want 10", len(w.group))
		}
	})
}

// TestGroupGrowsWhileCallersCome: on a busy processor a caller comes when it has its turn, and then the
// next one. Whose turn it is, is not for the writer to say, so it is tried ten times.
func TestGroupGrowsWhileCallersCome(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var groups []int
	for range 10 {
		synctest.Test(t, func(t *testing.T) {
			w := &writer{jobs: make(chan *job), limit: groupLimit}
			for range 10 {
				go func() {
					for range 3 {
						w.jobs <- &job{}
					}
				}()
			}
			synctest.Wait()
			w.gather(<-w.jobs)
			groups = append(groups, len(w.group))
			for range 30 - len(w.group) {
				<-w.jobs
			}
		})
	}
	if slices.Max(groups) != 30 {
		t.Errorf("the groups have %v transactions, and none has all 30", groups)
	}
}

func TestGroupHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writer{jobs: make(chan *job), limit: 3}
		for range 7 {
			go func() { w.jobs <- &job{} }()
		}
		synctest.Wait()
		for _, want := range []int{3, 3, 1} {
			if w.gather(<-w.jobs); len(w.group) != want {
				t.Errorf("the group has %d transactions, want %d", len(w.group), want)
			}
		}
	})
}

// TestSingleCallsAreUndoneAlone: what failed is undone, also the statements before it that were sent
// together with it, and the others stand.
func TestSingleCallsAreUndoneAlone(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "auth.db"))
	insert := `INSERT INTO meta (name, value) VALUES ($1, 'canary')`
	verdicts := commitGroup(t, s, true,
		put("a"),
		put("a"), // breaks the primary key
		func(x tx) error { _, err := x.each(insert, []any{"c"}, []any{"a"}); return err },
		func(x tx) error {
			_, err := x.all(statement{insert, []any{"d"}}, statement{insert, []any{"d"}})
			return err
		},
		func(x tx) error { _, err := x.each(insert, []any{"e"}, []any{"e2"}); return err },
		put("f"),
	)
	for i, c := range []struct {
		name string
		want bool
	}{{"a", true}, {"a", true}, {"c", false}, {"d", false}, {"e", true}, {"f", true}} {
		if got := stands(t, s, c.name); got != c.want || (verdicts[i] == nil) != (c.want && i != 1) {
			t.Errorf("%s stands: %v, verdict %v; want %v", c.name, got, verdicts[i], c.want)
		}
	}
	if !stands(t, s, "e2") {
		t.Error("the second statement of e is missing")
	}
}

// TestSingleCallThatLosesTheTransaction: SQLite undoes the whole group, and nothing after it may stand
// on its own.
func TestSingleCallThatLosesTheTransaction(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "auth.db"))
	verdicts := commitGroup(t, s, true,
		put("a"),
		func(x tx) error {
			_, err := x.exec(`INSERT OR ROLLBACK INTO meta (name, value) VALUES ('a', '')`)
			return err
		},
		put("b"),
	)
	for i, verdict := range verdicts {
		if !errors.Is(verdict, ErrUnavailable) {
			t.Errorf("verdict %d is %v", i, verdict)
		}
	}
	if stands(t, s, "a") || stands(t, s, "b") {
		t.Error("something of a lost transaction stands")
	}
}
