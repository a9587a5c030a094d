package survey

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Met are the gates that a browser meets when it opens an address.
type Met struct {
	// Surely are those that every such request meets, in the order of the routes. Where something
	// rewrites the address, they are those of both forms, as with a request.
	Surely []Guard
	// Maybe are those behind matchers that look at more than host, path, method and query.
	Maybe []Guard
}

// Has reports whether a gate may be met.
func (m Met) Has(g Guard) bool { return slices.Contains(m.Surely, g) || slices.Contains(m.Maybe, g) }

// MetAt lists the gates that a browser meets when it opens an address of this configuration. It lists
// none for an address that another process answers. No handler is run.
func (s *Survey) MetAt(address *url.URL) (m Met) {
	app := s.HTTP()
	if app == nil {
		return m
	}
	for _, server := range serversFor(app, address) {
		for _, asSent := range []bool{false, true} {
			e := errand{r: openingRequest(address), named: server.NamedRoutes, asSent: asSent, meets: m.add}
			e.follow(server.Routes)
		}
	}
	return m
}

func (m *Met) add(g Guard, surely bool) {
	switch {
	case g.Gate() == nil || slices.Contains(m.Surely, g):
	case surely:
		m.Surely = append(m.Surely, g)
	case !slices.Contains(m.Maybe, g):
		m.Maybe = append(m.Maybe, g)
	}
}

// serversFor lists the servers to which a request for an address comes: those that listen there, or
// else those to which something in front may lead it.
func serversFor(app *caddyhttp.App, address *url.URL) (servers []*caddyhttp.Server) {
	w := signInSurvey{server: SignIn{PublicURL: address}, http: app}
	var mapped []*caddyhttp.Server
	for _, name := range sortedServers(app) {
		server := app.Servers[name]
		tls := len(server.TLSConnPolicies) > 0
		switch comes, _ := w.listens(server); {
		case tls == (address.Scheme == "https") && w.hasPort(server):
			servers = append(servers, server)
		case comes:
			mapped = append(mapped, server)
		}
	}
	if servers == nil {
		return mapped
	}
	return servers
}

// openingRequest is the request of a browser that opens an address.
func openingRequest(address *url.URL) *http.Request {
	r := requestFor(address, "")
	r.URL.RawPath, r.URL.RawQuery = address.RawPath, address.RawQuery
	if r.URL.Path == "" {
		r.URL.Path = "/"
	}
	r.RequestURI = r.URL.RequestURI()
	return r
}
