package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// rawPostgres runs statements behind the store's back.
func rawPostgres(t *testing.T, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, statement := range statements {
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

func newStore(t *testing.T, url string) *Store {
	t.Helper()
	s, err := New(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestFiveNodesMigrateOnce(t *testing.T) {
	url := pgtest.Server(t).URL(t)
	var nodes [5]*Store
	for i := range nodes {
		nodes[i] = newStore(t, url)
	}
	atOnce(len(nodes), func(i int) {
		if err := nodes[i].Open(t.Context()); err != nil {
			t.Error(err)
			return
		}
		if err := nodes[i].Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
	version, _, err := schemaVersion(t.Context(), nodes[0].opened.Load(), postgresTables)
	if err != nil || version != len(migrationNames()) {
		t.Errorf("schema version %d, %v", version, err)
	}
	if strings.Contains(pgtest.Server(t).Log(), `relation "meta" already exists`) {
		t.Error("two nodes made the same table")
	}
}

func TestForeignPostgresDatabasesAreRefusedUntouched(t *testing.T) {
	for _, c := range []struct {
		name         string
		script, want string
	}{
		{
			"newer schema",
			`CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT); INSERT INTO meta VALUES ('schema', '7000')`,
			"schema version 7000 and this release knows versions up to",
		},
		{
			"unreadable schema",
			`CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT); INSERT INTO meta VALUES ('schema', 'secret-x')`,
			"not a positive number",
		},
		{"other program's", `CREATE TABLE bookmarks (url TEXT)`, "belongs to something else"},
		{"other meta table", `CREATE TABLE meta (name TEXT, value TEXT)`, "belongs to something else"},
		{"other columns", `CREATE TABLE meta (id BIGINT)`, "SQLSTATE 42703"},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := pgtest.Server(t).URL(t)
			rawPostgres(t, url, c.script)
			s := newStore(t, url)
			for _, err := range []error{s.Open(t.Context()), s.OpenReadOnly(t.Context())} {
				if err == nil || !strings.Contains(err.Error(), c.want) ||
					!strings.Contains(err.Error(), "store postgres://127.0.0.1/t") {
					t.Errorf("%v; want %q", err, c.want)
				}
				if errors.Is(err, ErrUnavailable) || err != nil && strings.Contains(err.Error(), "secret-x") {
					t.Errorf("%v", err)
				}
			}
			rawPostgres(t, url,
				`DO $$ BEGIN ASSERT (SELECT count(*) FROM pg_tables WHERE schemaname = 'public') = 1; END $$`)
		})
	}
}

func TestSchemaOfItsOwnBesideAnotherProgram(t *testing.T) {
	url := pgtest.Server(t).URL(t, "search_path=auth")
	rawPostgres(t, url, `CREATE TABLE public.bookmarks (url TEXT)`)
	s := newStore(t, url)
	if err := s.Open(t.Context()); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "search_path") {
		t.Errorf("without the schema: %v", err)
	}
	rawPostgres(t, url, `CREATE SCHEMA auth`)
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddFirstKey(t.Context(), record("first", noon)); err != nil {
		t.Fatal(err)
	}
	rawPostgres(t, url, `SELECT sealed FROM auth.key`)
}

func TestReadOnlyPostgresWritesNothing(t *testing.T) {
	url := pgtest.Server(t).URL(t)
	empty := newStore(t, url)
	if err := empty.OpenReadOnly(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := empty.Keys(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("Keys = %v, %v; want none", got, err)
	}
	rawPostgres(t, url, `DO $$ BEGIN ASSERT NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'public'); END $$`)

	if err := empty.Open(t.Context()); err != nil { // reading becomes writing
		t.Fatal(err)
	}
	if _, err := empty.AddFirstKey(t.Context(), record("first", noon)); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, url)
	if err := s.OpenReadOnly(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sameKeys(t, got, record("first", noon))
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping = %v", err)
	}
	if _, err := s.SetMetaOnce(t.Context(), "a", "b"); err != errReadOnly {
		t.Errorf("SetMetaOnce = %v, want a refusal", err)
	}
	// Nor would the server take it.
	var name string
	_, err = one(t.Context(), s.opened.Load(), `INSERT INTO meta VALUES ('a', 'b') RETURNING name`, nil, &name)
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "25006") {
		t.Errorf("writing through a query: %v", err)
	}
}

func TestOpenWhileThePostgresServerIsDownFailsSoonAndLaterSucceeds(t *testing.T) {
	server := pgtest.Server(t)
	s := newStore(t, server.URL(t))
	server.Stop(t)
	for _, open := range []func(context.Context) error{s.Open, s.OpenReadOnly} {
		if err := open(t.Context()); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%v; want ErrUnavailable", err)
		}
	}
	server.Start(t)
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A server that takes the connection and then says nothing is as bad as one behind a dropped route.
func TestSilentServerIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newStore(t, "postgres://auth:hunter2@"+l.Addr().String()+"/auth?sslmode=disable&connect_timeout=1")
	begun := time.Now()
	err = s.Open(t.Context())
	if took := time.Since(begun); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "in time") ||
		took > 5*time.Second {
		t.Errorf("Open = %v after %v", err, took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Open(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Open = %v, want context.Canceled", err)
	}
}

func TestRefusedLoginAndMissingDatabaseAreToldWithoutThePassword(t *testing.T) {
	u, err := url.Parse(pgtest.Server(t).URL(t))
	if err != nil {
		t.Fatal(err)
	}
	missing, wrong := *u, *u
	missing.Path = "/nothing"
	wrong.User = url.UserPassword("auth", "hunter2")
	password, _ := u.User.Password()
	for _, c := range []struct {
		url  url.URL
		want string
	}{{missing, "does not exist (SQLSTATE 3D000)"}, {wrong, "refuses the user or the password (SQLSTATE 28P01)"}} {
		err := newStore(t, c.url.String()).Open(t.Context())
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), c.want) ||
			strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), password) {
			t.Errorf("Open = %v; want %q", err, c.want)
		}
	}
}

