package token

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
)

// Cache remembers verified tokens, so that signature and JSON work is done once per token. It holds
// what Verify returns and no decision: times, audience, revocation and policy are looked at on
// every use.
//
// It is bounded in entries and bytes. An entry is found by a hash and by comparing the whole token,
// leaves some time after the token can no longer pass any gate, and counts only while the key that
// verified it is still its issuer's key.
type Cache struct {
	verifier *Verifier
	hash     func(raw string) uint64
	entries  *otter.Cache[uint64, *Token]
}

// meanWeight is how many bytes of the cache's bound each allowed entry brings, and the least that
// one is counted with.
const meanWeight = 2048

// NewCache returns a cache of at most size tokens and size times 2 KiB in front of v. It must be
// closed.
func NewCache(v *Verifier, size int) (*Cache, error) {
	if size < 1 {
		return nil, fmt.Errorf("a token cache of %d entries", size)
	}
	entries, err := otter.New(&otter.Options[uint64, *Token]{
		MaximumWeight: uint64(size) * meanWeight,
		Weigher:       func(_ uint64, t *Token) uint32 { return t.weight() },
	})
	if err != nil {
		return nil, fmt.Errorf("token cache: %w", err)
	}
	seed := maphash.MakeSeed()
	return &Cache{verifier: v, hash: func(raw string) uint64 {
		return maphash.String(seed, raw)
	}, entries: entries}, nil
}

// Close empties the cache and ends its background work. A closed cache still verifies, and
// remembers nothing for long.
func (c *Cache) Close() {
	c.entries.InvalidateAll()
	c.entries.StopAllGoroutines()
}

// Len returns about how many tokens are remembered.
func (c *Cache) Len() int { return c.entries.EstimatedSize() }

// Expire forgets the tokens that no gate lets pass any more at now. Until then they take room, and
// no more: gates look at the times of a token on every use.
func (c *Cache) Expire(now time.Time) {
	for key, t := range c.entries.All() {
		if now.After(t.Expiry.Time().Add(leeway.Max)) {
			c.entries.Invalidate(key)
		}
	}
}

// Verify is Verifier.Verify for tokens seen the first time, and a look-up for all others. Of
// several requests that bring the same new token at once, one verifies and the others wait for it.
func (c *Cache) Verify(ctx context.Context, raw string) (*Token, error) {
	if len(raw) > MaxSize {
		return c.verifier.Verify(ctx, raw)
	}
	key := c.hash(raw)
	if t, ok := c.entries.GetIfPresent(key); ok && t.raw == raw {
		if t.keyStands(ctx) {
			return t, nil
		}
		c.entries.Invalidate(key)
	}
	var own struct {
		asked bool
		token *Token
		err   error
	}
	load := func(ctx context.Context, _ uint64) (*Token, error) {
		own.asked = true
		own.token, own.err = c.verifier.Verify(ctx, raw)
		return own.token, own.err
	}
	// One waiter giving up must not fail the others. Waiting for a foreign key set is bounded by
	// the set itself.
	t, err := c.entries.Get(context.WithoutCancel(ctx), key, otter.LoaderFunc[uint64, *Token](load))
	switch {
	case own.asked:
		return own.token, own.err
	case err == nil && t.raw == raw && t.keyStands(ctx):
		return t, nil
	}
	// The verification that was waited for was another token's, or had begun before this request
	// came and the keys have changed since.
	c.entries.Invalidate(key)
	return c.verifier.Verify(ctx, raw)
}

// keyStands reports whether the key that verified t is still in its issuer's set. A key set that
// cannot be had for the moment takes nothing away from a token that it verified; Keys itself says
// when it is too old.
func (t *Token) keyStands(ctx context.Context) bool {
	key, err := t.issuer.keys(ctx, t.Key.ID())
	return err == nil && (key == t.Key || t.Key.Equal(key))
}

// weight is about how many bytes an entry takes: the text, the claims beside it, what gates
// remember, and the cache's own.
func (t *Token) weight() uint32 {
	bytes := 1024 + len(t.raw)
	if slices.ContainsFunc(t.others, other.nested) {
		bytes += 2 * len(t.raw)
	}
	return uint32(max(meanWeight, bytes))
}

// nested says that the value is an object or a list, which takes more room than its text.
func (o other) nested() bool {
	switch o.value.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}
