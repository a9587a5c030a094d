package connections

import (
	"crypto/tls"
	"io"
	"net"
	"time"
)

const (
	// refusalTime is how long a refused client has to send the start of a request and read the
	// answer.
	refusalTime = 100 * time.Millisecond
	// refusalAnswer needs no Date: RFC 9110, 6.6.1 asks for one only from servers with a clock, and
	// only for 2xx, 3xx and 4xx.
	refusalAnswer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n" +
		"Connection: close\r\nContent-Length: 0\r\n\r\n"
	// tlsHandshake is the first byte of a TLS client, RFC 8446, 5.1.
	tlsHandshake = 22
)

// refusing has an element for each refused connection that is being answered.
var refusing = make(chan struct{}, 16)

// refuse answers a refused client in the background if few are being answered, and closes the
// connection otherwise.
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
	// A TLS client could not read the answer, and a client that sends nothing has not asked.
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
