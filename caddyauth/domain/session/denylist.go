package session

import (
	"hash/maphash"
	"math"
	"slices"
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
	// Foreign is a token of an issuer that is not this server: families, subjects and the rest mean
	// something else there, and only the token itself can be denied.
	Foreign bool
}

// DenyList is what has been revoked, in memory. Denied may be called by any number of goroutines
// and takes no lock, whatever else goes on. A change costs the same however long the list is, but
// for the few that make it grow. The garbage collector has nothing to look at in it. The zero value
// is an empty list.
type DenyList struct {
	table   atomic.Pointer[denyTable] // nil: nothing was ever denied
	newest  atomic.Int64              // the highest epoch of an order
	version atomic.Uint64

	mu      sync.Mutex // one change at a time
	changed chan struct{}
}

// versions is where every list takes its versions from, so that no two lists ever have the same
// one.
var versions atomic.Uint64

// denyTable is a hash table with open addressing. A slot is taken once and never freed: what is
// over goes when the others are copied into a table of their own. So a reader needs no lock, and
// one who still has the previous table finds in it all that stood when his call began.
type denyTable struct {
	keys   [2]denyKey
	slots  []denySlot      // a power of two, of which half are taken at most
	counts [8]atomic.Int32 // how many slots are taken, by mark
}

// denySlot is one denial: two of them fill a cache line, and none has a pointer. The text of what
// is denied is not kept, only a fingerprint of 128 bits: the mark of the kind and 125 bits of a
// keyed hash. That is enough. A token is taken for one of n denied ones by mistake about n times in
// 2^125, nobody can search for such a pair because the keys are drawn at random and neither they
// nor a hash are ever seen outside, and the mistake would refuse a good token. A denied token has
// the fingerprint of its denial and is always found.
type denySlot struct {
	first  atomic.Uint64 // with the mark in its lowest bits; 0: the slot is free
	second uint64        // written before first and never again
	epoch  atomic.Int64  // rises
	until  int64         // in microseconds; only whoever holds the lock looks at it
}

// The marks of the kinds. None is 0, hence no half with a mark is.
const (
	tokenMark = iota + 1
	familyMark
	userMark
	clientMark
	projectMark

	markBits = 7
)

var marked = [...]Kind{tokenMark: TokenKind, familyMark: FamilyKind, userMark: UserKind, clientMark: ClientKind, projectMark: ProjectKind}

// denyKey makes one half of the fingerprints. A list keeps its keys for good, since what stands in
// it cannot be hashed again.
type denyKey struct {
	scope, id maphash.Seed
}

// hash hashes each part by itself and with a seed of its own: neither exchanging the parts nor
// moving a letter from one to the other gives the same.
func (k *denyKey) hash(scope, id string) uint64 {
	return maphash.String(k.scope, scope) ^ maphash.String(k.id, id)
}

const smallestTable = 64

// Denied returns what the token falls under, and "" when it is not denied.
func (l *DenyList) Denied(b Bearer) Kind {
	t := l.table.Load()
	switch {
	case t == nil:
		return ""
	case b.TokenID != "" && t.find(tokenMark, b.Issuer, b.TokenID) != nil:
		return TokenKind
	case b.Foreign:
		return ""
	case b.Family != "" && t.find(familyMark, "", b.Family) != nil:
		return FamilyKind
	case b.Epoch >= l.newest.Load(): // nobody was revoked since it was made
		return ""
	case t.orders(userMark, b.Project, b.Subject, b.Epoch):
		return UserKind
	case t.orders(clientMark, b.Project, b.ClientID, b.Epoch):
		return ClientKind
	case t.orders(projectMark, b.Project, "", b.Epoch):
		return ProjectKind
	}
	return ""
}

// orders looks for an order which is newer than the token.
func (t *denyTable) orders(mark uint64, project, id string, epoch int64) bool {
	s := t.find(mark, project, id)
	return s != nil && s.epoch.Load() > epoch
}

// find asks for the second half only where the first agrees, which is hardly ever for nothing.
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

// start is where the search for a fingerprint begins: with the first slot of a cache line, so that
// mostly no other is read.
func (t *denyTable) start(first uint64) uint64 { return first >> 2 &^ 1 }

func (t *denyTable) slot(i uint64) *denySlot { return &t.slots[i&uint64(len(t.slots)-1)] }

// Version returns a number that tells whether anything was added: it changes with every Add that
// takes something in, once that stands and before Add returns. No two lists of the process ever
// have the same version except 0, with which nothing has been added yet. Expire leaves it as it is,
// for what is taken out denies nobody who was not denied.
//
// So whoever remembers that a token was clear at a version need not ask again while it is the same.
// The version must be read before Denied is asked; what is added in between then makes the next
// call ask again:
//
//	v := list.Version()
//	if stamp.Load() == v { // a stamp of 0 is right with every list that has nothing in it
//		return clear
//	}
//	if list.Denied(b) != "" {
//		return denied
//	}
//	stamp.Store(v)
//
// Stamps may be written late and in any order: an old one costs a question, never a denial.
func (l *DenyList) Version() uint64 { return l.version.Load() }

// Add takes denials into the list. Of two for the same thing the later time and the higher epoch
// stand. A denial without a kind, or of one that is not among the constants, is left out.
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

// Changed returns a channel that is closed when something is added after the call, for streams
// which must end then.
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

// Expire takes out what is over at now.
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

// put adds one denial; the caller holds the lock. The epoch is told after the entry stands: a
// reader who sees no new epoch came before.
func (l *DenyList) put(mark uint64, d Denial) {
	t, until := l.roomy(), ending(d.Until)
	if s := t.find(mark, d.Scope, d.ID); s != nil {
		s.until = max(s.until, until)
		s.epoch.Store(max(s.epoch.Load(), d.Epoch))
	} else {
		t.insert(t.first(mark, d.Scope, d.ID), t.keys[1].hash(d.Scope, d.ID), d.Epoch, until)
	}
	l.newest.Store(max(l.newest.Load(), d.Epoch))
}

// ending rounds up: a denial is never forgotten early.
func ending(until time.Time) int64 { return until.Add(time.Microsecond - 1).UnixMicro() }

// roomy returns the table with room for one more; the caller holds the lock.
func (l *DenyList) roomy() *denyTable {
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

// copy makes a table for the n denials which stand at a moment, and for an eighth more at least.
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

// insert takes a slot for what has none. The first half makes it visible to readers and therefore
// comes last, and the kind is counted before, because readers do not look for a kind of which there
// is none.
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
