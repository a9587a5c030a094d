package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/apitoken"
	"github.com/caddyauth/gateway/caddyauth/domain/audit"
	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
)

// TestExportHasEveryTable: a migration that makes a table cannot leave it out of exports.
func TestExportHasEveryTable(t *testing.T) {
	for _, e := range []struct{ engine, listing string }{{"sqlite", sqliteTables}, {"postgres", postgresTables}} {
		t.Run(e.engine, func(t *testing.T) {
			i := slices.IndexFunc(engines, func(other engine) bool { return other.name == e.engine })
			db, err := engines[i].fresh(t)().database()
			must(t, err)
			name := func(row rows) (name string, err error) { err = row.Scan(&name); return name, err }
			there, err := eachRow(t.Context(), db, name, e.listing)
			must(t, err)
			var exported []string
			for _, table := range exportedTables {
				exported = append(exported, table.name)
			}
			slices.Sort(there)
			slices.Sort(exported)
			if !slices.Equal(there, exported) {
				t.Errorf("the schema has the tables %q,\nexports have          %q", there, exported)
			}
		})
	}
}

// fill puts something into every table, and returns two sessions, of which the second was ended.
func fill(t *testing.T, s *Store) (live, ended session.Issued) {
	t.Helper()
	ctx := t.Context()
	reconcile(t, s, Declaration{})
	_, err := s.SetMetaOnce(ctx, "secret_fingerprint", "1:print")
	must(t, err)
	_, err = s.AddFirstKey(ctx, record("first", noon))
	must(t, err)
	must(t, s.AddProject(ctx, acme()))
	must(t, s.AddClient(ctx, reports("acme")))
	person := alice()
	must(t, s.AddUser(ctx, person))
	must(t, s.GiveConsent(ctx, allowed(person, "reports", noon, "read")))
	must(t, s.AddAPIToken(ctx, apitoken.Token{
		ID:        "t1",
		Hash:      "h1",
		Name:      "CI",
		Abilities: []string{apitoken.Admin},
		Created:   noon,
		Expires:   noon.Add(time.Hour),
	}))
	colleague := alice()
	colleague.Project = "acme"
	must(t, s.AddUser(ctx, colleague))
	must(t, s.AddPushed(ctx, pushedFor("pushed")))
	must(t, s.AddCode(ctx, codeFor("code", ""), "pushed"))
	must(t, s.AddDevice(ctx, tvRequest()))
	_, err = s.AddRegistered(ctx, registered("r1"), clients.Registration{Fingerprint: "print", Token: "hash"})
	must(t, err)
	must(t, s.UseOnce(ctx, useOf("jti", noon.Add(time.Minute))))
	must(t, s.AddEntry(ctx, audit.Entry{At: noon, Actor: "command", Action: "user.create", Result: "success"}))
	_, err = take(ctx, s, bucketOf5("someone"), noon)
	must(t, err)

	service := sessionsOn(s)
	live, ended = begun(t, service, requestFor("alice", 0)), begun(t, service, requestFor("bob", 0))
	toReports := requestFor("bob", 0)
	toReports.ClientID, toReports.Parent = "reports", ended.Grant.ID
	begun(t, service, toReports)
	must(t, service.RevokeFamily(ctx, ended.Grant.ID, "signed out", noon))
	_, err = s.RevokeToken(ctx, "https://iss", "gone", noon.Add(time.Hour), noon)
	must(t, err)
	_, err = service.RevokeAll(ctx, revocation.Revocation{Kind: revocation.UserKind, Project: "default", ID: "carol"},
		noon)
	must(t, err)
	return live, ended
}

// export returns what the store exports.
func export(t *testing.T, s *Store) string {
	t.Helper()
	var b strings.Builder
	_, err := s.Export(t.Context(), &b, noon)
	must(t, err)
	return b.String()
}

