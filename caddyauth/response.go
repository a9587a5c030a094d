package caddyauth

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// response stands between an application and the browser: an application cannot set cookies of the gateway's names, which would sign
// people in as somebody else, and the gateway's own cookies go out with its answer.
type response struct {
	caddyhttp.ResponseWriterWrapper
	cookies []*http.Cookie
}

// guardResponse puts a response in front of w, once per request.
func guardResponse(w http.ResponseWriter) *response {
	if guarded, ok := w.(*response); ok {
		return guarded
	}
	return &response{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
}

// setCookies sends the gateway's cookies along, instead of what was to be sent before.
func (w *response) setCookies(cookies []*http.Cookie) { w.cookies = cookies }

// WriteHeader settles the cookies just before the header goes out. An interim answer (1xx) is no answer yet.
func (w *response) WriteHeader(status int) {
	w.settle(status >= 200 || status == http.StatusSwitchingProtocols)
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Write is for handlers that write no header.
func (w *response) Write(p []byte) (int, error) {
	w.settle(true)
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
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *response) settle(final bool) {
	h := w.Header()
	if lines := h["Set-Cookie"]; len(lines) > 0 {
		if lines = slices.DeleteFunc(lines, setsSession); len(lines) == 0 {
			delete(h, "Set-Cookie")
		} else {
			h["Set-Cookie"] = lines
		}
	}
	if !final || len(w.cookies) == 0 {
		return
	}
	for _, cookie := range w.cookies {
		h.Add("Set-Cookie", cookie.String())
	}
	w.cookies = nil
	h.Set("Cache-Control", "private, no-store")
}

// setsSession reports whether a Set-Cookie line sets a cookie of the gateway's. A cookie without a name is sent back as its bare value,
// so `=name=value` sets it, too (RFC 6265bis, section 5.6).
func setsSession(line string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(line, "= \t"), ";")
	name, _, _ = strings.Cut(name, "=")
	return slices.Contains(sessionCookies, strings.TrimPrefix(strings.Trim(name, " \t"), hostPrefix))
}

// sessionCookies are the names of the gateway's cookies; on https they carry the prefix (RFC 6265bis, section 4.1.3.2), which browsers
// refuse on http.
var sessionCookies = []string{"access_token", "refresh_token"}

const hostPrefix = "__Host-"
