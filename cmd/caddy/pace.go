package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// headroom is by how many bytes the heap may grow between two collections beyond what Go allows by
// itself, which is as much as is in use. A gateway has little in use, 10 to 20 MiB, so Go would
// collect some ten times a second under load, and that is a tenth of all it does. What is in use does
// not matter: with much, the pace is Go's own.
const headroom = 32 << 20

// setPace lets the heap grow by the headroom, too, before it is collected, unless the environment
// variable GOGC says how far. A limit of memory (GOMEMLIMIT, or that of the container, which Caddy
// sets) goes over both.
func setPace() {
	if os.Getenv("GOGC") == "" {
		p := pace{percent: 100, inUse: inUse}
		p.follow()
	}
}

// pace is how far the heap may grow, in percent of what is in use.
type pace struct {
	percent int
	inUse   func() uint64
}

// follow sets the percentage anew after each collection.
func (p *pace) follow() {
	if percent := percentFor(p.inUse()); differs(percent, p.percent) {
		debug.SetGCPercent(percent)
		p.percent = percent
	}
	mark := new([64]byte) // garbage: the next collection finds it
	runtime.AddCleanup(mark, (*pace).follow, p)
}

// percentFor is Go's 100 and the headroom.
func percentFor(inUse uint64) int {
	return 100 + int(headroom*100/max(inUse, 4<<20)) // less than 4 MiB Go counts as 4
}

// differs spares a change of less than a tenth: each one stops the program for a moment.
func differs(a, b int) bool { return 10*max(a-b, b-a) > b }

// inUse is what the last collection has left, with what it looked through besides; 0 before the first
// one.
func inUse() uint64 {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
	}
	metrics.Read(samples)
	var sum uint64
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			sum += s.Value.Uint64()
		}
	}
	return sum
}
