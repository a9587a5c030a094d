package token

// absentClaim is kept in place of the value of a claim that the token does not have.
type absentClaim struct{}

// unannounced returns a claim that nobody announced (Verifier.Keep). It is read out of the token's
// text at the first call and kept.
func (t *Token) unannounced(name string) (any, bool) {
	head := t.derived.head.Load()
	found := head.find(name)
	if found == nil {
		value, ok := t.read(name)
		if !ok {
			value = absentClaim{}
		}
		found = &DerivedValue{Value: value}
		t.derived.add(head, name, found)
	}
	if found.Value == (absentClaim{}) {
		return nil, false
	}
	return found.Value, true
}

// read reads one claim out of the text, which was read whole when the token was verified.
func (t *Token) read(name string) (any, bool) {
	s := scratches.Get().(*scratch)
	defer s.release()
	c, err := s.split(t.raw)
	if err != nil {
		return nil, false
	}
	if err := s.scan(c.payload, maxClaimsDepth, func(member []byte) bool {
		return string(member) == name
	}); err != nil {
		return nil, false
	}
	for i := range s.members {
		if string(s.members[i].name) == name {
			return s.members[i].any(), true
		}
	}
	return nil, false
}
