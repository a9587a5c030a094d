package authserver

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/caddyauth/gateway/caddyauth/module/option"
)

// managedHost is where the management API answers: everywhere when it is empty, nowhere when it is
// `off`, or on one host, with a port or on any.
type managedHost string

// check refuses what cannot be a host. A request would never have it, and the management API would
// be nowhere without a word.
func (m managedHost) check() error {
	if m == "" || m == option.Off {
		return nil
	}
	u, err := url.Parse("//" + string(m))
	if err != nil || u.Host != string(m) || u.Hostname() == "" || strings.ContainsAny(u.Hostname(), "*{} ") {
		return fmt.Errorf("manage: %q is neither off nor a host such as admin.example.com", string(m))
	}
	return nil
}

// answers says whether the management API is on the host of a request.
func (m managedHost) answers(host string) bool {
	if m == "" {
		return true
	}
	if m == option.Off {
		return false
	}
	want := string(m)
	if name, _, err := net.SplitHostPort(host); err == nil && !hasPort(want) {
		host = name
		want = strings.Trim(want, "[]")
	}
	return strings.EqualFold(strings.TrimSuffix(host, "."), strings.TrimSuffix(want, "."))
}

func hasPort(host string) bool {
	_, _, err := net.SplitHostPort(host)
	return err == nil
}