// sameRows compares exports of two engines, whose rows and columns may have another order.
func sameRows(t *testing.T, got, want string) {
	t.Helper()
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	slices.Sort(a)
	slices.Sort(b)
	if !slices.Equal(a, b) {
		t.Errorf("exported:\n%s\nwant:\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}

// TestExportAndImportBothWays: from each engine to the other and back, everything stays what it
// was, and sessions go on.
func TestExportAndImportBothWays(t *testing.T) {
	for _, way := range [][]engine{{engines[0], engines[1], engines[0]}, {engines[1], engines[0], engines[1]}} {
		t.Run(way[0].name+" to "+way[1].name, func(t *testing.T) {
			first := way[0].fresh(t)()
			live, ended := fill(t, first)
			text := export(t, first)
			for _, table := range exportedTables {
				_, after, _ := strings.Cut(text, `{"table":"`+table.name+`"`)
				if _, row, _ := strings.Cut(after, "\n"); !strings.HasPrefix(row, "[") {
					t.Errorf("the test puts nothing into %s", table.name)
				}
			}
			for _, e := range way[1:] {
				next := e.fresh(t)()
				counts, err := next.Import(t.Context(), strings.NewReader(text), false)
				must(t, err)
				if len(counts) != len(exportedTables) || !slices.Contains(counts, TableRows{"grants", 3}) {
					t.Errorf("imported %v", counts)
				}
				sameRows(t, export(t, next), text)
				text = export(t, next)
			}

			last := way[2].fresh(t)()
			_, err := last.Import(t.Context(), strings.NewReader(text), false)
			must(t, err)
			checkMoved(t, last, live, ended)
		})
	}
}

// checkMoved looks whether an imported store is in use as the old one was.
func checkMoved(t *testing.T, s *Store, live, ended session.Issued) {
	t.Helper()
	service := sessionsOn(s)
	renewed, err := use(t.Context(), service, live.RefreshToken, "web", noon.Add(time.Minute))
	if err != nil || renewed.RefreshToken == "" {
		t.Errorf("renewing: %v", err)
	}
	if _, err := use(t.Context(), service, ended.RefreshToken, "web", noon.Add(time.Minute)); err == nil {
		t.Error("a session that was ended goes on")
	}
	denials, cursor, err := s.Denials(t.Context(), 0)
	must(t, err)
	if len(denials) != 4 {
		t.Errorf("denied: %v", denials)
	}
	epoch, err := s.Epoch(t.Context())
	must(t, err)

	// At the same moment, numbers are the next ones.
	_, d, err := s.RevokeAll(t.Context(),
		revocation.Revocation{Kind: revocation.UserKind, Project: "default", ID: "dora"}, noon)
	must(t, err)
	if d.Epoch != epoch+1 {
		t.Errorf("the next epoch is %d, after %d", d.Epoch, epoch)
	}
	if more, next, err := s.Denials(t.Context(), cursor); err != nil || len(more) != 1 || next != cursor+1 {
		t.Errorf("after %d: %v up to %d, %v", cursor, more, next, err)
	}
}

// TestExportKeepsWhatJSONCannotHold: a text that is no UTF-8 can stand in SQLite, and numbers keep
// all digits.
func TestExportKeepsWhatJSONCannotHold(t *testing.T) {
	first := openAt(t, filepath.Join(t.TempDir(), "auth.db"))
	bare := record("bare", noon)
	bare.Sealed = []byte{}
	_, err := first.AddFirstKey(t.Context(), bare)
	must(t, err)
	onWriter(t, first, `INSERT INTO throttle (key, tat) VALUES (CAST(x'61ff' AS TEXT), 9223372036854775807)`)
	text := export(t, first)
	next := openAt(t, filepath.Join(t.TempDir(), "auth.db"))
	_, err = next.Import(t.Context(), strings.NewReader(text), false)
	must(t, err)
	sameRows(t, export(t, next), text)
	if keys := throttleKeys(t, next); !slices.Equal(keys, []string{"a\xff"}) {
		t.Errorf("%q", keys)
	}
}

// TestImportIsAllOrNothing: what is cut off, altered or of another release leaves nothing behind,
// and no store is overwritten.
func TestImportIsAllOrNothing(t *testing.T) {
	source := openAt(t, filepath.Join(t.TempDir(), "auth.db"))
	fill(t, source)
	text := export(t, source)
	lines := strings.SplitAfter(text, "\n")
	schema := fmt.Sprintf(`"schema":%d`, len(migrationNames()))
	changed := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("the export has no %q:\n%s", old, text)
		}
		return strings.Replace(text, old, new, 1)
	}
	type attempt struct {
		name, text string
		want       error
	}
	cases := []attempt{
		{"another format", changed(`"format":1`, `"format":2`), ErrExportForm},
		{"an older schema", changed(schema, `"schema":1`), ErrExportForm},
		{"a newer schema", changed(schema, `"schema":7000`), ErrExportForm},
		{"a missing table", changed(`{"table":"audit"`, `{"table":"other"`), ErrExportForm},
		{"another column", changed(`"client_ip"`, `"client_port"`), ErrExportForm},
		{"a missing row", changed(lines[3], ""), ErrExportDamaged},
		{"a row that is too short", changed(`["schema",`, `[`), ErrExportDamaged},
		{"an unknown value", changed(`["schema",`, `[{"x":1},`), ErrExportDamaged},
		{"a value of another type", changed(`["schema",`, `[1.5,`), ErrExportDamaged},
		{"no JSON", changed(`["schema",`, `[schema,`), ErrExportDamaged},
		{"more behind the end", text + "x", ErrExportDamaged},
		{"empty", "", ErrExportDamaged},
	}
	for i := range lines[:len(lines)-1] {
		cases = append(cases,
			attempt{fmt.Sprint("cut off before line ", i+1), strings.Join(lines[:i], ""), ErrExportDamaged})
	}
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		empty := export(t, s)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				counts, err := s.Import(t.Context(), strings.NewReader(c.text), false)
				if !errors.Is(err, c.want) || counts != nil {
					t.Errorf("%v, %v; want %v", counts, err, c.want)
				}
				sameRows(t, export(t, s), empty)
			})
		}
		t.Run("given up", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			middle := len(text) / 2
			half := io.MultiReader(strings.NewReader(text[:middle]), &calling{cancel}, strings.NewReader(text[middle:]))
			if _, err := s.Import(ctx, half, false); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			sameRows(t, export(t, s), empty)
		})
		_, err := s.Import(t.Context(), strings.NewReader(text), false)
		must(t, err)
		if _, err := s.Import(t.Context(), strings.NewReader(text), false); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("a second import: %v", err)
		}
		sameRows(t, export(t, s), text)
	})
}

