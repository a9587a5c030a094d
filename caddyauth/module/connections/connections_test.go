package connections

import (
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestMostConnections(t *testing.T) {
	for _, c := range []struct {
		name       string
		configured int
		limit      uint64
		want       int64
		err        string
	}{
		{"half of the rest", 0, 256, 96, ""},
		{"at least one", 0, 20, 1, ""},
		{"no limit", 0, math.MaxUint64, (math.MaxInt32 - 64) / 2, ""},
		{"configured", 200, 256, 200, ""},
		{"the limit itself", 256, 256, 256, ""},
		{"above the limit", 257, 256, 0, "auth_connections: 257 is more than the 256 files"},
		{"negative", -1, 256, 0, "auth_connections: -1 is not a number from 1"},
		{"configured and limit not known", 300, 0, 300, ""},
		{"nothing known", 0, 0, 0, "a number is required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			most, err := mostConnections(c.configured, c.limit)
			if most != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%d, %v; want %d, %q", most, err, c.want, c.err)
			}
		})
	}
}

func TestConnectionsCaddyfile(t *testing.T) {
	for _, c := range []struct {
		text string
		want int // -1: refused
	}{
		{"auth_connections", 0},
		{"auth_connections 5", 5},
		{"auth_connections 0", -1},
		{"auth_connections -5", -1},
		{"auth_connections many", -1},
		{"auth_connections 5 6", -1},
		{"auth_connections {\n most 5\n}", -1},
	} {
		t.Run(c.text, func(t *testing.T) {
			var got Connections
			err := got.UnmarshalCaddyfile(caddyfile.NewTestDispenser(c.text))
			if (err != nil) != (c.want < 0) || err == nil && got.Most != c.want {
				t.Errorf("%d, %v; want %d", got.Most, err, c.want)
			}
		})
	}
}

// TestConnectionsAreLimited: what is beyond the limit is answered with 503 in plain HTTP and not at
// all in TLS, and places are given back once.
func TestConnectionsAreLimited(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open atomic.Int64
	l := &limitedListener{Listener: inner, most: 1, open: &open}
	defer l.Close()
	accepted := make(chan net.Conn, 4)
	go func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		return conn
	}
	dial()
	first := <-accepted
	for _, c := range []struct{ name, send, want string }{
		{"plain HTTP", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", refusalAnswer},
		{
			"a long request",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n" + strings.Repeat("a", 40000), refusalAnswer,
		},
		{"TLS", "\x16\x03\x01\x00\x05hello", ""},
		{"silence", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := dial()
			_, _ = io.WriteString(conn, c.send)
			if got, err := io.ReadAll(conn); string(got) != c.want || c.want != "" && err != nil {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
	if n := open.Load(); n != 1 || len(accepted) != 0 {
		t.Errorf("%d open, %d accepted beyond the limit", n, len(accepted))
	}
	_ = first.Close()
	_ = first.Close()
	if n := open.Load(); n != 0 {
		t.Errorf("%d open after the only connection was closed twice", n)
	}
	dial()
	if second := <-accepted; second.Close() != nil || open.Load() != 0 {
		t.Errorf("%d open", open.Load())
	}
}

// TestRefusingIsBounded: while as many refused clients are being answered as may be, others are
// hung up on without waiting.
func TestRefusingIsBounded(t *testing.T) {
	for range cap(refusing) {
		refusing <- struct{}{}
	}
	defer func() {
		for range cap(refusing) {
			<-refusing
		}
	}()
	client, server := net.Pipe()
	refuse(server)
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%v, want the end", err)
	}
}

// TestHijackedConnectionsAreCounted: a hijacked connection keeps its place until its new owner
// closes it.
func TestHijackedConnectionsAreCounted(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open atomic.Int64
	hijacked := make(chan net.Conn, 1)
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
		}
		hijacked <- conn
	})}
	go func() { _ = server.Serve(&limitedListener{Listener: inner, most: 1, open: &open}) }()
	client, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	fmt.Fprint(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	conn := <-hijacked
	_ = server.Close()
	if n := open.Load(); n != 1 {
		t.Errorf("%d open while a hijacked connection is open", n)
	}
	_ = conn.Close()
	if n := open.Load(); n != 0 {
		t.Errorf("%d open after it was closed", n)
	}
}

// TestCountedConnectionsKeepTheirMethods: net/http and Caddy look for these.
func TestCountedConnectionsKeepTheirMethods(t *testing.T) {
	var open atomic.Int64
	plain := countConn(new(net.TCPConn), &open)
	if _, ok := plain.(io.ReaderFrom); !ok {
		t.Error("TCP: the kernel cannot copy")
	}
	if _, ok := plain.(interface{ CloseWrite() error }); !ok {
		t.Error("TCP: cannot be half-closed")
	}
	if _, ok := countConn(tls.Server(nil, nil), &open).(interface{ ConnectionState() tls.ConnectionState }); !ok {
		t.Error("TLS: the state is hidden")
	}
	if _, ok := plain.(interface{ ConnectionState() tls.ConnectionState }); ok {
		t.Error("TCP: it has a state of TLS")
	}
}
