package stream

import "encoding/binary"

// policyViolation is a WebSocket's close frame with the code 1008 (RFC 6455, sections 5.5.1 and
// 7.4.1).
var policyViolation = []byte{0x88, 2, 1008 >> 8, 1008 & 0xff}

// frames follows the frames that are written to a WebSocket (RFC 6455, section 5.2), to know where
// one ends.
type frames struct {
	head   [14]byte
	have   int    // bytes of head
	rest   uint64 // bytes of the payload that are still to come
	closed bool   // a close frame was written
}

// between reports whether a frame can be written now.
func (f *frames) between() bool { return f.have == 0 && f.rest == 0 && !f.closed }

func (f *frames) follow(p []byte) {
	for len(p) > 0 {
		if f.rest > 0 {
			n := min(f.rest, uint64(len(p)))
			f.rest, p = f.rest-n, p[n:]
			continue
		}
		f.head[f.have], p = p[0], p[1:]
		f.have++
		f.begin()
	}
}

// begin takes the length from a head that is complete.
func (f *frames) begin() {
	if f.have < 2 {
		return
	}
	need, length := 2, uint64(f.head[1]&0x7f)
	switch length {
	case 126:
		need, length = 4, uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		need, length = 10, binary.BigEndian.Uint64(f.head[2:])
	}
	if f.head[1]&0x80 != 0 {
		need += 4 // a mask, which servers do not send
	}
	if f.have < need {
		return
	}
	f.closed = f.closed || f.head[0]&0x0f == 8
	f.have, f.rest = 0, length
}
