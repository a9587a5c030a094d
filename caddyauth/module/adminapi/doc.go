// Package adminapi is the Caddy module that answers below /auth/ of Caddy's admin endpoint: the
// management API with the routes that only an operator may call, and which store the server uses.
// The commands that ask the running server are its clients.
package adminapi
