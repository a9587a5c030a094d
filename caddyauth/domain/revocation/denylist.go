package revocation

import (
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// DenyList is what has been revoked, in memory. Denied may be called by any number of goroutines
// and takes no lock. Adding a denial costs the same however long the list is, except for the few
// that make it grow. The list contains no pointers for the garbage collector to follow. The zero
// value is an empty list.
type DenyList struct {
	table   atomic.Pointer[denyTable] // nil: nothing was ever denied
	newest  atomic.Int64              // the highest epoch of an order
	version atomic.Uint64

	mu      sync.Mutex // one change at a time
	changed chan struct{}
}

// versions is where all lists take their versions from, so that no two lists ever have the same
// one.
var versions atomic.Uint64

// denyTable is a hash table with open addressing. A slot is taken once and never freed: expired
// denials are left behind when the others are copied into a new table. So a reader needs no lock,
// and a reader that still has the previous table finds in it everything that was denied when its
// call began.
type denyTable struct {
	keys   [2]denyKey
	slots  []denySlot      // a power of two, of which at most half are taken
	counts [8]atomic.Int32 // slots taken, by mark
}

// denySlot is one denial. Two of them fill a cache line. The text of what is denied is not kept,
// only a fingerprint of 128 bits: the mark of the kind and 125 bits of a keyed hash. That is
// enough. The probability that a valid token is taken for one of n denied ones is about n in 2^125,
// nobody can search for such a pair because the keys are random and neither they nor a hash are
// ever visible outside, and the mistake would refuse a valid token. A denied token has the
// fingerprint of its denial and is always found.
type denySlot struct {
	first  atomic.Uint64 // with the mark in its lowest bits; 0: the slot is free
	second uint64        // written before first and never again
	epoch  atomic.Int64  // only increases
	until  int64         // in microseconds; read only with the lock held
}

// The marks of the kinds. None is 0, so a half with a mark is not 0 either.
const (
	tokenMark = iota + 1
	familyMark
	userMark
	clientMark
	projectMark

	markBits = 7
)

var marked = [...]Kind{
	tokenMark:   TokenKind,
	familyMark:  FamilyKind,
	userMark:    UserKind,
	clientMark:  ClientKind,
	projectMark: ProjectKind,
}

// denyKey makes one half of the fingerprints. A list keeps its keys for its whole life, because its
// denials cannot be hashed again.
type denyKey struct {
	scope, id maphash.Seed
}

// hash hashes each part with a seed of its own, so that neither swapping the parts nor moving a
// character from one to the other gives the same value.
func (k *denyKey) hash(scope, id string) uint64 {
	return maphash.String(k.scope, scope) ^ maphash.String(k.id, id)
}

const smallestTable = 64

// Denied returns the kind of denial that the token falls under, and "" if it is not denied.
func (l *DenyList) Denied(s Subject) Kind {
	t := l.table.Load()
	switch {
	case t == nil:
		return ""
	case s.TokenID != "" && t.find(tokenMark, s.Issuer, s.TokenID) != nil:
		return TokenKind
	case s.Foreign:
		return ""
	case s.Family != "" && t.find(familyMark, "", s.Family) != nil:
		return FamilyKind
	case s.Epoch >= l.newest.Load(): // nobody was revoked since it was issued
		return ""
	case t.revoked(userMark, s.Project, s.Subject, s.Epoch):
		return UserKind
	case t.revoked(clientMark, s.Project, s.ClientID, s.Epoch):
		return ClientKind
	case t.revoked(projectMark, s.Project, "", s.Epoch):
		return ProjectKind
	}
	return ""
}

// revoked reports whether there is a revocation that is newer than the token.
func (t *denyTable) revoked(mark uint64, project, id string, epoch int64) bool {
	s := t.find(mark, project, id)
	return s != nil && s.epoch.Load() > epoch
}

// find compares the second half only if the first is equal, which is hardly ever a coincidence.
func (t *denyTable) find(mark uint64, scope, id string) *denySlot {
	if t.counts[mark].Load() == 0 {
		return nil
	}
	first := t.first(mark, scope, id)
	for i := t.start(first); ; i++ {
		switch s := t.slot(i); s.first.Load() {
		case 0:
			return nil
		case first:
			if s.second == t.keys[1].hash(scope, id) {
				return s
			}
		}
	}
}

func (t *denyTable) first(mark uint64, scope, id string) uint64 {
	return t.keys[0].hash(scope, id)&^markBits | mark
}

// start is where the search for a fingerprint begins: the first slot of a cache line, so that
// mostly no other line is read.
func (t *denyTable) start(first uint64) uint64 { return first >> 2 &^ 1 }

func (t *denyTable) slot(i uint64) *denySlot { return &t.slots[i&uint64(len(t.slots)-1)] }

// Version returns a number that changes with every Add that takes something in: after the denial
// can be found and before Add returns. No two lists of the process ever have the same version
// except 0, which means that nothing has been added yet. Expire does not change it, because what it
// removes denies nobody who was not denied.
//
// So a caller that remembers that a token was clear at a version need not ask again while the
// version is the same. The version must be read before Denied is called; what is added in between
// then makes the next call ask again:
//
//	v := list.Version()
//	if last.Load() == v { // 0 is right for every list that is empty
//		return clear
//	}
//	if list.Denied(s) != "" {
//		return denied
//	}
//	last.Store(v)
//
// The remembered versions may be written late and in any order: an old one costs a lookup, never a
// denial.
func (l *DenyList) Version() uint64 { return l.version.Load() }

// Add takes denials into the list. Of two denials of the same thing the later time and the higher
// epoch count. A denial of a kind that is not among the constants is left out.
func (l *DenyList) Add(denials ...Denial) {
	l.mu.Lock()
	defer l.mu.Unlock()
	added := false
	for _, d := range denials {
		if mark := slices.Index(marked[:], d.Kind); mark > 0 {
			l.put(uint64(mark), d)
			added = true
		}
	}
	if !added {
		return
	}
	l.version.Store(versions.Add(1))
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Changed returns a channel that is closed when something is added after the call. Streams end
// then.
func (l *DenyList) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Len returns the number of denials in the list.
func (l *DenyList) Len() int {
	if t := l.table.Load(); t != nil {
		return t.len()
	}
	return 0
}

func (t *denyTable) len() (n int) {
	for mark := range t.counts {
		n += int(t.counts[mark].Load())
	}
	return n
}

// Expire removes what expired before now.
func (l *DenyList) Expire(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.table.Load()
	if t == nil {
		return
	}
	kept, at := 0, now.UnixMicro()
	for i := range t.slots {
		if t.slots[i].stands(at) {
			kept++
		}
	}
	if kept < t.len() {
		l.table.Store(t.copy(kept, at))
	}
}

// put adds one denial; the caller holds the lock. The epoch is published after the entry: a reader
// that does not see the new epoch came before the denial.
func (l *DenyList) put(mark uint64, d Denial) {
	t, until := l.withRoom(), roundUp(d.Until)
	if s := t.find(mark, d.Scope, d.ID); s != nil {
		s.until = max(s.until, until)
		s.epoch.Store(max(s.epoch.Load(), d.Epoch))
	} else {
		t.insert(t.first(mark, d.Scope, d.ID), t.keys[1].hash(d.Scope, d.ID), d.Epoch, until)
	}
	l.newest.Store(max(l.newest.Load(), d.Epoch))
}

// roundUp returns microseconds. It rounds up, so that a denial is never removed early.
func roundUp(until time.Time) int64 { return until.Add(time.Microsecond - 1).UnixMicro() }

// withRoom returns a table with room for one more denial; the caller holds the lock.
func (l *DenyList) withRoom() *denyTable {
	t := l.table.Load()
	switch {
	case t == nil:
		t = &denyTable{slots: make([]denySlot, smallestTable)}
		for half := range t.keys {
			t.keys[half] = denyKey{scope: maphash.MakeSeed(), id: maphash.MakeSeed()}
		}
	case 2*t.len() >= len(t.slots):
		t = t.copy(t.len(), math.MinInt64)
	default:
		return t
	}
	l.table.Store(t)
	return t
}

// copy makes a table for the n denials that have not expired, with room for an eighth more at
// least.
func (t *denyTable) copy(n int, at int64) *denyTable {
	size := smallestTable
	for size < 2*(n+n/8) {
		size *= 2
	}
	c := &denyTable{keys: t.keys, slots: make([]denySlot, size)}
	for i := range t.slots {
		if s := &t.slots[i]; s.stands(at) {
			c.insert(s.first.Load(), s.second, s.epoch.Load(), s.until)
		}
	}
	return c
}

func (s *denySlot) stands(at int64) bool { return s.first.Load() != 0 && at < s.until }

// insert takes a free slot. The first half makes it visible to readers and is therefore written
// last. The kind is counted before, because readers do not search for a kind that has no denials.
func (t *denyTable) insert(first, second uint64, epoch, until int64) {
	i := t.start(first)
	for t.slot(i).first.Load() != 0 {
		i++
	}
	s := t.slot(i)
	s.second, s.until = second, until
	s.epoch.Store(epoch)
	t.counts[first&markBits].Add(1)
	s.first.Store(first)
}
