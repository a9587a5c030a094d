package issuance

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
)

// cacheFixture is a store of clients behind a cache.
type cacheFixture struct {
	ClientCache
	stored  Parties
	fails   error
	reads   int
	changes uint64
	newest  int64
	during  func() // happens while the store is read
}

func newCacheFixture() *cacheFixture {
	x := &cacheFixture{stored: Parties{Epoch: 5, Client: clients.Client{ID: "reports", Active: true}}}
	x.Read = func(_ context.Context, clientID, _ string) (Parties, error) {
		x.reads++
		read := x.stored
		if x.during != nil {
			x.during()
		}
		if clientID != read.Client.ID {
			return Parties{Epoch: read.Epoch}, x.fails
		}
		return read, x.fails
	}
	x.Changes = func() uint64 { return x.changes }
	x.Newest = func() int64 { return x.newest }
	return x
}

// reads finds the client and reports whether the store was read, and whether the client is active.
func (x *cacheFixture) find(t *testing.T) (read, active bool) {
	t.Helper()
	before := x.reads
	p, err := x.Find(t.Context(), "reports")
	if err != nil {
		t.Fatal(err)
	}
	return x.reads > before, p.Client.Active
}

// TestCachedClientIsForgotten: what says that a client may have changed has it read again.
func TestCachedClientIsForgotten(t *testing.T) {
	for _, c := range []struct {
		name         string
		happens      func(x *cacheFixture)
		read, active bool
	}{
		{"nothing happens", func(*cacheFixture) {}, false, true},
		{"this node pauses it", func(x *cacheFixture) { x.stored.Client.Active = false; x.changes++ }, true, false},
		{"this node changes another", func(x *cacheFixture) { x.changes++ }, true, true},
		{"another node pauses it, a moment ago", func(x *cacheFixture) {
			x.stored.Client.Active = false
			time.Sleep(clientCacheAge - 1)
		}, false, true},
		{"another node pauses it", func(x *cacheFixture) {
			x.stored.Client.Active = false
			time.Sleep(clientCacheAge)
		}, true, false},
		{"a revocation", func(x *cacheFixture) { x.stored.Epoch, x.newest = 6, 6 }, true, true},
		{"a revocation from before", func(x *cacheFixture) { x.newest = 5 }, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newCacheFixture()
				if read, active := x.find(t); !read || !active {
					t.Fatalf("at first: read %v, active %v", read, active)
				}
				c.happens(x)
				if read, active := x.find(t); read != c.read || active != c.active {
					t.Errorf("read %v, want %v; active %v, want %v", read, c.read, active, c.active)
				}
			})
		})
	}
}

// TestClientChangesWhileItIsRead: what was read before the change is not remembered as if it had
// been read after it, however long reading takes.
func TestClientChangesWhileItIsRead(t *testing.T) {
	for _, c := range []struct {
		name   string
		during func(x *cacheFixture)
	}{
		{"this node changes it", func(x *cacheFixture) { x.changes++ }},
		{"another node changes it, and reading is slow", func(*cacheFixture) { time.Sleep(clientCacheAge) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newCacheFixture()
				x.during = func() {
					x.during = nil
					x.stored.Client.Active = false
					c.during(x)
				}
				x.find(t)
				if read, active := x.find(t); !read || active {
					t.Errorf("read %v, active %v", read, active)
				}
			})
		})
	}
}

// TestOnlyClientsAreCached: neither failures nor ids that anyone can make up.
func TestOnlyClientsAreCached(t *testing.T) {
	x := newCacheFixture()
	for i := range 3 {
		if p, err := x.Find(t.Context(), "nobody"); err != nil || p.Client.ID != "" || x.reads != i+1 {
			t.Errorf("%+v, %v, %d reads", p, err, x.reads)
		}
	}
	if p, err := x.Find(t.Context(), "no id/"); err != nil || p.Client.ID != "" || x.reads != 3 || len(x.clients) > 0 {
		t.Errorf("%+v, %v, %d reads, %d are remembered", p, err, x.reads, len(x.clients))
	}
	x.fails = errors.New("down")
	if _, err := x.Find(t.Context(), "reports"); !errors.Is(err, x.fails) {
		t.Error(err)
	}
	x.fails = nil
	if read, active := x.find(t); !read || !active {
		t.Errorf("after a failure: read %v, active %v", read, active)
	}
}

func TestCachedClientsAreBounded(t *testing.T) {
	x := newCacheFixture()
	for i := range maxCachedClients + 10 {
		x.stored.Client.ID = fmt.Sprint("c", i)
		if p, err := x.Find(t.Context(), x.stored.Client.ID); err != nil || p.Client.ID != x.stored.Client.ID {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	if n := len(x.clients); n > maxCachedClients || n == 0 {
		t.Errorf("%d are remembered", n)
	}
}
