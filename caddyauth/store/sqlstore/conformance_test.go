package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/store/sqlstore/pgtest"
)

// The conformance suite: what every engine must do. A test gets a way to open one new, empty
// database; each call is another node on the same data, closed with the test.

// engine is a database which the suite runs on.
type engine struct {
	name  string
	fresh func(t testing.TB) (open func() *Store)
}

var engines = []engine{
	{"sqlite", freshSQLite},
	{"postgres", freshPostgres},
}

func freshSQLite(t testing.TB) func() *Store {
	path := filepath.Join(t.TempDir(), "auth.db")
	return func() *Store { return openAt(t, path) }
}

func freshPostgres(t testing.TB) func() *Store {
	url := pgtest.Server(t).URL(t)
	return func() *Store { return openAt(t, url) }
}

func onEachEngine(t *testing.T, test func(t *testing.T, open func() *Store)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, e.fresh(t)) })
	}
}

// openAt opens the store of a URL until the end of the test.
func openAt(t testing.TB, rawURL string) *Store {
	t.Helper()
	s, err := New(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func record(id string, created time.Time) keyring.Record {
	return keyring.Record{ID: id, Algorithm: "ES256", Created: created, Sealed: []byte("sealed " + id + "\x00\xff")}
}

// bucketOf5 has room for 5 attempts, and for one more each minute.
func bucketOf5(key string) []identity.Bucket {
	return []identity.Bucket{{Key: key, Burst: 5, Every: time.Minute}}
}

func TestNewDatabaseHasNoKey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		got, err := open().Keys(t.Context())
		if err != nil || len(got) != 0 {
			t.Fatalf("Keys = %v, %v; want none", got, err)
		}
	})
}

func TestFirstKeyComesBackWholeAndStays(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		first := record("first", noon)
		for _, rec := range []keyring.Record{first, record("second", noon.Add(-time.Hour))} {
			got, err := s.AddFirstKey(t.Context(), rec)
			if err != nil {
				t.Fatal(err)
			}
			sameKeys(t, got, first)
		}
		got, err := s.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sameKeys(t, got, first)
	})
}

func sameKeys(t *testing.T, got []keyring.Record, want ...keyring.Record) {
	t.Helper()
	same := func(a, b keyring.Record) bool {
		return a.ID == b.ID && a.Algorithm == b.Algorithm && a.Created.Equal(b.Created) &&
			slices.Equal(a.Sealed, b.Sealed)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Fatalf("keys are %v, want %v", got, want)
	}
}

func TestFiftyNodesAgreeOnOneFirstKey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open()}
		var mu sync.Mutex
		seen := map[string]int{}
		atOnce(50, func(i int) {
			got, err := nodes[i%2].AddFirstKey(t.Context(), record(fmt.Sprint("key ", i), noon))
			if err != nil || len(got) != 1 {
				t.Errorf("AddFirstKey = %v, %v; want one key", got, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seen[got[0].ID]++
		})
		if len(seen) != 1 {
			t.Fatalf("the nodes saw different keys: %v", seen)
		}
	})
}

// atOnce runs f in n goroutines which start together.
func atOnce(n int, f func(i int)) {
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	all.Wait()
}

func TestMetaIsSetOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open()}
		var mu sync.Mutex
		seen := map[string]bool{}
		atOnce(20, func(i int) {
			got, err := nodes[i%2].SetMetaOnce(t.Context(), "fingerprint", fmt.Sprint("value ", i))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[got] = true
		})
		if len(seen) != 1 {
			t.Fatalf("the nodes saw different values: %v", seen)
		}
		other, err := nodes[0].SetMetaOnce(t.Context(), "other", "x")
		if err != nil || other != "x" {
			t.Fatalf("another name gave %q, %v", other, err)
		}
	})
}

