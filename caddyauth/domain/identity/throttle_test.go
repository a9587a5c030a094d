package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// counters is a ThrottleStore in memory, which also notes what it was asked.
type counters struct {
	tat    map[string]time.Time
	taken  [][]Bucket
	failed error
}

func (c *counters) TakeAttempt(_ context.Context, a Attempt, now time.Time) (time.Duration, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	buckets := slices.Clone(a.Buckets)
	if !c.tat[a.Known].After(now) {
		buckets = append(buckets, a.Account)
	}
	c.taken = append(c.taken, buckets)
	var wait time.Duration
	for _, b := range buckets {
		if at := c.tat[b.Key]; at.After(now) {
			wait = max(wait, at.Sub(now)-time.Duration(b.Burst-1)*b.Every)
		}
	}
	if wait > 0 {
		return wait, nil
	}
	for _, b := range buckets {
		at := c.tat[b.Key]
		if at.Before(now) {
			at = now
		}
		c.tat[b.Key] = at.Add(b.Every)
	}
	return 0, nil
}

// forgive stores what a success leaves.
func (c *counters) forgive(f Forgiveness) {
	delete(c.tat, f.Empty)
	if at, ok := c.tat[f.Back.Key]; ok {
		c.tat[f.Back.Key] = at.Add(-f.Back.Every)
	}
	if f.Known != "" {
		c.tat[f.Known] = f.Until
	}
}

func (c *counters) DeleteIdleAttempts(context.Context, time.Time, int) (int, error) { return 0, nil }

func newThrottle() (*Throttle, *counters) {
	c := &counters{tat: map[string]time.Time{}}
	return &Throttle{Store: c, Key: []byte("k")}, c
}

var throttleNoon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// takeAll counts n attempts, and reports the number which passed and the last wait.
func takeAll(t *testing.T, throttle *Throttle, n int, account func(int) string, ip func(int) string,
	now time.Time) (passed int, wait time.Duration) {
	t.Helper()
	for i := range n {
		w, err := throttle.Take(t.Context(), "default", account(i), ip(i), now)
		if err != nil {
			t.Fatal(err)
		}
		if w == 0 {
			passed++
		}
		wait = w
	}
	return passed, wait
}

func always(s string) func(int) string { return func(int) string { return s } }

func numbered(format string) func(int) string {
	return func(i int) string { return fmt.Sprintf(format, i) }
}

func TestThrottleLimitsPairAddressAndAccount(t *testing.T) {
	for _, c := range []struct {
		name        string
		account, ip func(int) string
		passed      int
		wait        time.Duration
	}{
		{"one account from one address", always("alice"), always("192.0.2.1"), 5, time.Minute},
		{"many accounts from one address", numbered("user%d"), always("192.0.2.1"), 50, 2 * time.Second},
		{"one account from many addresses", always("alice"), numbered("192.0.2.%d"), 100, 10 * time.Second},
		{"one account from one /64", always("alice"), numbered("2001:db8::%x"), 5, time.Minute},
		{"unreadable addresses", always("alice"), numbered("garbage %d"), 5, time.Minute},
		{"many accounts and addresses", numbered("user%d"), numbered("192.0.2.%d"), 200, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			throttle, _ := newThrottle()
			passed, wait := takeAll(t, throttle, 200, c.account, c.ip, throttleNoon)
			if passed != c.passed || wait != c.wait {
				t.Errorf("%d passed and the last waits %v; want %d and %v", passed, wait, c.passed, c.wait)
			}
		})
	}
}

func TestThrottleUsesItsSettings(t *testing.T) {
	throttle, store := newThrottle()
	throttle.Pair = Limit{Burst: 2}
	throttle.Address = Limit{Every: time.Hour}
	throttle.Account = Limit{Burst: 7, Every: 3 * time.Second}
	if _, err := throttle.Take(t.Context(), "p", "a", "192.0.2.1", throttleNoon); err != nil {
		t.Fatal(err)
	}
	got := store.taken[0]
	for i, want := range []Limit{{2, time.Minute}, {50, time.Hour}, {7, 3 * time.Second}} {
		if (Limit{got[i].Burst, got[i].Every}) != want {
			t.Errorf("bucket %d is %+v, want %+v", i, got[i], want)
		}
	}
}

