// Package caddyauth is the face of the gateway: the only package that knows Caddy, logs, and reads configuration.
// Below it lie rooms that know only their subject; a row may use the rows below it, never a sibling:
//
//	cmd/caddy     the binary
//	caddyauth     the face: app, directives, settings, metrics, commands
//	sqlstore      the database          login     how a person proves who they are   manage  the management API
//	gate          may a request pass    identity  users, passwords, throttle         oauth   token, revoke, introspect
//	token         parse, verify, mint
//	keyring       signing keys, foreign key sets   session  grants, revocation   project  tenants, clients   ui  pages
//
// A request's way (package gate): strip every identity header the gate owns, find exactly one credential, verify it, check time and revocation,
// apply the policy, assert the headers, conceal the credential, next.
package caddyauth
