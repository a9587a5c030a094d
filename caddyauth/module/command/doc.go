// Package command owns the command line `caddy auth`: commands that ask the running server through
// Caddy's admin endpoint, and keygen, version and store, which need no server. What explains a
// configuration is in package explain.
package command