func TestBucketRefillsAtItsPace(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		steps := []struct {
			at   time.Duration
			wait time.Duration
		}{
			{0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0},
			{0, time.Minute},
			{20 * time.Second, 40 * time.Second},
			{time.Minute - time.Millisecond, time.Millisecond},
			{time.Minute, 0},
			{time.Minute, time.Minute},
			{3 * time.Minute, 0}, {3 * time.Minute, 0}, {3 * time.Minute, time.Minute},
			{time.Hour, 0}, {time.Hour, 0}, {time.Hour, 0}, {time.Hour, 0}, {time.Hour, 0}, {time.Hour, time.Minute},
		}
		for i, step := range steps {
			wait, err := take(t.Context(), s, bucketOf5("b"), noon.Add(step.at))
			if err != nil || wait != step.wait {
				t.Fatalf("step %d at %v: wait %v, %v; want %v", i, step.at, wait, err, step.wait)
			}
		}
	})
}

func TestFullBucketCountsNowhereElse(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		small := identity.Bucket{Key: "z small", Burst: 1, Every: time.Second}
		slow := identity.Bucket{Key: "m slow", Burst: 1, Every: time.Hour}
		large := identity.Bucket{Key: "a large", Burst: 2, Every: time.Minute}
		take := func(want time.Duration, buckets ...identity.Bucket) {
			t.Helper()
			if wait, err := take(t.Context(), s, buckets, noon); err != nil || wait != want {
				t.Fatalf("wait %v, %v; want %v", wait, err, want)
			}
		}
		take(0, small, large)
		for range 10 {
			take(time.Second, small, large)
			take(time.Second, large, small)
		}
		take(0, slow)
		take(time.Hour, small, slow, large)
		take(0, large) // its second attempt: the refused ones left no trace
		take(time.Minute, large)
	})
}

func TestHundredAttemptsAtOnceOnABurstOfFive(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		nodes := []*Store{open(), open()}
		var passed, refused atomic.Int32
		atOnce(100, func(i int) {
			own := identity.Bucket{Key: fmt.Sprint("own ", i), Burst: 1, Every: time.Minute}
			wait, err := take(t.Context(), nodes[i%2], append(bucketOf5("shared"), own), noon)
			switch {
			case err != nil:
				t.Error(err)
			case wait == 0:
				passed.Add(1)
			case wait == time.Minute:
				refused.Add(1)
			}
		})
		if passed.Load() != 5 || refused.Load() != 95 {
			t.Fatalf("%d passed and %d were told to wait a minute; want 5 and 95", passed.Load(), refused.Load())
		}
	})
}

func TestClockSetBackDoesNotShutABucket(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		for range 5 {
			if wait, err := take(t.Context(), s, bucketOf5("b"), noon.AddDate(1, 0, 0)); wait != 0 || err != nil {
				t.Fatal(wait, err)
			}
		}
		// The clocks of two nodes may differ a little: the bucket stays full.
		if wait, err := take(t.Context(), s, bucketOf5("b"), noon.AddDate(1, 0, 0).Add(-time.Minute)); wait != 2*
			time.Minute || err != nil {
			t.Fatalf("a minute back: %v, %v; want 2m", wait, err)
		}
		for range 5 {
			if wait, err := take(t.Context(), s, bucketOf5("b"), noon.AddDate(1, 0, 0).Add(-10*
				time.Minute)); wait != 0 || err != nil {
				t.Fatalf("ten minutes back: %v, %v; want 0", wait, err)
			}
		}
		for range 5 {
			if wait, err := take(t.Context(), s, bucketOf5("b"), noon); wait != 0 || err != nil {
				t.Fatalf("a year back: %v, %v; want 0", wait, err)
			}
		}
		if wait, err := take(t.Context(), s, bucketOf5("b"), noon); wait != time.Minute || err != nil {
			t.Fatalf("the sixth a year back: %v, %v; want 1m", wait, err)
		}
	})
}

func TestImpossibleBucketIsRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		for _, b := range []identity.Bucket{
			{Key: "k", Every: time.Second}, {Key: "k", Burst: 1}, {Key: "k", Burst: 1, Every: time.Microsecond},
		} {
			if _, err := take(t.Context(), s, []identity.Bucket{b}, noon); err == nil {
				t.Errorf("%+v was taken", b)
			}
		}
	})
}

