package sqlstore

import (
	"testing"
	"time"
)

func TestTheTimeIsKept(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *Store) {
		s := open()
		if kept, _, err := s.KeptTime(t.Context()); err != nil || !kept.IsZero() {
			t.Errorf("a new store kept %v, %v", kept, err)
		}
		for _, past := range []time.Time{noon, noon.Add(time.Hour), noon} { // back, too: no clock is trusted for good
			if err := s.KeepTime(t.Context(), past); err != nil {
				t.Fatal(err)
			}
			kept, server, err := open().KeptTime(t.Context())
			if err != nil || !kept.Equal(past) {
				t.Errorf("kept %v, %v; want %v", kept, err, past)
			}
			if off := time.Since(server).Abs(); s.Shared() != (off < time.Minute) || s.Shared() == server.IsZero() {
				t.Errorf("the server's clock says %v", server)
			}
		}
	})
}