// calling is a reader of nothing, which calls a function.
type calling struct{ f func() }

func (c *calling) Read([]byte) (int, error) {
	c.f()
	return 0, io.EOF
}

// TestImportReplaces: when told to, everything else goes, and numbers are above those that either
// store has given out, so that a node which has followed the store sees what is denied now.
func TestImportReplaces(t *testing.T) {
	source := openAt(t, filepath.Join(t.TempDir(), "auth.db"))
	live, _ := fill(t, source)
	text := export(t, source)
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		reconcile(t, s, Declaration{})
		later := noon.Add(24 * time.Hour)
		old := begun(t, sessionsOn(s), requestFor("mallory", 0))
		_, err := s.SetMetaOnce(t.Context(), "secret_fingerprint", "another")
		must(t, err)
		_, d, err := s.RevokeAll(t.Context(),
			revocation.Revocation{Kind: revocation.UserKind, Project: "default", ID: "erin"}, later)
		must(t, err)
		_, cursor, err := s.Denials(t.Context(), 0)
		must(t, err)

		_, err = s.Import(t.Context(), strings.NewReader(text), true)
		must(t, err)
		if _, err := s.FindGrant(t.Context(), old.Grant.ID); !errors.Is(err, session.ErrNoGrant) {
			t.Errorf("the session of before: %v", err)
		}
		if _, err := s.FindGrant(t.Context(), live.Grant.ID); err != nil {
			t.Errorf("the imported session: %v", err)
		}
		if print, err := s.Meta(t.Context(), "secret_fingerprint"); err != nil || print != "1:print" {
			t.Errorf("fingerprint %q, %v", print, err)
		}
		denials, next, err := s.Denials(t.Context(), cursor)
		if err != nil || len(denials) != 4 || next != cursor+4 {
			t.Errorf("who followed sees %v up to %d, %v; want 4 up to %d", denials, next, err, cursor+4)
		}
		if epoch, err := s.Epoch(t.Context()); err != nil || epoch != d.Epoch {
			t.Errorf("epoch %d, %v; want %d", epoch, err, d.Epoch)
		}
	})
}

