package auth

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/prometheus/client_golang/prometheus"
)

func init() { caddy.RegisterModule(new(Connections)) }

// connectionsWord is the listener wrapper's name in a Caddyfile.
const connectionsWord = "auth_connections"

// Connections is a listener wrapper that limits how many connections clients may hold, so that
// idle clients cannot use up the open files which the store and the upstreams need.
type Connections struct {
	// How many connections clients may hold at once, counted over all listeners of the process that
	// have this wrapper; a number above the limit of open files is refused. Where the system tells
	// no limit, the number is required. Default: half of what the limit of open files leaves after
	// 64 for everything else, at least 1.
	Most int `json:"most,omitempty"`

	most int64
}

// CaddyModule implements caddy.Module.
func (*Connections) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.listeners." + connectionsWord,
		New: func() caddy.Module { return new(Connections) },
	}
}

// UnmarshalCaddyfile sets up the wrapper. Syntax:
//
//	auth_connections [<most>]
func (c *Connections) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // wrapper name
	if d.NextArg() {
		most, err := strconv.Atoi(d.Val())
		if err != nil || most < 1 {
			return d.Errf("%s: %q is not a number from 1", connectionsWord, d.Val())
		}
		c.Most = most
	}
	if d.NextArg() || d.NextBlock(0) {
		return d.ArgErr()
	}
	return nil
}

// Provision implements caddy.Provisioner.
func (c *Connections) Provision(caddy.Context) (err error) {
	c.most, err = mostConnections(c.Most, descriptorLimit())
	return err
}

// otherDescriptors is how many open files stay free for the store, listeners, logs, idle connections
// to upstreams, and clients that are being refused.
const otherDescriptors = 64

// mostConnections checks the number that is configured against the limit of open files, which is 0
// where it is not known, and makes one of the limit where none is configured.
func mostConnections(configured int, limit uint64) (int64, error) {
	switch {
	case configured < 0:
		return 0, fmt.Errorf("%s: %d is not a number from 1", connectionsWord, configured)
	case configured == 0 && limit == 0:
		return 0, errors.New(connectionsWord + ": a number is required, as this system tells no limit of open files")
	case configured == 0:
		// Halved, because a request that is proxied takes a second open file.
		spare := int64(min(limit, math.MaxInt32)) - otherDescriptors
		return max(spare/2, 1), nil
	case limit != 0 && uint64(configured) > limit:
		return 0, fmt.Errorf("%s: %d is more than the %d files that this process may have open",
			connectionsWord, configured, limit)
	}
	return int64(configured), nil
}

// WrapListener implements caddy.ListenerWrapper.
func (c *Connections) WrapListener(l net.Listener) net.Listener {
	return &limitedListener{Listener: l, most: c.most, held: &heldConnections}
}

// heldConnections counts the connections of all listeners with the wrapper. It belongs to the process,
// as open files do: connections of an old configuration still count after a reload.
var heldConnections atomic.Int64

var connectionsRefused = prometheus.NewCounter(prometheus.CounterOpts{
	Name: "caddy_auth_connections_refused_total",
	Help: "Connections that " + connectionsWord + " refused because clients held as many as they may.",
})

// limitedListener refuses connections while clients hold as many as they may.
type limitedListener struct {
	net.Listener
	most int64
	held *atomic.Int64
}

// Accept returns the next connection that clients may have. It does not wait for those it refuses.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.held.Add(1) <= l.most {
			return counted(conn, l.held), nil
		}
		l.held.Add(-1)
		connectionsRefused.Inc()
		refuse(conn)
	}
}

// counted makes a connection that gives its place back when it is closed. It keeps the methods that
// net/http and Caddy look for: copying in the kernel, half-closing, and the state of TLS.
func counted(conn net.Conn, held *atomic.Int64) net.Conn {
	switch c := conn.(type) {
	case *net.TCPConn:
		return &countedTCP{c, heldPlace{held: held}}
	case *tls.Conn:
		return &countedTLS{c, heldPlace{held: held}}
	}
	return &countedConn{conn, heldPlace{held: held}}
}

// heldPlace is given back once, however often the connection is closed.
type heldPlace struct {
	held     *atomic.Int64
	released atomic.Bool
}

func (p *heldPlace) release() {
	if p.released.CompareAndSwap(false, true) {
		p.held.Add(-1)
	}
}

type countedTCP struct {
	*net.TCPConn
	place heldPlace
}

// Close implements net.Conn.
func (c *countedTCP) Close() error {
	defer c.place.release() // after the file is closed
	return c.TCPConn.Close()
}

type countedTLS struct {
	*tls.Conn
	place heldPlace
}

// Close implements net.Conn.
func (c *countedTLS) Close() error {
	defer c.place.release()
	return c.Conn.Close()
}

type countedConn struct {
	net.Conn
	place heldPlace
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	defer c.place.release()
	return c.Conn.Close()
}

const (
	// refusalTime is how long a refused client has to send the start of a request and take the answer.
	refusalTime = 100 * time.Millisecond
	// refusalAnswer needs no Date: RFC 9110, 6.6.1 asks for one only from servers with a clock, and
	// only for 2xx, 3xx and 4xx.
	refusalAnswer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	// tlsHandshake is the first byte of a TLS client, RFC 8446, 5.1.
	tlsHandshake = 22
)

// refusing holds the refused connections that are being answered.
var refusing = make(chan struct{}, 16)

// refuse answers a refused client in the background if few are being answered, and hangs up otherwise.
func refuse(conn net.Conn) {
	if _, encrypted := conn.(*tls.Conn); encrypted {
		_ = conn.Close()
		return
	}
	select {
	case refusing <- struct{}{}:
		go func() {
			defer func() { <-refusing }()
			answerRefused(conn)
		}()
	default:
		_ = conn.Close()
	}
}

// answerRefused says 503 to a client that asks in plain HTTP, and closes the connection.
func answerRefused(conn net.Conn) {
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(refusalTime)) != nil {
		return
	}
	// A client of TLS could not read the answer; whoever says nothing asked for none.
	start := make([]byte, 4096)
	n, _ := conn.Read(start)
	if n == 0 || start[0] == tlsHandshake {
		return
	}
	if _, err := io.WriteString(conn, refusalAnswer); err != nil {
		return
	}
	// Closing with unread data would reset the connection before the client has read the answer.
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, conn, 64<<10)
	}
}

var (
	_ caddy.Provisioner     = (*Connections)(nil)
	_ caddy.ListenerWrapper = (*Connections)(nil)
	_ caddyfile.Unmarshaler = (*Connections)(nil)
)
