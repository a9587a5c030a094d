package connections

import (
	"crypto/tls"
	"net"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// openConnections counts the connections of all listeners with the wrapper. It belongs to the
// process, as open files do: after a reload the connections of the configuration before still
// count.
var openConnections atomic.Int64

// Refused counts the connections that were refused. The App registers it.
var Refused = prometheus.NewCounter(prometheus.CounterOpts{
	Name: "caddy_auth_connections_refused_total",
	Help: "Connections that " + connectionsWord + " refused because clients held as many as they may.",
})

// limitedListener refuses connections while clients hold as many as they may.
type limitedListener struct {
	net.Listener
	most int64
	open *atomic.Int64
}

// Accept returns the next connection within the limit. It does not wait for the connections that it
// refuses.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.most {
			return countConn(conn, l.open), nil
		}
		l.open.Add(-1)
		Refused.Inc()
		refuse(conn)
	}
}

// countConn wraps a connection that leaves the count when it is closed. It keeps the methods that
// net/http and Caddy look for: copying in the kernel, half-closing, and the state of TLS.
func countConn(conn net.Conn, open *atomic.Int64) net.Conn {
	switch c := conn.(type) {
	case *net.TCPConn:
		return &countedTCP{c, slot{open: open}}
	case *tls.Conn:
		return &countedTLS{c, slot{open: open}}
	}
	return &countedConn{conn, slot{open: open}}
}

// slot is one connection of the count. It is released once, however often the connection is closed.
type slot struct {
	open     *atomic.Int64
	released atomic.Bool
}

func (s *slot) release() {
	if s.released.CompareAndSwap(false, true) {
		s.open.Add(-1)
	}
}

type countedTCP struct {
	*net.TCPConn
	slot slot
}

// Close implements net.Conn.
func (c *countedTCP) Close() error {
	defer c.slot.release() // after the file is closed
	return c.TCPConn.Close()
}

type countedTLS struct {
	*tls.Conn
	slot slot
}

// Close implements net.Conn.
func (c *countedTLS) Close() error {
	defer c.slot.release()
	return c.Conn.Close()
}

type countedConn struct {
	net.Conn
	slot slot
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	defer c.slot.release()
	return c.Conn.Close()
}
