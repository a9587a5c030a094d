package authorize

import (
	"cmp"
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/authorization"
)

// Onward is what the login page must know of a request that it leads back to.
type Onward struct {
	// Host is where the person goes in the end, as it is shown: a host, or the name of the client.
	Host string

	// RedirectURI is the exact address.
	RedirectURI string

	// LoginHint is the name that the client expects. Default: none.
	LoginHint string
}

// Onward returns where an address of /authorize leads on to; false for every other address, and for
// a request that will be refused.
func (s *Server) Onward(ctx context.Context, address string) (Onward, bool) {
	path, query, _ := strings.Cut(strings.TrimPrefix(address, s.Base.Scheme+"://"+s.Base.Host), "?")
	if path != s.url("/authorize") {
		return Onward{}, false
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return Onward{}, false
	}
	c := &call{Server: s, now: time.Now(), sent: withoutVisit(authorization.Parameters(values))}
	id := c.sent.Get("client_id")
	if c.parties, err = s.Find(ctx, s.Project, id, ""); err != nil || c.parties.Client.ID == "" {
		return Onward{}, false
	}
	params, err := c.pushedParameters(ctx, id)
	if err != nil {
		return Onward{}, false
	}
	r, err := authorization.Validate(params, c.parties.Client, c.pushed != "")
	if err != nil {
		return Onward{}, false
	}
	return Onward{Host: c.shownHost(r), RedirectURI: r.To.RedirectURI, LoginHint: r.LoginHint}, true
}

// shownHost is the host of the redirect URI; of an application on the person's own machine, its name,
// unless the application has given itself that name.
func (c *call) shownHost(r authorization.Request) string {
	u, err := url.Parse(r.To.RedirectURI)
	switch {
	case err == nil && u.Scheme == "https":
		return u.Host
	case err == nil && c.parties.Client.SelfRegistered():
		return cmp.Or(u.Host, u.Scheme+":")
	}
	if c.parties.Client.Name != "" {
		return c.parties.Client.Name
	}
	return c.parties.Client.ID
}