func TestStrangerCannotLockOutAKnownPair(t *testing.T) {
	throttle, store := newThrottle()
	store.forgive(throttle.Forgiven("default", "alice", "2001:db8:1::5", throttleNoon))
	takeAll(t, throttle, 200, always("alice"), numbered("192.0.2.%d"), throttleNoon)
	for _, c := range []struct {
		project, account, ip string
		passes               bool
	}{
		{"default", "alice", "2001:db8:1::5", true},
		{"default", "alice", "2001:db8:1::6", true}, // the same /64
		{"default", "alice", "2001:db8:2::5", false},
		{"default", "alice", "198.51.100.1", false},
		{"other", "alice", "198.51.100.1", true},
		{"default", "bob", "198.51.100.1", true},
	} {
		wait, err := throttle.Take(t.Context(), c.project, c.account, c.ip, throttleNoon)
		if err != nil || (wait == 0) != c.passes {
			t.Errorf("%+v: wait %v, %v", c, wait, err)
		}
	}
	monthLater := throttleNoon.Add(30 * 24 * time.Hour)
	takeAll(t, throttle, 200, always("alice"), numbered("192.0.2.%d"), monthLater)
	if wait, err := throttle.Take(t.Context(), "default", "alice", "2001:db8:1::5", monthLater); wait == 0 ||
		err != nil {
		t.Errorf("a month later the pair is still known: %v, %v", wait, err)
	}
}

func TestForgivingEmptiesThePairAlone(t *testing.T) {
	throttle, store := newThrottle()
	takeAll(t, throttle, 5, always("alice"), always("192.0.2.1"), throttleNoon)
	before := len(store.tat)
	store.forgive(throttle.Forgiven("default", "alice", "192.0.2.1", throttleNoon))
	if len(store.tat) != before { // the pair's counter went, its memory came
		t.Errorf("%d rows, want %d", len(store.tat), before)
	}
	if passed, _ := takeAll(t, throttle, 10, always("alice"), always("192.0.2.1"), throttleNoon); passed != 5 {
		t.Errorf("%d passed after a success, want 5", passed)
	}
}

// TestSignInsDoNotUseUpTheAddress: many people may sign in from one address, and whoever can sign in
// over and over has no more guesses at other accounts for it.
func TestSignInsDoNotUseUpTheAddress(t *testing.T) {
	throttle, store := newThrottle()
	guesses := 0
	for i := range 200 {
		if n, wait := takeAll(t, throttle, 1, always("alice"), always("192.0.2.1"), throttleNoon); n == 1 {
			store.forgive(throttle.Forgiven("default", "alice", "192.0.2.1", throttleNoon))
		} else if guesses < 50 {
			t.Fatalf("sign-in %d has to wait %v", i, wait)
		}
		n, _ := takeAll(t, throttle, 1, always(fmt.Sprint("victim", i)), always("192.0.2.1"), throttleNoon)
		guesses += n
	}
	if guesses != 50 {
		t.Errorf("%d guesses passed, want 50", guesses)
	}
	for i := range 200 {
		account := fmt.Sprint("person", i)
		if n, wait := takeAll(t, throttle, 1, always(account), always("192.0.2.2"), throttleNoon); n != 1 {
			t.Fatalf("person %d has to wait %v", i, wait)
		}
		store.forgive(throttle.Forgiven("default", account, "192.0.2.2", throttleNoon))
	}
}

func TestUnreadableAddressIsNeverKnown(t *testing.T) {
	throttle, store := newThrottle()
	store.forgive(throttle.Forgiven("default", "alice", "@", throttleNoon))
	takeAll(t, throttle, 200, always("alice"), numbered("192.0.2.%d"), throttleNoon)
	if wait, err := throttle.Take(t.Context(), "default", "alice", "", throttleNoon); wait == 0 || err != nil {
		t.Errorf("wait %v, %v", wait, err)
	}
}

func TestSpellingsOfOneAddressAreOne(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "::ffff:c000:201", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"2001:db8::1", "2001:DB8:0:0:ffff::2", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"", "192.0.2.1:80", true},
		{"", "192.0.2.1", false},
	} {
		a, _ := CanonicalAddress(c.a)
		b, _ := CanonicalAddress(c.b)
		if (a == b) != c.same {
			t.Errorf("%q is %q and %q is %q", c.a, a, c.b, b)
		}
	}
}

func TestRowKeysNameNobody(t *testing.T) {
	throttle, store := newThrottle()
	takeAll(t, throttle, 1, always("alice"), always("192.0.2.1"), throttleNoon)
	store.forgive(throttle.Forgiven("default", "bob", "192.0.2.1", throttleNoon))
	for key := range store.tat {
		if len(key) != 43 || strings.Contains(key, "alice") {
			t.Errorf("row key %q", key)
		}
	}
	keyed := &Throttle{Key: []byte("another")}
	for _, differ := range [][2]string{
		{throttle.key("a", "bc"), throttle.key("ab", "c")},
		{throttle.key("a", ""), throttle.key("a")},
		{throttle.key("a"), keyed.key("a")},
	} {
		if differ[0] == differ[1] {
			t.Errorf("%q names two things", differ[0])
		}
	}
}

func TestThrottlePassesOnWhatTheStoreCannot(t *testing.T) {
	throttle, store := newThrottle()
	store.failed = errors.New("disk full")
	if _, err := throttle.Take(t.Context(), "default", "alice", "192.0.2.1", throttleNoon); !errors.Is(err,
		store.failed) {
		t.Errorf("Take = %v", err)
	}
}
