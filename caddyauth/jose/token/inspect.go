package token

// Inspect takes a token apart for a person to look at and verifies nothing: neither signature nor
// claims. The form is held as strictly as in Verify (size, base64url, JSON). The error is a
// *Refusal.
func Inspect(raw string) (header, claims map[string]any, err error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	c, err := s.split(raw)
	if err != nil {
		return nil, nil, err
	}
	if err := s.scan(c.header, maxHeaderDepth, every); err != nil {
		return nil, nil, refuse(Malformed, "header: "+err.Error())
	}
	header = s.object()
	if err := s.scanClaims(c.payload, nil); err != nil {
		return nil, nil, err
	}
	return header, s.object(), nil
}

// HasTextAudience reports whether `aud` of a verified token is a string, and not a list of one.
func HasTextAudience(raw string) bool {
	_, claims, err := Inspect(raw)
	_, isText := claims["aud"].(string)
	return err == nil && isText
}

func (s *scratch) object() map[string]any {
	object := make(map[string]any, len(s.members))
	for i := range s.members {
		object[string(s.members[i].name)] = s.members[i].any()
	}
	return object
}