// TestExportIsOneMoment: what is written while an export runs is not in it, and is not held up by
// it.
func TestExportIsOneMoment(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		writer := open()
		fill(t, writer)
		before := export(t, writer)
		for _, reader := range []struct {
			name string
			open func() *Store
		}{{"the server's own store", func() *Store { return writer }}, {"beside the server", open}} {
			t.Run(reader.name, func(t *testing.T) {
				s := reader.open()
				var b strings.Builder
				late := func() { begun(t, sessionsOn(writer), requestFor("late", 0)) }
				_, err := s.Export(t.Context(), &interrupted{&b, late}, noon)
				must(t, err)
				sameRows(t, b.String(), before)
				before = export(t, writer)
			})
		}
	})
}

// interrupted calls a function once, when the second line is written: the view stands by then.
type interrupted struct {
	w io.Writer
	f func()
}

func (i *interrupted) Write(p []byte) (int, error) {
	if f := i.f; f != nil && bytes.HasPrefix(p, []byte(`{"table":"key"`)) {
		i.f = nil
		f()
	}
	return i.w.Write(p)
}

// TestExportNoticesAServerThatStarts: without a server the file is read without locks, so a change
// meanwhile must be noticed.
func TestExportNoticesAServerThatStarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s := openAt(t, path)
	fill(t, s)
	must(t, s.Close())

	reader := readOnlyAt(t, path)
	quiet := export(t, reader)
	var b strings.Builder
	_, err := reader.Export(t.Context(), &interrupted{&b, func() {
		s := openAt(t, path)
		begun(t, sessionsOn(s), requestFor("late", 0))
		must(t, s.Close()) // takes the log into the file
	}}, noon)
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "a server began to write") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(quiet, `{"end":true`) {
		t.Error("the quiet export did not end")
	}
}

// TestImportIntoAReadOnlyStore is refused.
func TestImportIntoAReadOnlyStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s := openAt(t, path)
	text := export(t, s)
	must(t, s.Close())
	if _, err := readOnlyAt(t, path).Import(t.Context(), strings.NewReader(text), true); !errors.Is(err, errReadOnly) {
		t.Errorf("%v", err)
	}
}

// BenchmarkExport moves 100,000 sessions from each engine to the other, sealed, and tells how much
// memory it took at most.
func BenchmarkExport(b *testing.B) {
	const sessions = 100_000
	ring, _, err := keyring.NewSecretRing()
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range [][2]engine{{engines[0], engines[1]}, {engines[1], engines[0]}} {
		b.Run(way[0].name+" to "+way[1].name, func(b *testing.B) {
			from := way[0].fresh(b)()
			if err := fillSessions(b.Context(), from, sessions); err != nil {
				b.Fatal(err)
			}
			path := filepath.Join(b.TempDir(), "store.caddyauth")
			peak := watchHeap(b)
			for b.Loop() {
				began := time.Now()
				size := exportSealed(b, from, ring, path)
				exported := time.Now()
				importSealed(b, way[1].fresh(b)(), ring, path)
				b.ReportMetric(exported.Sub(began).Seconds(), "export-s")
				b.ReportMetric(time.Since(exported).Seconds(), "import-s")
				b.ReportMetric(float64(size)/(1<<20), "file-MiB")
			}
			b.ReportMetric(float64(peak())/(1<<20), "heap-MiB")
		})
	}
}

