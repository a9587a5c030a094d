package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/identity"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
)

var _ identity.ThrottleStore = (*Store)(nil)

// errFull undoes the counting of an attempt which one bucket had no room for.
var errFull = errors.New("a bucket is full")

// clockSlack is how far beyond a full bucket a stored time may lie before it is taken for the trace
// of a clock that was ahead and came back: then it would shut the bucket until the clock arrives
// there again, and is dropped instead. It is the largest leeway of a gate, since nodes whose clocks
// differ by more do not take each other's tokens.
const clockSlack = session.MaxSkew

// countAttempt is the generic cell rate algorithm (ITU-T I.371, virtual scheduling) in one
// statement. The row holds the time at which the bucket is as good as new; an attempt moves it on
// by `every`, counted from now at least, and there is room as long as it lies at most burst-1
// attempts ahead. It changes no row when there is no room, but holds the row even so.
//
// $1 key, $2 now + every, $3 now, $4 the latest time with room, $5 every, $6 the latest time which
// makes sense.
const countAttempt = `INSERT INTO throttle (key, tat) VALUES ($1, $2)
	ON CONFLICT (key) DO UPDATE
	SET tat = CASE WHEN throttle.tat >= $3 AND throttle.tat <= $4 THEN throttle.tat + $5 ELSE excluded.tat END
	WHERE throttle.tat <= $4 OR throttle.tat > $6`

// TakeAttempts counts one attempt in every bucket if all of them have room, and in none otherwise;
// see identity.ThrottleStore. A bucket with a burst under 1 or a pace under a millisecond is
// refused.
func (s *Store) TakeAttempts(ctx context.Context, buckets []identity.Bucket, now time.Time) (time.Duration, error) {
	for _, b := range buckets {
		if b.Burst < 1 || b.Every < time.Millisecond {
			return 0, fmt.Errorf("throttle: a bucket of %d attempts, one more each %v, is not possible (at least 1 and 1ms)", b.Burst, b.Every)
		}
	}
	// Rows are locked in one order, so that two callers never wait for each other.
	buckets = slices.SortedFunc(slices.Values(buckets), func(a, b identity.Bucket) int { return cmp.Compare(a.Key, b.Key) })
	var wait time.Duration
	err := s.write(ctx, func(t tx) (err error) {
		if wait, err = countIn(ctx, t, buckets, now.UnixMilli()); err == nil && wait > 0 {
			return errFull
		}
		return err
	})
	if err != nil && err != errFull {
		return 0, err
	}
	return wait, nil
}

// countIn counts one attempt in each bucket which has room, and returns how long the fullest of the
// others stays full.
func countIn(ctx context.Context, t tx, buckets []identity.Bucket, now int64) (time.Duration, error) {
	lists := make([][]any, len(buckets))
	for i, b := range buckets {
		every, latest := b.Every.Milliseconds(), latestWithRoom(b, now)
		lists[i] = []any{b.Key, now + every, now, latest, every, latest + every + clockSlack.Milliseconds()}
	}
	counted, err := t.each(countAttempt, lists...)
	if err != nil {
		return 0, err
	}
	var wait int64
	for i, b := range buckets {
		if counted[i] > 0 {
			continue
		}
		latest := latestWithRoom(b, now)
		tat := latest + b.Every.Milliseconds()
		if _, err := one(ctx, t, `SELECT tat FROM throttle WHERE key = $1`, []any{b.Key}, &tat); err != nil {
			return 0, err
		}
		wait = max(wait, tat-latest)
	}
	return time.Duration(wait) * time.Millisecond, nil
}

// latestWithRoom is the latest theoretical arrival time at which b has room for one more attempt at
// now.
func latestWithRoom(b identity.Bucket, now int64) int64 {
	return now + int64(b.Burst-1)*b.Every.Milliseconds()
}

// ForgiveAttempts empties the buckets of these keys; one which does not exist is empty already.
func (s *Store) ForgiveAttempts(ctx context.Context, keys []string) error {
	var lists [][]any
	for _, key := range slices.Sorted(slices.Values(keys)) {
		lists = append(lists, []any{key})
	}
	return s.writeOne(ctx, func(t tx) error {
		_, err := t.each(`DELETE FROM throttle WHERE key = $1`, lists...)
		return err
	})
}

// RememberPair makes KnownPair say yes to key before until. An earlier end never replaces a later
// one.
func (s *Store) RememberPair(ctx context.Context, key string, until time.Time) error {
	return s.writeOne(ctx, func(t tx) error {
		_, err := t.exec(`INSERT INTO throttle (key, tat) VALUES ($1, $2)
			ON CONFLICT (key) DO UPDATE SET tat = excluded.tat WHERE throttle.tat < excluded.tat`, key, until.UnixMilli())
		return err
	})
}

// KnownPair reports whether key is remembered at now.
func (s *Store) KnownPair(ctx context.Context, key string, now time.Time) (bool, error) {
	db, err := s.database()
	if err != nil {
		return false, err
	}
	var until int64
	return one(ctx, db, `SELECT tat FROM throttle WHERE key = $1 AND tat > $2`, []any{key, now.UnixMilli()}, &until)
}

// DeleteIdleAttempts deletes at most n rows which mean nothing any more at now, oldest first, and
// returns how many it deleted: fewer than n when none is left.
func (s *Store) DeleteIdleAttempts(ctx context.Context, now time.Time, n int) (int, error) {
	db, err := s.database()
	if err != nil {
		return 0, err
	}
	var deleted int64
	err = db.writeOne(ctx, func(t tx) (err error) {
		// A row which somebody holds is in use again, or the janitor of another node has it.
		deleted, err = t.exec(`WITH idle AS MATERIALIZED (SELECT key FROM throttle WHERE tat <= $1 ORDER BY tat LIMIT $2`+db.skipLocked()+`)
			DELETE FROM throttle WHERE tat <= $1 AND key IN (SELECT key FROM idle)`, now.UnixMilli(), n)
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(deleted), nil
}
