package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapHeadroom is by how many bytes the heap may grow between two collections beyond what Go allows by
// itself, which is as much as is in use. A gateway has little in use, 10 to 20 MiB, so Go would
// collect some ten times a second under load, which takes a tenth of its CPU time. With much in use
// the headroom makes no difference.
const heapHeadroom = 32 << 20

// tuneGC lets the heap grow by the headroom, too, before it is collected, unless the environment
// variable GOGC is set. A memory limit (GOMEMLIMIT, or that of the container, which Caddy sets) takes
// precedence over both.
func tuneGC() {
	if os.Getenv("GOGC") == "" {
		t := gcTuner{percent: 100, inUse: inUse}
		t.follow()
	}
}

// gcTuner keeps GOGC at the percentage that stands for Go's default and the headroom.
type gcTuner struct {
	percent int
	inUse   func() uint64
}

// follow sets the percentage again after each collection.
func (t *gcTuner) follow() {
	if percent := percentFor(t.inUse()); differs(percent, t.percent) {
		debug.SetGCPercent(percent)
		t.percent = percent
	}
	mark := new([64]byte) // garbage: the next collection finds it
	runtime.AddCleanup(mark, (*gcTuner).follow, t)
}

// percentFor is Go's 100 and the headroom.
func percentFor(inUse uint64) int {
	return 100 + int(heapHeadroom*100/max(inUse, 4<<20)) // Go counts less than 4 MiB as 4
}

// differs spares a change of less than a tenth: each one stops the program for a moment.
func differs(a, b int) bool { return 10*max(a-b, b-a) > b }

// inUse is what the last collection has left, with the stacks and globals that it scanned; 0 before the
// first one.
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
