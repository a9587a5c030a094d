package auth

import (
	"bufio"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
	"github.com/caddyauth/gateway/caddyauth/domain/session"
	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/jose/token"
)

const (
	maxStreamGrace = time.Hour
	streamPace     = 50 * time.Millisecond  // between two looks at all streams, however many revocations come
	streamTick     = time.Second            // between two looks at the time, while there are streams
	streamPatience = 250 * time.Millisecond // for a handler that was told to end, before its connection is cut
	streamRetry    = 5 * time.Second        // before the store is asked again for a family
)

// The reasons for which a stream is ended, in the words of refusals.
const (
	streamExpired = string(token.Expired)
	streamRevoked = string(token.Revoked)
	streamUnsure  = string(gate.RevocationNotChecked)
)

// errStreamEnded is what handlers get that go on writing.
var errStreamEnded = errors.New("the credential of this stream does not hold any more")

// streams are the answers which gates admitted and which go on: WebSockets, event streams, and what else is sent bit by bit without an
// announced length. One goroutine ends those whose credential does not hold any more.
type streams struct {
	ctx    context.Context // the store's
	denied *session.DenyList
	stale  func(now time.Time) time.Duration
	find   func(ctx context.Context, family string) (session.Grant, error)
	wake   chan struct{} // holds one

	mu     sync.Mutex
	open   streamQueue
	keys   []keysInUse
	runs   bool
	asks   bool      // ask is under way
	sleeps time.Time // until when run does not look by itself
}

// stream is one answer that goes on.
type stream struct {
	gate   *JWTAuth
	token  *token.Token
	family bool               // it lives as long as the session, not as long as the token
	socket bool               // what is written are WebSocket frames
	cancel context.CancelFunc // tells the handlers; nil where they cannot be told
	w      http.ResponseWriter
	held   bool // it holds a reference to the store
	why    atomic.Pointer[string]

	// Guarded by streams.mu.
	due   time.Time // when it ends, must be asked for, or is cut
	doubt time.Time // since when the store could not say whether its family lives; zero when it could
	until time.Time // when its token's key has retired for good; zero when that was not known at the last look
	place int       // in the queue; -1 outside

	mu     sync.Mutex // held while it is cut, so that it does not leave meanwhile
	left   bool
	conn   net.Conn // when it was hijacked
	frames frames
}

// add begins to watch a stream.
func (s *streams) add(st *stream, now time.Time) {
	s.mu.Lock()
	heap.Push(&s.open, st)
	if why := s.refusal(st, now); why != "" { // after the push: what changes from here on, run finds
		s.end(st, why, now)
	}
	first, soon := !s.runs, st.due.Before(s.sleeps)
	s.runs = true
	s.mu.Unlock()
	switch {
	case first:
		go s.run()
	case soon:
		s.nudge()
	}
}

// remove forgets a stream.
func (s *streams) remove(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.place >= 0 {
		heap.Remove(&s.open, st.place)
	}
}

func (s *streams) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run looks at the streams when something is revoked, when keys change, when one is due, and every second as long as there are any.
func (s *streams) run() {
	changed := s.denied.Changed()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for all := true; ; {
		timer.Reset(s.look(time.Now(), all))
		all = false
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		case <-changed:
			time.Sleep(streamPace)
			changed, all = s.denied.Changed(), true // before the look, so that nothing is missed
		}
	}
}

// look ends what does not hold any more and returns for how long nothing else will be due. It looks through all streams only when
// something was revoked, or may have been, and when keys have changed.
func (s *streams) look(now time.Time, all bool) time.Duration {
	s.mu.Lock()
	all = s.keysChanged() || all
	if stale := s.stale(now); all || stale > streamTick {
		s.judge(now, stale)
	}
	cut, doubtful := s.take(now)
	wait := time.Hour
	if len(s.open) > 0 {
		wait = max(min(streamTick, s.open[0].due.Sub(now)), 0)
	}
	s.sleeps = now.Add(wait)
	s.mu.Unlock()
	for _, st := range cut {
		st.cut()
	}
	if len(doubtful) > 0 {
		go s.ask(doubtful)
	}
	return wait
}

