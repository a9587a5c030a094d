// Package version owns what a binary says it was built from: the versions of this module, Go and
// Caddy, and the revision of the source.
package version
