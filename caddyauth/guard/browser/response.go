package browser

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/guard/gate"
	"github.com/caddyauth/gateway/caddyauth/guard/stream"
)

// Response stands between an application and the browser: an application cannot set cookies of the
// gateway's names, which would sign people in as somebody else, and the gateway's own cookies go
// out with its answer.
type Response struct {
	http.ResponseWriter
	vars   map[string]any // of the request
	shared *answerState   // nil until it is needed
	guards bool           // it looks after cookies
	own    bool           // the gateway itself answers, and sets its cookies

	stream stream.Answer // ends an answer that goes on; zero unless a gate watches it
}

// answerState is what all responses of a request share: another handler's writer, as that of
// encode, may stand between two of them, and an error route has none of those before it.
type answerState struct {
	cookies []*http.Cookie // to be sent with the answer
	ours    []string       // lines of the gateway's cookies, which stay
	refused bool           // a gate has refused the request, and left the answer to an error route
}

// answerVar is where the state of a request's answer is kept.
const answerVar = "caddyauth.answer"

// state returns what the responses of the request share; nil when there is nothing yet.
func (w *Response) state() *answerState {
	if w.shared == nil {
		w.shared, _ = w.vars[answerVar].(*answerState)
	}
	return w.shared
}

// needState is state where there has to be one.
func (w *Response) needState() *answerState {
	if w.state() == nil {
		w.shared = stateOf(w.vars)
	}
	return w.shared
}

// Refused notes that a gate has refused the request and has left the answer to an error route.
func Refused(vars map[string]any) { stateOf(vars).refused = true }

// stateOf returns the state in a request's variables, which it makes when there is none.
func stateOf(vars map[string]any) *answerState {
	s, _ := vars[answerVar].(*answerState)
	if s == nil {
		s = new(answerState)
		if vars != nil {
			vars[answerVar] = s
		}
	}
	return s
}

// Guard puts a response in front of w that looks after cookies, unless w is one.
func Guard(w http.ResponseWriter, vars map[string]any) *Response {
	guarded, ok := w.(*Response)
	if !ok {
		guarded = &Response{ResponseWriter: w, vars: vars}
	}
	guarded.guards = true
	return guarded
}

// Own lets the gateway's own routes set its cookies, whatever stands in front of them.
func Own(w http.ResponseWriter, vars map[string]any) *Response {
	return &Response{ResponseWriter: w, vars: vars, guards: true, own: true}
}

// ForErrors is for error routes: what answers in place of a refusal may be kept by no cache, and
// cookies are looked after where guards says so. It returns nil when neither is to be done.
func ForErrors(w http.ResponseWriter, vars map[string]any, guards bool) *Response {
	s, _ := vars[answerVar].(*answerState)
	if !guards && (s == nil || !s.refused) {
		return nil
	}
	return &Response{ResponseWriter: w, vars: vars, shared: stateOf(vars), guards: guards}
}

// Finish is called when the handlers have returned, also those that wrote nothing; outer is what
// the response was put in front of. Where an error route with a filter is to answer, cookies wait
// for it: what runs there could read them in the header.
func (w *Response) Finish(outer http.ResponseWriter, filtered bool) {
	if outer == http.ResponseWriter(w) {
		return // whoever has put it there finishes it
	}
	w.settle(!filtered)
}

// Pending reports whether cookies wait for an answer.
func Pending(vars map[string]any) bool {
	s, _ := vars[answerVar].(*answerState)
	return s != nil && len(s.cookies) > 0
}

// outerGuard returns a Response nearer to the client that looks after cookies; nil when there is
// none, or it cannot be seen.
func (w *Response) outerGuard() *Response {
	for next := w.ResponseWriter; ; {
		if outer, ok := next.(*Response); ok && outer.guards {
			return outer
		}
		wrapper, ok := next.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		next = wrapper.Unwrap()
	}
}

// SetCookies sends the gateway's cookies along, instead of what was to be sent before.
func (w *Response) SetCookies(cookies []*http.Cookie) { w.needState().cookies = cookies }

// WriteHeader settles the cookies just before the header goes out. An interim answer (1xx) is no
// answer yet.
func (w *Response) WriteHeader(status int) {
	w.settle(status >= 200 || status == http.StatusSwitchingProtocols)
	w.stream.WroteHeader(w.ResponseWriter, status)
	w.ResponseWriter.WriteHeader(status)
}

// Write is for handlers that write no header.
func (w *Response) Write(p []byte) (int, error) {
	w.settle(true)
	return w.stream.Write(w.ResponseWriter, p)
}

// ReadFrom is for handlers that copy a body and write no header.
func (w *Response) ReadFrom(r io.Reader) (int64, error) {
	w.settle(true)
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return to.ReadFrom(r)
	}
	return io.Copy(w.ResponseWriter, r)
}