func TestForgivenBucketIsEmpty(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		buckets := append(bucketOf5("a"), bucketOf5("b")...)
		for range 5 {
			if wait, err := take(t.Context(), s, buckets, noon); wait != 0 || err != nil {
				t.Fatal(wait, err)
			}
		}
		if err := forgiveIn(t.Context(), s, identity.Forgiveness{Empty: "a"}); err != nil {
			t.Fatal(err)
		}
		if wait, err := take(t.Context(), s, bucketOf5("a"), noon); wait != 0 || err != nil {
			t.Errorf("forgiven: %v, %v; want 0", wait, err)
		}
		if wait, err := take(t.Context(), s, bucketOf5("b"), noon); wait != time.Minute || err != nil {
			t.Errorf("not forgiven: %v, %v; want 1m", wait, err)
		}
	})
}

func TestForgivenAttemptIsGivenBack(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s, bucket := open(), bucketOf5("a")
		back := func(b identity.Bucket) { must(t, forgiveIn(t.Context(), s, identity.Forgiveness{Back: b})) }
		wants := func(want time.Duration) {
			t.Helper()
			if wait, err := take(t.Context(), s, bucket, noon); wait != want || err != nil {
				t.Errorf("%v, %v; want %v", wait, err, want)
			}
		}
		back(bucket[0]) // nothing was taken
		for range 5 {
			wants(0)
		}
		wants(time.Minute)
		back(bucketOf5("b")[0])
		wants(time.Minute)
		back(bucket[0])
		wants(0)
		wants(time.Minute)
	})
}

func TestPairIsKnownUntilItsTime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		until := noon.Add(time.Hour)
		for _, end := range []time.Time{until, noon.Add(time.Minute)} { // the earlier end changes nothing
			if err := forgiveIn(t.Context(), s, identity.Forgiveness{Known: "pair", Until: end}); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			key  string
			now  time.Time
			want bool
		}{
			{"pair", noon, true}, {"pair", until.Add(-time.Millisecond), true}, {"pair", until, false},
			{"other", noon, false},
		} {
			if got, err := known(t.Context(), s, c.key, c.now); err != nil || got != c.want {
				t.Errorf("known(%s, %v) = %v, %v; want %v", c.key, c.now, got, err, c.want)
			}
		}
	})
}

// TestAKnownPairIsNotCountedForItsAccount: a stranger who keeps the account's bucket full does not
// shut out an address that is known.
func TestAKnownPairIsNotCountedForItsAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		account := identity.Bucket{Key: "account", Burst: 1, Every: time.Minute}
		attempt := func(pair string, at time.Time) time.Duration {
			t.Helper()
			wait, err := s.TakeAttempt(t.Context(),
				identity.Attempt{Buckets: bucketOf5("pair " + pair), Account: account, Known: "known " + pair}, at)
			if err != nil {
				t.Fatal(err)
			}
			return wait
		}
		must(t, forgiveIn(t.Context(), s, identity.Forgiveness{Known: "known friend", Until: noon.Add(time.Hour)}))
		for _, step := range []struct {
			who  string
			at   time.Duration
			want time.Duration
		}{
			{"friend", 0, 0}, // not counted for the account
			{"stranger", 0, 0},
			{"stranger", 0, time.Minute},
			{"friend", 0, 0}, {"friend", 0, 0}, {"friend", 0, 0}, {"friend", 0, 0},
			{"friend", 0, time.Minute}, // the pair's own bucket is full
			{"stranger", time.Hour, 0},
			{"friend", time.Hour, time.Minute}, // no longer known
		} {
			if wait := attempt(step.who, noon.Add(step.at)); wait != step.want {
				t.Errorf("%s after %v waits %v, want %v", step.who, step.at, wait, step.want)
			}
		}
	})
}

