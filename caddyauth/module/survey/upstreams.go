package survey

import (
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddyauth/gateway/caddyauth/module/finding"
)

// Beside lists the sites without a gate that lead to an application which a gate guards in another
// one. `jwt_auth off` in such a site says that it is meant.
func (s *Survey) Beside() (found []finding.Finding) {
	guarded := make(map[string]string) // by address, the first place where a gate guards it
	var open []proxied
	servers := s.servers()
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		for _, p := range proxiedBeside(name, servers[name], guarded) {
			if !p.covered {
				open = append(open, p)
			}
		}
	}
	for _, p := range open {
		addresses := addressesOf(p.handler)
		if i := slices.IndexFunc(addresses, func(address string) bool { return guarded[address] != "" }); i >= 0 {
			found = append(found, finding.Finding{
				Severity: finding.Warning,
				Where:    p.String(),
				Text:     "no gate covers it, and the same upstream is guarded elsewhere: " + guarded[addresses[i]],
				Hint:     "guard this site as well, or say with `jwt_auth off` that it is meant",
			})
		}
	}
	slices.SortFunc(found, func(x, y finding.Finding) int { return strings.Compare(x.Where, y.Where) })
	return found
}

// proxiedBeside returns where sites without gates lead to applications, and notes in guarded what
// sites with gates lead to.
func proxiedBeside(name string, server *caddyhttp.Server, guarded map[string]string) []proxied {
	open := walker{named: server.NamedRoutes}
	where := "server " + name
	var gated []string
	for _, site := range sitesOf(server) {
		if !open.hasGate(site) {
			open.walk(site, false, where)
			continue
		}
		behind := walker{named: server.NamedRoutes}
		behind.walk(site, false, where)
		for _, route := range site {
			gated = append(gated, describe(route))
		}
		for _, p := range behind.proxied {
			for _, address := range addressesOf(p.handler) {
				if p.covered && guarded[address] == "" {
					guarded[address] = p.where
				}
			}
		}
	}
	if server.Errors != nil {
		for _, site := range server.Errors.Routes {
			if !slices.Contains(gated, describe(site)) {
				open.walk(caddyhttp.RouteList{site}, false, where+", handle_errors")
			}
		}
	}
	return open.proxied
}

// addressesOf lists where a proxy sends requests, in one spelling for each.
func addressesOf(h *reverseproxy.Handler) (all []string) {
	repl := caddy.NewReplacer()
	for _, u := range h.Upstreams {
		all = append(all, canonicalAddress(repl.ReplaceKnown(u.Dial, "")))
	}
	switch dynamic := h.DynamicUpstreams.(type) {
	case *reverseproxy.AUpstreams:
		all = append(all, canonicalAddress(repl.ReplaceKnown(dynamic.Name+":"+dynamic.Port, "")))
	case *reverseproxy.SRVUpstreams:
		all = append(all,
			"srv/"+canonicalHost(repl.ReplaceKnown(dynamic.Service+"."+dynamic.Proto+"."+dynamic.Name, "")))
	}
	return all
}

// canonicalAddress writes an address that Caddy dials in one spelling. All names of this machine's
// loopback are one host: an application that listens there mostly answers to all of them.
func canonicalAddress(dial string) string {
	address, err := caddy.ParseNetworkAddress(dial)
	switch {
	case err != nil:
		return strings.ToLower(dial)
	case address.IsUnixNetwork():
		return "unix/" + path.Clean(address.Host)
	case address.StartPort == 0:
		address.StartPort = 80
	}
	return canonicalHost(address.Host) + ":" + strconv.FormatUint(uint64(address.StartPort), 10)
}

func canonicalHost(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return "loopback"
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return host
	}
	if ip = ip.Unmap(); ip.IsLoopback() || ip.IsUnspecified() {
		return "loopback"
	}
	return ip.String()
}
