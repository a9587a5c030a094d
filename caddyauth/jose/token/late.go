package token

import "sync/atomic"

// late are claims that nobody had announced (Verifier.Keep) and that were read out of the token's text when somebody asked. The list only
// grows, by swapping its head. An absent claim is remembered, too.
type late struct{ head atomic.Pointer[lateClaim] }

type lateClaim struct {
	other
	present bool
	next    *lateClaim
	depth   int
}

// maxLate bounds what one token remembers; further claims are read anew each time.
const maxLate = 16

func (t *Token) lateClaim(name string) (any, bool) {
	head := t.late.head.Load()
	for l := head; l != nil; l = l.next {
		if l.name == name {
			return l.value, l.present
		}
	}
	value, present := t.read(name)
	l := &lateClaim{other: other{name, value}, present: present, next: head, depth: 1}
	if head != nil {
		l.depth = head.depth + 1
	}
	if l.depth <= maxLate {
		t.late.head.CompareAndSwap(head, l)
	}
	return value, present
}

// read reads one claim out of the text, which was read whole when the token was verified.
func (t *Token) read(name string) (any, bool) {
	s := scratches.Get().(*scratch)
	defer s.release()
	c, err := s.split(t.raw)
	if err != nil {
		return nil, false
	}
	if err := s.scan(c.payload, maxClaimsDepth, func(member []byte) bool { return string(member) == name }); err != nil {
		return nil, false
	}
	for i := range s.members {
		if string(s.members[i].name) == name {
			return s.members[i].any(), true
		}
	}
	return nil, false
}
