package identity

import (
	"testing"
	"time"
)

// TestLimitsOfWhatIsNoSignIn: each counts for itself, whatever else is varied.
func TestLimitsOfWhatIsNoSignIn(t *testing.T) {
	guess := func(t *testing.T, l *Throttle, account, ip string) (time.Duration, error) {
		return l.TakeGuess(t.Context(), account, ip, throttleNoon)
	}
	request := func(t *testing.T, l *Throttle, kind, ip string) (time.Duration, error) {
		return l.TakeRequest(t.Context(), kind, ip, throttleNoon)
	}
	arrival := func(t *testing.T, l *Throttle, source, ip string) (time.Duration, error) {
		address, all := Limit{Burst: 3, Every: time.Minute}, Limit{Burst: 7, Every: time.Second}
		return l.TakeArrival(t.Context(), source, address, all, ip, throttleNoon)
	}
	for _, c := range []struct {
		name   string
		take   func(t *testing.T, l *Throttle, word, ip string) (time.Duration, error)
		words  func(int) string
		ips    func(int) string
		passed int
		wait   time.Duration
	}{
		{"guesses of a person", guess, always("alice"), numbered("10.0.0.%d"), 10, 30 * time.Second},
		{"guesses from an address", guess, numbered("user%d"), always("192.0.2.1"), 30, 10 * time.Second},
		{"guesses from one /64", guess, numbered("user%d"), numbered("2001:db8::%x"), 30, 10 * time.Second},
		{"guesses of all", guess, numbered("user%d"), numbered("2001:db8:0:%x::1"), 300, time.Second},
		{"requests from an address", request, always("pushed"), always("192.0.2.1"), 200, time.Second},
		{"requests from one /64", request, always("pushed"), numbered("2001:db8::%x"), 200, time.Second},
		{"requests of all", request, always("pushed"), numbered("2001:db8:0:%x::1"), 5000, 50 * time.Millisecond},
		{"requests of other kinds", request, numbered("kind%d"), always("192.0.2.1"), 5100, 0},
		{"arrivals from an address", arrival, always("registered"), always("192.0.2.1"), 3, time.Minute},
		{"arrivals of all", arrival, always("registered"), numbered("2001:db8:0:%x::1"), 7, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			throttle, _ := newThrottle()
			passed, last := 0, time.Duration(0)
			for i := range 5100 {
				wait, err := c.take(t, throttle, c.words(i), c.ips(i))
				if err != nil {
					t.Fatal(err)
				}
				if wait == 0 {
					passed++
				}
				last = wait
			}
			if passed != c.passed || last != c.wait {
				t.Errorf("%d passed and the last waits %v; want %d and %v", passed, last, c.passed, c.wait)
			}
		})
	}
}
