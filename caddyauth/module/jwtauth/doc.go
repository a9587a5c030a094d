// Package jwtauth is the directive `jwt_auth` and its handler: gates, the header filters beside
// them, and the filter before error routes. It owns their settings, what Caddy's requests keep
// between gates, and the answers to refused requests. What a gate decides is in guard/gate, and what
// all gates of a configuration share is in the App, which this package imports.
package jwtauth
