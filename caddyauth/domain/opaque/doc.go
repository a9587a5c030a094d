// Package opaque owns access tokens that say nothing by themselves.
//
// [Tokens] (tokens.go) makes those of this server and reads them. [IntrospectionClient]
// (introspection.go) asks the introspection endpoint of another issuer about its tokens (RFC 7662).
// Both answer like a token.Verifier, so that a gate judges their tokens as it judges JWTs, and both
// cache answers for a short time (cache.go). What is cached is what a token is, which is the same
// for every caller. The answers to an IntrospectionClient depend on the credentials it asks with,
// so each has a cache of its own.
//
// prefixes.go knows by its beginning whether a text is something that this server issued.
package opaque
