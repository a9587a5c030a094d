package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// patience is how long an answer may take.
const patience = 10 * time.Second

// wire is one kept connection. It speaks HTTP/1.1 by itself: the client of net/http costs the load as
// much as a request costs the server.
type wire struct {
	conn   net.Conn
	reader *bufio.Reader
}

// exchange sends a request and reads its answer. A connection that failed is replaced by the next
// request.
func (w *wire) exchange(host, request string) (resp *http.Response, body []byte, err error) {
	if w.conn == nil {
		if w.conn, err = net.DialTimeout("tcp", host, patience); err != nil {
			w.conn = nil
			return nil, nil, err
		}
		w.reader = bufio.NewReader(w.conn)
	}
	defer func() {
		if err != nil || resp.Close {
			w.close()
		}
	}()
	if err = w.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, nil, err
	}
	if _, err = io.WriteString(w.conn, request); err != nil {
		return nil, nil, err
	}
	if resp, err = http.ReadResponse(w.reader, nil); err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp, body, err
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close() // it is not used again
		w.conn = nil
	}
}
