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

// errFull undoes the counting of an attempt if one bucket is full.
var errFull = errors.New("a bucket is full")

// clockSlack is how far beyond a full bucket a stored time may lie. A later one was written by a
// clock that was ahead and has been corrected: it would keep the bucket full until the clock gets
// there, so it is dropped. The value is the largest leeway of a gate, since nodes whose clocks
// differ by more do not accept each other's tokens.
const clockSlack = session.MaxSkew

// countAttempt is the generic cell rate algorithm (ITU-T I.371, virtual scheduling) in one
// statement. The row holds the time at which the bucket is empty again. An attempt moves it by
// `every`, from now at the earliest, and there is room while it is at most burst-1 attempts ahead.
// Without room the row does not change, but it is locked all the same.
//
// $1 key, $2 now + every, $3 now, $4 the latest time with room, $5 every, $6 the latest plausible
// time, $7 the key of a pair that the bucket does not count while it is remembered.
const countAttempt = `INSERT INTO throttle (key, tat)
	SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM throttle AS known WHERE known.key = $7 AND known.tat > $3)
	ON CONFLICT (key) DO UPDATE
	SET tat = CASE WHEN throttle.tat >= $3 AND throttle.tat <= $4 THEN throttle.tat + $5 ELSE excluded.tat END
	WHERE throttle.tat <= $4 OR throttle.tat > $6`

// knownPair finds a row while the pair is remembered. $1 key, $2 now.
const knownPair = `SELECT tat FROM throttle WHERE key = $1 AND tat > $2`

// TakeAttempt counts an attempt; see identity.ThrottleStore. A bucket with a burst under 1 or an
// interval under a millisecond is refused.
func (s *Store) TakeAttempt(ctx context.Context, a identity.Attempt, now time.Time) (time.Duration, error) {
	counts, err := countsOf(a)
	if err != nil {
		return 0, err
	}
	var wait time.Duration
	err = s.write(ctx, func(t tx) (err error) {
		if wait, err = countIn(ctx, t, counts, a.Known, now.UnixMilli()); err == nil && wait > 0 {
			return errFull
		}
		return err
	})
	if err != nil && !errors.Is(err, errFull) {
		return 0, err
	}
	return wait, nil
}

// count is a bucket that counts the attempt, unless a pair is remembered.
type count struct {
	identity.Bucket
	unless string
}

// countsOf returns the buckets in a fixed order, in which their rows are locked, so that two
// callers cannot deadlock.
func countsOf(a identity.Attempt) ([]count, error) {
	var counts []count
	for _, b := range a.Buckets {
		counts = append(counts, count{Bucket: b})
	}
	if a.Account.Key != "" {
		counts = append(counts, count{a.Account, a.Known})
	}
	for _, c := range counts {
		if c.Burst < 1 || c.Every < time.Millisecond {
			return nil, fmt.Errorf("throttle: a bucket of %d attempts, one more each %v, is not possible (at "+
				"least 1 and 1ms)",
				c.Burst, c.Every)
		}
	}
	slices.SortFunc(counts, func(a, b count) int { return cmp.Compare(a.Key, b.Key) })
	return counts, nil
}

// countIn counts one attempt in each bucket that has room, and returns how long the fullest of the
// others stays full.
func countIn(ctx context.Context, t tx, counts []count, known string, now int64) (time.Duration, error) {
	statements := []statement{{knownPair, []any{known, now}}}
	for _, c := range counts {
		every, latest := c.Every.Milliseconds(), latestWithRoom(c.Bucket, now)
		sane := latest + every + clockSlack.Milliseconds()
		args := []any{c.Key, now + every, now, latest, every, sane, c.unless}
		statements = append(statements, statement{countAttempt, args})
	}
	counted, err := t.all(statements...)
	if err != nil {
		return 0, err
	}
	isKnown := counted[0] > 0
	var wait int64
	for i, c := range counts {
		if counted[1+i] > 0 || isKnown && c.unless != "" {
			continue
		}
		latest := latestWithRoom(c.Bucket, now)
		tat := latest + c.Every.Milliseconds()
		if _, err := one(ctx, t, `SELECT tat FROM throttle WHERE key = $1`, []any{c.Key}, &tat); err != nil {
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

// rememberPair remembers a pair. $1 key, $2 until.
const rememberPair = `INSERT INTO throttle (key, tat) VALUES ($1, $2)
	ON CONFLICT (key) DO UPDATE SET tat = excluded.tat WHERE throttle.tat < excluded.tat`

// giveBack undoes one countAttempt. $1 key, $2 every.
const giveBack = `UPDATE throttle SET tat = tat - $2 WHERE key = $1`

// forgive are the statements of a Forgiveness, in the order in which TakeAttempt locks the rows. An
// earlier end never replaces a later one.
func forgive(f identity.Forgiveness) []statement {
	statements := []statement{{`DELETE FROM throttle WHERE key = $1`, []any{f.Empty}}}
	if f.Known != "" {
		statements = append(statements, statement{rememberPair, []any{f.Known, f.Until.UnixMilli()}})
	}
	if f.Back.Key != "" {
		statements = append(statements, statement{giveBack, []any{f.Back.Key, f.Back.Every.Milliseconds()}})
	}
	slices.SortFunc(statements, func(a, b statement) int {
		return cmp.Compare(a.args[0].(string), b.args[0].(string))
	})
	return statements
}

// DeleteIdleAttempts deletes at most n rows that have no effect at now, oldest first, and returns
// how many it deleted: fewer than n if none is left.
func (s *Store) DeleteIdleAttempts(ctx context.Context, now time.Time, n int) (int, error) {
	db, err := s.database()
	if err != nil {
		return 0, err
	}
	var deleted int64
	err = db.writeOne(ctx, func(t tx) (err error) {
		// A locked row is in use again, or the janitor of another node has it.
		deleted, err = t.exec(`WITH idle AS MATERIALIZED (SELECT key FROM throttle WHERE tat <= $1 ORDER BY `+
			`tat LIMIT $2`+db.skipLocked()+`)
			DELETE FROM throttle WHERE tat <= $1 AND key IN (SELECT key FROM idle)`, now.UnixMilli(), n)
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(deleted), nil
}