// judge asks of every stream what a gate asks of every request; the caller holds the lock.
func (s *streams) judge(now time.Time, stale time.Duration) {
	for _, st := range s.open {
		if st.why.Load() != nil {
			continue
		}
		if why := s.refusal(st, now); why != "" {
			st.end(why, now)
		} else if stale > st.gate.app.staleness {
			st.end(streamUnsure, now)
		}
	}
	heap.Init(&s.open)
}

// refusal is why a request with the stream's token would be refused, as far as revocation goes; the caller holds the lock.
func (s *streams) refusal(st *stream, now time.Time) string {
	if s.denied.Denied(st.bearer()) != "" {
		return streamRevoked
	}
	return s.keyRefusal(st, now)
}

// take goes through what is due: what is to be cut, and whose family must be asked for; the caller holds the lock.
func (s *streams) take(now time.Time) (cut, doubtful []*stream) {
	for len(s.open) > 0 && !now.Before(s.open[0].due) {
		switch st := s.open[0]; {
		case st.why.Load() != nil:
			heap.Pop(&s.open)
			cut = append(cut, st)
		case !st.family:
			s.end(st, streamExpired, now)
		case !st.doubt.IsZero() && now.Sub(st.doubt) > st.gate.app.staleness:
			s.end(st, streamUnsure, now)
		default:
			if !s.asks {
				doubtful = append(doubtful, st)
			}
			if st.doubt.IsZero() {
				st.doubt = now
			}
			st.due = now.Add(streamRetry)
			heap.Fix(&s.open, st.place)
		}
	}
	s.asks = s.asks || len(doubtful) > 0
	return cut, doubtful
}

// ask asks the store how long the families of some streams live. Each is asked for when its access token expires and then at the time
// that the answer tells, which is the end of the session unless it was used meanwhile.
func (s *streams) ask(doubtful []*stream) {
	known := make(map[string]time.Time)
	for _, st := range doubtful {
		if _, asked := known[st.token.Session]; asked {
			continue
		}
		until, err := s.familyEnds(st.token.Session)
		if err != nil {
			break // the rest later
		}
		known[st.token.Session] = until
	}
	now := time.Now()
	s.mu.Lock()
	for _, st := range doubtful {
		until, asked := known[st.token.Session]
		switch {
		case !asked || st.place < 0 || st.why.Load() != nil:
		case now.Before(until):
			st.due, st.doubt = until, time.Time{}
			heap.Fix(&s.open, st.place)
		default:
			s.end(st, streamExpired, now)
		}
	}
	s.asks = false
	s.mu.Unlock()
	s.nudge()
}

// familyEnds returns when a family ends unless it is used before; zero when it has ended.
func (s *streams) familyEnds(id string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
	defer cancel()
	g, err := s.find(ctx, id)
	switch {
	case errors.Is(err, session.ErrNoGrant), err == nil && !g.Revoked.IsZero():
		return time.Time{}, nil
	case err == nil && g.Ends.Before(g.IdleEnds):
		return g.Ends, nil
	}
	return g.IdleEnds, err
}

// end ends one stream of the queue; the caller holds the lock.
func (s *streams) end(st *stream, why string, now time.Time) {
	st.end(why, now)
	heap.Fix(&s.open, st.place)
}

// end tells the handlers of a stream, which is cut a moment later should they not listen.
func (st *stream) end(why string, now time.Time) {
	st.why.Store(&why)
	st.due = now
	if st.cancel != nil {
		st.due = now.Add(streamPatience)
		st.cancel()
	}
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// cut makes reading and writing fail. On HTTP/1.1 that also cancels the request's context, on HTTP/2 and 3 it resets the stream.
func (st *stream) cut() {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.left:
	case st.conn != nil:
		_ = st.conn.SetDeadline(longAgo)
		go st.conn.Close() // TLS may want to say goodbye first
	default:
		c := http.NewResponseController(st.w)
		_, _ = c.SetWriteDeadline(longAgo), c.SetReadDeadline(longAgo)
	}
}

