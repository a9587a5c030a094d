package integration

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// sighting is one request as an application saw it.
type sighting struct {
	method, target string
	headers        []string // `Name: value` lines in their original spelling; for FastCGI rebuilt from the parameters
	body           string
	trailers       []string
	raw            string            // every byte received
	params         map[string]string // FastCGI only
}

// values returns the values of all headers whose folded name is name.
func (s sighting) values(name string) []string {
	var found []string
	for _, line := range s.headers {
		key, value, _ := strings.Cut(line, ":")
		if fold(key) == name {
			found = append(found, strings.TrimSpace(value))
		}
	}
	return found
}

// fold reads a header name as the most careless application would: lighttpd and old releases of
// Apache's server make `_` of every byte that is no letter or digit when they pass headers to CGI.
func fold(name string) string {
	return strings.Map(func(c rune) rune {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return '-'
		}
		return c
	}, strings.ToLower(strings.TrimSpace(name)))
}

// identityNames are the beginnings of header names by which applications learn who asks.
var identityNames = []string{
	"x-user", "remote-user", "remote-name", "remote-email", "remote-groups", "x-forwarded-user", "x-forwarded-email",
	"x-forwarded-groups", "x-forwarded-preferred-username", "x-auth-request-user", "x-auth-request-email",
	"x-auth-request-groups", "x-auth-request-preferred", "x-webauth",
}

func isIdentity(name string) bool {
	return slices.ContainsFunc(identityNames, func(begin string) bool { return strings.HasPrefix(fold(name), begin) })
}

// identity returns everything that claims who the user is, headers and trailers, in order of name.
func (s sighting) identity() []string {
	var found []string
	for _, line := range slices.Concat(s.headers, s.trailers) {
		if name, _, _ := strings.Cut(line, ":"); isIdentity(name) {
			found = append(found, line)
		}
	}
	slices.Sort(found)
	return found
}

// recorder is an application that speaks HTTP/1.1 and remembers every byte. It is written by hand,
// because net/http would tidy up what it received.
type recorder struct {
	listener net.Listener
	wait     sync.WaitGroup

	mu      sync.Mutex
	seen    []sighting
	answers []string // extra header lines of the answer
	open    map[net.Conn]bool
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{listener: l, open: map[net.Conn]bool{}}
	r.wait.Go(func() { acceptAll(l, r.track, r.serve) })
	t.Cleanup(r.close)
	return r
}

// acceptAll serves each connection until the listener is closed.
func acceptAll(l net.Listener, track func(net.Conn, bool), serve func(net.Conn)) {
	var wait sync.WaitGroup
	defer wait.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		track(conn, true)
		wait.Go(func() {
			defer track(conn, false)
			defer conn.Close()
			serve(conn)
		})
	}
}

func (r *recorder) addr() string { return r.listener.Addr().String() }

func (r *recorder) track(conn net.Conn, open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if open {
		r.open[conn] = true
		return
	}
	delete(r.open, conn)
}

func (r *recorder) close() {
	r.listener.Close()
	r.mu.Lock()
	for conn := range r.open {
		conn.Close()
	}
	r.mu.Unlock()
	r.wait.Wait()
}

// take returns what was seen since the last call.
func (r *recorder) take() []sighting {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// answerWith adds header lines to all further answers.
func (r *recorder) answerWith(lines ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = lines
}

func (r *recorder) serve(conn net.Conn) {
	var raw bytes.Buffer
	in := bufio.NewReader(io.TeeReader(conn, &raw))
	for {
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		raw.Reset() // what the reader holds back belongs to the next request, and a proxy does not pipeline
		s, err := readRequest(in)
		if err != nil {
			return
		}
		s.raw = raw.String()
		r.mu.Lock()
		r.seen = append(r.seen, s)
		extra := r.answers
		r.mu.Unlock()
		if _, err := io.WriteString(conn, answerText(s.method, extra)); err != nil {
			return
		}
	}
}

func answerText(method string, extra []string) string {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n")
	for _, line := range extra {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	if method != "HEAD" {
		b.WriteString("ok")
	}
	return b.String()
}

func readRequest(in *bufio.Reader) (sighting, error) {
	start, err := readLine(in)
	if err != nil {
		return sighting{}, err
	}
	parts := strings.Split(start, " ")
	if len(parts) != 3 {
		return sighting{}, errors.New("no request line")
	}
	s := sighting{method: parts[0], target: parts[1]}
	if s.headers, err = readHeaderLines(in); err != nil {
		return s, err
	}
	return s, s.readBody(in)
}

func (s *sighting) readBody(in *bufio.Reader) error {
	if te := s.values("transfer-encoding"); len(te) > 0 && strings.EqualFold(te[0], "chunked") {
		return s.readChunks(in)
	}
	length := s.values("content-length")
	if len(length) == 0 {
		return nil
	}
	n, err := strconv.Atoi(length[0])
	if err != nil {
		return err
	}
	body := make([]byte, n)
	_, err = io.ReadFull(in, body)
	s.body = string(body)
	return err
}

func (s *sighting) readChunks(in *bufio.Reader) error {
	var body bytes.Buffer
	for {
		line, err := readLine(in)
		if err != nil {
			return err
		}
		size, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseUint(size, 16, 31)
		if err != nil {
			return err
		}
		if n == 0 {
			s.body = body.String()
			s.trailers, err = readHeaderLines(in)
			return err
		}
		if _, err := io.CopyN(&body, in, int64(n)); err != nil {
			return err
		}
		if _, err := readLine(in); err != nil {
			return err
		}
	}
}

func readHeaderLines(in *bufio.Reader) ([]string, error) {
	var lines []string
	for {
		line, err := readLine(in)
		if err != nil || line == "" {
			return lines, err
		}
		lines = append(lines, line)
	}
}

func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}
