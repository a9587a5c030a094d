package integration

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// streamSites has one site per way to treat streams, all in front of the same application.
const streamSites = authSite + `
(app) {
	reverse_proxy {{.Streams}} {
		stream_close_delay 1m
		transport http {
			keepalive off
		}
	}
}
{{url "both"}} {
	jwt_auth web api
	import app
}
{{url "api"}} {
	jwt_auth api
	import app
}
{{url "grace"}} {
	jwt_auth api {
		stream_grace 3s
	}
	import app
}
{{url "late"}} {
	jwt_auth api {
		leeway 5s
	}
	import app
}
{{url "left"}} {
	jwt_auth api {
		stream_grace off
	}
	import app
}
{{url "stacked"}} {
	@events path /events
	jwt_auth @events api
	jwt_auth api {
		stream_grace off
	}
	import app
}
`

// streamer is an application whose answers go on until somebody ends them.
type streamer struct {
	*httptest.Server
	open atomic.Int64
}

func newStreamer(t *testing.T) *streamer {
	t.Helper()
	s := new(streamer)
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", s.socket)
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) { s.drip(w, r, "text/event-stream") })
	mux.HandleFunc("/drip", func(w http.ResponseWriter, r *http.Request) { s.drip(w, r, "application/octet-stream") })
	mux.HandleFunc("/download", s.download)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Server.CloseClientConnections)
	return s
}

// hello is a text frame (RFC 6455, section 5.7).
var hello = []byte{0x81, 5, 'h', 'e', 'l', 'l', 'o'}

func (s *streamer) socket(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	s.open.Add(1)
	defer s.open.Add(-1)
	defer conn.Close()
	_, _ = io.WriteString(conn,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: x\r\n\r\n")
	_, _ = conn.Write(hello)
	_, _ = io.Copy(io.Discard, conn)
}

func (s *streamer) drip(w http.ResponseWriter, r *http.Request, kind string) {
	s.open.Add(1)
	defer s.open.Add(-1)
	w.Header().Set("Content-Type", kind)
	_, _ = io.WriteString(w, "data: hello\n\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// download takes four seconds and says how long it is.
func (s *streamer) download(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "8")
	for range 8 {
		_, _ = w.Write([]byte("x"))
		_ = http.NewResponseController(w).Flush()
		time.Sleep(500 * time.Millisecond)
	}
}

// closed waits until the application's side of all streams is closed, too.
func (s *streamer) closed(t *testing.T) {
	t.Helper()
	eventually(t, clientPatience, func() string {
		if n := s.open.Load(); n != 0 {
			return "the application has streams left: " + time.Duration(n).String()
		}
		return ""
	})
}

// streamGateway is a gateway before a streamer.
func streamGateway(t *testing.T) (*gateway, *streamer) {
	t.Helper()
	g := newGateway(t)
	s := newStreamer(t)
	g.extra["Streams"] = s.Listener.Addr().String()
	g.loadPatiently(standardAuth, streamSites)
	return g, s
}

// loadPatiently gives requests of an old configuration time, as Caddy does unless it is told
// otherwise.
func (g *gateway) loadPatiently(globals, sites string) {
	g.t.Helper()
	err := loadText(strings.Replace(g.caddyfile(globals, sites), "grace_period 1s", "grace_period 1m", 1))
	if err != nil {
		g.t.Fatalf("loading: %v", err)
	}
	g.settle()
}

// opened is the client's side of a stream.
type opened struct {
	conn net.Conn
	in   *bufio.Reader
	name string
}

// stream opens one and reads what the application says first.
func (g *gateway) stream(t *testing.T, site, target, bearer string, lines ...string) *opened {
	t.Helper()
	if bearer != "" {
		lines = append(lines, "Authorization: Bearer "+bearer)
	}
	if target == "/ws" {
		lines = append(lines, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	}
	s, err := g.openStream(site, target, lines)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	return s
}

func (g *gateway) openStream(site, target string, lines []string) (*opened, error) {
	conn, err := net.Dial("tcp", g.addr(site))
	if err != nil {
		return nil, err
	}
	s := &opened{conn, bufio.NewReader(conn), site + target}
	_ = conn.SetDeadline(time.Now().Add(clientPatience))
	_, _ = io.WriteString(conn, call{target: target, host: g.host(site), lines: lines}.text())
	resp, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(s.name + ": " + resp.Status)
	}
	// What follows is read as it comes, in chunks: a body would remember that reading it took too
	// long.
	first := string(hello)
	if target != "/ws" {
		first = "d\r\ndata: hello\n\n\r\n"
	}
	got := make([]byte, len(first))
	if _, err = io.ReadFull(s.in, got); err == nil && string(got) != first {
		err = errors.New(s.name + ": it begins with " + string(got))
	}
	return s, err
}

// lives makes sure that a stream goes on.
func (s *opened) lives(t *testing.T, during time.Duration) {
	t.Helper()
	_ = s.conn.SetReadDeadline(time.Now().Add(during))
	if b, err := s.in.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%s: it ended with %q, %v", s.name, b, err)
	}
}

// ends waits for the end of a stream, and returns what came before it.
func (s *opened) ends(t *testing.T, within time.Duration) []byte {
	t.Helper()
	began := time.Now()
	_ = s.conn.SetReadDeadline(began.Add(within))
	last, err := io.ReadAll(s.in)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%s: it goes on after %v", s.name, within)
	}
	t.Logf("%s: it ended after %v", s.name, time.Since(began).Round(time.Millisecond))
	return last
}

