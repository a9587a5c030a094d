package command

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// adminAddress is the address of the admin endpoint: --address, that of the configuration, or
// Caddy's default.
func (r *adminClient) adminAddress() (string, error) {
	if r.address != "" {
		return networkAddress(r.address)
	}
	if r.config.File == "" {
		return caddy.DefaultAdminListen, nil
	}
	doc, _, err := r.config.Load(r.cmd.InOrStdin())
	if err != nil {
		return "", err
	}
	return doc.AdminAddress(), nil
}

// networkAddress returns the network address of a URL: people copy `http://localhost:2019` from a
// browser or from `curl`.
func networkAddress(address string) (string, error) {
	if !strings.Contains(address, "://") {
		return address, nil
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("--address: %q is not an address such as localhost:2019,"+
			" http://localhost:2019 or unix//run/caddy.sock", address)
	case u.Scheme != "http":
		return "", fmt.Errorf("--address: the scheme %q is not supported: Caddy's admin endpoint speaks http", u.Scheme)
	case u.Port() == "":
		return u.Hostname() + ":80", nil
	}
	return u.Host, nil
}