// The server goes away under load, with and without a word, and comes back: callers get an answer,
// and go on without opening the store again; what was acknowledged stands, and nothing stands by
// half.
func TestStoreOutlivesItsPostgresServer(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*pgtest.Postgres, pgtest.T)
	}{{"stopped", (*pgtest.Postgres).Stop}, {"killed", (*pgtest.Postgres).Kill}} {
		t.Run(c.name, func(t *testing.T) {
			server := pgtest.Server(t)
			s := openAt(t, server.URL(t))
			var mu sync.Mutex
			var acknowledged []string
			var refusals int
			before, after := make(chan struct{}), make(chan struct{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			restarted := false
			var all sync.WaitGroup
			for g := range 8 {
				all.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						name := fmt.Sprintf("%d-%d", g, i)
						_, err := take(ctx, s, pairOf(name), noon)
						mu.Lock()
						if err == nil {
							acknowledged = append(acknowledged, name)
							if len(acknowledged) == 100 {
								close(before)
							}
							if restarted {
								mu.Unlock()
								return
							}
						} else if refusals++; !errors.Is(err, ErrUnavailable) {
							t.Error(err)
						}
						mu.Unlock()
					}
				})
			}
			<-before
			c.end(server, t)
			if err := s.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
				t.Errorf("Ping = %v while the server is down", err)
			}
			server.Start(t)
			mu.Lock()
			restarted = true
			mu.Unlock()
			go func() { all.Wait(); close(after) }()
			<-after
			if ctx.Err() != nil || refusals == 0 {
				t.Errorf("%d refusals; %v", refusals, ctx.Err())
			}
			checkPairs(t, s, acknowledged)
		})
	}
}

func TestSecondHostIsUsedWhenTheFirstIsDown(t *testing.T) {
	u, err := url.Parse(pgtest.Server(t).URL(t))
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery += "&host=127.0.0.1,127.0.0.1&port=1," + u.Port()
	u.Host = ""
	s := openAt(t, u.String())
	wakes(t, s) // the listener found it too
	if got, err := s.SetMetaOnce(t.Context(), "a", "b"); err != nil || got != "b" {
		t.Errorf("%q, %v", got, err)
	}
}