func TestJanitorDeletesInBatchesWhatIsOver(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		for i := range 25 {
			if _, err := take(t.Context(), s, bucketOf5(fmt.Sprint("old ", i)), noon); err != nil {
				t.Fatal(err)
			}
		}
		if err := forgiveIn(t.Context(), s, identity.Forgiveness{Known: "old pair", Until: noon}); err != nil {
			t.Fatal(err)
		}
		err := forgiveIn(t.Context(), s, identity.Forgiveness{Known: "pair", Until: noon.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		later := noon.Add(time.Minute)
		if _, err := take(t.Context(), s, bucketOf5("busy"), later); err != nil {
			t.Fatal(err)
		}
		for i, want := range []int{10, 10, 6, 0} {
			if n, err := s.DeleteIdleAttempts(t.Context(), later, 10); err != nil || n != want {
				t.Fatalf("batch %d: deleted %d, %v; want %d", i, n, err, want)
			}
		}
		if found, err := known(t.Context(), s, "pair", later); !found || err != nil {
			t.Errorf("the pair was forgotten: %v, %v", found, err)
		}
		for range 4 {
			if wait, err := take(t.Context(), s, bucketOf5("busy"), later); wait != 0 || err != nil {
				t.Fatal(wait, err)
			}
		}
		if wait, err := take(t.Context(), s, bucketOf5("busy"), later); wait != time.Minute || err != nil {
			t.Errorf("the busy bucket was forgotten: %v, %v", wait, err)
		}
	})
}

func TestRestartKeepsEverything(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		if _, err := s.AddFirstKey(t.Context(), record("first", noon)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.SetMetaOnce(t.Context(), "fingerprint", "f"); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if _, err := take(t.Context(), s, bucketOf5("b"), noon); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}

		again := open()
		got, err := again.AddFirstKey(t.Context(), record("second", noon))
		if err != nil {
			t.Fatal(err)
		}
		sameKeys(t, got, record("first", noon))
		if value, err := again.SetMetaOnce(t.Context(), "fingerprint", "g"); err != nil || value != "f" {
			t.Errorf("the fingerprint is %q, %v", value, err)
		}
		if wait, err := take(t.Context(), again, bucketOf5("b"), noon); err != nil || wait != time.Minute {
			t.Errorf("the counter gives %v, %v; want 1m", wait, err)
		}
	})
}

func TestEndedContextBeginsNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 {
			if _, err := s.AddFirstKey(ctx, record("k", noon)); !errors.Is(err, context.Canceled) {
				t.Fatalf("AddFirstKey = %v, want context.Canceled", err)
			}
		}
		if got, err := s.Keys(t.Context()); err != nil || len(got) != 0 {
			t.Fatalf("Keys = %v, %v; want none", got, err)
		}
		if _, err := s.Keys(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Keys = %v, want context.Canceled", err)
		}
	})
}

func TestClosedStoreIsUnavailableAndOpensAgain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		_, keysErr := s.Keys(t.Context())
		_, addErr := s.AddFirstKey(t.Context(), record("k", noon))
		for _, err := range []error{keysErr, addErr, s.Ping(t.Context())} {
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("%v does not wrap ErrUnavailable", err)
			}
		}
		atOnce(4, func(int) {
			if err := s.Open(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// Closing under load: every caller gets an answer, and what was acknowledged is there afterwards.
func TestCloseUnderLoadLosesNothingAcknowledged(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		var acknowledged sync.Map
		var count atomic.Int32
		enough := make(chan struct{})
		var all sync.WaitGroup
		for g := range 8 {
			all.Go(func() {
				for i := 0; ; i++ {
					key := fmt.Sprintf("%d-%d", g, i)
					_, err := s.SetMetaOnce(t.Context(), key, "x")
					if err != nil {
						if !errors.Is(err, ErrUnavailable) {
							t.Errorf("%v does not wrap ErrUnavailable", err)
						}
						return
					}
					acknowledged.Store(key, true)
					if count.Add(1) == 100 {
						close(enough)
					}
				}
			})
		}
		<-enough
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
		again := open()
		acknowledged.Range(func(key, _ any) bool {
			if got, err := again.SetMetaOnce(t.Context(), key.(string), "lost"); err != nil || got != "x" {
				t.Errorf("%s is %q, %v", key, got, err)
			}
			return true
		})
	})
}
