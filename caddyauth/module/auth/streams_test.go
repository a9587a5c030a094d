package auth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// watched is a registry of streams in virtual time, over a store that is a function.
type watched struct {
	*pooledStore
	gate *JWTAuth

	mu       sync.Mutex
	families map[string]session.Grant
	asked    map[string][]time.Duration // when, since the test began
	broken   error
	stale    time.Duration
	began    time.Time
}

// inTime runs a test of streams in virtual time.
func inTime(t *testing.T, test func(t *testing.T, w *watched)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := &watched{families: make(map[string]session.Grant), asked: make(map[string][]time.Duration), began: time.Now()}
		w.pooledStore = &pooledStore{ctx: ctx, cancel: cancel}
		w.streams = streams{
			ctx: ctx, denied: &w.denied, wake: make(chan struct{}, 1),
			stale: func(time.Time) time.Duration {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.stale
			},
			find: func(_ context.Context, id string) (session.Grant, error) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.asked[id] = append(w.asked[id], time.Since(w.began))
				if g, ok := w.families[id]; ok || w.broken != nil {
					return g, w.broken
				}
				return session.Grant{}, session.ErrNoGrant
			},
		}
		w.gate = &JWTAuth{Name: "g", app: &App{store: w.pooledStore, logger: zap.NewNop(), staleness: 10 * time.Minute}}
		test(t, w)
	})
}

// store changes what the store says.
func (w *watched) store(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// questions are when the store was asked for a family.
func (w *watched) questions(id string) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked[id])
}

// stream begins one whose token expires after a while.
func (w *watched) stream(family string, expires time.Duration) *stream {
	now := time.Now()
	st := &stream{gate: w.gate, token: &token.Token{ID: "jti " + family, Subject: "alice", Session: family, Expiry: now.Add(expires)}, family: family != "", place: -1}
	st.due = st.token.Expiry
	st.w = httptest.NewRecorder()
	w.streams.add(st, now)
	return st
}

// endsAt makes sure that a stream ends at a time since the test began, for a reason, give or take a second.
func (w *watched) endsAt(t *testing.T, st *stream, at time.Duration, reason string) {
	t.Helper()
	time.Sleep(at - time.Since(w.began) - 10*time.Millisecond)
	synctest.Wait()
	if why := st.why.Load(); why != nil {
		t.Errorf("it ended before %v: %s", at, *why)
	}
	time.Sleep(time.Second)
	synctest.Wait()
	if why := st.why.Load(); why == nil || *why != reason {
		t.Errorf("at %v it has not ended for %s: %v", at, reason, why)
	}
	st.leave()
	st.leave()
}

func TestStreamEndsWhenItsTokenExpires(t *testing.T) {
	inTime(t, func(t *testing.T, w *watched) {
		later, sooner, gone := w.stream("", 90*time.Minute), w.stream("", time.Minute), w.stream("", time.Second)
		gone.leave()
		w.endsAt(t, sooner, time.Minute, streamExpired)
		w.endsAt(t, later, 90*time.Minute, streamExpired)
		if len(w.streams.open) != 0 || len(w.asked) != 0 || gone.why.Load() != nil {
			t.Errorf("%d streams are left, families asked for: %v", len(w.streams.open), w.asked)
		}
	})
}

func TestStreamEndsWhenItIsRevoked(t *testing.T) {
	inTime(t, func(t *testing.T, w *watched) {
		told := make(chan struct{})
		first, second, bystander := w.stream("f", time.Hour), w.stream("", time.Hour), w.stream("g", time.Hour)
		second.cancel = func() { close(told) }
		time.Sleep(time.Minute)
		for _, id := range []string{"jti f", "jti "} {
			w.denied.Add(session.Denial{Kind: session.TokenKind, ID: id, Until: time.Now().Add(time.Hour)})
		}
		w.endsAt(t, first, time.Minute+10*time.Millisecond, streamRevoked)
		<-told
		late := &stream{gate: w.gate, token: &token.Token{ID: "jti f"}, due: time.Now().Add(time.Hour), place: -1, w: httptest.NewRecorder()}
		if w.streams.add(late, time.Now()); late.why.Load() == nil {
			t.Error("what was revoked before it began goes on")
		}
		if bystander.why.Load() != nil || len(w.questions("g")) != 0 {
			t.Errorf("asked at %v", w.questions("g"))
		}
	})
}

