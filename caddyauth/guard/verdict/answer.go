package verdict

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Answer is the response to a proxy that asks. Only Permit lets the asked request pass: whatever
// else answers with success, as an application or a file server behind the gates would, is refused.
type Answer struct {
	w       http.ResponseWriter
	dialect Dialect

	status  int  // of the refusal or permission that was written; 0 before
	foreign bool // something else answered with success
}

// NewAnswer puts an answer in front of w.
func NewAnswer(w http.ResponseWriter, d Dialect) *Answer { return &Answer{w: w, dialect: d} }

// Written reports whether there is an answer.
func (a *Answer) Written() bool { return a.status != 0 }

// Foreign reports whether something that is no gate answered with success, and was refused.
func (a *Answer) Foreign() bool { return a.foreign }

// Header implements http.ResponseWriter.
func (a *Answer) Header() http.Header { return a.w.Header() }

// WriteHeader refuses, whatever the status. Interim answers are dropped.
func (a *Answer) WriteHeader(status int) {
	if a.status != 0 || status < http.StatusOK {
		return
	}
	if status < http.StatusMultipleChoices {
		a.foreign = true
		clear(a.Header())
		status = http.StatusForbidden
	}
	if a.dialect.status != nil {
		status = a.dialect.status(status)
	}
	a.write(status, a.dialect.keepsRefusals)
}

// Write implements http.ResponseWriter. The body of a success is dropped.
func (a *Answer) Write(p []byte) (int, error) {
	if a.WriteHeader(http.StatusOK); a.foreign {
		return len(p), nil
	}
	return a.w.Write(p)
}

// FlushError sends the header of a refusal at once, for handlers that take something out of it
// afterwards so that no log has it.
func (a *Answer) FlushError() error {
	if a.status == 0 {
		return http.ErrNotSupported
	}
	return http.NewResponseController(a.w).Flush()
}

// Permit lets the asked request pass, in the form in which gates have left it: the fields that they
// own or take credentials from go out as response fields, empty where the request has none, so that
// a proxy which copies them overwrites what its client sent.
func (a *Answer) Permit(asked *http.Request, names []string) {
	if a.status != 0 {
		return
	}
	h := a.Header()
	var absent []string
	for _, name := range names {
		switch lines := asked.Header[name]; {
		case len(lines) > 1 && name == "Cookie": // a proxy would copy the first, or join them with commas
			h[name] = []string{strings.Join(lines, "; ")}
		case len(lines) > 0:
			h[name] = lines
		default:
			h[name] = []string{""}
			absent = append(absent, name)
		}
	}
	if a.dialect.removed != "" && len(absent) > 0 {
		h[a.dialect.removed] = []string{strings.Join(absent, ", ")}
	}
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	a.write(http.StatusOK, true)
}

// setCookie is the prefix of the fields that hold one line of Set-Cookie each: not every proxy can
// copy a field that is there several times, and joined with commas cookies are lost.
const setCookie = "X-Auth-Set-Cookie-"

// maxCookies is how many lines of Set-Cookie have a field of their own.
const maxCookies = 4

// setBeforeCleared puts the cookies that are cleared behind the others: one that is not set, as that
// of a sign-in that begins, is missed, and one that is not cleared is cleared another time.
func setBeforeCleared(lines []string) []string {
	if len(lines) <= maxCookies {
		return lines
	}
	cleared := func(line string) bool { return strings.Contains(line, "; Max-Age=0") }
	sets := slices.DeleteFunc(slices.Clone(lines), cleared)
	return append(sets, slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !cleared(line) })...)
}

// write sends the header; singly says that the proxy keeps the fields to itself: scripts could read
// them, and the session's cookies are not theirs.
func (a *Answer) write(status int, singly bool) {
	a.status = status
	h := a.Header()
	if !singly {
		a.w.WriteHeader(status)
		return
	}
	var single []string
	for i, line := range setBeforeCleared(h["Set-Cookie"]) {
		if i < maxCookies {
			single = append(single, setCookie+strconv.Itoa(i+1))
			h[single[i]] = []string{line}
		}
	}
	a.w.WriteHeader(status)
	if len(single) == 0 {
		return
	}
	// An access log hides the cookies of Set-Cookie, and knows nothing of these. What net/http has
	// been told stays so; HTTP/3 sends it with the first byte.
	_ = http.NewResponseController(a.w).Flush()
	for _, name := range single {
		delete(h, name)
	}
}
