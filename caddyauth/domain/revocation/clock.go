package revocation

import (
	"sync"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
)

// Limits of SteadyClock.
const (
	// clockStep is how far the clock may be corrected at once: denials stand that much longer
	// (Margin).
	clockStep = leeway.Clocks
	// clockTrust is how long a clock that jumped must run from there before it is trusted.
	clockTrust = 24 * time.Hour
)

// SteadyClock says which time is surely past, for callers that delete by time. A clock can jump
// ahead, by an hour or by years, and come back. What was deleted meanwhile does not come back with
// it, and a deleted denial lets a revoked token in. So the time by which something is deleted
// follows the monotonic clock, and a jump of the system's clock counts only after that clock has
// gone on from there for a day. Tokens and sessions are judged by the system's clock itself.
//
// It may be used by many goroutines. The zero value trusts the first reading.
type SteadyClock struct {
	// Elapsed is the monotonic clock: the time since any moment. Default: the time since the
	// process started.
	Elapsed func() time.Duration

	mu       sync.Mutex
	began    bool
	believed time.Duration // by how much the system's clock is ahead of the monotonic one, since 1970
	seen     time.Duration // the same at the last reading that differed much from the one before
	since    time.Duration // the monotonic time of that reading
}

// processBegan has a monotonic reading.
var processBegan = time.Now()

// Resume goes on from an earlier process: kept is what its Past returned last, and the zero time if
// there was none. The time in which no process ran counts like a jump. A second call changes
// nothing.
func (s *SteadyClock) Resume(kept, now time.Time) {
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

// Past returns the latest time that is surely past at now. It is never after now.
func (s *SteadyClock) Past(now time.Time) time.Time {
	past, _ := s.at(now)
	return past
}

// Jump returns by how much the system's clock is ahead of the believed time, negative if it is
// behind; 0 while it is believed.
func (s *SteadyClock) Jump(now time.Time) time.Duration {
	_, jump := s.at(now)
	return jump
}

func (s *SteadyClock) at(now time.Time) (past time.Time, jump time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ahead, elapsed := s.read(now)
	if (ahead - s.seen).Abs() > clockStep {
		s.seen, s.since = ahead, elapsed
	}
	// Small corrections add up, so the trusted time follows them once a day as well.
	if elapsed-s.since >= clockTrust {
		s.believed, s.seen, s.since = ahead, ahead, elapsed
	}
	jump = ahead - s.believed
	if jump.Abs() <= clockStep {
		return now, 0
	}
	return now.Add(min(0, -jump)), jump
}

// read reads the two clocks; the caller holds the lock.
func (s *SteadyClock) read(now time.Time) (ahead, elapsed time.Duration) {
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
