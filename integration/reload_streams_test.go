package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// feedSite is a site of streams. Without stream_close_delay Caddy closes WebSockets with the
// configuration that admitted them.
const feedSite = `
{{url "feed"}} {
	jwt_auth web api
	reverse_proxy {{.Streams}} {
		stream_close_delay 5m
	}
}
`

// feedPace is the time between two messages.
const feedPace = 10 * time.Millisecond

// newFeeder is an application that counts aloud, by event streams and WebSockets.
func newFeeder(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", countOnSocket)
	mux.HandleFunc("/events", countInEvents)
	s := httptest.NewServer(mux)
	t.Cleanup(s.CloseClientConnections)
	return s
}

func countInEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	message := "hello"
	for n := 0; r.Context().Err() == nil; n++ {
		_, _ = io.WriteString(w, "data: "+message+"\n\n")
		_ = http.NewResponseController(w).Flush()
		message = strconv.Itoa(n)
		time.Sleep(feedPace)
	}
}

func countOnSocket(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, err = io.WriteString(conn,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: x\r\n\r\n")
	for n, frame := 0, hello; err == nil; n++ {
		_, err = conn.Write(frame)
		message := strconv.Itoa(n)
		frame = append([]byte{0x81, byte(len(message))}, message...)
		time.Sleep(feedPace)
	}
}

// feed is a stream whose messages are read as they come.
type feed struct {
	*opened
	next  func() (string, error)
	got   atomic.Int64
	gap   atomic.Int64  // the longest time between two messages
	ended chan struct{} // closed when err is set
	err   error
}

// errOutOfOrder is the end of a feed that misses a message, or has one twice.
var errOutOfOrder = errors.New("out of order")

// listen opens a stream and reads it until it ends.
func (g *gateway) listen(t *testing.T, target, bearer string, lines ...string) *feed {
	t.Helper()
	f := &feed{opened: g.stream(t, "feed", target, bearer, lines...), ended: make(chan struct{})}
	_ = f.conn.SetDeadline(time.Time{})
	f.next = f.frame
	if target == "/events" {
		events := bufio.NewScanner(httputil.NewChunkedReader(f.in))
		f.next = func() (string, error) { return nextEvent(events) }
	}
	if bearer != "" {
		f.name += " with a bearer token"
	}
	go f.run()
	return f
}

func (f *feed) run() {
	defer close(f.ended)
	for last := time.Now(); ; last = time.Now() {
		message, err := f.next()
		if want := strconv.FormatInt(f.got.Load(), 10); err == nil && message != want {
			err = fmt.Errorf("%q in place of %s: %w", message, want, errOutOfOrder)
		}
		if f.err = err; err != nil {
			return
		}
		f.got.Add(1)
		f.gap.Store(max(f.gap.Load(), int64(time.Since(last))))
	}
}

// frame reads a text frame.
func (f *feed) frame() (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(f.in, head[:]); err != nil {
		return "", err
	}
	payload := make([]byte, head[1])
	if _, err := io.ReadFull(f.in, payload); err != nil {
		return "", err
	}
	if head[0] != 0x81 {
		return "", fmt.Errorf("a frame %x with %x", head[0], payload)
	}
	return string(payload), nil
}

// nextEvent reads an event of one line.
func nextEvent(events *bufio.Scanner) (string, error) {
	for events.Scan() {
		if message, is := strings.CutPrefix(events.Text(), "data: "); is {
			return message, nil
		}
	}
	return "", errors.Join(io.EOF, events.Err())
}

// goesOn waits for some more messages.
func (f *feed) goesOn(t *testing.T) {
	t.Helper()
	want := f.got.Load() + 3
	eventually(t, 10*time.Second, func() string {
		select {
		case <-f.ended:
			t.Fatalf("%s: it ended after %d messages: %v", f.name, f.got.Load(), f.err)
		default:
		}
		if f.got.Load() < want {
			return f.name + ": it stands still"
		}
		return ""
	})
}

// stops waits for the end of a feed which something has ended at a moment.
func (f *feed) stops(t *testing.T, since time.Time) {
	t.Helper()
	select {
	case <-f.ended:
	case <-time.After(5 * time.Second):
		t.Fatalf("%s: it goes on", f.name)
	}
	took := time.Since(since)
	if took > time.Second || errors.Is(f.err, errOutOfOrder) {
		t.Errorf("%s: it ended after %v: %v", f.name, took, f.err)
	}
	t.Logf("%s: it ended after %v: %v", f.name, took.Round(time.Millisecond), f.err)
}

// operated loads a configuration with an admin endpoint and without a grace period, and returns
// what runs `caddy reload` with it as it is then.
func (g *gateway) operated(t *testing.T, globals, sites string) (reload func()) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	address, file := g.addr("admin"), filepath.Join(g.dir, "operated.Caddyfile")
	text := func() string {
		return strings.NewReplacer("admin off", "admin "+address, "grace_period 1s", "").
			Replace(g.caddyfile(globals, sites))
	}
	if err := loadText(text()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the endpoint would outlive the test
		if err := caddy.Load([]byte(`{"admin":{"disabled":true,"config":{"persist":false}}}`), true); err != nil {
			t.Error(err)
		}
	})
	return func() {
		t.Helper()
		if err := os.WriteFile(file, []byte(text()), 0o600); err != nil {
			t.Fatal(err)
		}
		reload := exec.CommandContext(t.Context(), path, "reload", "--config", file, "--address", address)
		if out, err := reload.CombinedOutput(); err != nil {
			t.Fatalf("caddy reload: %v\n%s", err, out)
		}
	}
}

