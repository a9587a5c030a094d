package pgtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"
)

func TestTheProxyDelaysHangsAndCuts(t *testing.T) {
	p := NewProxy(t, echo(t))
	quick, other := dialed(t, p), dialed(t, p)
	if took := roundTrip(t, quick, time.Minute); took > time.Second {
		t.Errorf("a round trip without delay took %v", took)
	}
	roundTrip(t, other, time.Minute)

	p.Delay(50 * time.Millisecond)
	if took := roundTrip(t, quick, time.Minute); took < 100*time.Millisecond {
		t.Errorf("a round trip took %v, less than twice the delay", took)
	}
	p.Delay(0)

	p.HangSome(func(number int) bool { return number == 1 })
	roundTrip(t, other, time.Minute)
	if took := roundTrip(t, quick, 50*time.Millisecond); took >= 0 {
		t.Errorf("a connection that hangs answered after %v", took)
	}
	p.Resume()
	quick.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadFull(quick, make([]byte, 1)); err != nil { // what was held back
		t.Errorf("after Resume: %v", err)
	}
	roundTrip(t, quick, time.Minute)

	if p.Accepted() != 2 || p.Open() != 2 {
		t.Errorf("%d connections were made and %d are open, not 2", p.Accepted(), p.Open())
	}
	p.Cut()
	quick.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := quick.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection that was cut: %v", err)
	}
	roundTrip(t, dialed(t, p), time.Minute)
}

// roundTrip returns how long a byte took there and back, and less than 0 when it did not come in
// time.
func roundTrip(t *testing.T, conn net.Conn, patience time.Duration) time.Duration {
	t.Helper()
	sent := time.Now()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(sent.Add(patience))
	defer conn.SetReadDeadline(time.Time{})
	switch _, err := io.ReadFull(conn, make([]byte, 1)); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return -1
	case err != nil:
		t.Fatal(err)
	}
	return time.Since(sent)
}

func dialed(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// echo returns the address of a server which sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); io.Copy(conn, conn) }()
		}
	}()
	return l.Addr().String()
}

func TestConnectionsAreNumberedAsTheyWereMade(t *testing.T) {
	for range 200 {
		p := NewProxy(t, echo(t))
		first, second := dialed(t, p), dialed(t, p)
		p.HangSome(func(number int) bool { return number == 1 })
		if took := roundTrip(t, second, time.Minute); took < 0 {
			t.Fatal("the second connection hangs instead of the first")
		}
		first.Close()
	}
}

// TestTheProxyCountsWhatIsAsked: whatever the pieces are that messages come in.
func TestTheProxyCountsWhatIsAsked(t *testing.T) {
	message := func(kind string, body string) string {
		return kind + string(binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))) + body
	}
	untyped := func(code uint32, body string) string {
		return message("", string(binary.BigEndian.AppendUint32(nil, code))+body)
	}
	text := untyped(80877103, "") + untyped(3<<16, "user\x00SQES\x00\x00") + // SSLRequest, startup
		message("p", "password") + message("Q", "SELECT 'S'\x00") + // one statement, one trip
		// two, one trip
		message("P", "SQ") + message("B", "EE") + message("E", "") + message("E", "") + message("S", "") +
		message("X", "")
	want := Traffic{Statements: 3, Trips: 2}
	for _, size := range []int{1, 2, 3, 7, len(text)} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			var c counter
			for piece := range slices.Chunk([]byte(text), size) {
				c.read(piece)
			}
			if c.Traffic != want {
				t.Errorf("%+v, want %+v", c.Traffic, want)
			}
		})
	}
}
