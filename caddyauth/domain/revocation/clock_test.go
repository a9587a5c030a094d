package revocation

import (
	"testing"
	"time"
)

// TestAJumpOfTheClockIsNotBelievedAtOnce: each step says how much passes, where the clock stands
// after it compared with a right one, and how much of the right time must then be past.
func TestAJumpOfTheClockIsNotBelievedAtOnce(t *testing.T) {
	const day = 24 * time.Hour
	type step struct{ pass, clock, past time.Duration } // clock and past are compared with the right time
	for _, c := range []struct {
		name  string
		gap   time.Duration // between what was kept and the first reading; 0: nothing was kept
		steps []step
	}{
		{"a right clock", 0, []step{{0, 0, 0}, {time.Hour, 0, 0}, {10 * day, 0, 0}}},
		{"an hour ahead and back", 0, []step{
			{time.Minute, 0, 0}, {time.Minute, time.Hour, 0}, {10 * time.Minute, time.Hour, 0}, {time.Minute, 0, 0},
			{time.Minute, 0, 0},
		}},
		{
			"ten days ahead and back", 0,
			[]step{{0, 0, 0}, {time.Minute, 10 * day, 0}, {23 * time.Hour, 10 * day, 0}, {time.Minute, 0, 0}},
		},
		{"ahead by turns", 0, []step{
			{0, 0, 0}, {time.Hour, day, 0}, {20 * time.Hour, 0, 0}, {time.Minute, day, 0}, {20 * time.Hour, day, 0},
			{5 * time.Hour, day, day},
		}},
		{
			"ahead for good", 0,
			[]step{
				{0, 0, 0}, {time.Minute, time.Hour, 0}, {day - time.Minute, time.Hour, 0},
				{time.Minute, time.Hour, time.Hour},
			},
		},
		{
			"back for good", 0,
			[]step{
				{0, 0, 0}, {time.Minute, -time.Hour, -time.Hour}, {2 * day, -time.Hour, -time.Hour},
				{time.Minute, 0, -time.Hour},
			},
		},
		{
			"corrected a little", 0,
			[]step{{0, 0, 0}, {time.Minute, 50 * time.Second, 50 * time.Second}, {time.Minute, 0, 0}},
		},
		{"walking away by little steps", 0, []step{
			{0, 0, 0}, {time.Minute, 50 * time.Second, 50 * time.Second}, {time.Minute, 100 * time.Second, 0},
			{time.Minute, 150 * time.Second, 0},
		}},
		{"after a restart", 30 * time.Second, []step{{0, 0, 0}, {time.Minute, 0, 0}}},
		{"after a day without a process", day, []step{{0, 0, -day}, {time.Hour, 0, -day}, {23 * time.Hour, 0, 0}}},
		{
			"after a restart with a clock that is ahead", time.Hour,
			[]step{{0, 0, -time.Hour}, {time.Minute, -time.Hour, -time.Hour}},
		},
		{
			"after a restart with a clock that is behind", -time.Hour,
			[]step{{0, 0, 0}, {time.Minute, time.Hour, time.Hour}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			right, elapsed := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), time.Duration(0)
			s := SteadyClock{Elapsed: func() time.Duration { return elapsed }}
			if c.gap != 0 {
				s.Resume(right.Add(-c.gap), right)
			}
			for i, step := range c.steps {
				right, elapsed = right.Add(step.pass), elapsed+step.pass
				now := right.Add(step.clock)
				if got := s.Past(now).Sub(right); got != step.past {
					t.Errorf("step %d: past is %v off, not %v", i, got, step.past)
				}
				if jump := s.Jump(now); step.past < step.clock && jump != step.clock-step.past {
					t.Errorf("step %d: a jump of %v", i, jump)
				}
			}
		})
	}
}
