package opaque

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// slow is a question that is answered when the test says so.
type slow struct {
	asked   int
	mu      sync.Mutex
	release chan struct{}
}

func (s *slow) ask(ctx context.Context) (*token.Token, error) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	select {
	case <-s.release:
		return token.FromClaims(
			token.Issuer{Name: "https://idp"},
			"x",
			[]byte(`{"sub":"alice","aud":"api","exp":32503680000}`),
		)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestManyWhoBringTheSameTokenAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a cache
		s := &slow{release: make(chan struct{})}
		first, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _, _ = a.do(first, keyOf("x"), policy{cacheFor: time.Minute}, s.ask) })
		synctest.Wait()
		for range 50 {
			all.Go(func() {
				got, err := a.do(t.Context(), keyOf("x"), policy{cacheFor: time.Minute}, s.ask)
				if err != nil || got.Subject != "alice" {
					t.Errorf("%v, %v", got, err)
				}
			})
		}
		synctest.Wait()
		leave() // the others are answered all the same
		synctest.Wait()
		close(s.release)
		all.Wait()
		if s.asked != 1 {
			t.Errorf("asked %d times", s.asked)
		}
	})
}

func TestQuestionEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := cache{running: make(chan struct{}, 2)}
		s := &slow{release: make(chan struct{})}
		began := time.Now()
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				_, err := a.do(t.Context(), keyOf(fmt.Sprint(i)), policy{}, s.ask)
				if refusalReason(err) != token.KeysUnavailable {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took > callTimeout || s.asked != 2 {
			t.Errorf("it took %v, %d questions got through two places", took, s.asked)
		}
	})
}

func TestQuestionThatPanicsLeavesNobodyWaiting(t *testing.T) {
	var a cache
	ask := func() (err error) {
		defer func() { _ = recover() }()
		_, err = a.do(
			t.Context(),
			keyOf("x"),
			policy{cacheFor: time.Minute},
			func(context.Context) (*token.Token, error) { panic("x") },
		)
		return err
	}
	_ = ask()
	good := func(context.Context) (*token.Token, error) {
		return token.FromClaims(
			token.Issuer{Name: "https://idp"},
			"x",
			[]byte(`{"sub":"alice","aud":"api","exp":32503680000}`),
		)
	}
	if _, err := a.do(t.Context(), keyOf("x"), policy{cacheFor: time.Minute}, good); err != nil {
		t.Error(err)
	}
}
