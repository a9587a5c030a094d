package revocation

import (
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// DenyList is what has been revoked, in memory. Its methods may be called by any number of
// goroutines. It contains no pointers for the garbage collector to follow. The zero value is an
// empty list.
type DenyList struct {
	shards  [64]denyShard
	newest  atomic.Int64 // the highest epoch of a revocation
	version atomic.Uint64

	mu      sync.Mutex // one Add at a time
	changed chan struct{}
}

// versions is where all lists take their versions from, so that no two lists ever have the same
// one.
var versions atomic.Uint64

// denyShard is one of many small maps, so that a reader waits for no more than one of them while
// expired denials are removed.
type denyShard struct {
	mu      sync.RWMutex
	entries map[fingerprint]denyEntry
}

type denyEntry struct {
	epoch int64
	until int64 // in microseconds
}

// fingerprint stands for what is denied: 128 bits of a keyed hash instead of the text. The
// probability that a valid token is taken for one of n denied ones is about n in 2^128, nobody can
// search for such a pair because the keys are random and neither they nor a hash are ever visible
// outside, and the mistake would refuse a valid token. A denied token has the fingerprint of its
// denial and is always found.
type fingerprint [2]uint64

// denied is what a fingerprint is made of.
type denied struct {
	kind      Kind
	scope, id string
}

// fingerprintKeys are the keys of both halves.
var fingerprintKeys = [2]hashKey{newHashKey(), newHashKey()}

// hashKey has a seed for each part, so that neither swapping parts nor moving a character from one
// to the other gives the same hash.
type hashKey struct{ kind, scope, id maphash.Seed }

func newHashKey() hashKey { return hashKey{maphash.MakeSeed(), maphash.MakeSeed(), maphash.MakeSeed()} }

func (k *hashKey) hash(d denied) uint64 {
	return maphash.String(k.kind, string(d.kind)) ^ maphash.String(k.scope, d.scope) ^ maphash.String(k.id, d.id)
}

func (d denied) fingerprint() fingerprint {
	return fingerprint{fingerprintKeys[0].hash(d), fingerprintKeys[1].hash(d)}
}

// Denied returns the kind of denial that the token falls under, and "" if it is not denied.
func (l *DenyList) Denied(s Subject) Kind {
	switch {
	case l.version.Load() == 0: // nothing was ever denied
		return ""
	case s.TokenID != "" && l.has(denied{TokenKind, s.Issuer, s.TokenID}):
		return TokenKind
	case s.Foreign:
		return ""
	case s.Family != "" && l.has(denied{FamilyKind, "", s.Family}):
		return FamilyKind
	case s.Epoch >= l.newest.Load(): // nobody was revoked since it was issued
		return ""
	case l.revoked(denied{UserKind, s.Project, s.Subject}, s.Epoch):
		return UserKind
	case l.revoked(denied{ClientKind, s.Project, s.ClientID}, s.Epoch):
		return ClientKind
	case l.revoked(denied{ProjectKind, s.Project, ""}, s.Epoch):
		return ProjectKind
	}
	return ""
}

func (l *DenyList) has(d denied) bool {
	_, ok := l.find(d)
	return ok
}

// revoked reports whether there is a revocation that is newer than the token.
func (l *DenyList) revoked(d denied, epoch int64) bool {
	e, ok := l.find(d)
	return ok && e.epoch > epoch
}

func (l *DenyList) find(d denied) (denyEntry, bool) {
	f := d.fingerprint()
	shard := l.shard(f)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	e, ok := shard.entries[f]
	return e, ok
}

func (l *DenyList) shard(f fingerprint) *denyShard { return &l.shards[f[0]%uint64(len(l.shards))] }

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

// Newest returns the highest epoch of a revocation in the list. What was read of the store at that
// epoch or a higher one is not older than what the list has.
func (l *DenyList) Newest() int64 { return l.newest.Load() }

// Add takes denials into the list. Of two denials of the same thing the later time and the higher
// epoch count. A denial of a kind that is not among the constants is left out.
func (l *DenyList) Add(denials ...Denial) {
	l.mu.Lock()
	defer l.mu.Unlock()
	added := false
	for _, d := range denials {
		switch d.Kind {
		case TokenKind, FamilyKind, UserKind, ClientKind, ProjectKind:
			l.put(d)
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

// put adds one denial; the caller holds the lock. The epoch is published after the entry: a reader
// that does not see the new epoch came before the denial.
func (l *DenyList) put(d Denial) {
	f := denied{d.Kind, d.Scope, d.ID}.fingerprint()
	l.shard(f).put(f, denyEntry{epoch: d.Epoch, until: roundUp(d.Until)})
	l.newest.Store(max(l.newest.Load(), d.Epoch))
}

func (s *denyShard) put(f fingerprint, e denyEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		s.entries = make(map[fingerprint]denyEntry)
	}
	if old, ok := s.entries[f]; ok {
		e = denyEntry{epoch: max(old.epoch, e.epoch), until: max(old.until, e.until)}
	}
	s.entries[f] = e
}

// roundUp returns microseconds. It rounds up, so that a denial is never removed early.
func roundUp(until time.Time) int64 { return until.Add(time.Microsecond - 1).UnixMicro() }

// Len returns the number of denials in the list.
func (l *DenyList) Len() (n int) {
	for i := range l.shards {
		n += l.shards[i].len()
	}
	return n
}

func (s *denyShard) len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.entries)
}

// Expire removes what expired before now.
func (l *DenyList) Expire(now time.Time) {
	for i := range l.shards {
		l.shards[i].expire(now.UnixMicro())
	}
}

// expire copies what stands, because a map from which entries are deleted keeps their memory.
func (s *denyShard) expire(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.entries)
	maps.DeleteFunc(s.entries, func(_ fingerprint, e denyEntry) bool { return now >= e.until })
	if len(s.entries) < before {
		kept := make(map[fingerprint]denyEntry, len(s.entries))
		maps.Copy(kept, s.entries)
		s.entries = kept
	}
}
