package revocation

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// watching runs a watch over the store until the end of the test.
func watching(t *testing.T, store *memory, wake <-chan struct{}) *Watch {
	w := &Watch{Denials: store.Denials, List: &DenyList{}, Wake: wake}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	synctest.Wait()
	return w
}

func revokeTokenElsewhere(t *testing.T, store *memory, id string) {
	t.Helper()
	if _, err := store.RevokeToken(t.Context(), "iss", id, time.Now().Add(15*time.Minute), time.Now()); err != nil {
		t.Fatal(err)
	}
}

func (w *Watch) denies(id string) bool {
	return w.List.Denied(Subject{Issuer: "iss", TokenID: id}) == TokenKind
}

func TestWatchLoadsAtStartAndPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		revokeTokenElsewhere(t, store, "before")
		w := watching(t, store, nil)
		if !w.denies("before") {
			t.Fatal("what stood at the start is not denied")
		}
		revokeTokenElsewhere(t, store, "later")
		time.Sleep(DefaultPoll - time.Millisecond)
		synctest.Wait()
		if w.denies("later") {
			t.Error("learned before it asked")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if !w.denies("later") {
			t.Error("not denied after one interval")
		}
	})
}

func TestWakingIsFasterThanPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, wake := &memory{}, make(chan struct{}, 1)
		w := watching(t, store, wake)
		revokeTokenElsewhere(t, store, "a")
		wake <- struct{}{}
		synctest.Wait()
		if !w.denies("a") {
			t.Error("not denied although it was woken")
		}
		close(wake) // the listener is gone: polling goes on, and does not spin
		revokeTokenElsewhere(t, store, "b")
		time.Sleep(DefaultPoll)
		synctest.Wait()
		if !w.denies("b") {
			t.Error("not denied after an interval without a listener")
		}
	})
}

func TestStalenessGrowsWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{fail: errors.New("away")}
		w := watching(t, store, nil)
		if w.Stale(time.Now()) != math.MaxInt64 {
			t.Errorf("staleness before the first answer: %v", w.Stale(time.Now()))
		}
		store.setFailure(nil)
		time.Sleep(DefaultPoll)
		synctest.Wait()
		if got := w.Stale(time.Now()); got != 0 {
			t.Errorf("staleness after an answer: %v", got)
		}
		revokeTokenElsewhere(t, store, "known")
		time.Sleep(DefaultPoll)
		synctest.Wait()
		store.setFailure(errors.New("away again"))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := w.Stale(time.Now()); got != 10*time.Minute {
			t.Errorf("staleness %v, want 10m", got)
		}
		if !w.denies("known") {
			t.Error("what was known is forgotten")
		}
		store.setFailure(nil)
		time.Sleep(DefaultPoll)
		synctest.Wait()
		if got := w.Stale(time.Now()); got != 0 {
			t.Errorf("staleness after the store came back: %v", got)
		}
	})
}

func (m *memory) setFailure(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

func TestWatchForgetsWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		revokeTokenElsewhere(t, store, "a")
		w := watching(t, store, nil)
		time.Sleep(15*time.Minute + Margin - time.Second)
		synctest.Wait()
		if !w.denies("a") {
			t.Error("forgotten too early")
		}
		time.Sleep(2 * sweepEvery)
		synctest.Wait()
		if w.List.Len() != 0 {
			t.Error("kept for ever")
		}
	})
}

func TestHangingStoreIsNotWaitedForLongerThanItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		w := &Watch{List: &DenyList{}, Denials: func(ctx context.Context, after Cursor) ([]Denial, Cursor, error) {
			asked++
			<-ctx.Done()
			return nil, after, ctx.Err()
		}}
		var failures int
		w.Observe = func(err error) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("told of %v", err)
			}
			failures++
		}
		ctx, cancel := context.WithTimeout(t.Context(), 21*time.Second)
		defer cancel()
		w.Run(ctx)
		if asked != 5 || failures != 4 {
			t.Errorf("asked %d times, told of %d failures; want 5 and 4", asked, failures)
		}
	})
}

// TestALookThatHangsIsMissed: a list that was read is asked about anew after half a second, and
// only when that was in vain several times may an answer take longer.
func TestALookThatHangsIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, hangs := time.Now(), false
		var asked []time.Duration
		w := &Watch{List: &DenyList{}, Denials: func(ctx context.Context, after Cursor) ([]Denial, Cursor, error) {
			if !hangs {
				return nil, after, nil
			}
			asked = append(asked, time.Since(began))
			<-ctx.Done()
			return nil, after, ctx.Err()
		}}
		if err := w.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		hangs = true
		ctx, cancel := context.WithTimeout(t.Context(), 17*time.Second)
		defer cancel()
		w.Run(ctx)
		var want []time.Duration
		for _, ms := range []int{0, 500, 1000, 1500, 2000, 3000, 5000, 9000, 14000} {
			want = append(want, time.Duration(ms)*time.Millisecond)
		}
		if !slices.Equal(asked, want) {
			t.Errorf("asked at %v, want %v", asked, want)
		}
	})
}

// TestALongListIsReadInParts: each look returns so many, and the list is fresh when nothing is
// left.
func TestALongListIsReadInParts(t *testing.T) {
	var after []Cursor
	w := &Watch{List: &DenyList{}, Denials: func(_ context.Context, c Cursor) ([]Denial, Cursor, error) {
		after = append(after, c)
		if c == 2*MaxDenials {
			return nil, c, errors.New("away")
		}
		return make([]Denial, MaxDenials), c + MaxDenials, nil
	}}
	if err := w.Poll(t.Context()); err == nil || w.Stale(time.Now()) != math.MaxInt64 ||
		!slices.Equal(after, []Cursor{0, MaxDenials, 2 * MaxDenials}) {
		t.Errorf("%v: asked after %v, and the list is %v old", err, after, w.Stale(time.Now()))
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &Watch{Denials: (&memory{}).Denials, List: &DenyList{}}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.Run(ctx)
		}()
		time.Sleep(time.Second)
		cancel()
		<-ended
	})
}
