package weburl

import (
	"net/netip"
	"strings"
)

// IsLoopback reports whether a host, as url.URL.Hostname returns it, can only mean this machine:
// `localhost` and the names below it (RFC 6761, section 6.3), in any case and with a final dot, and
// the addresses of the loopback network, IPv4 inside IPv6 too. Spellings that only some resolvers
// take for an address (127.1, 0x7f.1) are none.
func IsLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") && len(host) > len(".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && IsLoopbackAddr(addr)
}

// IsLoopbackAddr reports whether an address is one of this machine's own.
func IsLoopbackAddr(addr netip.Addr) bool { return addr.Zone() == "" && addr.Unmap().IsLoopback() }
