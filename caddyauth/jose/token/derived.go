package token

import "sync/atomic"

// DerivedKey identifies one kind of value that is derived from tokens: its address is the key.
// Whoever keeps such values with tokens has a key of its own.
type DerivedKey struct{ _ byte }

// derivedValues are the values that were derived from a token, under a *DerivedKey or, for claims
// that were not announced, the claim's name. The list only grows, by swapping its head.
type derivedValues struct{ head atomic.Pointer[DerivedValue] }

// DerivedValue is a value with its place in the list of its token. What it is derived for may be
// the struct that it stands in: then a request that finds one has found the other.
type DerivedValue struct {
	// Value must be immutable and depend on nothing but the token and the key.
	Value any

	key   any
	next  *DerivedValue
	depth int
}

// maxDerived bounds the list. Further values are derived anew each time.
const maxDerived = 24

// Derived returns the Value that derive makes of t, and keeps it with the token under key. derive
// returns a new DerivedValue with each call. Concurrent first calls may each derive one.
func (t *Token) Derived(key *DerivedKey, derive func(*Token) *DerivedValue) any {
	head := t.derived.head.Load()
	found := head.find(key)
	if found == nil {
		found = derive(t)
		t.derived.add(head, key, found)
	}
	return found.Value
}

// find returns the value under key in the list that begins with v.
func (v *DerivedValue) find(key any) *DerivedValue {
	for v != nil && v.key != key {
		v = v.next
	}
	return v
}

// add keeps a value under key, unless another was added since head was read: then the next caller
// derives it again.
func (d *derivedValues) add(head *DerivedValue, key any, added *DerivedValue) {
	added.key, added.next, added.depth = key, head, 1
	if head != nil {
		added.depth = head.depth + 1
	}
	if added.depth <= maxDerived {
		d.head.CompareAndSwap(head, added)
	}
}

// RevocationVersion is the version of the deny list at which the token was last found clear; 0
// means never. The caller that asks the deny list reads and writes it.
func (t *Token) RevocationVersion() *atomic.Uint64 { return &t.revocationVersion }
