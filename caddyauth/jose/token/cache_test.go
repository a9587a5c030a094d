package token

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/keyring"
	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
)

// shelf is an issuer whose keys can be changed while tokens are verified.
type shelf struct {
	ring    atomic.Pointer[keyring.Ring]
	lookups atomic.Int64
}

func (s *shelf) find(_ context.Context, kid string) (*keyring.Key, error) {
	s.lookups.Add(1)
	if key := s.ring.Load().Key(kid); key != nil {
		return key, nil
	}
	return nil, keyring.ErrUnknownKey
}

func newCached(t testing.TB, algorithm string, size int) (*Cache, *Verifier, *shelf) {
	t.Helper()
	key, err := keyring.Generate(algorithm, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var s shelf
	s.hold(t, key)
	v, err := NewVerifier([]Issuer{{Name: "https://auth.example.com", Own: true, Keys: s.find}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCache(v, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, v, &s
}

func (s *shelf) hold(t testing.TB, keys ...*keyring.Key) {
	t.Helper()
	ring, err := keyring.NewRing(keys, "")
	if err != nil {
		t.Fatal(err)
	}
	s.ring.Store(ring)
}

func mintFor(t testing.TB, key *keyring.Key, id string) string {
	t.Helper()
	now := time.Now()
	raw, err := Mint(key, "at+jwt", Claims{
		Issuer:   "https://auth.example.com",
		Subject:  "alice",
		Audience: []string{"api"},
		IssuedAt: now,
		Expiry:   now.Add(15 * time.Minute),
		ID:       id,
		ClientID: "reports", Project: "default", Scopes: []string{"read", "write"},
		Extra: map[string]any{
			"role":   "admin",
			"email":  "alice@example.com",
			"name":   "Alice Example",
			"groups": []string{"staff", "ops"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestCachedTokenIsTheSameValue(t *testing.T) {
	c, _, s := newCached(t, "ES256", 100)
	raw := mintFor(t, s.ring.Load().Active(), "1")
	first, err := c.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Verify(t.Context(), raw)
	if err != nil || first != second {
		t.Errorf("second use: %p and %p, %v", first, second, err)
	}
}

func TestRefusedTokensAreNotRemembered(t *testing.T) {
	c, _, s := newCached(t, "ES256", 100)
	raw := mintFor(t, s.ring.Load().Active(), "1")
	forged := raw[:len(raw)-8] + "AAAAAAAA"
	for range 3 {
		if _, err := c.Verify(t.Context(), forged); err == nil {
			t.Fatal("a forged token passes")
		}
	}
	if n := c.Len(); n != 0 {
		t.Errorf("%d entries after refusals", n)
	}
}

func TestRemovedKeyTakesItsTokensAlong(t *testing.T) {
	c, _, s := newCached(t, "ES256", 100)
	old := s.ring.Load().Active()
	raw := mintFor(t, old, "1")
	if _, err := c.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	next, err := keyring.Generate("ES256", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.hold(t, next, old)
	if _, err := c.Verify(t.Context(), raw); err != nil {
		t.Errorf("while the old key verifies: %v", err)
	}
	s.hold(t, next)
	if _, err := c.Verify(t.Context(), raw); err == nil {
		t.Error("a token of a removed key passes")
	}
}

func TestTheSameKidWithAnotherKeyIsAnotherKey(t *testing.T) {
	c, _, s := newCached(t, "ES256", 100)
	one, err := keyring.ParseSecretText("k", "0123456789abcdef0123456789abcdef", "HS256")
	if err != nil {
		t.Fatal(err)
	}
	two, err := keyring.ParseSecretText("k", "another-secret-0123456789abcdef0", "HS256")
	if err != nil {
		t.Fatal(err)
	}
	s.hold(t, one)
	raw := mintFor(t, one, "1")
	if _, err := c.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	s.hold(t, two)
	if _, err := c.Verify(t.Context(), raw); err == nil {
		t.Error("a token of a replaced key passes")
	}
}

func TestConcurrentFirstUsesVerifyOnce(t *testing.T) {
	c, _, s := newCached(t, "RS256", 100)
	raw := mintFor(t, s.ring.Load().Active(), "1")
	var wg sync.WaitGroup
	tokens := make([]*Token, 64)
	for i := range tokens {
		wg.Go(func() { tokens[i], _ = c.Verify(t.Context(), raw) })
	}
	wg.Wait()
	for _, got := range tokens {
		if got == nil || got != tokens[0] {
			t.Fatalf("%p and %p: verified more than once", got, tokens[0])
		}
	}
}

func TestOneWaiterGivingUpDoesNotFailTheOthers(t *testing.T) {
	c, _, s := newCached(t, "ES256", 100)
	raw := mintFor(t, s.ring.Load().Active(), "1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Verify(ctx, raw); err != nil {
		t.Errorf("own keys need no wait: %v", err)
	}
	if _, err := c.Verify(t.Context(), raw); err != nil {
		t.Error(err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c, _, s := newCached(t, "HS256", 100)
	for i := range 2000 {
		if _, err := c.Verify(t.Context(), mintFor(t, s.ring.Load().Active(), strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	c.entries.CleanUp()
	if n := c.Len(); n > 100 {
		t.Errorf("%d entries, at most 100", n)
	}
	if w := c.entries.WeightedSize(); w > 100*meanWeight {
		t.Errorf("%d bytes, at most %d", w, 100*meanWeight)
	}
}

func TestTokensOfOneHashAreNotTakenForEachOther(t *testing.T) {
	c, v, s := newCached(t, "ES256", 100)
	c.hash = func(string) uint64 { return 1 }
	key := s.ring.Load().Active()
	var group sync.WaitGroup
	for g := range 8 {
		raw, forged := mintFor(t, key, strconv.Itoa(g)), mintFor(t, key, "x")+"A"
		group.Go(func() {
			for range 50 {
				if got, err := c.Verify(t.Context(), raw); err != nil || got.ID != strconv.Itoa(g) {
					t.Errorf("token %d: %+v, %v", g, got, err)
				}
				_, err := c.Verify(t.Context(), forged)
				_, fresh := v.Verify(t.Context(), forged)
				if err == nil || err.Error() != fresh.Error() {
					t.Errorf("a forged token: %v, want %v", err, fresh)
				}
			}
		})
	}
	group.Wait()
}

func TestExpireForgetsWhatNoGateLetsPass(t *testing.T) {
	c, _, s := newCached(t, "ES256", 100)
	raw := mintFor(t, s.ring.Load().Active(), "1")
	tok, err := c.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	c.Expire(tok.Expiry.Time().Add(leeway.Max))
	if again, err := c.Verify(t.Context(), raw); err != nil || again != tok {
		t.Errorf("forgotten while a gate may let it pass: %p and %p, %v", tok, again, err)
	}
	c.Expire(tok.Expiry.Time().Add(leeway.Max + time.Second))
	if n := c.Len(); n != 0 {
		t.Errorf("%d entries, all of which have expired", n)
	}
}

// TestCachedAndFreshVerificationAgree hammers one cache from 64 goroutines while keys come and go,
// and holds every answer against a fresh verification: with the ring unchanged around both, they
// must say the same.
func TestCachedAndFreshVerificationAgree(t *testing.T) {
	c, v, s := newCached(t, "HS256", 200)
	keys := make([]*keyring.Key, 6)
	var raws []string
	for i := range keys {
		key, err := keyring.ParseSecretText(fmt.Sprint("k", i),
			fmt.Sprintf("secret number %d, long enough for HMAC", i), "HS256")
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = key
		for n := range 50 {
			raws = append(raws, mintFor(t, key, fmt.Sprint(i, "-", n)))
		}
	}
	s.hold(t, keys...)
	stop := make(chan struct{})
	var churn, hammer sync.WaitGroup
	churn.Go(func() {
		for round := 0; ; round++ {
			select {
			case <-stop:
				return
			default:
				from := round % (len(keys) - 2)
				s.hold(t, keys[from:from+2]...)
			}
		}
	})
	var compared atomic.Int64
	for g := range 64 {
		hammer.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			for range 400 {
				raw := raws[random.IntN(len(raws))]
				before := s.ring.Load()
				_, cached := c.Verify(t.Context(), raw)
				_, fresh := v.Verify(t.Context(), raw)
				if s.ring.Load() != before {
					continue // the keys changed in between: the two may differ
				}
				compared.Add(1)
				if (cached == nil) != (fresh == nil) {
					t.Errorf("cached: %v, fresh: %v", cached, fresh)
				}
			}
		})
	}
	hammer.Wait()
	close(stop)
	churn.Wait()
	if compared.Load() == 0 {
		t.Error("no pair could be compared")
	}
}

func BenchmarkCache(b *testing.B) {
	c, _, s := newCached(b, "ES256", 20_000)
	for _, n := range []int{1, 10_000} {
		raws := make([]string, n)
		for i := range raws {
			raws[i] = mintFor(b, s.ring.Load().Active(), strconv.Itoa(i))
			if _, err := c.Verify(b.Context(), raws[i]); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("hit/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := c.Verify(b.Context(), raws[i%n]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
		b.Run(fmt.Sprintf("hit/%d/parallel", n), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				i := rand.IntN(n)
				for pb.Next() {
					if _, err := c.Verify(context.Background(), raws[i%n]); err != nil {
						b.Error(err)
						return
					}
					i++
				}
			})
		})
	}
}
