// Package auth is the Caddy layer of the gateway: the app, its directives, settings, metrics and
// commands.
package auth
