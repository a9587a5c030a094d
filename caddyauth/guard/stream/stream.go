package stream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

// errEnded is what a handler gets that writes to a stream after its end.
var errEnded = errors.New("the credential of this stream no longer holds")

// Policy says how long the streams that one gate admits may go on.
type Policy struct {
	// Watcher ends them.
	Watcher *Watcher
	// Session is the cookie whose streams live as long as their session, and not only as long as
	// their token.
	Session gate.Source
	// Leeway is the clock difference that the gate forgives.
	Leeway time.Duration
	// Grace is for how long a stream may outlive its token.
	Grace time.Duration
	// Staleness is how old the deny list may become before streams end.
	Staleness time.Duration
	// Ended is told of each stream that was ended, once its handler has returned.
	Ended func(why token.Reason, t *token.Token)
}

// stream is one answer that goes on.
type stream struct {
	policy  *Policy
	token   *token.Token
	session bool               // it lives as long as the session
	socket  bool               // what is written are WebSocket frames
	cancel  context.CancelFunc // tells the handlers; nil where they cannot be told
	w       http.ResponseWriter
	held    bool // it holds the store open
	ended   atomic.Pointer[token.Reason]

	// Guarded by Watcher.mu.
	due          time.Time // when it ends, the store must be asked, or it is cut
	unknownSince time.Time // since when the store could not say whether its session lives; zero while it can
	keyEnds      time.Time // when its token's key retires; zero when that was not known at the last look
	index        int       // in the queue; -1 outside

	mu     sync.Mutex // held while it is cut, so that it does not leave meanwhile
	left   bool
	conn   net.Conn // when it was hijacked
	frames frames
}

// begin begins to watch an answer. It is ended at once when its store is no longer in use, because
// nobody would hear of revocations.
func (p *Policy) begin(a *Answer, w http.ResponseWriter) *stream {
	now := time.Now()
	t := a.admission.Token
	s := &stream{
		policy: p,
		token:  t,
		socket: a.socket,
		cancel: a.cancel,
		w:      w,
		due:    t.Expiry.Time(),
		index:  -1,
	}
	s.session = t.Own() && t.Session != "" && a.admission.Via() == p.Session
	if !s.session {
		s.due = t.Expiry.Time().Add(p.Grace)
		if !now.Before(s.due) { // the leeway admitted it, so it gets what is left of that
			s.due = s.due.Add(p.Leeway)
		}
	}
	if s.held = p.Watcher.Hold(); !s.held {
		s.end(uncertain, now)
		s.cut()
		return s
	}
	p.Watcher.add(s, now)
	return s
}

// end tells the handlers of a stream to stop. Its connection is cut after patience unless they do.
func (s *stream) end(why token.Reason, now time.Time) {
	s.ended.Store(&why)
	s.due = now
	if s.cancel != nil {
		s.due = now.Add(patience)
		s.cancel()
	}
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// cut makes reading and writing fail. On HTTP/1.1 that also cancels the request's context, on
// HTTP/2 and 3 it resets the stream.
func (s *stream) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.left:
	case s.conn != nil:
		_ = s.conn.SetDeadline(longAgo)
		go s.conn.Close() // TLS may wait until its closing alert is sent
	default:
		c := http.NewResponseController(s.w)
		_, _ = c.SetWriteDeadline(longAgo), c.SetReadDeadline(longAgo)
	}
}

// leave is called at the end of a stream, whoever ended it.
func (s *stream) leave() {
	s.policy.Watcher.remove(s)
	s.mu.Lock()
	left := s.left
	s.left = true
	s.mu.Unlock()
	if left {
		return
	}
	if s.held {
		s.policy.Watcher.Release()
	}
	if why := s.ended.Load(); why != nil && s.policy.Ended != nil {
		s.policy.Ended(*why, s.token)
	}
}

func (s *stream) hijacked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil
}

// write follows what is written of a stream, and lets nothing through after its end.
func (s *stream) write(to func([]byte) (int, error), p []byte) (int, error) {
	if s.ended.Load() != nil {
		return 0, errEnded
	}
	n, err := to(p)
	if s.socket {
		s.frames.follow(p[:n])
	}
	return n, err
}

// conn is a connection that a handler took over.
type conn struct {
	net.Conn
	stream *stream
	writes sync.Mutex
}

// Write follows the frames of a WebSocket.
func (c *conn) Write(p []byte) (int, error) {
	c.writes.Lock()
	defer c.writes.Unlock()
	return c.stream.write(c.Conn.Write, p)
}

// CloseWrite is for handlers that close one direction only.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close tells a WebSocket's client why it is closed, when the gateway ended it and no message is
// half written.
func (c *conn) Close() error {
	if c.stream.socket && c.stream.ended.Load() != nil && c.writes.TryLock() {
		if c.stream.frames.between() {
			_ = c.SetWriteDeadline(time.Now().Add(patience))
			_, _ = c.Conn.Write(policyViolation)
		}
		c.writes.Unlock()
	}
	c.stream.leave()
	return c.Conn.Close()
}
