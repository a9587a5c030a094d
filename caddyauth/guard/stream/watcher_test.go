package stream

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/revocation"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// fixture is a watcher in virtual time, over a store that is a function.
type fixture struct {
	*Watcher
	policy *Policy
	denied revocation.DenyList

	mu       sync.Mutex
	families map[string]session.Grant
	asked    map[string][]time.Duration // when, since the test began
	broken   error
	stale    time.Duration
	began    time.Time
}

// inTime runs a test of streams in virtual time.
func inTime(t *testing.T, test func(t *testing.T, f *fixture)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := &fixture{
			families: make(map[string]session.Grant),
			asked:    make(map[string][]time.Duration),
			began:    time.Now(),
		}
		f.Watcher = &Watcher{
			Context: ctx,
			Denied: func(t *token.Token) bool {
				return f.denied.Denied(revocation.Subject{Issuer: t.Issuer(), TokenID: t.ID, Subject: t.Subject}) != ""
			},
			Changed: f.denied.Changed,
			Stale: func(time.Time) time.Duration {
				f.mu.Lock()
				defer f.mu.Unlock()
				return f.stale
			},
			FindGrant: f.find,
			Hold:      func() bool { return true },
			Release:   func() {},
		}
		f.policy = &Policy{Watcher: f.Watcher, Staleness: 10 * time.Minute}
		test(t, f)
	})
}

func (f *fixture) find(_ context.Context, id string) (session.Grant, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[id] = append(f.asked[id], time.Since(f.began))
	if g, ok := f.families[id]; ok || f.broken != nil {
		return g, f.broken
	}
	return session.Grant{}, session.ErrNoGrant
}

// store changes what the store says.
func (f *fixture) store(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// questions are when the store was asked for a family.
func (f *fixture) questions(id string) []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked[id])
}

// stream begins one whose token expires after a while.
func (f *fixture) stream(family string, expires time.Duration) *stream {
	now := time.Now()
	s := &stream{
		policy: f.policy,
		token: &token.Token{
			ID:      "jti " + family,
			Subject: "alice",
			Session: family,
			Expiry:  token.NewNumericDate(now.Add(expires)),
		},
		session: family != "",
		w:       httptest.NewRecorder(),
		due:     now.Add(expires),
		index:   -1,
	}
	f.add(s, now)
	return s
}

// endsAt makes sure that a stream ends at a time since the test began, for a reason, give or take a
// second.
func (f *fixture) endsAt(t *testing.T, s *stream, at time.Duration, reason token.Reason) {
	t.Helper()
	time.Sleep(at - time.Since(f.began) - 10*time.Millisecond)
	synctest.Wait()
	if why := s.ended.Load(); why != nil {
		t.Errorf("it ended before %v: %s", at, *why)
	}
	time.Sleep(time.Second)
	synctest.Wait()
	if why := s.ended.Load(); why == nil || *why != reason {
		t.Errorf("at %v it has not ended for %s: %v", at, reason, why)
	}
	s.leave()
	s.leave()
}

func TestStreamEndsWhenItsTokenExpires(t *testing.T) {
	inTime(t, func(t *testing.T, f *fixture) {
		later, sooner, gone := f.stream("", 90*time.Minute), f.stream("", time.Minute), f.stream("", time.Second)
		gone.leave()
		f.endsAt(t, sooner, time.Minute, expired)
		f.endsAt(t, later, 90*time.Minute, expired)
		if len(f.open) != 0 || len(f.asked) != 0 || gone.ended.Load() != nil {
			t.Errorf("%d streams are left, families asked for: %v", len(f.open), f.asked)
		}
	})
}

func TestStreamEndsWhenItIsRevoked(t *testing.T) {
	inTime(t, func(t *testing.T, f *fixture) {
		told := make(chan struct{})
		first, second, bystander := f.stream("f", time.Hour), f.stream("", time.Hour), f.stream("g", time.Hour)
		second.cancel = func() { close(told) }
		time.Sleep(time.Minute)
		for _, id := range []string{"jti f", "jti "} {
			f.denied.Add(revocation.Denial{Kind: revocation.TokenKind, ID: id, Until: time.Now().Add(time.Hour)})
		}
		f.endsAt(t, first, time.Minute+10*time.Millisecond, revoked)
		<-told
		late := &stream{
			policy: f.policy,
			token:  &token.Token{ID: "jti f"},
			due:    time.Now().Add(time.Hour),
			index:  -1,
			w:      httptest.NewRecorder(),
		}
		if f.add(late, time.Now()); late.ended.Load() == nil {
			t.Error("what was revoked before it began goes on")
		}
		if bystander.ended.Load() != nil || len(f.questions("g")) != 0 {
			t.Errorf("asked at %v", f.questions("g"))
		}
	})
}

