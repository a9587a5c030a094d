package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// TestGCPercentAddsTheHeadroom: how far the heap may grow above what is in use.
func TestGCPercentAddsTheHeadroom(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name        string
		inUse, most uint64
	}{
		{"before the first collection", 0, 36 * mib},
		{"little", 1 * mib, 36 * mib},
		{"idle", 12 * mib, 44 * mib},
		{"as much as the headroom", 32 * mib, 64 * mib},
		{"much", 1000 * mib, 1032 * mib},
	} {
		t.Run(c.name, func(t *testing.T) {
			grows := max(c.inUse, 4*mib) * uint64(percentFor(c.inUse)) / 100
			if grows > c.most || grows < c.most-10*mib {
				t.Errorf("it grows by %d MiB, want %d", grows/mib, c.most/mib)
			}
		})
	}
}

// TestGCTunerFollowsTheHeap: after a collection the percentage is that of what is in use then.
func TestGCTunerFollowsTheHeap(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	sizes := make(chan uint64)
	last := uint64(heapHeadroom)
	tuner := gcTuner{percent: 100, inUse: func() uint64 {
		select {
		case last = <-sizes:
		case <-t.Context().Done(): // later collections change nothing
		}
		return last
	}}
	go tuner.follow()
	for _, c := range []struct {
		inUse uint64
		want  uint64
	}{{16 << 20, 300}, {17 << 20, 300}, {64 << 20, 150}, {8 << 20, 500}} {
		for sent := false; !sent; {
			select {
			case sizes <- c.inUse:
				sent = true
			case <-time.After(5 * time.Millisecond):
				runtime.GC()
			}
		}
		if got := settled(c.want); got != c.want {
			t.Fatalf("%d MiB in use: %d %%, want %d", c.inUse>>20, got, c.want)
		}
	}
}

// settled waits a moment for the percentage.
func settled(want uint64) uint64 {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	for range 1000 {
		if metrics.Read(sample); sample[0].Value.Uint64() == want {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return sample[0].Value.Uint64()
}
