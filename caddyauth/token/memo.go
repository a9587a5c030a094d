package token

import "sync/atomic"

// memos are what rooms above have computed from a token, each under a key of its own. The list only grows, by swapping its head.
type memos struct{ head atomic.Pointer[memo] }

type memo struct {
	key   any
	value any
	next  *memo
	depth int
}

// maxMemos bounds what one token may carry; further values are computed anew each time.
const maxMemos = 8

// Memo returns what compute makes of t, remembered beside the token under key, which must be a pointer. The value must be
// immutable and depend on nothing but the token and the key. Concurrent first calls may each compute.
func (t *Token) Memo(key any, compute func(*Token) any) any {
	head := t.memos.head.Load()
	for m := head; m != nil; m = m.next {
		if m.key == key {
			return m.value
		}
	}
	value := compute(t)
	m := &memo{key: key, value: value, next: head, depth: 1}
	if head != nil {
		m.depth = head.depth + 1
	}
	if m.depth <= maxMemos {
		t.memos.head.CompareAndSwap(head, m)
	}
	return value
}
