package caddyauth

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddyauth/gateway/caddyauth/gate"
)

// response stands between an application and the browser: an application cannot set cookies of the gateway's names, which would sign
// people in as somebody else, and the gateway's own cookies go out with its answer.
type response struct {
	caddyhttp.ResponseWriterWrapper
	cookies []*http.Cookie
	ours    []string // lines of the gateway's cookies, which stay
	guards  bool     // cookies are its business
	own     bool     // the gateway itself answers, and sets its cookies

	// What streams.go needs to end an answer that goes on; without a gate it is none of its business.
	gate    *JWTAuth
	passage *gate.Passage
	cancel  context.CancelFunc
	socket  bool // the request asks for a WebSocket
	connect bool // with CONNECT, so that the answer is the WebSocket
	stream  atomic.Pointer[stream]
}

// newResponse puts a response in front of w. They are made some at a time, so that hardly a request pays for one, and none is used twice: a
// handler that holds on to one must not write into another request's answer.
func newResponse(w http.ResponseWriter) *response {
	batch := responses.Get().(*responseBatch)
	made := &batch.made[batch.next]
	if batch.next++; batch.next < len(batch.made) {
		responses.Put(batch)
	}
	made.ResponseWriter = w
	return made
}

type responseBatch struct {
	next int
	made [16]response
}

var responses = sync.Pool{New: func() any { return new(responseBatch) }}

// retire lets go of what the request held, as others of the batch may live on.
func (w *response) retire() {
	w.ResponseWriter, w.cookies, w.ours, w.gate, w.passage, w.cancel = retired{}, nil, nil, nil, nil, nil
}

// retired is what a handler finds that writes after it has returned.
type retired struct{}

func (retired) Header() http.Header       { return make(http.Header) }
func (retired) Write([]byte) (int, error) { return 0, http.ErrHandlerTimeout }
func (retired) WriteHeader(int)           {}

// guardResponse puts a response in front of w, once per request. In an error route a gate has left its own cookies there already.
func guardResponse(w http.ResponseWriter) *response {
	guarded, ok := w.(*response)
	if !ok {
		guarded = newResponse(w)
		for _, line := range w.Header()["Set-Cookie"] {
			if setsSession(line) {
				guarded.ours = append(guarded.ours, line)
			}
		}
	}
	guarded.guards = true
	return guarded
}

// ownAnswer lets the gateway's own routes set its cookies where a gate or a strip stands in front of them.
func ownAnswer(w http.ResponseWriter) {
	for {
		if guarded, ok := w.(*response); ok {
			guarded.own = true
		}
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = wrapper.Unwrap()
	}
}

// finish is called when the handlers have returned, also those that wrote nothing; outer is what the response was put in front of.
func (w *response) finish(outer http.ResponseWriter) {
	w.settle(true)
	if outer != http.ResponseWriter(w) {
		w.retire()
	}
}

// setCookies sends the gateway's cookies along, instead of what was to be sent before.
func (w *response) setCookies(cookies []*http.Cookie) { w.cookies = cookies }

// WriteHeader settles the cookies just before the header goes out. An interim answer (1xx) is no answer yet.
func (w *response) WriteHeader(status int) {
	w.settle(status >= 200 || status == http.StatusSwitchingProtocols)
	if w.gate != nil && w.streams(status) {
		w.startStream()
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Write is for handlers that write no header.
func (w *response) Write(p []byte) (int, error) {
	w.settle(true)
	if st := w.stream.Load(); st != nil {
		return st.streamed(w.ResponseWriterWrapper.Write, p)
	}
	return w.ResponseWriterWrapper.Write(p)
}

// ReadFrom is for handlers that copy a body and write no header.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	w.settle(true)
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError is for handlers that send the header by flushing.
func (w *response) FlushError() error {
	w.settle(true)
	if w.gate != nil && len(w.Header()["Content-Length"]) == 0 {
		w.startStream()
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *response) settle(final bool) {
	if !w.guards {
		return
	}
	h := w.Header()
	w.dropSessions(h, "Set-Cookie")
	if !final {
		return
	}
	w.dropSessions(h, http.TrailerPrefix+"Set-Cookie")
	for _, cookie := range w.cookies {
		line := cookie.String()
		h.Add("Set-Cookie", line)
		w.ours = append(w.ours, line) // nothing may have been sent yet, and the next handler out settles again
	}
	w.cookies = nil
	if len(w.ours) > 0 {
		keepFromCaches(h)
	}
}

// dropSessions removes the lines by which an application would set the gateway's cookies.
func (w *response) dropSessions(h http.Header, name string) {
	lines := h[name]
	if len(lines) == 0 || w.own {
		return
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return setsSession(line) && !slices.Contains(w.ours, line) })
	if len(lines) == 0 {
		delete(h, name)
		return
	}
	h[name] = lines
}

// setsSession reports whether a Set-Cookie line sets a cookie of the gateway's. A cookie without a name is sent back as its bare value,
// so `=name=value` sets it, too (RFC 6265bis, section 5.6), and browsers know the prefix in any case (section 5.7).
func setsSession(line string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(line, "= \t"), ";")
	name, _, _ = strings.Cut(name, "=")
	name = strings.Trim(name, " \t")
	if len(name) > len(hostPrefix) && strings.EqualFold(name[:len(hostPrefix)], hostPrefix) {
		name = name[len(hostPrefix):]
	}
	return slices.ContainsFunc(sessionCookies, func(ours string) bool { return strings.EqualFold(name, ours) })
}

// keepFromCaches takes back whatever an application has said to caches about an answer which carries somebody's session: besides HTTP's own
// fields (RFC 9111) the targeted ones, whose names end in Cache-Control (RFC 9213), and those that CDNs and proxies obey instead.
func keepFromCaches(h http.Header) {
	for name := range h {
		switch {
		case strings.HasSuffix(name, "Cache-Control"), strings.HasSuffix(name, "Surrogate-Control"), strings.HasSuffix(name, "Edge-Control"):
			delete(h, name)
		case name == "Expires", name == "Pragma", name == "Age", name == "X-Accel-Expires":
			delete(h, name)
		}
	}
	h.Set("Cache-Control", "private, no-store")
}

// sessionCookies are the names of the gateway's cookies; on https they carry the prefix (RFC 6265bis, section 4.1.3.2), which browsers
// refuse on http.
var sessionCookies = []string{"access_token", "refresh_token"}

const hostPrefix = "__Host-"
