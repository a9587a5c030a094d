package token

import "sync/atomic"

// DerivedKey identifies one kind of value that is derived from tokens: its address is the key.
// Whoever keeps such values with tokens has a key of its own.
type DerivedKey struct{ _ byte }

// derivedValues are the values that were derived from a token, under a *DerivedKey or, for claims
// that were not announced, the claim's name. The list only grows, by swapping its head.
type derivedValues struct{ head atomic.Pointer[derivedValue] }

type derivedValue struct {
	key, value any
	next       *derivedValue
	depth      int
}

// maxDerived bounds the list. Further values are derived anew each time.
const maxDerived = 24

// Derived returns what derive makes of t, and keeps it with the token under key. The value must be
// immutable and depend on nothing but the token and the key. Concurrent first calls may each derive
// it.
func (t *Token) Derived(key *DerivedKey, derive func(*Token) any) any {
	head := t.derived.head.Load()
	value, ok := head.find(key)
	if !ok {
		value = derive(t)
		t.derived.add(head, key, value)
	}
	return value
}

// find returns the value under key in the list that begins with v.
func (v *derivedValue) find(key any) (value any, ok bool) {
	for ; v != nil; v = v.next {
		if v.key == key {
			return v.value, true
		}
	}
	return nil, false
}

// add keeps value under key, unless another value was added since head was read: then the next
// caller derives it again.
func (d *derivedValues) add(head *derivedValue, key, value any) {
	added := &derivedValue{key: key, value: value, next: head, depth: 1}
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
