package token

import "sync/atomic"

// MemoKey is the place of one kind of value beside tokens: its address is the key. Whoever remembers something has one of its own.
type MemoKey struct{ _ byte }

// memos are what rooms above have computed from a token, each under a key of its own. The first two stand in the token itself, where a
// request finds them without going anywhere else; the rest is a list that only grows, by swapping its head.
type memos struct {
	state  atomic.Uint32 // of each place: whether it is taken and, sixteen bits above, whether it is filled
	places [2]memo
	rest   atomic.Pointer[memoLink]
}

type memo struct {
	key   *MemoKey
	value any
}

type memoLink struct {
	memo
	next  *memoLink
	depth int
}

// maxMemos bounds the list; further values are computed anew each time.
const maxMemos = 8

const filled = 1 << 16

// Memo returns what compute makes of t, remembered beside the token under key. The value must be immutable and depend on nothing but
// the token and the key. Concurrent first calls may each compute.
func (t *Token) Memo(key *MemoKey, compute func(*Token) any) any {
	state := t.memos.state.Load()
	for i := range t.memos.places {
		if m := &t.memos.places[i]; state&(filled<<i) != 0 && m.key == key {
			return m.value
		}
	}
	head := t.memos.rest.Load()
	for l := head; l != nil; l = l.next {
		if l.key == key {
			return l.value
		}
	}
	m := memo{key, compute(t)}
	t.memos.keep(state, head, m)
	return m.value
}

// keep remembers m, unless something else was remembered since state and head were read: the next call may.
func (ms *memos) keep(state uint32, head *memoLink, m memo) {
	for i := range ms.places {
		if taken := uint32(1) << i; state&taken == 0 {
			if ms.state.CompareAndSwap(state, state|taken) {
				ms.places[i] = m
				ms.state.Or(filled << i)
			}
			return
		}
	}
	l := &memoLink{memo: m, next: head, depth: 1}
	if head != nil {
		l.depth = head.depth + 1
	}
	if l.depth <= maxMemos {
		ms.rest.CompareAndSwap(head, l)
	}
}

// Stamp is one number that whoever judges the token may leave beside it, 0 at first. It says nothing by itself.
func (t *Token) Stamp() *atomic.Uint64 { return &t.stamp }
