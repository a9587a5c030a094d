package egress

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

const (
	maxHeader = 64 << 10
	keepFor   = 30 * time.Second // how long an idle connection is kept
)

// hops sends requests to the configured host by one transport, those to any other host by another,
// and by a third one if they are not encrypted.
type hops struct {
	home                 *url.URL
	chosen, other, plain *http.Transport
}

// newHops makes the transports. A person chose the configured host, so over https its address may
// be any.
func newHops(c *Client) *hops {
	local := c.isLocal()
	excepted := func(a netip.Addr) bool {
		return local && weburl.IsLoopbackAddr(a) ||
			slices.ContainsFunc(c.Allow, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	h := &hops{
		home:  c.Home,
		other: c.transport(func(a netip.Addr) bool { return isPublic(a) || excepted(a) }),
		plain: c.transport(func(a netip.Addr) bool { return weburl.IsLoopbackAddr(a) && excepted(a) }),
	}
	if c.Home == nil {
		return h
	}
	encrypted := c.Home.Scheme == "https"
	h.chosen = c.transport(func(a netip.Addr) bool { return encrypted || weburl.IsLoopbackAddr(a) })
	if encrypted {
		h.chosen.Proxy = http.ProxyFromEnvironment
	}
	return h
}

// RoundTrip implements [http.RoundTripper].
func (h *hops) RoundTrip(req *http.Request) (*http.Response, error) {
	if h.home != nil && req.URL.Scheme == h.home.Scheme && req.URL.Host == h.home.Host {
		return h.chosen.RoundTrip(req)
	}
	if req.URL.Scheme != "https" {
		return h.plain.RoundTrip(req)
	}
	return h.other.RoundTrip(req)
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] looks for.
func (h *hops) CloseIdleConnections() {
	h.other.CloseIdleConnections()
	h.plain.CloseIdleConnections()
	if h.chosen != nil {
		h.chosen.CloseIdleConnections()
	}
}

// transport makes a transport whose connections go to allowed addresses only. The check sees the
// address itself, after the name was resolved.
func (c *Client) transport(allowed func(netip.Addr) bool) *http.Transport {
	timeout := orDefault(c.Timeout, DefaultTimeout)
	d := &net.Dialer{
		Timeout: timeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil || !allowed(ap.Addr().Unmap()) {
				return fmt.Errorf("address %s is not allowed here", address)
			}
			return nil
		},
	}
	return &http.Transport{
		DialContext:            d.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      c.Connections == 0,
		MaxIdleConnsPerHost:    c.Connections,
		MaxConnsPerHost:        c.Connections,
		IdleConnTimeout:        keepFor,
		TLSHandshakeTimeout:    timeout,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// notPublic are the blocks of the IANA special-purpose registries (RFC 6890) that netip has no
// method for, among them the ways to write an IPv4 address inside an IPv6 one.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
}

// globalUnicast is what IANA has assigned of IPv6 to hosts of the open internet. What is outside of it
// is local, translated to IPv4, or not assigned.
var globalUnicast = netip.MustParsePrefix("2000::/3")

// isPublic reports whether an address is one of the open internet.
func isPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Is6() && !globalUnicast.Contains(a) {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
