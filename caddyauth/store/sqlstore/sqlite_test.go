package sqlstore

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

const childVariable = "SQLSTORE_TEST_CHILD"

// TestMain makes the test binary the process that is killed.
func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		writeUntilKilled(path)
	}
	if url := os.Getenv(rotateVariable); url != "" {
		rotateUntilKilled(url)
	}
	os.Exit(pgtest.Main(m))
}

// writeUntilKilled counts attempts in pairs of buckets from several goroutines and prints the name
// of each pair that was acknowledged.
func writeUntilKilled(path string) {
	s, err := New(path)
	if err == nil {
		err = s.Open(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var out sync.Mutex
	for g := range 8 {
		go func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d-%d", g, i)
				if _, err := take(context.Background(), s, pairOf(name), noon); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				out.Lock()
				fmt.Println(name)
				out.Unlock()
			}
		}()
	}
	select {}
}

func pairOf(name string) []identity.Bucket {
	return append(bucketOf5("a"+name), bucketOf5("b"+name)...)
}

func TestKilledWriterLosesNothingAcknowledgedAndLeavesNothingHalf(t *testing.T) {
	for round := range 4 {
		path := filepath.Join(t.TempDir(), "auth.db")
		acknowledged := killAfter(t, path, 100+150*round)

		before := listing(t, filepath.Dir(path))
		quiet := readOnlyAt(t, path)
		checkPairs(t, quiet, acknowledged)
		quiet.Close()
		sameListing(t, before, listing(t, filepath.Dir(path)))

		s := openAt(t, path)
		checkPairs(t, s, acknowledged)
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter lets another process write until it has acknowledged n pairs, looks into its store
// meanwhile, and kills it.
func killAfter(t *testing.T, path string, n int) (acknowledged []string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		acknowledged = append(acknowledged, lines.Text())
		if len(acknowledged) == n/2 {
			beside := readOnlyAt(t, path)
			checkPairs(t, beside, acknowledged)
			beside.Close()
		}
		if len(acknowledged) == n {
			child.Process.Kill()
		}
	}
	child.Wait()
	if len(acknowledged) < n {
		t.Fatalf("the child ended after %d of %d", len(acknowledged), n)
	}
	return acknowledged
}

func readOnlyAt(t *testing.T, path string) *Store {
	t.Helper()
	s, err := New(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.OpenReadOnly(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func checkPairs(t *testing.T, s *Store, acknowledged []string) {
	t.Helper()
	stands := map[string]bool{}
	for _, key := range throttleKeys(t, s) {
		stands[key] = true
	}
	for _, name := range acknowledged {
		if !stands["a"+name] {
			t.Errorf("%s was acknowledged and is lost", name)
		}
	}
	for key := range stands {
		if !stands["a"+key[1:]] || !stands["b"+key[1:]] {
			t.Errorf("%s stands alone", key)
		}
	}
}

func throttleKeys(t *testing.T, s *Store) (keys []string) {
	t.Helper()
	db, err := s.database()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.query(t.Context(), `SELECT key FROM throttle`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return keys
}

// listing is every entry of a folder with its size, mode and time.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		entries[path] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func sameListing(t *testing.T, before, after map[string]string) {
	t.Helper()
	if !maps.Equal(before, after) {
		t.Errorf("the folder changed from %v\nto %v", before, after)
	}
}

func TestReadOnlyLeavesNothingBehind(t *testing.T) {
	cases := []struct {
		name    string
		arrange func(t *testing.T, path string)
		keys    int
	}{
		{"missing folder", func(t *testing.T, path string) { os.Remove(filepath.Dir(path)) }, 0},
		{"missing file", func(t *testing.T, path string) {}, 0},
		{"empty file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, 0},
		{"closed", func(t *testing.T, path string) { storeWithKey(t, path).Close() }, 1},
		{"beside a writer", func(t *testing.T, path string) {
			s := storeWithKey(t, path)
			t.Cleanup(func() { s.Close() })
		}, 1},
		{"through a link beside a writer", func(t *testing.T, path string) {
			real := filepath.Join(filepath.Dir(path), "real.db")
			s := storeWithKey(t, real)
			t.Cleanup(func() { s.Close() })
			if err := os.Symlink(real, path); err != nil {
				t.Fatal(err)
			}
		}, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, "data", "auth.db")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			c.arrange(t, path)
			before := listing(t, root)
			s := readOnlyAt(t, path)
			keys, err := s.Keys(t.Context())
			if err != nil || len(keys) != c.keys {
				t.Errorf("Keys = %v, %v; want %d", keys, err, c.keys)
			}
			if err := s.Ping(t.Context()); err != nil {
				t.Errorf("Ping = %v", err)
			}
			if found, err := known(t.Context(), s, "pair", noon); found || err != nil {
				t.Errorf("a known pair: %v, %v", found, err)
			}
			if _, err := s.SetMetaOnce(t.Context(), "a", "b"); !errors.Is(err, errReadOnly) {
				t.Errorf("SetMetaOnce = %v, want a refusal", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			sameListing(t, before, listing(t, root))
		})
	}
}

func storeWithKey(t *testing.T, path string) *Store {
	t.Helper()
	s := openAt(t, path)
	if _, err := s.AddFirstKey(t.Context(), record("first", noon)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReadOnlyStoreBecomesWritable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	for range 2 { // the file is missing, then it stands
		s := readOnlyAt(t, path)
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddFirstKey(t.Context(), record("k", noon)); err != nil {
			t.Fatal(err)
		}
		if err := s.OpenReadOnly(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.SetMetaOnce(t.Context(), "still", "writable"); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
}

func TestLogWithoutItsIndexIsExplained(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	storeWithKey(t, path)
	copied := filepath.Join(t.TempDir(), "auth.db")
	for _, end := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + end)
		if err == nil {
			err = os.WriteFile(copied+end, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(copied)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.OpenReadOnly(t.Context()); err == nil ||
		!strings.Contains(err.Error(), "write-ahead log without its index") {
		t.Errorf("OpenReadOnly = %v", err)
	}
}

func TestCreatedFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no file modes")
	}
	root := t.TempDir()
	storeWithKey(t, filepath.Join(root, "a", "b c%?#", "auth.db"))
	found := 0
	for path, entry := range listing(t, filepath.Join(root, "a")) {
		found++
		if !strings.HasPrefix(entry, "drwx------") && !strings.HasPrefix(entry, "-rw-------") {
			t.Errorf("%s is %s", path, entry)
		}
	}
	if found != 5 { // two folders, the database, its log and index
		t.Errorf("%d entries, want 5", found)
	}
}

func TestForeignFilesAreRefusedUntouched(t *testing.T) {
	cases := []struct {
		name                  string
		script, content, want string
	}{
		{
			name:   "newer schema",
			script: `CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT); INSERT INTO meta VALUES ('schema', '7000')`,
			want:   "schema version 7000 and this release knows versions up to ",
		},
		{
			name: "unreadable schema",
			script: `CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT); INSERT INTO meta VALUES ('schema', ` +
				`'secret-x')`,
			want: "not a positive number",
		},
		{name: "other program's", script: `CREATE TABLE bookmarks (url TEXT)`, want: "belongs to something else"},
		{
			name:   "other meta table",
			script: `CREATE TABLE meta (name TEXT, value TEXT)`,
			want:   "belongs to something else",
		},
		{
			name:    "text",
			content: strings.Repeat("not a database, but long enough for a header. ", 50),
			want:    "not a SQLite database",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "auth.db")
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.script != "" {
				rawExec(t, path, c.script)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s, err := New(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{s.Open(t.Context()), s.OpenReadOnly(t.Context())} {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("%v; want the path and %q", err, c.want)
				}
				if errors.Is(err, ErrUnavailable) {
					t.Errorf("%v wraps ErrUnavailable, but waiting does not help", err)
				}
				if err != nil && strings.Contains(err.Error(), "secret-x") {
					t.Errorf("%v shows a stored value", err)
				}
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
}

// rawExec runs a script on a file behind the store's back.
func rawExec(t *testing.T, path, script string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err == nil {
		_, err = db.Exec(script)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestUnreachableFileIsUnavailableUntilItIsReachable(t *testing.T) {
	root := t.TempDir()
	blocker := filepath.Join(root, "data")
	if err := os.WriteFile(blocker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New(filepath.Join(blocker, "auth.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Open(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("Open = %v, want ErrUnavailable", err)
	}
	if err := os.Remove(blocker); err != nil {
		t.Fatal(err)
	}
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestFolderIsNoDatabase(t *testing.T) {
	s, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Open = %v", err)
	}
}

func TestManyNodesCreateOneDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	atOnce(8, func(int) {
		s, err := New(path)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { s.Close() })
		if err := s.Open(t.Context()); err != nil {
			t.Error(err)
		}
	})
	version, _, err := schemaVersion(t.Context(), openAt(t, path).opened.Load(), sqliteTables)
	if err != nil || version != len(migrationNames()) {
		t.Errorf("schema version %d, %v", version, err)
	}
}

func TestMigrationsAreNumberedWithoutAGap(t *testing.T) {
	for i, name := range migrationNames() {
		if want := fmt.Sprintf("migrations/%04d_", i+1); !strings.HasPrefix(name, want) {
			t.Errorf("%s does not begin with %s", name, want)
		}
	}
}

// onWriter runs a statement on the writer's connection.
func onWriter(t *testing.T, s *Store, statement string) {
	t.Helper()
	err := s.write(t.Context(), func(x tx) error { return x.script(statement) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestDurabilitySettingsHold(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "auth.db"))
	for _, c := range []struct{ pragma, want string }{
		{"journal_mode", "wal"}, {"synchronous", "2"}, {"foreign_keys", "1"}, {"busy_timeout", "5000"},
	} {
		t.Run(c.pragma, func(t *testing.T) {
			var got string
			err := s.write(t.Context(), func(x tx) error {
				_, err := one(t.Context(), x, "PRAGMA "+c.pragma, nil, &got)
				return err
			})
			if err != nil || got != c.want {
				t.Errorf("%s is %s, %v; want %s", c.pragma, got, err, c.want)
			}
		})
	}
}

func TestFullDiskIsUnavailableAndPasses(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "auth.db"))
	onWriter(t, s, "PRAGMA max_page_count = 12")
	big := strings.Repeat("canary", 100_000)
	verdicts := make([]error, 20)
	atOnce(len(verdicts), func(i int) {
		value := "small"
		if i%5 == 0 {
			value = big
		}
		_, verdicts[i] = s.SetMetaOnce(t.Context(), fmt.Sprint("name ", i), value)
	})
	full := 0
	for i, verdict := range verdicts {
		if verdict != nil {
			if !errors.Is(verdict, ErrUnavailable) || strings.Contains(verdict.Error(), "canary") ||
				strings.Contains(verdict.Error(), "INSERT") {
				t.Errorf("verdict %d: %v", i, verdict)
			}
			full++
		}
		// Whoever was told that it is written finds it, and nobody else does: then the new value is
		// taken.
		got, err := s.SetMetaOnce(t.Context(), fmt.Sprint("name ", i), "later")
		if err != nil {
			t.Fatalf("after a full disk: %v", err)
		}
		if (got == "later") != (verdict != nil) {
			t.Errorf("verdict %d was %v, and the value is %.10s", i, verdict, got)
		}
	}
	if full == 0 {
		t.Error("the disk was never full")
	}
}

func TestReadOnlyDiskIsUnavailableAndPasses(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "auth.db"))
	onWriter(t, s, "PRAGMA query_only = 1")
	if _, err := s.SetMetaOnce(t.Context(), "a", "b"); !errors.Is(err, ErrUnavailable) ||
		!strings.Contains(err.Error(), "read-only") {
		t.Fatalf("SetMetaOnce = %v", err)
	}
	if _, err := s.Keys(t.Context()); err != nil {
		t.Errorf("reading stopped too: %v", err)
	}
	if got, err := s.SetMetaOnce(t.Context(), "a", "b"); err != nil || got != "b" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

func TestLockHeldByAnotherProcessIsUnavailableAndPasses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	s, err := New(path)
	if err != nil {
		t.Fatal(err)
	}
	s.source.(*sqliteFile).busy = 10 * time.Millisecond
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	db, err := sql.Open("sqlite", path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	holder, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.SetMetaOnce(t.Context(), "a", "b")
	for _, err := range []error{err, s.Ping(t.Context())} {
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "another process") {
			t.Errorf("under a foreign lock: %v", err)
		}
	}
	if _, err := s.Keys(t.Context()); err != nil {
		t.Errorf("reading stopped too: %v", err)
	}
	holder.Rollback()
	eventually(t, func() bool { return s.Ping(t.Context()) == nil })
}

func TestTwentyCyclesLeakNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth.db")
	cycle := func() {
		for _, open := range []func(*Store, context.Context) error{(*Store).OpenReadOnly, (*Store).Open} {
			s, err := New(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := open(s, t.Context()); err != nil {
				t.Fatal(err)
			}
			atOnce(8, func(int) {
				if _, err := s.Keys(t.Context()); err != nil {
					t.Error(err)
				}
				take(t.Context(), s, bucketOf5("b"), noon)
			})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	refused := func() {
		s, err := New(filepath.Join(filepath.Dir(path), "newer.db"))
		if err != nil {
			t.Fatal(err)
		}
		if s.Open(t.Context()) == nil || s.OpenReadOnly(t.Context()) == nil {
			t.Fatal("a newer schema was opened")
		}
	}
	rawExec(t, filepath.Join(filepath.Dir(path), "newer.db"),
		`CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT); INSERT INTO meta VALUES ('schema', '7000')`)
	goroutines, files := runtime.NumGoroutine(), openFiles()
	for range 20 {
		cycle()
		refused()
	}
	if n := fallsTo(goroutines, runtime.NumGoroutine); n > goroutines {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	if n := fallsTo(files, openFiles); n > files {
		t.Errorf("%d open files, %d before", n, files)
	}
}

// fallsTo counts until there are no more than want, and at most five seconds: database/sql ends its
// goroutine, and with it the last handle, a moment after Close.
func fallsTo(want int, count func() int) int {
	deadline := time.Now().Add(5 * time.Second)
	for {
		if n := count(); n <= want || time.Now().After(deadline) {
			return n
		}
		runtime.Gosched()
	}
}

// openFiles is 0 where the system does not say.
func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}
