package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// books is what people note of a server: how often what happened, what was wrong, and when it was
// disturbed.
type books struct {
	mu       sync.Mutex
	counts   map[string]int
	wrong    []string
	redeemed map[string]int // how often a code bought something
	outages  []span         // from the order to kill it until it was ready again
	reloads  []span
}

// span is a time; one that goes on has no end.
type span struct{ from, until time.Time }

// afterReload is how long after a reload requests of before may still be cut: its grace period, and
// what a busy machine adds.
const afterReload = 3 * time.Second

func (b *books) count(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts == nil {
		b.counts = map[string]int{}
	}
	b.counts[what]++
}

// errAbandoned ends a visit that can go no further for a good reason, which was counted.
var errAbandoned = errors.New("abandoned")

// note takes down how a visit ended.
func (b *books) note(err error) {
	if err == nil || errors.Is(err, errAbandoned) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, time.Now().Format("15:04:05.000 ")+err.Error())
}

// window begins a disturbance; the function that it returns ends it.
func (b *books) window(all *[]span) (ended func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := len(*all)
	*all = append(*all, span{from: time.Now()})
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		(*all)[at].until = time.Now()
	}
}

// within reports whether a request that began at a time and has just ended met one of the spans, or
// the time right after it.
func within(all []span, began time.Time, after time.Duration) bool {
	return slices.ContainsFunc(all, func(s span) bool { return s.until.IsZero() || began.Before(s.until.Add(after)) })
}

// excuse takes down a request without the answer it should have: why that may be, or an error if
// nothing explains it.
func (b *books) excuse(began time.Time, what string, cut bool) error {
	b.mu.Lock()
	outage, reload := within(b.outages, began, 0), within(b.reloads, began, afterReload)
	b.mu.Unlock()
	switch {
	case outage:
		b.count("in the outage: " + what)
	case cut && reload:
		b.count("at a reload: " + what)
	default:
		return fmt.Errorf("%s, and the server was neither killed nor reloaded", what)
	}
	return nil
}

// redeems takes down that a code bought something.
func (b *books) redeems(code string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.redeemed == nil {
		b.redeemed = map[string]int{}
	}
	b.redeemed[code]++
	if n := b.redeemed[code]; n > 1 {
		return fmt.Errorf("a code was redeemed %d times", n)
	}
	return nil
}

func (b *books) summary() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	for _, what := range slices.Sorted(maps.Keys(b.counts)) {
		lines = append(lines, fmt.Sprintf("%8d %s", b.counts[what], what))
	}
	return strings.Join(lines, "\n")
}

// newEnduringClient is the HTTP client of a person: one whose connections are kept, as far as the
// server keeps them, or one that makes a new connection for each request.
func newEnduringClient(addr string, keeps bool) *http.Client {
	return &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: !keeps,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, addr)
			},
		},
	}
}

// message is a request of a person.
type message struct {
	method, target string
	form           url.Values
	json           string
	bearer         string
	cookies        cookies
	html           bool
}

// reply is the answer to it.
type reply struct {
	status   int
	body     string
	location *url.URL
	cookies  cookies // that were set
	lost     bool    // an answer to the same request was lost before, so that it may have been carried out twice
}

func (r reply) String() string { return fmt.Sprintf("%d %.300s to %v", r.status, r.body, r.location) }

// send sends a request until it is answered. That it is not answered, or with 503, needs an excuse.
func (p *enduringPerson) send(a message) (reply, error) {
	lost := false
	for patience := time.Now().Add(60 * time.Second); time.Now().Before(patience); time.Sleep(10 * time.Millisecond) {
		began := time.Now()
		got, err := p.once(a)
		got.lost = lost
		if err == nil && got.status < 500 {
			p.count("requests")
			return got, nil
		}
		what := fmt.Sprint("status ", got.status)
		if err != nil {
			what = kindOf(err)
			lost = lost || !errors.Is(err, syscall.ECONNREFUSED)
		}
		if excused := p.excuse(began, what, err != nil); excused != nil {
			return reply{}, fmt.Errorf("%s %s: %w (%v %.300s)", a.method, a.target, excused, err, got.body)
		}
	}
	return reply{}, fmt.Errorf("%s %s: no answer for a minute", a.method, a.target)
}

// kindOf is an error without its addresses, to be counted.
func kindOf(err error) string {
	for kind, word := range map[error]string{
		syscall.ECONNREFUSED: "connection refused",
		syscall.ECONNRESET:   "connection reset",
		syscall.EPIPE:        "broken pipe",
		io.EOF:               "connection closed",
		io.ErrUnexpectedEOF:  "connection closed",
	} {
		if errors.Is(err, kind) {
			return word
		}
	}
	return err.Error()
}

func (p *enduringPerson) once(a message) (reply, error) {
	body, contentType := a.json, "application/json"
	if a.form != nil {
		body, contentType = a.form.Encode(), "application/x-www-form-urlencoded"
	}
	r, err := http.NewRequest(a.method, p.url("server")+a.target, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.9.%d.%d", p.number, p.signIns%8))
	if body != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if a.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+a.bearer)
	}
	if a.html {
		r.Header.Set("Accept", "text/html")
	}
	for _, line := range a.cookies.lines() {
		r.Header.Set("Cookie", strings.TrimPrefix(line, "Cookie: "))
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	return newReply(resp, string(text)), nil
}

func newReply(resp *http.Response, text string) reply {
	got := reply{status: resp.StatusCode, body: text}
	got.location, _ = resp.Location() // nil without one
	for _, c := range resp.Cookies() {
		switch c.Name {
		case "access_token":
			got.cookies.access = c.Value
		case "refresh_token":
			got.cookies.refresh = c.Value
		}
	}
	return got
}
