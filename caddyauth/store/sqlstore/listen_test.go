package sqlstore

import (
	"testing"
	"time"
)

// TestListeningThatFailsPausesLonger: a good connection on which LISTEN fails is not made anew many
// times a second.
func TestListeningThatFailsPausesLonger(t *testing.T) {
	pause := listenFirst
	for range 10 {
		next := nextPause(pause, false)
		if next < pause || next > 5*time.Second || next == pause && pause != 5*time.Second {
			t.Fatalf("after %v comes %v", pause, next)
		}
		pause = next
	}
	if pause != 5*time.Second || nextPause(pause, true) != listenFirst {
		t.Errorf("at the end %v, after success %v", pause, nextPause(pause, true))
	}
}
