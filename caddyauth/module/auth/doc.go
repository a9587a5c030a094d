// Package auth is the App of the gateway, which Caddy runs once per configuration. It owns the life
// of a configuration: what it consists of (build.go), what outlives it (shared.go), when it is in
// charge (charge.go), and what its handlers share (gates.go, verification.go). The directives are
// packages of their own that import this one; surface.go is what they may ask.
package auth
