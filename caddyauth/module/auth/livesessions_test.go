package auth

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// slowCounter takes its time, and notes when it was asked.
type slowCounter struct {
	takes time.Duration
	err   error
	asked []time.Time
}

func (c *slowCounter) CountGrants(ctx context.Context, now time.Time) (map[string]int, error) {
	c.asked = append(c.asked, now)
	select {
	case <-time.After(c.takes):
		return map[string]int{"browser": len(c.asked)}, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestLiveSessionsAreCountedNowAndThen: however often metrics are asked for, and the slower the
// store the rarer.
func TestLiveSessionsAreCountedNowAndThen(t *testing.T) {
	for _, c := range []struct {
		name    string
		counter slowCounter
		asked   int // in an hour of scrapes every 5 s
		known   bool
	}{
		{"fast", slowCounter{takes: time.Millisecond}, 60, true},
		{"slow", slowCounter{takes: 6 * time.Second}, 6, true},
		{"hanging", slowCounter{takes: time.Hour}, 2, false},
		{"failing", slowCounter{takes: time.Millisecond, err: errors.New("away")}, 60, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var live liveSessions
				if n := live.counts(&c.counter, time.Now()); n != nil {
					t.Errorf("before anything was counted: %v", n)
				}
				for range 720 {
					time.Sleep(5 * time.Second)
					live.counts(&c.counter, time.Now())
				}
				synctest.Wait()
				if n := len(c.counter.asked); n < c.asked || n > c.asked+1 {
					t.Errorf("the store was asked %d times, want %d", n, c.asked)
				}
				if got := live.counts(&c.counter, time.Now()); (got["browser"] > 0) != c.known {
					t.Errorf("%v", got)
				}
				time.Sleep(time.Minute) // let a count end that is under way
			})
		})
	}
}
