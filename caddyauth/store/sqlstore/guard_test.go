package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// atOnceIs what a busy machine needs for a refusal that waits for nothing.
const atOnceIs = 300 * time.Millisecond

// TestWhatHangsIsNotWaitedForTwice: the first calls find out, within the limits of the database or
// the guard, and nobody waits after them until the database answers again. Then it is used.
func TestWhatHangsIsNotWaitedForTwice(t *testing.T) {
	for _, c := range []struct {
		name string
		open func(t *testing.T) (s *Store, hang, resume func())
		why  string
	}{
		{"a network that drops packets", hangingProxy, "did not answer in time"},
		{"a lock on a table of PostgreSQL", lockedTable, ""},
		{"the row all revocations go through", lockedCounter, ""},
		{"a lock on the audit trail", lockedAudit, ""},
		{"a lock on a file of SQLite", lockedFile, "another process"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, hang, resume := c.open(t)
			write := func() error { return s.write(t.Context(), touch) }
			must(t, write())
			hang()
			begun := time.Now()
			for first := range 3 {
				// Those that begin together may all have to find out.
				atOnce(20, func(int) {
					if err := write(); !errors.Is(err, ErrUnavailable) ||
						!strings.Contains(err.Error(), c.why) && first == 0 {
						t.Errorf("round %d, while it hangs: %v", first, err)
					}
				})
				if took := time.Since(begun); first > 0 && took > atOnceIs {
					t.Errorf("round %d: the answers took %v", first, took)
				}
				begun = time.Now()
			}
			if err := s.Ping(t.Context()); !errors.Is(err, ErrUnavailable) || time.Since(begun) > atOnceIs {
				t.Errorf("Ping = %v after %v", err, time.Since(begun))
			}
			time.Sleep(3 * time.Second) // several looks
			begun = time.Now()
			if err := write(); !errors.Is(err, ErrUnavailable) || time.Since(begun) > atOnceIs {
				t.Errorf("later: %v after %v", err, time.Since(begun))
			}
			resume()
			eventually(t, func() bool { return write() == nil })
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("it was used again after %v", took)
			}
			for range 20 {
				must(t, write())
			}
			must(t, s.Ping(t.Context()))
		})
	}
}

// touch is what every revocation does and, for the lock of the whole table, every renewal.
func touch(x tx) error {
	for _, table := range []string{"grants", "audit"} {
		if _, err := x.exec(`UPDATE ` + table + ` SET id = id WHERE false`); err != nil {
			return err
		}
	}
	_, err := x.exec(`UPDATE counter SET value = value WHERE name = $1`, "denial")
	return err
}

const impatient = "statement_timeout=500ms"

func hangingProxy(t *testing.T) (*Store, func(), func()) {
	proxy, u := pgtest.Server(t).ProxyURL(t, impatient)
	return openAt(t, u), proxy.Hang, proxy.Resume
}

func lockedTable(t *testing.T) (*Store, func(), func()) {
	return lockedBy(t, `LOCK TABLE grants IN ACCESS EXCLUSIVE MODE`)
}

func lockedAudit(t *testing.T) (*Store, func(), func()) {
	return lockedBy(t, `LOCK TABLE audit IN ACCESS EXCLUSIVE MODE`)
}

// TestAProbeMeetsTheLockOfEachTable: a lock on any table that is written to counts as a database
// that hangs.
func TestAProbeMeetsTheLockOfEachTable(t *testing.T) {
	for _, table := range exportedTables {
		if madeByMigrations[table.name] {
			continue
		}
		t.Run(table.name, func(t *testing.T) {
			s, hang, resume := lockedBy(t, `LOCK TABLE `+table.name+` IN ACCESS EXCLUSIVE MODE`)
			hang()
			defer resume()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if err := s.opened.Load().guard.probe(ctx); err == nil {
				t.Error("the probe met no lock")
			}
		})
	}
}

func lockedCounter(t *testing.T) (*Store, func(), func()) {
	return lockedBy(t, `SELECT value FROM counter WHERE name = 'denial' FOR UPDATE`)
}

// lockedBy hangs with a statement that somebody has run in a transaction.
func lockedBy(t *testing.T, statement string) (*Store, func(), func()) {
	u := pgtest.Server(t).URL(t)
	s := openAt(t, u+"&statement_timeout=4s") // longer than it takes to find out
	conn, err := pgx.Connect(t.Context(), u)
	must(t, err)
	t.Cleanup(func() { conn.Close(t.Context()) })
	run := func(text string) func() {
		return func() {
			if _, err := conn.Exec(t.Context(), text); err != nil {
				t.Error(err)
			}
		}
	}
	return s, run("BEGIN; " + statement), run("ROLLBACK")
}

func lockedFile(t *testing.T) (*Store, func(), func()) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s := newStore(t, path)
	s.source.(*sqliteFile).busy = 500 * time.Millisecond
	must(t, s.Open(t.Context()))
	t.Cleanup(func() { s.Close() })
	db, err := sql.Open("sqlite", path+"?_txlock=immediate")
	must(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	var holder *sql.Tx
	return s, func() { holder, err = db.Begin(); must(t, err) }, func() { must(t, holder.Rollback()) }
}

// One row that somebody holds is no reason to refuse others.
func TestOneRowThatIsHeldRefusesNoOther(t *testing.T) {
	s, hold, release := lockedBy(t, `UPDATE meta SET value = 'b' WHERE name = 'held'`)
	must(t, s.write(t.Context(), put("held")))
	hold()
	defer release()
	held := make(chan error)
	go func() {
		held <- s.writeOne(t.Context(), func(x tx) error {
			_, err := x.exec(`UPDATE meta SET value = 'c' WHERE name = $1`, "held")
			return err
		})
	}()
	for n := 0; ; n++ {
		select {
		case err := <-held:
			if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "statement_timeout") {
				t.Errorf("the one that waits = %v", err)
			}
			for range 50 { // while it is looked
				must(t, s.write(t.Context(), touch))
			}
			return
		default:
			must(t, s.write(t.Context(), touch))
		}
	}
}

// Who closes a store that hangs does not wait for a look, and a look does not outlive the store.
func TestAStoreThatHangsCanBeClosed(t *testing.T) {
	s, hang, resume := lockedFile(t)
	hang()
	if err := s.write(t.Context(), touch); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	begun := time.Now()
	must(t, s.Close())
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("closing took %v", took)
	}
	resume()
	must(t, s.Open(t.Context()))
	must(t, s.write(t.Context(), touch))
}