// After a failover the connections stand, and the server refuses to write.
func TestStoreFindsAServerThatWritesAgain(t *testing.T) {
	u := pgtest.Server(t).URL(t)
	s := openAt(t, u)
	parsed, err := url.Parse(u)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(parsed.Path, "/")
	rawPostgres(t, u, `ALTER DATABASE `+name+` SET default_transaction_read_only = on`)
	s.opened.Load().database.(*postgresDatabase).pool.Reset()
	if _, err := s.SetMetaOnce(t.Context(), "a", "b"); !errors.Is(err, ErrUnavailable) ||
		!strings.Contains(err.Error(), "standby") {
		t.Errorf("SetMetaOnce = %v", err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Ping = %v", err)
	}
	if _, err := s.Keys(t.Context()); err != nil {
		t.Errorf("reading stopped too: %v", err)
	}
	rawPostgres(t, u, `SET default_transaction_read_only = off`,
		`ALTER DATABASE `+name+` RESET default_transaction_read_only`)
	s.SetMetaOnce(t.Context(), "a", "b") // the last to be refused
	if got, err := s.SetMetaOnce(t.Context(), "a", "b"); err != nil || got != "b" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

func TestSlowStatementIsCutOff(t *testing.T) {
	s := openAt(t, pgtest.Server(t).URL(t, "statement_timeout=200ms"))
	err := s.write(t.Context(), func(x tx) error { return x.script(`SELECT pg_sleep(30)`) })
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "statement_timeout") {
		t.Errorf("%v", err)
	}
	if got, err := s.SetMetaOnce(t.Context(), "a", "b"); err != nil || got != "b" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

func TestBusyPoolIsUnavailableAfterAWhile(t *testing.T) {
	s := openAt(t, pgtest.Server(t).URL(t, "pool_max_conns=1"))
	err := s.write(t.Context(), func(x tx) error {
		if err := put("a")(x); err != nil {
			return err
		}
		begun := time.Now()
		_, err := s.Keys(t.Context())
		if took := time.Since(begun); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "in use") ||
			took > 4*time.Second {
			t.Errorf("Keys = %v after %v", err, took)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := s.Keys(t.Context()); err != nil {
		t.Error(err)
	}
}

// Two verbs which lock two rows in opposite order: the server undoes one, and it runs again. It may
// run into the other once more, for the row that it gave up is whoever's comes first.
func TestDeadlockIsRetried(t *testing.T) {
	s := openAt(t, pgtest.Server(t).URL(t))
	if err := s.write(t.Context(), func(x tx) error { return errors.Join(put("a")(x), put("b")(x)) }); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Add(2)
	var runs atomic.Int32
	atOnce(2, func(i int) {
		first := true
		err := s.write(t.Context(), func(x tx) error {
			runs.Add(1)
			order := []string{"a", "b"}
			for k := range order {
				if _, err := x.exec(`UPDATE meta SET value = value || $2 WHERE name = $1`, order[(k+i)%
					2], "x"); err != nil {
					return err
				}
				if first {
					first = false
					both.Done()
					both.Wait()
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	var value string
	_, err := one(t.Context(), s.opened.Load(), `SELECT value FROM meta WHERE name = 'a'`, nil, &value)
	if err != nil || value != "canaryxx" || runs.Load() < 3 {
		t.Errorf("a is %q after %d runs, %v", value, runs.Load(), err)
	}
}

func TestPostgresTransactionIsAllOrNothing(t *testing.T) {
	s := openAt(t, pgtest.Server(t).URL(t))
	refusal := errors.New("refused by the verb")
	for _, c := range []struct {
		name string
		verb func(tx) error
		want bool
	}{
		{"kept", put("kept"), true},
		{"refused", func(x tx) error { return errors.Join(put("refused")(x), refusal) }, false},
		{"broken", func(x tx) error { return errors.Join(put("broken")(x), put("broken")(x)) }, false},
		{
			"broken and ignored",
			func(x tx) error { put("broken and ignored")(x); put("broken and ignored")(x); return nil }, false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := s.write(t.Context(), c.verb)
			if got := stands(t, s, c.name); got != c.want || (err == nil) != c.want {
				t.Errorf("%s stands: %v, verdict %v; want %v", c.name, got, err, c.want)
			}
			if c.name == "refused" && !errors.Is(err, refusal) {
				t.Errorf("the verb's own error became %v", err)
			}
			if text := fmt.Sprint(err); errors.Is(err, ErrUnavailable) || strings.Contains(text, "meta") ||
				strings.Contains(text, "canary") {
				t.Errorf("a conflict is told as %q", text)
			}
		})
	}
	err := s.writeOne(t.Context(), func(x tx) error { return errors.Join(put("one")(x), put("two")(x)) })
	if !errors.Is(err, errSecondStatement) || stands(t, s, "two") {
		t.Errorf("a second statement: %v", err)
	}
	// Several lists are one transaction, without BEGIN too.
	err = s.writeOne(t.Context(), func(x tx) error {
		_, err := x.each(`INSERT INTO meta (name, value) VALUES ($1, '')`, []any{"x"}, []any{"y"}, []any{"x"})
		return err
	})
	if err == nil || stands(t, s, "y") {
		t.Errorf("y stands after %v", err)
	}
}

// wakes waits for a token.
func wakes(t *testing.T, s *Store) {
	t.Helper()
	select {
	case <-s.Wake():
	case <-time.After(20 * time.Second):
		t.Fatal("no token")
	}
}

func quiet(t *testing.T, s *Store) {
	t.Helper()
	select {
	case <-s.Wake():
		t.Fatal("a token")
	default:
	}
}

func waking(verb func(tx) error) func(tx) error {
	return func(x tx) error { x.wake(); return verb(x) }
}

func TestCommitWakesOtherNodes(t *testing.T) {
	server := pgtest.Server(t)
	u := server.URL(t)
	a, b := openAt(t, u), openAt(t, u)
	wakes(t, a) // both listen
	wakes(t, b)
	for _, c := range []struct {
		name  string
		write func(*Store, context.Context, func(tx) error) error
	}{{"write", (*Store).write}, {"writeOne", (*Store).writeOne}} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.write(a, t.Context(), waking(put(c.name))); err != nil {
				t.Fatal(err)
			}
			wakes(t, b)
			wakes(t, a)
		})
	}
	// What is undone wakes nobody: the next token comes with the next commit, and there is one.
	a.write(t.Context(), waking(func(x tx) error { return errors.Join(put("undone")(x), errors.New("no")) }))
	if err := a.write(t.Context(), put("silent")); err != nil {
		t.Fatal(err)
	}
	if err := a.write(t.Context(), waking(put("loud"))); err != nil {
		t.Fatal(err)
	}
	wakes(t, b)
	quiet(t, b)

	server.Kill(t)
	server.Start(t)
	wakes(t, b) // it listens again, and may have missed something
	eventually(t, func() bool { return a.write(t.Context(), waking(put("again"))) == nil })
	wakes(t, b)
}

// eventually asks for 20 seconds at most.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("not within 20 seconds")
		}
	}
}

func TestSQLiteWakesItsOwnProcessAfterTheCommit(t *testing.T) {
	s := freshSQLite(t)()
	quiet(t, s)
	s.write(t.Context(), waking(func(x tx) error { return errors.New("no") }))
	if err := s.write(t.Context(), put("silent")); err != nil {
		t.Fatal(err)
	}
	quiet(t, s)
	if err := s.write(t.Context(), waking(put("loud"))); err != nil {
		t.Fatal(err)
	}
	wakes(t, s)
	quiet(t, s)
}

func TestTwentyCyclesOnPostgresLeakNothing(t *testing.T) {
	u := pgtest.Server(t).URL(t)
	cycle := func() {
		for _, open := range []func(*Store, context.Context) error{(*Store).OpenReadOnly, (*Store).Open} {
			s := newStore(t, u)
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
	cycle()
	goroutines, files := runtime.NumGoroutine(), openFiles()
	for range 20 {
		cycle()
	}
	if n := fallsTo(goroutines, runtime.NumGoroutine); n > goroutines {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	if n := fallsTo(files, openFiles); n > files {
		t.Errorf("%d open files, %d before", n, files)
	}
}

// A verb costs as many round trips as it has moments at which it must know an answer.
func TestRoundTrips(t *testing.T) {
	proxy, url := pgtest.Server(t).ProxyURL(t, "pool_max_conns=1")
	s := openAt(t, url)
	wakes(t, s) // the listener is done
	const pool = 1
	for _, c := range []struct {
		name string
		want int
		verb func() error
	}{
		{"Keys", 1, func() error { _, err := s.Keys(t.Context()); return err }},
		{"SetMetaOnce", 1, func() error { _, err := s.SetMetaOnce(t.Context(), "a", "b"); return err }},
		{
			"FindParties", 1,
			func() error { _, err := s.FindParties(t.Context(), "default", "web", "alice"); return err },
		},
		{"AddSignIn", 1, func() error {
			err := s.AddSignIn(t.Context(), issuance.Record{Grant: wholeGrant("x"), User: &identity.User{ID: "u"}})
			if errors.Is(err, session.ErrOvertaken) {
				err = nil
			}
			return err
		}},
		{"DeleteIdleAttempts", 1, func() error { _, err := s.DeleteIdleAttempts(t.Context(), noon, 10); return err }},
		{"TakeAttempt", 2, func() error { _, err := take(t.Context(), s, attemptOf(1), noon); return err }},
		{"wake and write", 1, func() error { return s.writeOne(t.Context(), waking(forgotten)) }},
	} {
		if err := c.verb(); err != nil { // the first time prepares the statements
			t.Fatal(err)
		}
		before := proxy.Asked(pool)
		if err := c.verb(); err != nil || proxy.Asked(pool).Minus(before).Trips != c.want {
			t.Errorf("%s asked %+v, %v; want %d round trips", c.name, proxy.Asked(pool).Minus(before), err, c.want)
		}
	}
}

func forgotten(x tx) error {
	_, err := x.exec(`DELETE FROM meta WHERE name = $1`, "nothing")
	return err
}