func fillSessions(ctx context.Context, s *Store, n int) error {
	const batch = 1000
	for first := 0; first < n; first += batch {
		err := s.write(ctx, func(t tx) error {
			lists := make([][]any, batch)
			for i := range lists {
				row, err := writeGrant(wholeGrant(fmt.Sprintf("0123456789abcdef-%d", first+i)))
				if err != nil {
					return err
				}
				lists[i] = row
			}
			_, err := t.each(insertGrant, lists...)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func exportSealed(b *testing.B, s *Store, ring *keyring.SecretRing, path string) int64 {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w, err := ring.SealStream(f)
	if err != nil {
		b.Fatal(err)
	}
	_, err = s.Export(b.Context(), w, noon)
	if err := errors.Join(err, w.Close(), f.Sync()); err != nil {
		b.Fatal(err)
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

func importSealed(b *testing.B, s *Store, ring *keyring.SecretRing, path string) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r, err := ring.OpenStream(f)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Import(b.Context(), r, false); err != nil {
		b.Fatal(err)
	}
}

// watchHeap looks at the heap all the time; the function it returns ends that and tells the most
// that was in use.
func watchHeap(b *testing.B) (peak func() uint64) {
	done, most := make(chan struct{}), make(chan uint64)
	go func() {
		var stats runtime.MemStats
		var high uint64
		for ticker := time.Tick(20 * time.Millisecond); ; {
			select {
			case <-done:
				most <- high
				return
			case <-ticker:
				runtime.ReadMemStats(&stats)
				high = max(high, stats.HeapInuse)
			}
		}
	}()
	return func() uint64 { close(done); return <-most }
}

// beside is another Store of the same database.
func beside(s *Store) *Store { return &Store{source: s.source, woken: make(chan struct{}, 1)} }

// TestOpenAlone: whoever replaces everything has the store for himself, or is refused.
func TestOpenAlone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		server := open()
		if file, ok := server.source.(*sqliteFile); ok {
			file.busy = 50 * time.Millisecond
		}
		text := export(t, server)
		second, alone := beside(server), beside(server)
		must(t, second.Open(t.Context())) // servers do not keep each other out
		defer second.Close()
		for _, s := range []*Store{server, second} {
			fails(t, alone.OpenAlone(t.Context()), ErrInUse)
			fails(t, alone.Ping(t.Context()), ErrUnavailable)
			must(t, s.Close())
		}
		must(t, alone.OpenAlone(t.Context()))
		defer alone.Close()
		fails(t, server.Open(t.Context()), ErrUnavailable)
		fails(t, beside(server).OpenAlone(t.Context()), ErrInUse)
		_, err := alone.Import(t.Context(), strings.NewReader(text), true)
		must(t, err)
		must(t,
			alone.AddEntry(t.Context(),
				audit.Entry{At: noon, Actor: "command", Action: "store.import", Result: "success"}))
		fails(t, server.Open(t.Context()), ErrUnavailable)
		must(t, alone.Close())
		must(t, server.Open(t.Context()))
		fails(t, alone.OpenAlone(t.Context()), ErrInUse)
	})
}

// TestPostgresMarkComesBack: a server that lost the connection which marks the store takes the mark
// again.
func TestPostgresMarkComesBack(t *testing.T) {
	s := freshPostgres(t)()
	holder := func() (pid int64) {
		_, err := one(t.Context(), s.opened.Load(),
			`SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = $1::bigint
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, []any{useLock}, &pid)
		must(t, err)
		return pid
	}
	first, ended := holder(), false
	if first == 0 {
		t.Fatal("no mark")
	}
	_, err := one(t.Context(), s.opened.Load(), `SELECT pg_terminate_backend($1::bigint::int)`, []any{first}, &ended)
	must(t, err)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if now := holder(); now != 0 && now != first {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the mark is gone")
		}
	}
	fails(t, beside(s).OpenAlone(t.Context()), ErrInUse)
}
