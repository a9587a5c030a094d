// Package leeway owns how far clocks may differ: those of whoever issues a token, judges it, and
// forgets that it was revoked.
package leeway

import "time"

const (
	// Default is the clock difference that a gate forgives.
	Default = 30 * time.Second
	// Max is the most that a gate may forgive: for so long after its end a token may be admitted.
	Max = 5 * time.Minute
	// Clocks is how far the clocks of nodes that share a store may differ, and how far one may be
	// corrected silently.
	Clocks = time.Minute
	// Margin is how much longer than a token something must stand by which the token is refused or
	// recognised: no gate admits the token after that, by its own clock or by another node's.
	Margin = Max + Clocks
)
