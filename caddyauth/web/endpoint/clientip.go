package endpoint

import (
	"net"
	"net/http"
	"net/netip"
)

// ClientIP returns the address of the client that sent a request. The zero value is [PeerIP].
type ClientIP func(r *http.Request) string

// Of returns the client's address; "" when it is not known.
func (ip ClientIP) Of(r *http.Request) string {
	if ip == nil {
		return PeerIP(r)
	}
	return ip(r)
}

// PeerIP returns the address at the other end of the connection; "" when that is a Unix socket.
func PeerIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return ""
	}
	return host
}
