package device

import (
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestUserCodesAreReadAsPeopleTypeThem(t *testing.T) {
	rows := []struct {
		typed, want string
		ok          bool
	}{
		{"BCDF-GHJK", "BCDFGHJK", true},
		{"bcdf ghjk", "BCDFGHJK", true},
		{" b-c.d_f–g\u00a0hjk\t", "BCDFGHJK", true},
		{"BCDFGHJ", "", false},
		{"BCDFGHJKL", "", false},
		{"ABCDEFGH", "", false}, // vowels
		{"BCDFGHJ1", "", false},
		{"ＢＣＤＦＧＨＪＫ", "", false},
		{"", "", false},
		{strings.Repeat("-", 65) + "BCDFGHJK", "", false},
	}
	for _, row := range rows {
		t.Run(row.typed, func(t *testing.T) {
			if got, ok := ReadUserCode(row.typed); ok != row.ok || ok && got != row.want {
				t.Errorf("%q, %v", got, ok)
			}
		})
	}
}

func TestNewRequestsAreAllDifferent(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		a, code := New(Authorization{ClientID: "tv"}, DefaultLifetime, noon)
		read, ok := ReadUserCode(ShowUserCode(a.UserCode))
		if !ok || read != a.UserCode || seen[a.UserCode] || seen[code] || seen[a.Hash] {
			t.Fatalf("%+v of %s", a, code)
		}
		seen[a.UserCode], seen[code], seen[a.Hash] = true, true, true
	}
}

func TestPolling(t *testing.T) {
	fresh := Authorization{
		ClientID: "tv",
		JKT:      "key",
		Created:  noon,
		Expires:  noon.Add(10 * time.Minute),
		Interval: Interval,
		State:    Pending,
	}
	rows := []struct {
		name   string
		change func(*Authorization)
		client string
		key    string
		at     time.Duration
		want   Verdict
		wait   time.Duration // afterwards
	}{
		{"first", nil, "tv", "key", 0, StillOpen, 5 * time.Second},
		{"too soon", polledAt(0), "tv", "key", 4999 * time.Millisecond, TooFast, 10 * time.Second},
		{"in time", polledAt(0), "tv", "key", 5 * time.Second, StillOpen, 5 * time.Second},
		{"by a clock that came back", polledAt(time.Hour), "tv", "key", time.Minute, StillOpen, 5 * time.Second},
		{"too soon, approved", in(Approved, polledAt(0)), "tv", "key", time.Second, TooFast, 10 * time.Second},
		{"the interval has an end", func(a *Authorization) {
			a.Interval, a.Polled = MaxInterval, noon
		}, "tv", "key", time.Second, TooFast, MaxInterval},
		{"approved", in(Approved, nil), "tv", "key", 0, Granted, 5 * time.Second},
		{"denied", in(Denied, nil), "tv", "key", 0, Refused, 5 * time.Second},
		{"used", in(Used, nil), "tv", "key", 0, Replayed, 5 * time.Second},
		{"used, expired", in(Used, nil), "tv", "key", time.Hour, Replayed, 5 * time.Second},
		{"expired", nil, "tv", "key", 10 * time.Minute, TooLate, 5 * time.Second},
		{"approved, expired", in(Approved, nil), "tv", "key", 10 * time.Minute, TooLate, 5 * time.Second},
		{"another client", in(Approved, nil), "radio", "key", 0, OtherClient, 5 * time.Second},
		{"another key", in(Approved, nil), "tv", "other", 0, OtherKey, 5 * time.Second},
		{"no key", in(Approved, nil), "tv", "", 0, OtherKey, 5 * time.Second},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			a := fresh
			if row.change != nil {
				row.change(&a)
			}
			after, verdict := a.Poll(row.client, row.key, noon.Add(row.at))
			if verdict != row.want || after.Interval != row.wait {
				t.Errorf("%s, and %v to wait afterwards", verdict, after.Interval)
			}
			if (verdict == OtherClient || verdict == OtherKey) && !after.Polled.Equal(a.Polled) {
				t.Error("somebody else moved the time")
			}
		})
	}
}

func polledAt(d time.Duration) func(*Authorization) {
	return func(a *Authorization) { a.Polled = noon.Add(d) }
}

func in(s State, also func(*Authorization)) func(*Authorization) {
	return func(a *Authorization) {
		a.State = s
		if also != nil {
			also(a)
		}
	}
}
