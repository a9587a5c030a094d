package keyring

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"

	"github.com/caddyauth/gateway/caddyauth/web/weburl"
)

// parseAddress refuses addresses that keys must not be fetched from: anything
// but https, or http on a loopback host.
func parseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	return u, checkScheme(u)
}

func checkScheme(u *url.URL) error {
	switch {
	case u.User != nil:
		return errors.New("a user name in the URL is not allowed")
	case u.Hostname() == "":
		return fmt.Errorf("%q has no host", clip(u.Redacted()))
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && weburl.IsLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q is not https (http only on a loopback host)", clip(u.Redacted()))
}

// checkHop refuses an address that the issuer's answers name, in a redirect or
// a discovery document: from an issuer elsewhere, nothing leads to this machine.
// Where a name leads is checked when it is dialled.
func checkHop(u, home *url.URL) error {
	if err := checkScheme(u); err != nil {
		return err
	}
	if weburl.IsLoopback(u.Hostname()) && !weburl.IsLoopback(home.Hostname()) {
		return fmt.Errorf("%q leads to this machine", clip(u.Redacted()))
	}
	return nil
}

// client returns a client for one fetch, with the redirect rule and, unless the
// caller brought its own, a transport that checks what is dialled.
func (r *Remote) client(home *url.URL) *http.Client {
	var transport http.RoundTripper = newHopTransport(home)
	if r.Client != nil {
		if transport = r.Client.Transport; transport == nil {
			transport = http.DefaultTransport
		}
	}
	return &http.Client{
		Transport: transport,
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return checkHop(req.URL, home)
		},
	}
}

// hopTransport dials the configured host freely, because a person chose it, and
// any other host only at a public address (or on loopback, from loopback).
type hopTransport struct {
	home           *url.URL
	chosen, others *http.Transport
}

func newHopTransport(home *url.URL) *hopTransport {
	local := weburl.IsLoopback(home.Hostname())
	t := &hopTransport{
		home:   home,
		chosen: newTransport(func(a netip.Addr) bool { return home.Scheme == "https" || weburl.IsLoopbackAddr(a) }),
		others: newTransport(func(a netip.Addr) bool { return isPublic(a) || local && weburl.IsLoopbackAddr(a) }),
	}
	t.chosen.Proxy = http.ProxyFromEnvironment
	return t
}

// RoundTrip implements [http.RoundTripper].
func (t *hopTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == t.home.Scheme && req.URL.Host == t.home.Host {
		return t.chosen.RoundTrip(req)
	}
	return t.others.RoundTrip(req)
}

// newTransport makes a transport whose connections go to allowed addresses
// only. The check sees the address itself, after the name was resolved.
func newTransport(allowed func(netip.Addr) bool) *http.Transport {
	d := &net.Dialer{
		Timeout: fetchTimeout,
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
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true, // a fetch in many minutes keeps no connection
		TLSHandshakeTimeout:    fetchTimeout,
		ResponseHeaderTimeout:  fetchTimeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// notPublic are the blocks of the IANA special-purpose registries (RFC 6890)
// that netip has no word for, among them the ways to write an IPv4 address
// inside an IPv6 one.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// isPublic reports whether an address is one of the open internet.
func isPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
