package auth

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// hangingStore does not answer.
type hangingStore struct{ asked int }

func (s *hangingStore) AnyAsserting(ctx context.Context) (bool, error) {
	s.asked++
	<-ctx.Done()
	return false, ctx.Err()
}

// TestMetadataDoesNotQueueForAStoreThatHangs: of those who ask at once one waits for the store, and the
// others for that one alone.
func TestMetadataDoesNotQueueForAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(hangingStore)
		a, began := &asserting{store: store, known: true}, time.Now()
		for range 5 {
			if !a.any(t.Context()) {
				t.Error("what the store said before does not hold")
			}
		}
		if took := time.Since(began); store.asked != 1 || took != assertingWait {
			t.Errorf("asked %d times in %v", store.asked, took)
		}
		time.Sleep(assertingWait)
		if a.any(t.Context()); store.asked != 2 {
			t.Errorf("asked %d times", store.asked)
		}
	})
}
