package sqlstore

import (
	"fmt"
	"testing"
)

// TestReadsArePreparedOnce: for all callers together, and no more texts are kept than the limit.
func TestReadsArePreparedOnce(t *testing.T) {
	s := openAt(t, "sqlite:"+t.TempDir()+"/auth.db")
	db := s.opened.Load().guard.database.(*sqliteDatabase)
	atOnce(50, func(int) {
		if _, err := s.FindClientParties(t.Context(), "web", ""); err != nil {
			t.Error(err)
		}
	})
	first := db.prepared.kept[shortClientParties]
	if first == nil {
		t.Fatal("the statement is not kept")
	}
	for i := range 2 * keptStatements {
		var n int64
		if _, err := one(t.Context(), db, fmt.Sprintf("SELECT %d", i), nil, &n); err != nil || n != int64(i) {
			t.Fatalf("%d: %d, %v", i, n, err)
		}
	}
	if len(db.prepared.kept) != keptStatements || db.prepared.kept[shortClientParties] != first {
		t.Errorf("%d statements are kept", len(db.prepared.kept))
	}
	must(t, s.Close())
	if _, err := first.Query("web", ""); err == nil || len(db.prepared.kept) != 0 {
		t.Errorf("a statement is left open: %v", err)
	}
}