// TestReloadsUnderLoadKeepStreams: `caddy reload` twenty times under load, with streams that are
// open all the time. All deliver every message in order; the access token in the cookie is over
// long before the last reload. Then the session is signed out, and its streams end while the others
// go on.
func TestReloadsUnderLoadKeepStreams(t *testing.T) {
	g := newGateway(t)
	g.extra["Reuse"], g.extra["Alice"] = "10s", aliceAs(alicePassword)
	g.extra["Streams"] = newFeeder(t).Listener.Addr().String()
	sites := apiSite + feedSite
	reload := g.operated(t, sessionAuth, sites)
	held := g.signIn(t, "alice", alicePassword)
	cookie := "Cookie: access_token=" + g.likeSession(t, held.access, 2*time.Second)
	same := []string{cookie, "Origin: " + g.url("feed"), "Sec-Fetch-Site: same-origin"}
	byCookie := []*feed{g.listen(t, "/ws", "", same...), g.listen(t, "/events", "", append(same, eventStream)...)}
	token := g.tokens.mint("hs1", "bob", map[string]any{"exp": time.Now().Add(10 * time.Minute).Unix()})
	byToken := []*feed{g.listen(t, "/ws", token), g.listen(t, "/events", token, eventStream)}
	all := slices.Concat(byCookie, byToken)

	load := newTraffic(t, g)
	began := time.Now()
	for n := range 20 {
		// nobody whose streams a change ends
		g.extra["Alice"] = aliceAs(alicePassword) + "\nuser turner {\n\tclaim turn " + strconv.Itoa(n) + "\n}"
		reload()
		load.settle(t, 40)
		for _, f := range all {
			f.goesOn(t)
		}
		g.renewedElsewhere(t, load)
	}
	load.end()
	t.Logf("20 reloads in %v: %d answers, %d renewals", time.Since(began).Round(time.Millisecond), load.answers.Load(),
		load.turns.Load())
	for _, f := range all {
		t.Logf("%s: %d messages, at most %v apart", f.name, f.got.Load(),
			time.Duration(f.gap.Load()).Round(time.Millisecond))
	}
	held = g.renewed(t, held.refresh)
	signedOut := time.Now()
	g.signOut(t, held)
	for _, f := range byCookie {
		f.stops(t, signedOut)
	}
	g.checkDead(t, "signed out", held)
	for _, f := range byToken {
		f.goesOn(t)
		f.conn.Close()
	}
}

// renewedElsewhere begins a session, renews it, and ends it.
func (g *gateway) renewedElsewhere(t *testing.T, load *traffic) {
	t.Helper()
	brief := g.signIn(t, "alice", alicePassword)
	brief.refresh = load.renew(t, brief.refresh)
	load.expect(t, "somebody new", g.visit(t, "api", brief), http.StatusOK)
	g.signOut(t, brief)
	g.checkDead(t, "", brief)
}
