package pgtest

import (
	"errors"
	"io"
	"net"
	"os"
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

// roundTrip returns how long a byte took there and back, and less than 0 when it did not come in time.
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
