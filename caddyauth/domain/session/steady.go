package session

import (
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
)

// The limits of Steady.
const (
	// clockStep is how far the clock may be corrected without a word: what is forgotten stands that
	// much longer (Margin).
	clockStep = leeway.Clocks
	// clockTrust is how long a clock that jumped must go on from there before it is believed.
	clockTrust = 24 * time.Hour
)

// Steady tells what is surely past, for whoever forgets or deletes by it. A clock can jump ahead,
// by an hour or by years, and come back; what was deleted meanwhile does not come back with it, and
// a denial that is gone lets a revoked token in. So the time by which something is forgotten goes
// on as the monotonic clock does, and a jump of the clock counts only after the clock has gone on
// from there for a day. Tokens and sessions are judged by the clock itself.
//
// It may be used by several goroutines. The zero value believes the first reading.
type Steady struct {
	// Elapsed is the monotonic clock: a time since any moment. Default: that of the process.
	Elapsed func() time.Duration

	mu       sync.Mutex
	began    bool
	believed time.Duration // what the clock is ahead of the monotonic one, since 1970
	seen     time.Duration // the same of the last reading that was far from the one before
	since    time.Duration // the monotonic time of that reading
}

// processBegan has a monotonic reading.
var processBegan = time.Now()

// Resume begins with what a process before this one knew: kept is what its Past returned last, and
// the zero time when there was none. The time while nothing ran counts like a jump. A second call
// changes nothing.
func (s *Steady) Resume(kept, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began {
		return
	}
	ahead, elapsed := s.read(now)
	if gap := now.Sub(kept); !kept.IsZero() && gap.Abs() > clockStep {
		s.believed = ahead - gap
	}
	s.since = elapsed
}

// Past returns the latest time that is surely past at now, which is never after now.
func (s *Steady) Past(now time.Time) time.Time {
	past, _ := s.at(now)
	return past
}

// Jump returns by how much the clock is ahead of what is believed, less than 0 when it is behind; 0
// while it is believed.
func (s *Steady) Jump(now time.Time) time.Duration {
	_, jump := s.at(now)
	return jump
}

func (s *Steady) at(now time.Time) (past time.Time, jump time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ahead, elapsed := s.read(now)
	if (ahead - s.seen).Abs() > clockStep {
		s.seen, s.since = ahead, elapsed
	}
	// Small corrections add up, so what is believed follows them once a day as well.
	if elapsed-s.since >= clockTrust {
		s.believed, s.seen, s.since = ahead, ahead, elapsed
	}
	jump = ahead - s.believed
	if jump.Abs() <= clockStep {
		return now, 0
	}
	return now.Add(min(0, -jump)), jump
}

// read takes the two clocks; the caller holds the lock.
func (s *Steady) read(now time.Time) (ahead, elapsed time.Duration) {
	if s.Elapsed != nil {
		elapsed = s.Elapsed()
	} else {
		elapsed = time.Since(processBegan)
	}
	ahead = time.Duration(now.UnixNano()) - elapsed
	if !s.began {
		s.began, s.believed, s.seen, s.since = true, ahead, ahead, elapsed
	}
	return ahead, elapsed
}
