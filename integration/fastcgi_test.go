package integration

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// The record types of the FastCGI specification, section 8, that a responder meets.
const (
	fcgiBegin  = 1
	fcgiEnd    = 3
	fcgiParams = 4
	fcgiStdin  = 5
	fcgiStdout = 6
)

// fastcgiRecorder is a PHP application's place: it remembers every parameter as it came.
// net/http/fcgi would turn them back into an http.Request and hide their spelling.
type fastcgiRecorder struct {
	listener net.Listener
	wait     sync.WaitGroup

	mu   sync.Mutex
	seen []sighting
}

func newFastCGIRecorder(t *testing.T) *fastcgiRecorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &fastcgiRecorder{listener: l}
	r.wait.Go(func() { acceptAll(l, func(net.Conn, bool) {}, r.serve) })
	t.Cleanup(func() {
		l.Close()
		r.wait.Wait()
	})
	return r
}

func (r *fastcgiRecorder) addr() string { return r.listener.Addr().String() }

// take returns what was seen since the last call.
func (r *fastcgiRecorder) take() []sighting {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

func (r *fastcgiRecorder) serve(conn net.Conn) {
	conn.SetDeadline(time.Now().Add(time.Minute))
	s, id, err := readFastCGI(bufio.NewReader(conn))
	if err != nil {
		return
	}
	r.mu.Lock()
	r.seen = append(r.seen, s)
	r.mu.Unlock()
	answer := "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n"
	if s.method != "HEAD" {
		answer += "ok"
	}
	writeRecord(conn, fcgiStdout, id, []byte(answer))
	writeRecord(conn, fcgiStdout, id, nil)
	writeRecord(conn, fcgiEnd, id, make([]byte, 8))
}

// readFastCGI reads one request: BEGIN_REQUEST, then PARAMS and STDIN, each ended by an empty
// record.
func readFastCGI(in io.Reader) (sighting, uint16, error) {
	var params, stdin []byte
	var request uint16
	for {
		kind, id, content, err := readRecord(in)
		if err != nil {
			return sighting{}, 0, err
		}
		switch kind {
		case fcgiBegin:
			request = id
		case fcgiParams:
			params = append(params, content...)
		case fcgiStdin:
			if len(content) == 0 {
				s, err := fastcgiSighting(params, stdin)
				return s, request, err
			}
			stdin = append(stdin, content...)
		}
	}
}

func readRecord(in io.Reader) (kind byte, id uint16, content []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, 0, nil, err
	}
	length, padding := int(binary.BigEndian.Uint16(head[4:])), int(head[6])
	content = make([]byte, length+padding)
	if _, err := io.ReadFull(in, content); err != nil {
		return 0, 0, nil, err
	}
	return head[1], binary.BigEndian.Uint16(head[2:]), content[:length], nil
}

func writeRecord(out io.Writer, kind byte, id uint16, content []byte) {
	head := [8]byte{1, kind}
	binary.BigEndian.PutUint16(head[2:], id)
	binary.BigEndian.PutUint16(head[4:], uint16(len(content)))
	out.Write(append(head[:], content...))
}

// fastcgiSighting turns parameters into what a PHP application makes of them: `HTTP_` names are
// headers, and REMOTE_USER is who the server says is signed in.
func fastcgiSighting(params, stdin []byte) (sighting, error) {
	pairs, err := readPairs(params)
	if err != nil {
		return sighting{}, err
	}
	s := sighting{
		method: pairs["REQUEST_METHOD"],
		target: pairs["REQUEST_URI"],
		body:   string(stdin),
		raw:    string(params),
		params: pairs,
	}
	for name, value := range pairs {
		if len(name) > 5 && name[:5] == "HTTP_" {
			s.headers = append(s.headers, name[5:]+": "+value)
		}
	}
	return s, nil
}

// readPairs reads name-value pairs (section 3.4). A repeated name is an error: the application
// would see either.
func readPairs(b []byte) (map[string]string, error) {
	pairs := map[string]string{}
	for len(b) > 0 {
		nameLen, b1, ok1 := readLength(b)
		valueLen, b2, ok2 := readLength(b1)
		if !ok1 || !ok2 || len(b2) < nameLen+valueLen {
			return nil, errors.New("parameters are cut short")
		}
		name := string(b2[:nameLen])
		if _, twice := pairs[name]; twice {
			return nil, errors.New("parameter twice: " + name)
		}
		pairs[name] = string(b2[nameLen : nameLen+valueLen])
		b = b2[nameLen+valueLen:]
	}
	return pairs, nil
}

func readLength(b []byte) (int, []byte, bool) {
	switch {
	case len(b) >= 1 && b[0]>>7 == 0:
		return int(b[0]), b[1:], true
	case len(b) >= 4:
		return int(binary.BigEndian.Uint32(b) & 0x7fffffff), b[4:], true
	}
	return 0, nil, false
}