// leave is the end of a stream, whoever ended it.
func (st *stream) leave() {
	store := st.gate.app.store
	store.streams.remove(st)
	st.mu.Lock()
	left := st.left
	st.left = true
	st.mu.Unlock()
	if left {
		return
	}
	if st.held {
		store.letGo()
	}
	if why := st.why.Load(); why != nil {
		st.gate.app.logger.Info("a stream was ended", zap.String("reason", *why), zap.String("gate", st.gate.label()),
			zap.String("user_id", st.token.Subject), zap.String("session", st.token.Session))
	}
}

func (st *stream) bearer() session.Bearer { return bearerOf(st.token) }

// streamQueue is a heap, the stream that is due first in front.
type streamQueue []*stream

func (q streamQueue) Len() int           { return len(q) }
func (q streamQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q streamQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push is for container/heap.
func (q *streamQueue) Push(x any) {
	st := x.(*stream)
	st.place = len(*q)
	*q = append(*q, st)
}

// Pop is for container/heap.
func (q *streamQueue) Pop() any {
	last := len(*q) - 1
	st := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	st.place = -1
	return st
}

// parseStreamGrace returns the grace of a gate's streams, and false when they are left alone.
func parseStreamGrace(text string) (grace time.Duration, ends bool, err error) {
	switch text {
	case "":
		return 0, true, nil
	case modeOff:
		return 0, false, nil
	}
	if grace, err = project.ParseDuration(text); err != nil {
		return 0, false, fmt.Errorf("stream_grace: %q is neither a duration such as 30s nor off", text)
	}
	if grace < 0 || grace > maxStreamGrace {
		return 0, false, fmt.Errorf("stream_grace: %s is not between 0s and %s", spell(grace), spell(maxStreamGrace))
	}
	return grace, true, nil
}

// pass lets an admitted request through, and sees to it that an answer which goes on ends with the credential.
func (j *JWTAuth) pass(w http.ResponseWriter, r *http.Request, passage *gate.Passage, next caddyhttp.Handler) error {
	if !j.endsStreams || passage == nil || passage.Token == nil {
		return next.ServeHTTP(w, r)
	}
	watched, ok := w.(*response)
	if !ok || watched.gate != nil { // with gates that stack, each ends what it admitted
		watched = newResponse(w)
		defer watched.retire()
	}
	upgrade := r.Header["Upgrade"]
	watched.gate, watched.passage, watched.socket, watched.connect = j, passage, isSocket(r, upgrade), r.Method == http.MethodConnect
	if asksForStream(r, upgrade) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		r, watched.cancel = r.WithContext(ctx), cancel
	}
	defer watched.leaveStream()
	return next.ServeHTTP(watched, r)
}

// asksForStream reports whether a request says by itself that the answer will go on.
func asksForStream(r *http.Request, upgrade []string) bool {
	if len(upgrade) > 0 || r.Method == http.MethodConnect {
		return true
	}
	for _, line := range r.Header["Accept"] {
		if strings.Contains(line, "event-stream") {
			return true
		}
	}
	return false
}

// isSocket reports whether a request opens a WebSocket (RFC 6455, section 4.1; RFC 8441, section 4; RFC 9220).
func isSocket(r *http.Request, upgrade []string) bool {
	if r.Method == http.MethodConnect {
		return r.Proto == "websocket" || r.Header.Get(":protocol") == "websocket"
	}
	return len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket")
}

