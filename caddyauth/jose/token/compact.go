package token

import (
	"bytes"
	"encoding/base64"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxSize is the length in bytes of the longest token that is read, and of the longest that is
// minted.
const MaxSize = 8 << 10

// refreshPrefix starts our refresh tokens. No compact JWS can: its first byte decodes to no JSON.
const refreshPrefix = "rt_"

// strict is base64url without padding and without stray bits in the last character (RFC 7515,
// section 2; RFC 4648, section 3.5).
var strict = base64.RawURLEncoding.Strict()

// scratch is the memory of one verification, used again for the next. Nothing in a Token points
// into it.
type scratch struct {
	text    []byte // the compact token
	plain   []byte // its three segments, decoded
	reader  bytes.Buffer
	decoder jsontext.Decoder
	members []member // of the object scanned last
	claims  bool     // members are those of the payload
}

var scratches = sync.Pool{New: func() any {
	return &scratch{
		text:    make([]byte, 0, 2048),
		plain:   make([]byte, 0, 2048),
		members: make([]member, 0, 32),
	}
}}

// release gives s back, unless something unusually large went through it.
func (s *scratch) release() {
	clear(s.members)
	s.members, s.claims = s.members[:0], false
	if cap(s.members) <= 256 && cap(s.text) <= 2*MaxSize && cap(s.plain) <= 2*MaxSize {
		scratches.Put(s)
	}
}

// compact is a token taken apart (RFC 7515, section 7.1). Its fields point into the scratch.
type compact struct {
	signingInput, header, payload, signature []byte
}

// split takes raw apart before anything of it is read as JSON. It costs nothing that grows with raw
// beyond MaxSize.
func (s *scratch) split(raw string) (compact, error) {
	if len(raw) > MaxSize {
		return compact{}, refuse(TooLarge, "the token is longer than 8192 bytes")
	}
	if strings.HasPrefix(raw, refreshPrefix) {
		return compact{}, refuse(WrongType, "a refresh token is not an access token")
	}
	first := strings.IndexByte(raw, '.')
	last := first + 1 + strings.IndexByte(raw[first+1:], '.')
	if first <= 0 || last <= first+1 || last == len(raw)-1 || strings.IndexByte(raw[last+1:], '.') >= 0 {
		return compact{}, refuse(Malformed, "not three segments with something in each")
	}
	// The decoder of encoding/base64 skips line breaks even when strict.
	if strings.IndexByte(raw, '\n') >= 0 || strings.IndexByte(raw, '\r') >= 0 {
		return compact{}, refuse(Malformed, "a segment is not base64url")
	}
	return s.decode(raw, first, last)
}

func (s *scratch) decode(raw string, first, last int) (compact, error) {
	s.text = append(s.text[:0], raw...)
	s.plain = s.plain[:0]
	if cap(s.plain) < len(raw) {
		s.plain = make([]byte, 0, len(raw))
	}
	c := compact{signingInput: s.text[:last]}
	var errHeader, errPayload, errSignature error
	c.header, errHeader = s.segment(s.text[:first])
	c.payload, errPayload = s.segment(s.text[first+1 : last])
	c.signature, errSignature = s.segment(s.text[last+1:])
	if errHeader != nil || errPayload != nil || errSignature != nil {
		return compact{}, refuse(Malformed, "a segment is not base64url")
	}
	return c, nil
}

// segment decodes one segment to the end of s.plain, which has room for it.
func (s *scratch) segment(src []byte) ([]byte, error) {
	start := len(s.plain)
	dst := s.plain[start:cap(s.plain)]
	n, err := strict.Decode(dst, src)
	s.plain = s.plain[:start+n]
	return dst[:n:n], err
}