// FlushError is for handlers that send the header by flushing.
func (w *Response) FlushError() error {
	w.settle(true)
	w.stream.Flushed(w.ResponseWriter)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack is for handlers that take the connection over.
func (w *Response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.stream.Hijack(w.ResponseWriter)
}

// Unwrap implements what http.ResponseController asks for.
func (w *Response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Push implements http.Pusher.
func (w *Response) Push(target string, opts *http.PushOptions) error {
	if pusher, ok := w.ResponseWriter.(http.Pusher); ok {
		return pusher.Push(target, opts)
	}
	return http.ErrNotSupported
}

// Watch holds an answer that goes on to the policy of the gate that admitted r. It returns the
// writer and the request for the handlers; Unwatch must be called when they have returned. Where
// gates stack, each watches what it admitted.
func Watch(w http.ResponseWriter, r *http.Request, p *stream.Policy,
	a *gate.Admission) (watched *Response, _ *http.Request) {
	watched, ok := w.(*Response)
	if !ok || watched.stream.Watched() {
		watched = &Response{ResponseWriter: w}
	}
	return watched, watched.stream.Watch(p, r, a)
}

// Unwatch is called when the handlers have returned.
func (w *Response) Unwatch() {
	w.stream.Leave(w.ResponseWriter)
}

func (w *Response) settle(final bool) {
	h := w.Header()
	if w.guards {
		w.settleCookies(h, final)
	}
	switch s := w.shared; {
	case s == nil || !final:
	case w.guards && len(s.ours) > 0:
		KeepFromCaches(h, "private, no-store")
	case s.refused:
		KeepFromCaches(h, "no-store")
	}
}

func (w *Response) settleCookies(h http.Header, final bool) {
	if w.own && final {
		w.noteOwn(h)
	}
	w.dropOurs(h, "Set-Cookie")
	if !final {
		return
	}
	w.dropOurs(h, http.TrailerPrefix+"Set-Cookie")
	if s := w.shared; s != nil && len(s.cookies) > 0 {
		if outer := w.outerGuard(); outer != nil { // what stands between the two could read them in the header
			outer.shared = s
			return
		}
		s.replace(h)
		for _, cookie := range s.cookies {
			line := cookie.String()
			h.Add("Set-Cookie", line)
			s.ours = append(s.ours, line) // nothing may have been sent yet, and the next handler out settles again
		}
		s.cookies = nil
	}
}

// replace takes the cookies of a session out of an answer that gets newer ones.
func (s *answerState) replace(h http.Header) {
	s.ours = slices.DeleteFunc(s.ours, func(line string) bool {
		if !setsSession(line) {
			return false
		}
		if i := slices.Index(h["Set-Cookie"], line); i >= 0 {
			h["Set-Cookie"] = slices.Delete(h["Set-Cookie"], i, i+1)
		}
		return true
	})
}

// noteOwn notes the cookies that the gateway's own routes set. Where they sign somebody in or out, what
// a gate was about to send is older.
func (w *Response) noteOwn(h http.Header) {
	var set []string
	for _, line := range h["Set-Cookie"] {
		if setsOurs(line) && (w.state() == nil || !slices.Contains(w.shared.ours, line)) {
			set = append(set, line)
		}
	}
	if len(set) == 0 {
		return
	}
	s := w.needState()
	if slices.ContainsFunc(set, setsSession) {
		s.replace(h)
		s.cookies = nil
	}
	s.ours = append(s.ours, set...)
}

// dropOurs removes the lines by which an application would set the gateway's cookies.
func (w *Response) dropOurs(h http.Header, name string) {
	lines := h[name]
	if len(lines) == 0 {
		return
	}
	var ours []string
	if s := w.state(); s != nil {
		ours = s.ours
	}
	lines = slices.DeleteFunc(lines,
		func(line string) bool { return setsOurs(line) && !slices.Contains(ours, line) })
	if len(lines) == 0 {
		delete(h, name)
		return
	}
	h[name] = lines
}

// setsOurs reports whether a Set-Cookie line sets a cookie of the gateway's: of a session, or of a
// sign-in that is under way.
func setsOurs(line string) bool { return setsSession(line) || gate.IsSignInCookie(nameSet(line)) }

// setsSession reports whether a Set-Cookie line sets a cookie of a session.
func setsSession(line string) bool {
	name, _ := gate.CutHostPrefix(nameSet(line))
	return strings.EqualFold(name, accessCookie) || strings.EqualFold(name, refreshCookie)
}

// nameSet is the name of the cookie that a Set-Cookie line sets. A cookie without a name is sent back
// as its bare value, so `=name=value` sets it, too (RFC 6265bis, section 5.6), and browsers know the
// prefix in any case (section 5.7).
func nameSet(line string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(line, "= \t"), ";")
	name, _, _ = strings.Cut(name, "=")
	return strings.Trim(name, " \t")
}

// KeepFromCaches takes back whatever an application has said to caches about an answer that is for
// one browser alone: besides HTTP's own fields (RFC 9111) the targeted ones, whose names end in
// Cache-Control (RFC 9213), and those that CDNs and proxies obey instead.
func KeepFromCaches(h http.Header, control string) {
	for name := range h {
		if SpeaksToCaches(name) {
			delete(h, name)
		}
	}
	h.Set("Cache-Control", control)
}

// SpeaksToCaches reports whether caches keep an answer by the field of this name.
func SpeaksToCaches(name string) bool {
	switch name {
	case "Expires", "Pragma", "Age", "X-Accel-Expires":
		return true
	}
	return strings.HasSuffix(name, "Cache-Control") || strings.HasSuffix(name, "Surrogate-Control") ||
		strings.HasSuffix(name, "Edge-Control")
}
