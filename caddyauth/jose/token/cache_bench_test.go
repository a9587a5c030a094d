package token

import (
	"container/list"
	"hash/maphash"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/jose/leeway"
)

// shardedMap is the plainest cache there could be instead of otter: maps behind read-write locks,
// and any entry leaves when a map is full. It knows no weight and no popularity, and keeps what has
// expired until something else needs the room.
type shardedMap struct {
	seed   maphash.Seed
	size   int // of each shard
	shards [64]struct {
		sync.RWMutex
		entries map[string]*Token
		_       [96]byte // no two locks in one cache line
	}
}

func newShardedMap(size int) *shardedMap {
	m := &shardedMap{seed: maphash.MakeSeed(), size: max(1, size/64)}
	for i := range m.shards {
		m.shards[i].entries = make(map[string]*Token)
	}
	return m
}

func (m *shardedMap) get(raw string, now time.Time) *Token {
	shard := &m.shards[maphash.String(m.seed, raw)%64]
	shard.RLock()
	t := shard.entries[raw]
	shard.RUnlock()
	if t == nil || now.After(t.Expiry.Time().Add(leeway.Max)) {
		return nil
	}
	return t
}

func (m *shardedMap) put(raw string, t *Token) {
	shard := &m.shards[maphash.String(m.seed, raw)%64]
	shard.Lock()
	defer shard.Unlock()
	if len(shard.entries) >= m.size {
		for victim := range shard.entries {
			delete(shard.entries, victim)
			break
		}
	}
	shard.entries[raw] = t
}

// shardedLRU forgets what was not asked for the longest instead; for that each hit moves its entry,
// under a lock of its own.
type shardedLRU struct {
	seed   maphash.Seed
	size   int // of each shard
	shards [64]struct {
		sync.Mutex
		entries map[string]*list.Element
		order   list.List
		_       [64]byte
	}
}

func newShardedLRU(size int) *shardedLRU {
	m := &shardedLRU{seed: maphash.MakeSeed(), size: max(1, size/64)}
	for i := range m.shards {
		m.shards[i].entries = make(map[string]*list.Element)
	}
	return m
}

func (m *shardedLRU) get(raw string, now time.Time) *Token {
	shard := &m.shards[maphash.String(m.seed, raw)%64]
	shard.Lock()
	defer shard.Unlock()
	e := shard.entries[raw]
	if e == nil || now.After(e.Value.(*Token).Expiry.Time().Add(leeway.Max)) {
		return nil
	}
	shard.order.MoveToFront(e)
	return e.Value.(*Token)
}

func (m *shardedLRU) put(raw string, t *Token) {
	shard := &m.shards[maphash.String(m.seed, raw)%64]
	shard.Lock()
	defer shard.Unlock()
	if len(shard.entries) >= m.size {
		oldest := shard.order.Remove(shard.order.Back()).(*Token)
		delete(shard.entries, oldest.raw)
	}
	shard.entries[raw] = shard.order.PushFront(&Token{raw: raw, Expiry: t.Expiry})
}

// remembers is what all arms of the comparison can do.
type remembers struct {
	get func(raw string) bool
	put func(raw string, t *Token)
}

var cacheArms = []struct {
	name string
	open func(b *testing.B, size int) remembers
}{
	{"otter", func(b *testing.B, size int) remembers {
		c, err := NewCache(ownVerifier(b, newMaterial(b, "k", "HS256").key), size)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(c.Close)
		return remembers{
			get: func(raw string) bool { t, ok := c.entries.GetIfPresent(c.hash(raw)); return ok && t.raw == raw },
			put: func(raw string, t *Token) { c.entries.Set(c.hash(raw), t) },
		}
	}},
	{"sharded LRU", func(b *testing.B, size int) remembers {
		m := newShardedLRU(size)
		return remembers{get: func(raw string) bool { return m.get(raw, time.Now()) != nil }, put: m.put}
	}},
	{"sharded map", func(b *testing.B, size int) remembers {
		m := newShardedMap(size)
		return remembers{get: func(raw string) bool { return m.get(raw, time.Now()) != nil }, put: m.put}
	}},
}

// texts are strings as long as tokens, each different.
func texts(from, n int, middle string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = middle + "." + strconv.Itoa(from+i)
	}
	return all
}

const benchSize = 20_000 // the default of token_cache

// benchText is the text of a token, and when the entries of a benchmark expire.
func benchText(b *testing.B) (raw string, expiry time.Time) {
	raw, err := Mint(newMaterial(b, "k", "HS256").key, "at+jwt", fullClaims())
	if err != nil {
		b.Fatal(err)
	}
	return raw, time.Now().Add(time.Hour)
}

// BenchmarkCacheChoice holds otter against the two: what a hit costs when one token is asked for,
// and when ten thousand are, from one goroutine and from all.
func BenchmarkCacheChoice(b *testing.B) {
	raw, expiry := benchText(b)
	for _, arm := range cacheArms {
		for _, n := range []int{1, 10_000} {
			keys := texts(0, n, raw)
			r := arm.open(b, benchSize)
			for _, k := range keys {
				r.put(k, &Token{raw: k, Expiry: NewNumericDate(expiry)})
			}
			b.Run(arm.name+"/hit/"+strconv.Itoa(n), func(b *testing.B) {
				i := 0
				for b.Loop() {
					if !r.get(keys[i%n]) {
						b.Fatal("a miss")
					}
					i += 7
				}
			})
			b.Run(arm.name+"/hit/"+strconv.Itoa(n)+"/parallel", func(b *testing.B) {
				b.RunParallel(func(pb *testing.PB) {
					for i := rand.IntN(n); pb.Next(); i += 7 {
						if !r.get(keys[i%n]) {
							b.Error("a miss")
							return
						}
					}
				})
			})
		}
	}
}

// BenchmarkCacheFlood is how much is forgotten of those who come again while programs bring a new
// token each time: there is room for 2000 tokens, every second request brings one that is never
// seen again, and 800 or 1500 people take turns with the others. missed/op is the share of the
// people's requests that would be verified anew.
func BenchmarkCacheFlood(b *testing.B) {
	raw, expiry := benchText(b)
	for _, arm := range cacheArms {
		for _, n := range []int{800, 1500} {
			people := texts(0, n, raw)
			b.Run(arm.name+"/"+strconv.Itoa(n), func(b *testing.B) {
				r := arm.open(b, 2000)
				missed, asked, i := 0, 0, 0
				for b.Loop() {
					i++
					if i%2 == 0 {
						fresh := raw + ".new." + strconv.Itoa(i)
						r.put(fresh, &Token{raw: fresh, Expiry: NewNumericDate(expiry)})
						continue
					}
					asked++
					if who := people[i/2%n]; !r.get(who) {
						missed++
						r.put(who, &Token{raw: who, Expiry: NewNumericDate(expiry)})
					}
				}
				b.ReportMetric(float64(missed)/float64(max(asked, 1)), "missed/op")
			})
		}
	}
}