// The store is asked for a session when the access token has expired, once for all its streams, and then when the session should end.
func TestStreamOfASessionEndsWithIt(t *testing.T) {
	inTime(t, func(t *testing.T, w *watched) {
		w.store(func() {
			w.families["f"] = session.Grant{IdleEnds: w.began.Add(time.Hour), Ends: w.began.Add(3 * time.Hour)}
			w.families["gone"] = session.Grant{IdleEnds: w.began.Add(time.Hour), Ends: w.began.Add(time.Hour), Revoked: w.began}
		})
		f, _ := w.stream("f", 15*time.Minute), w.stream("f", 15*time.Minute)
		gone, unknown := w.stream("gone", 20*time.Minute), w.stream("unknown", 21*time.Minute)
		w.endsAt(t, gone, 20*time.Minute, streamExpired)
		w.endsAt(t, unknown, 21*time.Minute, streamExpired)
		time.Sleep(30 * time.Minute)
		w.store(func() {
			w.families["f"] = session.Grant{IdleEnds: w.began.Add(4 * time.Hour), Ends: w.began.Add(3 * time.Hour)}
		}) // it was used
		w.endsAt(t, f, 3*time.Hour, streamExpired)
		want := []time.Duration{15 * time.Minute, time.Hour, 3 * time.Hour}
		got := w.questions("f")
		for i := range got {
			got[i] = got[i].Truncate(time.Minute)
		}
		if !slices.Equal(got, want) {
			t.Errorf("asked at %v, want %v", got, want)
		}
	})
}

func TestStreamEndsWhenNothingIsKnownForTooLong(t *testing.T) {
	inTime(t, func(t *testing.T, w *watched) {
		token := w.stream("", time.Hour)
		w.store(func() { w.stale = 10 * time.Minute })
		time.Sleep(time.Minute + 500*time.Millisecond)
		w.store(func() { w.stale++ })
		w.endsAt(t, token, time.Minute+510*time.Millisecond, streamUnsure)
		w.store(func() { w.stale, w.broken = 0, errors.New("the store is away") })
		family := w.stream("f", time.Minute)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if family.why.Load() != nil || len(w.questions("f")) < 50 {
			t.Errorf("ended for %v, asked %d times", family.why.Load(), len(w.questions("f")))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if why := family.why.Load(); why == nil || *why != streamUnsure || len(w.questions("f")) > 150 {
			t.Errorf("ended for %v, asked %d times", why, len(w.questions("f")))
		}
	})
}

func TestFramesAreFollowed(t *testing.T) {
	long, huge := make([]byte, 4+300), make([]byte, 10+70_000)
	long[1], long[2], long[3] = 126, 1, 300-256
	huge[1], huge[7], huge[8], huge[9] = 127, 70_000>>16, 70_000>>8&0xff, 70_000&0xff
	masked := append([]byte{0x81, 0x80 | 3, 1, 2, 3, 4}, "abc"...)
	for name, frame := range map[string][]byte{
		"empty": {0x81, 0}, "text": {0x81, 2, 'h', 'i'}, "long": long, "huge": huge, "masked": masked,
	} {
		for _, step := range []int{1, 2, 3, 7, 1000, len(frame)} {
			var f frames
			for rest := append(append([]byte{}, frame...), frame...); len(rest) > 0; {
				n := min(step, len(rest))
				f.follow(rest[:n])
				rest = rest[n:]
				if written := 2*len(frame) - len(rest); f.between() != (written%len(frame) == 0) {
					t.Fatalf("%s in steps of %d: after %d bytes %v", name, step, written, f.between())
				}
			}
		}
	}
	var f frames
	if f.follow([]byte{0x88, 2, 3, 0xe8}); f.between() {
		t.Error("a frame may follow a close frame")
	}
}

// What does not ask for a stream and does not become one costs no allocation.
func TestOrdinaryAnswersAreNotStreams(t *testing.T) {
	app := &App{}
	j := &JWTAuth{app: app, gate: &gate.Gate{}, endsStreams: true}
	passage := &gate.Passage{Token: &token.Token{Expiry: time.Now()}}
	r := caddyRequest()
	for name, next := range map[string]caddyhttp.HandlerFunc{
		"nothing": func(http.ResponseWriter, *http.Request) error { return nil },
		"a body":  func(w http.ResponseWriter, _ *http.Request) error { _, err := w.Write([]byte("x")); return err },
		"a length": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header()["Content-Length"] = []string{"1"}
			w.WriteHeader(http.StatusOK)
			return http.NewResponseController(w).Flush()
		},
		"no stream asked for": func(w http.ResponseWriter, got *http.Request) error {
			if got != r {
				t.Error("the request was copied")
			}
			w.Header()["Content-Type"] = []string{"text/html"}
			w.WriteHeader(http.StatusOK)
			return nil
		},
	} {
		if err := j.pass(httptest.NewRecorder(), r, passage, next); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	w, quiet := httptest.NewRecorder(), caddyhttp.Handler(caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil }))
	if n := testing.AllocsPerRun(1000, func() { _ = j.pass(w, r, passage, quiet) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestAResponseIsUsedOnce(t *testing.T) {
	first, second := httptest.NewRecorder(), httptest.NewRecorder()
	kept := newResponse(first)
	kept.retire()
	for range 40 {
		if again := newResponse(second); again == kept {
			t.Fatal("it was used twice")
		}
	}
	kept.WriteHeader(http.StatusTeapot)
	if _, err := kept.Write([]byte("x")); err == nil || kept.Header() == nil || first.Body.Len()+second.Body.Len() > 0 {
		t.Errorf("after the end it was written: %v", err)
	}
}
