package session

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Bearer is what a verified token says of itself, as far as it can be denied.
type Bearer struct {
	Issuer, TokenID, Family    string
	Project, Subject, ClientID string
	// Epoch is the token's claim; a token without one has 0 and falls to every order.
	Epoch int64
	// Foreign is a token of an issuer that is not this server: families, subjects and the rest mean something else there, and
	// only the token itself can be denied.
	Foreign bool
}

// DenyList is what has been revoked, in memory. Denied may be called by any number of goroutines and takes no lock, whatever
// else goes on; a change costs the same however long the list is. The zero value is an empty list.
type DenyList struct {
	table  atomic.Pointer[denyTable] // nil: nothing is denied
	newest atomic.Int64              // the highest epoch of an order

	mu      sync.Mutex // one change at a time
	changed chan struct{}
}

// denyTable is a hash table. Its chains are never changed, only replaced, which is why reading needs no lock.
type denyTable struct {
	seed  maphash.Seed
	heads []atomic.Pointer[denyEntry] // a power of two
	count atomic.Int64
}

// denyEntry is one link of a chain. It does not change once it is in the table.
type denyEntry struct {
	Denial
	next *denyEntry
}

const smallestTable = 64

// Denied returns what the token falls under, and "" when it is not denied.
func (l *DenyList) Denied(b Bearer) Kind {
	t := l.table.Load()
	switch {
	case t == nil:
		return ""
	case b.TokenID != "" && t.find(TokenKind, b.Issuer, b.TokenID) != nil:
		return TokenKind
	case b.Foreign:
		return ""
	case b.Family != "" && t.find(FamilyKind, "", b.Family) != nil:
		return FamilyKind
	case b.Epoch >= l.newest.Load(): // nobody was revoked since it was made
		return ""
	}
	return t.overtaken(b)
}

// overtaken looks for an order which is newer than the token.
func (t *denyTable) overtaken(b Bearer) Kind {
	for _, owner := range [...]struct {
		kind Kind
		id   string
	}{{UserKind, b.Subject}, {ClientKind, b.ClientID}, {ProjectKind, ""}} {
		if e := t.find(owner.kind, b.Project, owner.id); e != nil && e.Epoch > b.Epoch {
			return owner.kind
		}
	}
	return ""
}

func (t *denyTable) find(kind Kind, scope, id string) *denyEntry {
	for e := t.head(scope, id).Load(); e != nil; e = e.next {
		if e.is(kind, scope, id) {
			return e
		}
	}
	return nil
}

// head is the chain in which an entry stands, if it does. Kinds share chains: they hardly ever share ids.
func (t *denyTable) head(scope, id string) *atomic.Pointer[denyEntry] {
	h := maphash.String(t.seed, id)
	if scope != "" {
		h ^= bits.RotateLeft64(maphash.String(t.seed, scope), 32)
	}
	return &t.heads[h&uint64(len(t.heads)-1)]
}

func (e *denyEntry) is(kind Kind, scope, id string) bool {
	return e.ID == id && e.Kind == kind && e.Scope == scope
}

// Add takes denials into the list. Of two for the same thing the later time and the higher epoch stand. A denial without a
// kind is left out.
func (l *DenyList) Add(denials ...Denial) {
	l.mu.Lock()
	defer l.mu.Unlock()
	added := false
	for _, d := range denials {
		if d.Kind != "" {
			l.put(d)
			added = true
		}
	}
	if added && l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Changed returns a channel that is closed when something is added after the call, for streams which must end then.
func (l *DenyList) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Len returns how many denials are in the list.
func (l *DenyList) Len() int {
	if t := l.table.Load(); t != nil {
		return int(t.count.Load())
	}
	return 0
}

// Expire takes out what is over at now.
func (l *DenyList) Expire(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.table.Load()
	if t == nil {
		return
	}
	for i := range t.heads {
		t.expire(&t.heads[i], now)
	}
	if size := len(t.heads); size > smallestTable && int(t.count.Load()) < size/8 {
		l.resize(size / 4)
	}
}

// put adds one denial; the caller holds the lock. The epoch is told after the entry stands: a reader who sees no new epoch
// came before.
func (l *DenyList) put(d Denial) {
	t := l.table.Load()
	switch {
	case t == nil:
		t = l.resize(smallestTable)
	case int(t.count.Load()) >= len(t.heads):
		t = l.resize(2 * len(t.heads))
	}
	head := t.head(d.Scope, d.ID)
	if old := t.find(d.Kind, d.Scope, d.ID); old == nil {
		t.count.Add(1)
		head.Store(&denyEntry{Denial: d, next: head.Load()})
	} else {
		d.Until, d.Epoch = later(d.Until, old.Until), max(d.Epoch, old.Epoch)
		rest := without(head.Load(), func(e *denyEntry) bool { return e == old })
		head.Store(&denyEntry{Denial: d, next: rest})
	}
	l.newest.Store(max(l.newest.Load(), d.Epoch))
}

func (t *denyTable) expire(head *atomic.Pointer[denyEntry], now time.Time) {
	over := func(e *denyEntry) bool { return !now.Before(e.Until) }
	n := 0
	for e := head.Load(); e != nil; e = e.next {
		if over(e) {
			n++
		}
	}
	if n > 0 {
		t.count.Add(int64(-n))
		head.Store(without(head.Load(), over))
	}
}

// without copies a chain and leaves out what the function names.
func without(chain *denyEntry, leave func(*denyEntry) bool) (kept *denyEntry) {
	for e := chain; e != nil; e = e.next {
		if !leave(e) {
			kept = &denyEntry{Denial: e.Denial, next: kept}
		}
	}
	return kept
}

// resize copies the list into a table of another size, which readers see once it is complete.
func (l *DenyList) resize(size int) *denyTable {
	t := &denyTable{seed: maphash.MakeSeed(), heads: make([]atomic.Pointer[denyEntry], size)}
	if old := l.table.Load(); old != nil {
		t.count.Store(old.count.Load())
		for i := range old.heads {
			for e := old.heads[i].Load(); e != nil; e = e.next {
				head := t.head(e.Scope, e.ID)
				head.Store(&denyEntry{Denial: e.Denial, next: head.Load()})
			}
		}
	}
	l.table.Store(t)
	return t
}
