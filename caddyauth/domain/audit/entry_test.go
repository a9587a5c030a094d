package audit

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestEntryIDsSortByTime(t *testing.T) {
	last := ""
	for i := range 100 {
		id := NewID(noon.Add(time.Duration(i) * time.Millisecond))
		if id <= last || len(id) != 28 {
			t.Fatalf("%q after %q", id, last)
		}
		last = id
	}
}