// short mints a token that is good for some seconds.
func (g *gateway) short(d time.Duration) string {
	return g.tokens.mint("hs1", "alice", map[string]any{"exp": time.Now().Add(d).Unix()})
}

const eventStream = "Accept: text/event-stream"

var closeFrame = []byte{0x88, 2, 3, 0xf0} // 1008

// TestStreamsEndWithTheirToken: whatever the kind of stream, and whether or not the request
// announces it.
func TestStreamsEndWithTheirToken(t *testing.T) {
	g, app := streamGateway(t)
	token := g.short(3 * time.Second)
	plain := []*opened{
		g.stream(t, "api", "/events", token, eventStream), g.stream(t, "api", "/events", token),
		g.stream(t, "api", "/drip", token), g.stream(t, "both", "/events", token, eventStream),
		g.stream(t, "stacked", "/events", token, eventStream),
	}
	sockets := []*opened{g.stream(t, "api", "/ws", token), g.stream(t, "both", "/ws", token)}
	grace, left := g.stream(t, "grace", "/ws", token), g.stream(t, "left", "/ws", token)
	download := make(chan answer, 1)
	go func() { download <- g.get(t, "api", "/download", token) }()
	for _, s := range append(plain, sockets...) {
		s.lives(t, 10*time.Millisecond)
	}
	for _, s := range plain {
		s.ends(t, 4*time.Second)
	}
	for _, s := range sockets {
		if last := s.ends(t, time.Second); !bytes.Equal(last, closeFrame) {
			t.Errorf("%s: the last words are %x", s.name, last)
		}
	}
	late := g.stream(t, "late", "/events", token, eventStream)
	late.lives(t, 10*time.Millisecond)
	grace.lives(t, time.Second)
	if last := grace.ends(t, 4*time.Second); !bytes.Equal(last, closeFrame) {
		t.Errorf("with grace: the last words are %x", last)
	}
	late.ends(t, 4*time.Second)
	if got := <-download; got.status != http.StatusOK || got.body != "xxxxxxxx" || got.broken != nil {
		t.Errorf("a download: %d %q %v", got.status, got.body, got.broken)
	}
	left.lives(t, 500*time.Millisecond)
	left.conn.Close()
	app.closed(t)
	if log := g.log(); !strings.Contains(log, "a stream was ended") {
		t.Error("the log does not say that streams were ended")
	}
}

// TestStreamsOfSessions: opened with the session cookie, a stream outlives its access token; it
// ends with the session, as do those opened with a token of the session.
func TestStreamsOfSessions(t *testing.T) {
	g, app := streamGateway(t)
	cookie, _ := g.formLogin(t, "alice", alicePassword, "")
	expiring := "Cookie: access_token=" + g.likeSession(t, cookie, 2*time.Second)
	same := []string{"Origin: " + g.url("both"), "Sec-Fetch-Site: same-origin"}
	byCookie := []*opened{
		g.stream(t, "both", "/ws", "", append(same, expiring)...),
		g.stream(t, "both", "/events", "", append(same, expiring, eventStream)...),
	}
	byToken := []*opened{
		g.stream(t, "both", "/ws", cookie), g.stream(t, "both", "/events", cookie),
		g.stream(t, "both", "/drip", cookie),
	}
	other, _ := g.formLogin(t, "alice", alicePassword, "")
	bystander := g.stream(t, "both", "/ws", other)
	byCookie[0].lives(t, 3500*time.Millisecond)
	byCookie[1].lives(t, 10*time.Millisecond)

	g.loadPatiently(standardAuth, streamSites)
	g.loadPatiently(standardAuth,
		strings.Replace(streamSites, "jwt_auth web api", "jwt_auth web api {\n\t\tleeway 10s\n\t}", 1))
	for _, s := range append(byCookie, byToken...) {
		s.lives(t, 20*time.Millisecond)
	}
	began := time.Now()
	g.logout(t, cookie)
	endTogether(t, began, append(byCookie, byToken...))
	bystander.lives(t, 100*time.Millisecond)
	bystander.conn.Close()
	app.closed(t)
}

