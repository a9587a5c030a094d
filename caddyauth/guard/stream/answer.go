package stream

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
)

// Answer is the part of a response writer that notices when an answer goes on, and has it watched
// from then on. The zero value watches nothing. Its methods get the writer that stands behind the
// response writer.
type Answer struct {
	policy    *Policy
	admission *gate.Admission
	cancel    context.CancelFunc
	socket    bool // the request asks for a WebSocket
	connect   bool // with CONNECT, so that the answer is the WebSocket
	stream    atomic.Pointer[stream]
}

// left stands for the stream of an answer whose handlers have returned.
var left = &stream{}

// Watched reports whether a gate watches the answer already.
func (a *Answer) Watched() bool { return a.policy != nil }

// Watch holds the answer to r to the policy of the gate that admitted r. It returns the request for
// the handlers. Leave must be called when they have returned.
func (a *Answer) Watch(p *Policy, r *http.Request, admission *gate.Admission) *http.Request {
	upgrade := r.Header["Upgrade"]
	a.policy, a.admission = p, admission
	a.socket, a.connect = isSocket(r, upgrade), r.Method == http.MethodConnect
	if asksForStream(r, upgrade) {
		var ctx context.Context
		ctx, a.cancel = context.WithCancel(r.Context())
		r = r.WithContext(ctx)
	}
	return r
}

// asksForStream reports whether a request itself says that the answer will go on.
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

// isSocket reports whether a request opens a WebSocket (RFC 6455, section 4.1; RFC 8441, section 4;
// RFC 9220).
func isSocket(r *http.Request, upgrade []string) bool {
	if r.Method == http.MethodConnect {
		return r.Proto == "websocket" || r.Header.Get(":protocol") == "websocket"
	}
	return len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket")
}

// WroteHeader is called before a header goes out.
func (a *Answer) WroteHeader(w http.ResponseWriter, status int) {
	if a.policy != nil && a.goesOn(w.Header(), status) {
		a.begin(w)
	}
}

// goesOn reports whether the header that goes out begins a stream. One without a length is noticed
// when it is flushed.
func (a *Answer) goesOn(h http.Header, status int) bool {
	if status == http.StatusSwitchingProtocols || a.connect && status == http.StatusOK {
		return true
	}
	kind := h["Content-Type"]
	return status >= 200 && len(kind) > 0 && strings.HasPrefix(strings.ToLower(kind[0]), "text/event-stream")
}

// Flushed is called before the answer is flushed.
func (a *Answer) Flushed(w http.ResponseWriter) {
	if a.policy != nil && len(w.Header()["Content-Length"]) == 0 {
		a.begin(w)
	}
}

// begin begins to watch the answer, once.
func (a *Answer) begin(w http.ResponseWriter) {
	if a.policy == nil || a.stream.Load() != nil {
		return
	}
	if s := a.policy.begin(a, w); !a.stream.CompareAndSwap(nil, s) {
		s.leave()
	}
}

// Write writes to w, unless the stream was ended.
func (a *Answer) Write(w http.ResponseWriter, p []byte) (int, error) {
	if s := a.stream.Load(); s != nil {
		return s.write(w.Write, p)
	}
	return w.Write(p)
}

// Hijack takes over the connection of w. It stays watched.
func (a *Answer) Hijack(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
	taken, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil || a.policy == nil {
		return taken, buffered, err
	}
	a.begin(w)
	s := a.stream.Load()
	if s == left {
		return taken, buffered, err
	}
	watched := &conn{Conn: taken, stream: s}
	s.mu.Lock()
	s.conn = taken
	s.mu.Unlock()
	if s.ended.Load() != nil { // meanwhile
		s.cut()
	}
	buffered.Writer.Reset(watched)
	return watched, buffered, nil
}

// Leave is called when the handlers have returned. A connection that they took over stays watched
// until it is closed.
func (a *Answer) Leave(w http.ResponseWriter) {
	if a.cancel != nil {
		defer a.cancel()
	}
	s := a.stream.Swap(left)
	if s == nil || s.hijacked() {
		return
	}
	if a.connect && s.socket && s.ended.Load() != nil && s.frames.between() {
		_, _ = w.Write(policyViolation) // over HTTP/2; a client that does not read is cut
		_ = http.NewResponseController(w).Flush()
	}
	s.leave()
}