// The store is asked for a session when the access token has expired, once for all its streams, and
// then when the session should end.
func TestStreamOfASessionEndsWithIt(t *testing.T) {
	inTime(t, func(t *testing.T, f *fixture) {
		f.store(func() {
			f.families["f"] = session.Grant{IdleEnds: f.began.Add(time.Hour), Ends: f.began.Add(3 * time.Hour)}
			f.families["gone"] = session.Grant{
				IdleEnds: f.began.Add(time.Hour),
				Ends:     f.began.Add(time.Hour),
				Revoked:  f.began,
			}
		})
		first, _ := f.stream("f", 15*time.Minute), f.stream("f", 15*time.Minute)
		gone, unknown := f.stream("gone", 20*time.Minute), f.stream("unknown", 21*time.Minute)
		f.endsAt(t, gone, 20*time.Minute, expired)
		f.endsAt(t, unknown, 21*time.Minute, expired)
		time.Sleep(30 * time.Minute)
		f.store(func() {
			f.families["f"] = session.Grant{IdleEnds: f.began.Add(4 * time.Hour), Ends: f.began.Add(3 * time.Hour)}
		}) // it was used
		f.endsAt(t, first, 3*time.Hour, expired)
		want := []time.Duration{15 * time.Minute, time.Hour, 3 * time.Hour}
		got := f.questions("f")
		for i := range got {
			got[i] = got[i].Truncate(time.Minute)
		}
		if !slices.Equal(got, want) {
			t.Errorf("asked at %v, want %v", got, want)
		}
	})
}

func TestStreamEndsWhenNothingIsKnownForTooLong(t *testing.T) {
	inTime(t, func(t *testing.T, f *fixture) {
		one := f.stream("", time.Hour)
		f.store(func() { f.stale = 10 * time.Minute })
		time.Sleep(time.Minute + 500*time.Millisecond)
		f.store(func() { f.stale++ })
		f.endsAt(t, one, time.Minute+510*time.Millisecond, uncertain)
		f.store(func() { f.stale, f.broken = 0, errors.New("the store is away") })
		family := f.stream("f", time.Minute)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if family.ended.Load() != nil || len(f.questions("f")) < 50 {
			t.Errorf("ended for %v, asked %d times", family.ended.Load(), len(f.questions("f")))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if why := family.ended.Load(); why == nil || *why != uncertain || len(f.questions("f")) > 150 {
			t.Errorf("ended for %v, asked %d times", why, len(f.questions("f")))
		}
	})
}

func TestFramesAreFollowed(t *testing.T) {
	long, huge := make([]byte, 4+300), make([]byte, 10+70_000)
	long[1], long[2], long[3] = 126, 1, 300-256
	huge[1], huge[7], huge[8], huge[9] = 127, 70_000>>16, 70_000>>8&0xff, 70_000&0xff
	masked := append([]byte{0x81, 0x80 | 3, 1, 2, 3, 4}, "abc"...)
	for _, c := range []struct {
		name  string
		frame []byte
	}{
		{"empty", []byte{0x81, 0}}, {"text", []byte{0x81, 2, 'h', 'i'}}, {"long", long}, {"huge", huge},
		{"masked", masked},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, step := range []int{1, 2, 3, 7, 1000, len(c.frame)} {
				var f frames
				for rest := append(append([]byte{}, c.frame...), c.frame...); len(rest) > 0; {
					n := min(step, len(rest))
					f.follow(rest[:n])
					rest = rest[n:]
					if written := 2*len(c.frame) - len(rest); f.between() != (written%len(c.frame) == 0) {
						t.Fatalf("%s in steps of %d: after %d bytes %v", c.name, step, written, f.between())
					}
				}
			}
		})
	}
	var f frames
	if f.follow([]byte{0x88, 2, 3, 0xe8}); f.between() {
		t.Error("a frame may follow a close frame")
	}
}
