// Package discovery owns the metadata documents by which clients learn of the authorization server
// (RFC 8414 and OpenID Connect Discovery 1.0): which addresses they have, and what stands in them.
// The document lists only what works.
package discovery