// likeSession mints an access token of a living session that expires sooner.
func (g *gateway) likeSession(t *testing.T, cookie string, lifetime time.Duration) string {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(cookie, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil || claims["sid"] == nil {
		t.Fatalf("%s: %v", payload, err)
	}
	claims["exp"] = time.Now().Add(lifetime).Unix()
	return g.tokens.mint("hs1", "alice", claims)
}

// TestStreamsOutliveTheStoresLastConfiguration: a stream holds the store, and what is revoked
// through it, when no configuration uses it any more.
func TestStreamsOutliveTheStoresLastConfiguration(t *testing.T) {
	g, app := streamGateway(t)
	cookie, _ := g.formLogin(t, "alice", alicePassword, "")
	s := g.stream(t, "both", "/ws", cookie)
	soon := g.stream(t, "api", "/ws", g.short(3*time.Second))
	g.loadPatiently("", "{{url \"plain\"}} {\n\trespond ok\n}\n")
	soon.ends(t, 4*time.Second)
	g.loadPatiently(standardAuth, streamSites)
	s.lives(t, 50*time.Millisecond)
	g.logout(t, cookie)
	s.ends(t, time.Second)
	app.closed(t)
}

// TestThousandStreamsLeakNothing: neither those that end by themselves nor those that are ended.
func TestThousandStreamsLeakNothing(t *testing.T) {
	g, app := streamGateway(t)
	cookie, _ := g.formLogin(t, "alice", alicePassword, "")
	g.stream(t, "both", "/ws", cookie).conn.Close()
	app.closed(t)
	before := g.settledUse(t)
	const n = 1000
	all := make([]*opened, n)
	var wait sync.WaitGroup
	for worker := range 20 {
		wait.Go(func() {
			for i := worker; i < n; i += 20 {
				lines := []string{"Authorization: Bearer " + cookie}
				target := []string{"/ws", "/events", "/drip"}[i%3]
				if target == "/ws" {
					lines = append(lines, "Connection: Upgrade", "Upgrade: websocket")
				}
				var err error
				if all[i], err = g.openStream("both", target, lines); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, s := range all[:n/2] {
		s.conn.Close()
	}
	g.logout(t, cookie)
	for _, s := range all[n/2:] {
		_ = s.conn.SetReadDeadline(time.Now().Add(clientPatience))
		if _, err := io.ReadAll(s.in); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s: it goes on", s.name)
		}
		s.conn.Close()
	}
	app.closed(t)
	g.checkUse(t, "a thousand streams", before)
}

// TestSocketsOverHTTP2: extended CONNECT (RFC 8441), which Go's server only offers when the process
// is started so.
func TestSocketsOverHTTP2(t *testing.T) {
	if !strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		again := exec.Command(os.Args[0], "-test.run=^TestSocketsOverHTTP2$", "-test.v")
		again.Env = append(os.Environ(), "GODEBUG=http2xconnect=1")
		if out, err := again.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	g, app := streamGateway(t)
	for _, site := range []string{"api", "both"} {
		conn := mustDial(t, g.addr(site))
		defer conn.Close()
		framer := http2.NewFramer(conn, conn)
		framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		if err := writePreface(conn, framer); err != nil {
			t.Fatal(err)
		}
		var block bytes.Buffer
		err := writeFields(framer, hpack.NewEncoder(&block), &block, []hpack.HeaderField{
			{Name: ":method", Value: "CONNECT"}, {Name: ":protocol", Value: "websocket"},
			{Name: ":scheme", Value: "http"}, {Name: ":authority", Value: g.host(site)}, {Name: ":path", Value: "/ws"},
			{Name: "authorization", Value: "Bearer " + g.short(3*time.Second)},
		}, false)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		got := readStream(framer)
		if got.status != http.StatusOK || got.body != string(hello)+string(closeFrame) ||
			time.Since(began) > 4*time.Second {
			t.Errorf("%s: after %v: %d %x %v", site, time.Since(began), got.status, got.body, got.broken)
		}
	}
	app.closed(t)
}