// newStream begins to watch the answer w. An answer whose store is not in use any more is ended at once: nobody would tell of revocations.
func (j *JWTAuth) newStream(w *response) *stream {
	now := time.Now()
	t, via, store := w.passage.Token, w.passage.Via(), j.app.store
	st := &stream{gate: j, token: t, socket: w.socket, cancel: w.cancel, w: w.ResponseWriter, due: t.Expiry, place: -1}
	st.family = t.Own() && t.Session != "" && via == gate.Source{Kind: gate.Cookie, Name: j.app.cookieName()}
	if !st.family {
		st.due = t.Expiry.Add(j.streamGrace)
		if !now.Before(st.due) { // it was admitted thanks to the leeway, and has what is left of it
			st.due = st.due.Add(j.gate.Leeway)
		}
	}
	if st.held = store.hold(); !st.held {
		st.end(streamUnsure, now)
		st.cut()
		return st
	}
	store.streams.add(st, now)
	return st
}

// streams reports whether the header that goes out begins an answer which goes on. One without a length is noticed when it is flushed.
func (w *response) streams(status int) bool {
	if status == http.StatusSwitchingProtocols || w.connect && status == http.StatusOK {
		return true
	}
	kind := w.Header()["Content-Type"]
	return status >= 200 && len(kind) > 0 && strings.HasPrefix(strings.ToLower(kind[0]), "text/event-stream")
}

// startStream begins to watch the answer, once.
func (w *response) startStream() {
	if w.gate == nil || w.stream.Load() != nil {
		return
	}
	if st := w.gate.newStream(w); !w.stream.CompareAndSwap(nil, st) {
		st.leave()
	}
}

// leaveStream is called when the handlers have returned. A connection that they took over stays until it is closed.
func (w *response) leaveStream() {
	st := w.stream.Swap(noStream)
	if st == nil || st.hijacked() {
		return
	}
	if w.connect && st.socket && st.why.Load() != nil && st.frames.between() {
		_, _ = w.ResponseWriterWrapper.Write(policyViolation) // over HTTP/2; a client that does not read is cut
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
	st.leave()
}

// noStream stands where handlers have returned, and nothing begins any more.
var noStream = &stream{}

func (st *stream) hijacked() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.conn != nil
}

// streamed notes what was written of a stream, and lets nothing through after its end.
func (st *stream) streamed(write func([]byte) (int, error), p []byte) (int, error) {
	if st.why.Load() != nil {
		return 0, errStreamEnded
	}
	n, err := write(p)
	if st.socket {
		st.frames.follow(p[:n])
	}
	return n, err
}

// Hijack is for handlers that take the connection over. It stays watched.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil || w.gate == nil {
		return conn, buffered, err
	}
	w.startStream()
	st := w.stream.Load()
	if st == noStream {
		return conn, buffered, err
	}
	taken := &streamConn{Conn: conn, stream: st}
	st.mu.Lock()
	st.conn = conn
	st.mu.Unlock()
	if st.why.Load() != nil { // meanwhile
		st.cut()
	}
	buffered.Writer.Reset(taken)
	return taken, buffered, nil
}

// streamConn is a connection that a handler took over.
type streamConn struct {
	net.Conn
	stream *stream
	writes sync.Mutex
}

// Write follows the frames of a WebSocket.
func (c *streamConn) Write(p []byte) (int, error) {
	c.writes.Lock()
	defer c.writes.Unlock()
	return c.stream.streamed(c.Conn.Write, p)
}

// CloseWrite is for handlers that close one direction only.
func (c *streamConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close tells a WebSocket's client why it is closed, when the gateway ended it and no message is half written.
func (c *streamConn) Close() error {
	if c.stream.socket && c.stream.why.Load() != nil && c.writes.TryLock() {
		if c.stream.frames.between() {
			_ = c.SetWriteDeadline(time.Now().Add(streamPatience))
			_, _ = c.Conn.Write(policyViolation)
		}
		c.writes.Unlock()
	}
	c.stream.leave()
	return c.Conn.Close()
}

// policyViolation is a WebSocket's close frame with the code 1008 (RFC 6455, sections 5.5.1 and 7.4.1).
var policyViolation = []byte{0x88, 2, 1008 >> 8, 1008 & 0xff}

// frames follows the frames that are written to a WebSocket (RFC 6455, section 5.2), to know where one ends.
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
