package connections

import (
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(Connections)) }

// connectionsWord is the name of the listener wrapper in a Caddyfile.
const connectionsWord = "auth_connections"

// Connections is a listener wrapper that limits how many connections clients may hold, so that
// idle clients cannot use up the open files which the store and the upstreams need.
type Connections struct {
	// How many connections clients may hold at once, counted over all listeners of the process that
	// have this wrapper; a number above the limit of open files is refused. Required where that
	// limit is not known. Default: half of the limit of open files minus 64, at least 1.
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

// otherDescriptors is how many open files are reserved for the store, listeners, logs, idle
// connections to upstreams, and clients that are being refused.
const otherDescriptors = 64

// mostConnections checks the configured number against the limit of open files, which is 0 if it is
// not known. Without a configured number it derives one from the limit.
func mostConnections(configured int, limit uint64) (int64, error) {
	switch {
	case configured < 0:
		return 0, fmt.Errorf("%s: %d is not a number from 1", connectionsWord, configured)
	case configured == 0 && limit == 0:
		return 0, errors.New(connectionsWord + ": a number is required, because the limit of open files is not known")
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
	return &limitedListener{Listener: l, most: c.most, open: &openConnections}
}

var (
	_ caddy.Provisioner     = (*Connections)(nil)
	_ caddy.ListenerWrapper = (*Connections)(nil)
	_ caddyfile.Unmarshaler = (*Connections)(nil)
)
