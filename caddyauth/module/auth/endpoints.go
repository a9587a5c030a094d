package auth

import (
	"github.com/caddyauth/gateway/caddyauth/web/endpoint"
)

// Endpoint is a server that answers some routes below the public URL, and what auth_server must know
// to ask it.
type Endpoint struct {
	endpoint.Server

	// Management says that it answers on the hosts that the option `manage` allows. Default: it
	// answers wherever auth_server stands.
	Management bool

	// Always says that it is asked before the configuration is in charge, too. It reads no cookie
	// and tells by itself what is not there yet. Default: auth_server answers 503 until then.
	Always bool
}

// Endpoints lists what the authorization server consists of. The first one that handles a path
// answers it. Which method each path takes, and whether pages of any origin may call it, is in the
// server's own table of routes, and its Rules tell; the paths that auth_server keeps from an
// application on the same site follow from them. Each call makes the servers anew.
//
// A new endpoint is one literal in build.go and one line here.
func (a *App) Endpoints() []Endpoint {
	endpoints := []Endpoint{
		{Server: buildKeySet(a), Always: true},
		{Server: buildHealth(a), Always: true},
		{Server: buildDiscovery(a), Always: true},
		{Server: a.login}, // shared with the gates
		{Server: buildPageSession(a)},
		{Server: buildAuthorize(a)},
		{Server: buildDevice(a)},
		{Server: buildOAuth(a)},
		{Server: buildUserInfo(a)},
		{Server: buildManagement(a), Management: true},
	}
	if r := a.server.Registration; r != nil { // otherwise an application may have /register
		endpoints = append(endpoints, Endpoint{Server: buildRegistration(a, r)})
	}
	return endpoints
}
